//! What a call would touch, as its arguments say it, before anything has looked at it.

use super::Access;

/// One thing that a call wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// A file, a folder or a buffer.
    Path {
        /// As the model names it.
        given: String,
        /// To look at it, or to change it.
        access: Access,
    },
    /// A command line for `sh -c`.
    Run {
        /// All of it.
        command: String,
    },
    /// A page.
    Fetch {
        /// Its address.
        url: String,
    },
    /// A tool of somebody else's server.
    Foreign {
        /// `server__tool`, as the model knows it.
        name: String,
        /// The same as the server spells it.
        own: String,
    },
}

impl Want {
    /// To look at something.
    #[must_use]
    pub fn read(given: impl Into<String>) -> Self {
        Self::Path { given: given.into(), access: Access::Read }
    }

    /// To change something.
    #[must_use]
    pub fn write(given: impl Into<String>) -> Self {
        Self::Path { given: given.into(), access: Access::Write }
    }
}
