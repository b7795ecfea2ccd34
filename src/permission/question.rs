//! What a person is asked, and what they say.

/// A question that a run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In a line.
    pub title: String,
    /// What exactly would be done: every line of it, with nothing that could make it look like something else.
    pub detail: String,
    /// What there is to choose from.
    pub kind: Kind,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whether something may be done.
    May {
        /// Whether the person may say so for the rest of the session.
        rememberable: bool,
    },
    /// What the model wants to know; in the person's own words where there is nothing to choose from.
    Answer {
        /// What there is to choose from.
        options: Vec<String>,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It may be done, this once.
    Once,
    /// It may be done for the rest of the session.
    Session,
    /// What the person answered.
    Answered(String),
    /// It may not be done.
    Denied,
    /// Nobody answered in time, so it may not be done.
    Expired,
    /// The run was stopped.
    Cancelled,
}
