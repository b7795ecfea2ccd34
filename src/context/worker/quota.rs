//! How often the background may ask.

use std::time::Duration;

use tokio::time::Instant;

use super::Refusal;

/// So many failures one after another, and the background rests.
const BREAKS_AFTER: u32 = 3;
/// So long.
const REST: Duration = Duration::from_secs(5 * 60);

/// What was tried so far, whoever asked for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quota {
    /// When the last one began.
    began: Option<Instant>,
    /// How many began since one has helped.
    attempts: u32,
    /// How many failed, one after another.
    failures: u32,
    /// When the last of those failed.
    failed: Option<Instant>,
}

impl Quota {
    /// Whether the background may begin another one.
    pub(super) fn ask(&self, now: Instant, cooldown: Duration, max_attempts: u32) -> Result<(), Refusal> {
        let left = |since: Option<Instant>, pause: Duration| {
            since.map_or(Duration::ZERO, |since| (since + pause).saturating_duration_since(now))
        };
        let cooling = left(self.began, self.pause(cooldown));
        if self.attempts >= max_attempts {
            return Err(Refusal::Exhausted(self.attempts));
        }
        if self.failures >= BREAKS_AFTER {
            let rest = left(self.failed, REST);
            if !rest.is_zero() {
                // The time until it is really tried again.
                return Err(Refusal::Broken { failures: self.failures, seconds: seconds(rest.max(cooling)) });
            }
        }
        if cooling.is_zero() { Ok(()) } else { Err(Refusal::Cooling { seconds: seconds(cooling) }) }
    }

    /// Whether the background rests because of failures.
    pub(super) fn is_broken(&self, now: Instant) -> bool {
        self.failures >= BREAKS_AFTER && self.failed.is_some_and(|failed| now < failed + REST)
    }

    /// The pause doubles with each failure in a row, and is never longer than the rest, unless it was set to be.
    fn pause(&self, cooldown: Duration) -> Duration {
        cooldown.saturating_mul(1 << self.failures.min(BREAKS_AFTER)).min(REST).max(cooldown)
    }

    pub(super) fn began(&mut self, now: Instant) {
        self.began = Some(now);
        self.attempts = self.attempts.saturating_add(1);
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.failed = Some(now);
    }

    pub(super) fn made(&mut self) {
        self.failures = 0;
    }

    pub(super) fn applied(&mut self) {
        self.attempts = 0;
    }
}

/// Told as whole seconds, and never as none.
fn seconds(left: Duration) -> u64 {
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}
