//! What a program printed, kept for a while: a person who has to unlock a safe is not asked for each request.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex as Turn;

use super::Credential;
use crate::model::fault::Fault;

/// How long a key is kept that does not say when it ends: long enough for a task, and short enough that one that was replaced,
/// or a safe that was locked, shows soon.
const AGE: Duration = Duration::from_mins(10);
/// How long before its end a credential is used no more: a request is signed with what is still good when it arrives, and
/// clocks differ.
const BEFORE: Duration = Duration::from_mins(5);

/// A credential as it was given, and when it ends, where it says so.
pub(super) type Given = (Credential, Option<SystemTime>);

/// The last one given.
#[derive(Default)]
pub(super) struct Kept {
    /// Held without an await, so that it can be forgotten anywhere.
    held: Mutex<Option<Held>>,
    /// Whose turn it is to ask. The others wait and take what was given.
    turn: Turn<()>,
}

struct Held {
    credential: Arc<Credential>,
    since: SystemTime,
    until: SystemTime,
}

impl Held {
    fn new((credential, ends): Given, now: SystemTime) -> Self {
        let until = match ends {
            Some(ends) => ends.checked_sub(BEFORE).unwrap_or(now),
            None => now + AGE,
        };
        Self { credential: credential.into(), since: now, until }
    }

    /// A clock that was set back tells nothing.
    fn fresh(&self, now: SystemTime) -> bool {
        self.since <= now && now < self.until
    }
}

impl Kept {
    /// The one that is kept, else what `ask` gives.
    ///
    /// # Errors
    /// What `ask` says. It is not kept.
    pub(super) async fn get(&self, ask: impl Future<Output = Result<Given, Fault>>) -> Result<Arc<Credential>, Fault> {
        self.get_at(SystemTime::now, ask).await
    }

    async fn get_at(
        &self,
        now: impl Fn() -> SystemTime,
        ask: impl Future<Output = Result<Given, Fault>>,
    ) -> Result<Arc<Credential>, Fault> {
        if let Some(credential) = self.fresh(now()) {
            return Ok(credential);
        }
        let _turn = self.turn.lock().await;
        if let Some(credential) = self.fresh(now()) {
            return Ok(credential);
        }
        let held = Held::new(ask.await?, now());
        let credential = Arc::clone(&held.credential);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(credential)
    }

    /// Whoever reads next asks anew.
    pub(super) fn forget(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn fresh(&self, now: SystemTime) -> Option<Arc<Credential>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|held| held.fresh(now)).map(|held| Arc::clone(&held.credential))
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::model::fault::Kind;

    fn at(minutes: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_mins(1000 + minutes)
    }

    /// At which of these minutes a program is asked.
    async fn asked_at(ends: Option<SystemTime>, minutes: &[u64]) -> Vec<u64> {
        let (kept, mut asked) = (Kept::default(), Vec::new());
        for minute in minutes {
            let ask = async {
                asked.push(*minute);
                Ok((Credential::Key("sk".into()), ends))
            };
            kept.get_at(|| at(*minute), ask).await.unwrap();
        }
        asked
    }

    #[tokio::test]
    async fn a_key_is_kept_for_ten_minutes_and_a_credential_until_shortly_before_its_end() {
        assert_eq!(asked_at(None, &[0, 1, 9, 10, 19, 20]).await, [0, 10, 20]);
        assert_eq!(asked_at(Some(at(60)), &[0, 11, 54, 55, 56]).await, [0, 55, 56]);
        assert_eq!(asked_at(Some(at(3)), &[0, 1]).await, [0, 1], "one that ends at once is used once");
        assert_eq!(asked_at(None, &[5, 0]).await, [5, 0], "the clock was set back");
    }

    #[tokio::test]
    async fn what_was_forgotten_is_asked_for_anew_and_a_fault_is_not_kept() {
        let kept = Kept::default();
        let get = async |works: bool| {
            let locked = Fault::new(Kind::NotConfigured, "locked");
            let given = if works { Ok((Credential::Key("sk".into()), None)) } else { Err(locked) };
            kept.get(std::future::ready(given)).await.map(|_| ()).map_err(|fault| fault.message)
        };
        assert_eq!(get(false).await.unwrap_err(), "locked");
        assert_eq!((get(true).await, get(false).await), (Ok(()), Ok(())));
        kept.forget();
        assert_eq!(get(false).await.unwrap_err(), "locked");
    }

    #[tokio::test]
    async fn two_readers_at_once_ask_once() {
        let (kept, asked) = (Kept::default(), AtomicUsize::new(0));
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok((Credential::Key("sk".into()), None))
        };
        let (one, other) = tokio::join!(kept.get(ask()), kept.get(ask()));
        assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
