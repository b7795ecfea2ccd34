//! What can go wrong between a request and its answer, as the person reads it.

use std::time::Duration;

/// A request that did not lead to a whole turn. Texts name the provider and the next step; they never hold a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No provider, no key: the text names the cure.
    #[error("{0}")]
    NotConfigured(String),
    /// The key is refused.
    #[error("{provider} refuses the key (HTTP {status}: {message}); check {cure}")]
    Authentication {
        /// Which provider.
        provider: String,
        /// The status.
        status: u16,
        /// What it said.
        message: String,
        /// Where the key comes from.
        cure: String,
    },
    /// The account has nothing left.
    #[error("{provider}: the quota is used up ({message}); see the provider's billing page")]
    Quota {
        /// Which provider.
        provider: String,
        /// What it said.
        message: String,
    },
    /// Too many requests for now.
    #[error("{provider} is rate limited ({message}); try again {}", when(*retry_after))]
    RateLimited {
        /// Which provider.
        provider: String,
        /// What it said.
        message: String,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// More than the model takes in.
    #[error("the request is larger than {provider} takes in ({message}); start a new session, or clear this one")]
    Overflow {
        /// Which provider.
        provider: String,
        /// What it said.
        message: String,
        /// The limit that it named, in tokens.
        limit: Option<u64>,
    },
    /// The model will not answer, or a filter stopped it.
    #[error("{provider} would not answer: {reason}")]
    Refused {
        /// Which provider.
        provider: String,
        /// The provider's reason.
        reason: String,
    },
    /// The request is wrong (400, 404, 422): trying again would not help.
    #[error("{provider} rejects the request (HTTP {status}: {message})")]
    Rejected {
        /// Which provider.
        provider: String,
        /// The status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The provider has trouble (408, 409, 5xx, 529).
    #[error("{provider} has trouble ({message}); try again {}", when(*retry_after))]
    Unavailable {
        /// Which provider.
        provider: String,
        /// What it said, with the status.
        message: String,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// The connection could not be made or broke.
    #[error("no connection to {provider} ({message}); check the network and base_url")]
    Connection {
        /// Which provider.
        provider: String,
        /// What happened.
        message: String,
    },
    /// Nothing came for too long.
    #[error("{provider} sent nothing for {seconds} s; try again, or raise limits.idle_seconds")]
    Idle {
        /// Which provider.
        provider: String,
        /// The limit.
        seconds: u64,
    },
    /// The stream ended before the turn did, or is not what the wire says.
    #[error("{provider} broke off its answer ({message}); try again")]
    Broken {
        /// Which provider.
        provider: String,
        /// What is missing or wrong.
        message: String,
    },
    /// The scripted conversation does not fit the request: the text shows the difference.
    #[error("{0}")]
    Script(String),
}

/// When a provider wants to be asked again.
fn when(retry_after: Option<Duration>) -> String {
    match retry_after.map(|after| after.as_secs_f64().ceil() as u64) {
        None => "later".to_owned(),
        Some(seconds @ ..120) => format!("in {seconds} s"),
        Some(seconds @ ..7200) => format!("in {} min", seconds.div_ceil(60)),
        Some(seconds) => format!("in {} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_a_delay_that_is_too_long_to_wait_for_is_told() {
        let limited = |seconds: Option<f64>| {
            let retry_after = seconds.map(Duration::from_secs_f64);
            ModelError::RateLimited { provider: "a/b".into(), message: "slow down".into(), retry_after }.to_string()
        };
        assert_eq!(limited(None), "a/b is rate limited (slow down); try again later");
        assert_eq!(limited(Some(61.2)), "a/b is rate limited (slow down); try again in 62 s");
        assert_eq!(limited(Some(3600.0)), "a/b is rate limited (slow down); try again in 60 min");
        assert_eq!(limited(Some(86_000.0)), "a/b is rate limited (slow down); try again in 24 h");
    }
}
