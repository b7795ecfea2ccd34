//! Where settings and state lie on this machine.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The files and folders that belong to Cowrite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The user's settings file; `None` where the system has no configuration folder.
    pub config: Option<PathBuf>,
    /// Whether that file was named on purpose, so that its absence is worth a word.
    pub config_is_named: bool,
    /// The folder of sessions, trust and logs; `None` where there is neither a home folder nor a name for it.
    pub state: Option<PathBuf>,
}

impl Places {
    /// As the environment of this process says.
    #[must_use]
    pub fn from_env() -> Self {
        Self::new(|name| std::env::var_os(name), dirs::config_dir(), dirs::state_dir().or_else(dirs::data_local_dir))
    }

    /// From variables and the system's folders.
    #[must_use]
    pub fn new(
        variable: impl Fn(&str) -> Option<OsString>,
        config_dir: Option<PathBuf>,
        state_dir: Option<PathBuf>,
    ) -> Self {
        // An empty variable is how a shell spells "not set".
        let named = |name: &str| variable(name).filter(|value| !value.is_empty()).map(|value| absolute(value.into()));
        let config = named("COWRITE_CONFIG");
        Self {
            config_is_named: config.is_some(),
            config: config.or_else(|| config_dir.map(|dir| dir.join("cowrite").join("config.toml"))),
            state: named("COWRITE_STATE_DIR").or_else(|| state_dir.map(|dir| dir.join("cowrite"))),
        }
    }

    /// The state folder, made (for this user alone) when it is not there.
    ///
    /// # Errors
    /// When there is no place for it, or the system would not make it.
    pub fn make_state_dir(&self) -> Result<PathBuf, StateDirError> {
        let dir = self.state.clone().ok_or(StateDirError::NoPlace)?;
        make_private(&dir).map_err(|source| StateDirError::Io { dir: dir.clone(), source })?;
        Ok(dir)
    }
}

/// Why there is no state folder.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// No home folder and no variable.
    #[error("there is no folder for Cowrite's state: set COWRITE_STATE_DIR to a folder of your own")]
    NoPlace,
    /// The system says no.
    #[error("could not make the state folder {dir}: {source}; set COWRITE_STATE_DIR to a folder that can be written")]
    Io {
        /// Which.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Makes a folder, and the ones above it, that this user alone can look into; one that is there is closed to others.
///
/// # Errors
/// When the system would not, or a file of that name is in the way.
#[cfg(unix)]
pub fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    // Parents such as `~/.local/state` belong to everyone and get the usual mode.
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        // A folder that was there may be wider than it should be.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = std::fs::metadata(dir)?;
            if !found.is_dir() {
                return Err(io::Error::new(io::ErrorKind::NotADirectory, "a file of that name is in the way"));
            }
            if found.permissions().mode() & 0o077 != 0 {
                std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
            }
            Ok(())
        }
        other => other,
    }
}

/// Makes a folder and the ones above it.
///
/// # Errors
/// When the system would not.
#[cfg(not(unix))]
pub fn make_private(dir: &Path) -> io::Result<()> {
    // The profile folder of a person is closed to others by the system's own rules.
    std::fs::create_dir_all(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(variables: &[(&str, &str)]) -> Places {
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Places::new(variable, Some("/home/p/.config".into()), Some("/home/p/.local/state".into()))
    }

    #[test]
    fn variables_win_over_the_systems_folders() {
        assert_eq!(
            places(&[("COWRITE_CONFIG", "/tmp/c.toml"), ("COWRITE_STATE_DIR", "/tmp/s")]),
            Places { config: Some("/tmp/c.toml".into()), config_is_named: true, state: Some("/tmp/s".into()) }
        );
    }

    #[test]
    fn an_empty_variable_is_no_variable() {
        assert_eq!(
            places(&[("COWRITE_CONFIG", ""), ("COWRITE_STATE_DIR", "")]),
            Places {
                config: Some("/home/p/.config/cowrite/config.toml".into()),
                config_is_named: false,
                state: Some("/home/p/.local/state/cowrite".into())
            }
        );
    }

    #[test]
    fn without_a_home_the_state_folder_error_names_the_variable() {
        let error = Places::default().make_state_dir().unwrap_err();
        assert!(error.to_string().contains("COWRITE_STATE_DIR"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a3_27_the_state_folder_is_for_this_user_alone_also_when_it_was_wider() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let places = Places { state: Some(temp.path().join("deep/er/cowrite")), ..Places::default() };
        let mode = |dir: &Path| std::fs::metadata(dir).unwrap().permissions().mode() & 0o777;
        let dir = places.make_state_dir().unwrap();
        assert_eq!(mode(&dir), 0o700);
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(mode(&places.make_state_dir().unwrap()), 0o700);
    }
}
