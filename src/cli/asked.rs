//! What the providers and the settings say of models, asked once for a command.

use std::path::Path;
use std::sync::Arc;

use crate::model::wire::{Choice, Limits, Surveyed, connect, limits, survey};
use crate::settings::{Settings, split_model};
use crate::tool::plain;

/// The answers.
#[derive(Debug)]
pub(super) struct Asked {
    /// The model in use, or the sentence that says why there is none.
    pub(super) chosen: Result<Choice, String>,
    /// What is known of the model in use.
    pub(super) limits: Limits,
    /// The providers.
    pub(super) surveyed: Vec<Surveyed>,
}

impl Asked {
    /// Asks all of them at once. `state` is the folder in which their lists are kept.
    pub(super) async fn all(settings: Settings, state: Option<&Path>) -> Self {
        let settings = Arc::new(settings);
        let (connected, surveyed) = tokio::join!(connect(Arc::clone(&settings), state), survey(&settings, state));
        let chosen = connected.map(|connected| connected.choice).map_err(|error| error.to_string());
        // Behind the survey, so that what was just listed counts.
        let known = chosen.as_ref().ok().and_then(|choice| limits(&settings, state, &choice.name).ok());
        Self { chosen, limits: known.unwrap_or_default(), surveyed }
    }

    /// The provider of the model in use.
    pub(super) fn provider(&self) -> Option<&Surveyed> {
        let (table, _) = split_model(&self.chosen.as_ref().ok()?.name)?;
        self.surveyed.iter().find(|one| one.table == table)
    }
}

/// What others wrote, as a whole sentence that a terminal can be shown.
pub(super) fn sentence(text: &str) -> String {
    let text = plain(text);
    if text.ends_with(['.', '!', '?', '…']) { text } else { text + "." }
}
