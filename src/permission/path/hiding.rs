//! What a command must not see, where no path of its own is asked for.

use std::path::{Path, PathBuf};

use super::{Access, Roots};
use crate::permission::Ruling;

impl Roots {
    /// The program's own settings and state, wherever they lie.
    #[must_use]
    pub fn own(&self) -> &[PathBuf] {
        &self.own
    }

    /// The folder of the program's state, where there is one.
    #[must_use]
    pub fn state(&self) -> Option<&Path> {
        self.own.last().filter(|own| own.is_dir()).map(PathBuf::as_path)
    }

    /// Whether a deny rule keeps the model from reading a file that a walk below a folder found: a command shall not do it instead.
    #[must_use]
    pub fn denies_reading(&self, path: &Path) -> bool {
        self.rules.hides() && matches!(self.ruling_of(&self.rules, path, Access::Read), Ruling::Denied(_))
    }

    /// What deny rules name from the root of the file system: a file, a folder with all that is in it (`read(~/notes/**)`), or what there
    /// is of a pattern now (`read(~/*/secret.pem)`).
    ///
    /// # Errors
    /// Why that cannot be said of a rule.
    pub fn denied_outside(&self) -> Result<Vec<PathBuf>, String> {
        self.rules.denied_outside()
    }
}
