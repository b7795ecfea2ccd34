//! A program that is asked for a key: `api_key_command`, the keyring's tool, or one that AWS's files name. It gets no key of
//! anybody else, and nothing to read; it is gone with all that it started when it has ended, when it takes too long, and when
//! nobody waits for it any more. What it writes to its standard error is not shown, as it may hold a secret.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::string::FromUtf8Error;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// How long it may take. Somebody waits for the answer to a prompt; yet a hardware token has to be touched, or a password
/// typed, before a safe opens.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that it may print; keys are far smaller.
const BYTES: u64 = 64 * 1024;

/// What is to be done about one that failed.
pub(super) const LOOK: &str = "run it in a terminal to see why";

/// What it came to.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) printed: SecretString,
    /// Whether it wrote to its standard error.
    pub(super) complained: bool,
}

/// Why nothing came of it. Nothing that it printed is in here.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("could not be started: {0}")]
    NotStarted(io::Error),
    #[error("failed with {}", status(*.0))]
    Status(ExitStatus),
    #[error("printed more than a key can be")]
    TooMuch,
    #[error("did not end within {} s", PATIENCE.as_secs())]
    TooLate,
    #[error("could not be waited for: {0}")]
    Lost(io::Error),
}

fn status(status: ExitStatus) -> String {
    status.code().map_or_else(|| "a signal".to_owned(), |code| format!("status {code}"))
}

impl Ended {
    /// What it printed, where it says itself that all went well.
    pub(super) fn well(self) -> Result<SecretString, Failure> {
        if self.status.success() { Ok(self.printed) } else { Err(Failure::Status(self.status)) }
    }
}

/// Runs a program as it stands, without a shell.
///
/// # Errors
/// It did not start, or did not end as a program does that prints a key.
pub(super) async fn run(mut command: Command, inherited: Inherited) -> Result<Ended, Failure> {
    command.env_clear().envs(inherited.0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // A group of its own, so that what it started goes with it.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(Failure::NotStarted)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let started = Started { group: Group(child.id()), child };
    // One that prints without end is left as soon as that shows.
    let all = async { tokio::try_join!(started.end(), most(stdout), most(stderr)) };
    let (status, printed, said) = tokio::time::timeout(PATIENCE, all).await.map_err(|_| Failure::TooLate)??;
    let lossy = |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
    let printed = String::from_utf8(printed).unwrap_or_else(lossy);
    Ok(Ended { status, printed: printed.into(), complained: !said.trim_ascii().is_empty() })
}

async fn most(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(BYTES + 1).read_to_end(&mut bytes).await.map_err(Failure::Lost)?;
    }
    if bytes.len() as u64 <= BYTES { Ok(bytes) } else { Err(Failure::TooMuch) }
}

/// One that runs. The group is dropped first: as long as nobody has waited for the child, the number is its own.
struct Started {
    group: Group,
    child: Child,
}

impl Started {
    /// Waits until it has ended, and ends what it leaves behind, which may hold the pipes open for ever.
    async fn end(mut self) -> Result<ExitStatus, Failure> {
        let status = self.child.wait().await.map_err(Failure::Lost)?;
        // Numbers are given out in turn: this soon it is no other group's.
        drop(self.group);
        Ok(status)
    }
}

/// Ends a process group when it goes out of sight.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.0.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) {
            // Gone already is what is wanted.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// AWS's own, or one that AWS's files name: it may need the keys of AWS to get others.
    Aws,
    /// Another's.
    Anothers,
}

impl Whose {
    /// Whose a program of this name is.
    pub(super) fn of(program: &str) -> Self {
        let name = std::path::Path::new(program).file_stem();
        if name.is_some_and(|name| name.eq_ignore_ascii_case("aws")) { Self::Aws } else { Self::Anothers }
    }
}

/// The variables that a program sees.
#[derive(Clone)]
pub(crate) struct Inherited(Vec<(OsString, OsString)>);

impl Inherited {
    /// All variables without those that hold keys: of these names, and with these values under whatever name. No name is
    /// guessed: a program that opens a safe needs its own token.
    pub(super) fn new(all: Vec<(OsString, OsString)>, names: &[String], keys: &[String], whose: Whose) -> Self {
        let named = |name: &OsStr| {
            let upper = name.to_string_lossy().to_ascii_uppercase();
            upper.ends_with("_API_KEY")
                || upper == "AWS_BEARER_TOKEN_BEDROCK"
                // The first of AWS's three is no secret, and alone an error to AWS's command line.
                || whose != Whose::Aws
                    && ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].contains(&&*upper)
                || names.iter().any(|own| name == own.as_str())
        };
        let held = |value: &OsStr| value.to_str().is_some_and(|value| keys.iter().any(|key| key == value.trim()));
        Self(all.into_iter().filter(|(name, value)| !named(name) && !held(value)).collect())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use secrecy::ExposeSecret;

    use super::*;

    fn nothing_hidden() -> Inherited {
        Inherited::new(std::env::vars_os().collect(), &[], &[], Whose::Anothers)
    }

    async fn shell(line: &str) -> Result<String, String> {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        let printed = run(command, nothing_hidden()).await.and_then(Ended::well);
        printed.map(|printed| printed.expose_secret().to_owned()).map_err(|failure| failure.to_string())
    }

    /// A part of a line that leaves a mark when it is let live.
    fn lingering(mark: &Path) -> String {
        format!("(sleep 2; touch {}) &", mark.display())
    }

    #[tokio::test]
    async fn what_a_program_started_ends_with_it_and_when_nobody_waits_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let (ended, dropped, marked) =
            (folder.path().join("ended"), folder.path().join("dropped"), folder.path().join("endless"));
        let begun = Instant::now();
        let line = format!("{} echo sk", lingering(&ended));
        assert_eq!(shell(&line).await.as_deref(), Ok("sk\n"), "what it left behind held its output open");
        let line = format!("{} sleep 60", lingering(&dropped));
        assert!(tokio::time::timeout(Duration::from_millis(200), shell(&line)).await.is_err());
        let line = format!("{} yes canary", lingering(&marked));
        assert_eq!(shell(&line).await.unwrap_err(), "printed more than a key can be");
        let line = format!("{} yes canary >&2", lingering(&marked));
        assert_eq!(shell(&line).await.unwrap_err(), "printed more than a key can be");
        assert!(begun.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(2300)).await;
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?} lives on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_has_half_a_minute() {
        assert_eq!(shell("sleep 60").await.unwrap_err(), "did not end within 30 s");
    }

    #[tokio::test]
    async fn there_is_nothing_to_read_and_a_signal_has_no_status() {
        assert_eq!(shell("read line; echo got $line").await.as_deref(), Ok("got\n"));
        assert_eq!(shell("kill -9 $$").await.unwrap_err(), "failed with a signal");
    }
}
