//! `cowrite trust` and `cowrite untrust`: whether a workspace's own settings count.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::said::{Said, say};
use super::sessions::Folder;
use crate::settings::Places;
use crate::store::Trust;
use crate::workspace::trust_folder;

/// The arguments of both.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Workspace {
    /// The workspace folder (the working directory, when left out)
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Trusts a workspace as it is now.
#[must_use]
pub fn trust(workspace: &Workspace) -> ExitCode {
    say("trust", workspace.trust(&Places::from_env()))
}

/// Trusts it no more.
#[must_use]
pub fn untrust(workspace: &Workspace) -> ExitCode {
    say("untrust", workspace.untrust(&Places::from_env()))
}

impl Workspace {
    fn trust(&self, places: &Places) -> Result<Said, String> {
        let folder = self.named()?;
        let state = places.make_state_dir().map_err(|error| error.to_string())?;
        trust_folder(&Trust::new(&state), &folder)?;
        let shown = folder.display();
        Ok(format!(
            "{shown} is trusted as it is: what its .cowrite/ says counts from the next run on, and is asked about when it changes.\n"
        )
        .into())
    }

    /// The root of the file system and the home folder hold far more than a workspace, and are named when they are meant.
    fn named(&self) -> Result<PathBuf, String> {
        let folder = Folder::of(self.folder.as_deref())?;
        if folder.key().is_empty() {
            return Err("the working directory is no workspace; name the folder".into());
        }
        Ok(folder.key().into())
    }

    fn untrust(&self, places: &Places) -> Result<Said, String> {
        let folder = self.named()?;
        let Some(state) = &places.state else {
            return Err("there is no folder for Cowrite's state, so nothing is trusted".into());
        };
        let was = Trust::new(state).withdraw(&folder)?;
        let shown = folder.display();
        let said = if was { "is trusted no more" } else { "was not trusted" };
        Ok(format!("{shown} {said}; only your own settings count there.\n").into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_workspace_is_trusted_and_untrusted_from_the_command_line() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("ws");
        fs::create_dir_all(folder.join(".cowrite")).unwrap();
        fs::write(folder.join(".cowrite/config.toml"), "mode = \"plan\"\n").unwrap();
        let places = Places { state: Some(home.path().join("state")), ..Places::default() };
        let workspace = Workspace { folder: Some(folder.clone()) };
        let real = folder.canonicalize().unwrap();
        assert!(workspace.untrust(&places).unwrap().text.contains("was not trusted"));
        assert!(workspace.trust(&places).unwrap().text.contains("is trusted as it is"));
        let list = Trust::new(&home.path().join("state"));
        assert!(list.of(&real).is_some());
        assert!(workspace.untrust(&places).unwrap().text.contains("is trusted no more"));
        assert_eq!(list.of(&real), None);
        let nowhere = Workspace { folder: Some(home.path().join("nowhere")) };
        assert!(nowhere.trust(&places).is_err());
    }
}
