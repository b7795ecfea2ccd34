//! Every key that this process has read, for texts of which nobody knows which key may be in them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{INSTEAD, masked, secrets};
use crate::model::key::Credential;

/// The most of them. Tokens that live for an hour come and go; what was not used for so many others is over.
const MOST: usize = 64;
/// How often the register is tried for, with a millisecond between.
const TRIES: usize = 20;

static KNOWN: Known = Known::new();

/// Keeps in mind what is secret in a credential.
pub(crate) fn remember(credential: &Credential) {
    KNOWN.remember(credential);
}

/// Keeps in mind a token that is no provider's.
pub fn keep_from_telling(token: &str) {
    KNOWN.remember(&Credential::Key(token.into()));
}

/// A text without any key that this process has read. None where that cannot be made sure: a panic asks, which may have come
/// while the register was in use.
#[must_use]
pub fn without_keys(text: String) -> Option<String> {
    KNOWN.without(text)
}

/// The least lately used one comes first.
struct Known(Mutex<VecDeque<SecretString>>);

impl Known {
    const fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    fn remember(&self, credential: &Credential) {
        // A std mutex: held for a few comparisons.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets(credential) {
            let same = |other: &SecretString| other.expose_secret() == secret;
            match known.iter().position(same) {
                Some(at) if at + 1 == known.len() => {}
                Some(at) => {
                    let again = known.remove(at);
                    known.extend(again);
                }
                None => known.push_back(secret.into()),
            }
        }
        let over = known.len().saturating_sub(MOST);
        known.drain(..over);
    }

    /// Never waits for a thread that may be this very one.
    fn without(&self, text: String) -> Option<String> {
        for _ in 0..TRIES {
            match self.0.try_lock() {
                Ok(known) => return Some(masked(text, known.iter().map(ExposeSecret::expose_secret), INSTEAD)),
                Err(TryLockError::Poisoned(known)) => {
                    let known = known.into_inner();
                    return Some(masked(text, known.iter().map(ExposeSecret::expose_secret), INSTEAD));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Credential {
        Credential::Key(key.into())
    }

    #[test]
    fn p9_every_key_that_was_read_is_taken_out_the_longest_first() {
        let known = Known::new();
        for one in ["sk-canary", "sk-canary-longer", "sk-canary", "ollama"] {
            known.remember(&key(one));
        }
        known.remember(&Credential::Aws {
            access_key_id: "AKIACANARY".into(),
            secret: "canary/secret".into(),
            session_token: Some("canary+token".into()),
        });
        known.remember(&Credential::None);
        assert_eq!(known.0.lock().unwrap().len(), 5, "each of them once");
        let text = "sk-canary-longer sk-canary AKIACANARY canary\\/secret canary%2Btoken ollama".to_owned();
        assert_eq!(known.without(text).as_deref(), Some("[key] [key] [key] [key] [key] ollama"));
    }

    #[test]
    fn the_register_does_not_grow_and_forgets_what_was_used_least_lately() {
        let known = Known::new();
        known.remember(&key("the-one-in-use"));
        for number in 0..3 * MOST {
            known.remember(&key(&format!("one-of-many-{number:04}")));
            known.remember(&key("the-one-in-use"));
        }
        assert_eq!(known.0.lock().unwrap().len(), MOST);
        let last = format!("the-one-in-use one-of-many-{:04}", 3 * MOST - 1);
        assert_eq!(known.without(last).as_deref(), Some("[key] [key]"));
    }

    #[test]
    fn a_register_in_use_gives_nothing_and_a_poisoned_one_works() {
        let known = Known::new();
        known.remember(&key("sk-canary-0123"));
        let held = known.0.lock().unwrap();
        assert_eq!(known.without("nothing secret".to_owned()), None, "this thread itself holds it");
        drop(held);
        let poisoned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = known.0.lock().unwrap();
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(poisoned.is_err() && known.0.is_poisoned());
        assert_eq!(known.without("a sk-canary-0123".to_owned()).as_deref(), Some("a [key]"));
        known.remember(&key("sk-canary-4567"));
        assert_eq!(known.without("a sk-canary-4567".to_owned()).as_deref(), Some("a [key]"));
    }
}
