//! When a request is made again.

use std::future::Future;
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};

use super::StreamEvent;
use super::fault::{Fault, Kind};

/// The events of one attempt.
pub(crate) type Attempt = BoxStream<'static, Result<StreamEvent, Fault>>;

/// The most attempts after the first.
const RETRIES: u32 = 5;
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// A provider's own delay is obeyed up to here; beyond it the person is told instead of kept waiting.
const OBEYED: Duration = Duration::from_secs(60);

/// A stream of events that makes its request again where that can help: before anything came as well as in the midst
/// of the answer, since nothing of a turn has an effect before its terminal event. Each retry is an event, told before
/// its delay begins.
pub(crate) fn retrying<O, F>(open: O) -> impl Stream<Item = Result<StreamEvent, Fault>> + Send
where
    O: FnMut(Replay) -> F + Send,
    F: Future<Output = Result<Attempt, Fault>> + Send,
{
    let (phase, replay) = (Phase::Open(Duration::ZERO), Replay::Everything);
    let state = State { open, phase, replay, attempt: 0, told: false };
    stream::unfold(state, |mut state| async move { state.next().await.map(|event| (event, state)) })
}

/// What of its own earlier blocks a provider is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// All of them.
    Everything,
    /// No opaque ones: it rejected them.
    Plain,
}

struct State<O> {
    open: O,
    phase: Phase,
    replay: Replay,
    attempt: u32,
    /// Whether anything of this attempt was told.
    told: bool,
}

enum Phase {
    /// The request is made after this long.
    Open(Duration),
    Streaming(Attempt),
    Over,
}

impl<O, F> State<O>
where
    O: FnMut(Replay) -> F + Send,
    F: Future<Output = Result<Attempt, Fault>> + Send,
{
    async fn next(&mut self) -> Option<Result<StreamEvent, Fault>> {
        loop {
            let fault = match &mut self.phase {
                Phase::Over => return None,
                Phase::Open(delay) => {
                    if !delay.is_zero() {
                        tokio::time::sleep(*delay).await;
                    }
                    match (self.open)(self.replay).await {
                        Ok(attempt) => {
                            self.phase = Phase::Streaming(attempt);
                            continue;
                        }
                        Err(fault) => fault,
                    }
                }
                Phase::Streaming(attempt) => match attempt.next().await {
                    Some(Ok(event)) => {
                        match event {
                            StreamEvent::Finished(_) => self.phase = Phase::Over,
                            StreamEvent::Answering { .. } | StreamEvent::Usage(_) => {}
                            _ => self.told = true,
                        }
                        return Some(Ok(event));
                    }
                    Some(Err(fault)) => fault,
                    None => Fault::new(Kind::Broken, "the stream ended before the turn did"),
                },
            };
            return Some(self.again(fault));
        }
    }

    fn again(&mut self, fault: Fault) -> Result<StreamEvent, Fault> {
        let reasoning = fault.kind == Kind::Reasoning && self.replay == Replay::Everything;
        let pause = if reasoning {
            self.replay = Replay::Plain;
            (self.attempt < RETRIES).then_some(Duration::ZERO)
        } else {
            delay(&fault, self.attempt, fastrand::f64)
        };
        let Some(delay) = pause else {
            self.phase = Phase::Over;
            return Err(fault);
        };
        self.attempt += 1;
        self.phase = Phase::Open(delay);
        let discarded = std::mem::take(&mut self.told);
        Ok(StreamEvent::Retrying { attempt: self.attempt, delay, reason: fault.reason(), discarded })
    }
}

/// How long to wait after this many retries have been made; `None` when there is no sense in another one. Full jitter:
/// anywhere between nothing and the step, so that many clients do not come back at once.
fn delay(fault: &Fault, made: u32, random: impl FnOnce() -> f64) -> Option<Duration> {
    if made >= RETRIES || !fault.retryable() {
        return None;
    }
    // A delay that is over already (a clock that is wrong, a proxy's zero) says nothing of when.
    match fault.retry_after.filter(|asked| !asked.is_zero()) {
        Some(asked) => (asked <= OBEYED).then_some(asked),
        None => Some(FIRST.saturating_mul(1 << made).min(LONGEST).mul_f64(random())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::*;
    use crate::model::StopReason;
    use crate::model::fault::from_response;

    fn text(text: &str) -> StreamEvent {
        StreamEvent::Text { index: 0, text: text.to_owned() }
    }

    type Plan = Result<Vec<Result<StreamEvent, Fault>>, Fault>;

    /// What a person would be told, with the time since the start.
    async fn told(plan: Vec<Plan>) -> (Vec<String>, Duration) {
        let plan = Arc::new(Mutex::new(VecDeque::from(plan)));
        let start = Instant::now();
        let events = retrying(move |_| {
            let next = plan.lock().unwrap().pop_front().expect("one attempt too many");
            std::future::ready(next.map(|events| stream::iter(events).boxed()))
        });
        let lines = events.map(|event| match event {
            Ok(StreamEvent::Text { text, .. }) => text,
            Ok(StreamEvent::Retrying { attempt, reason, discarded, .. }) => {
                format!("retry {attempt} discarded={discarded} {reason}")
            }
            Ok(other) => format!("{other:?}"),
            Err(fault) => format!("{:?}", fault.kind),
        });
        let lines = lines.collect().await;
        (lines, start.elapsed())
    }

    fn limited(seconds: u64) -> Fault {
        Fault { retry_after: Some(Duration::from_secs(seconds)), ..Fault::new(Kind::RateLimited, "slow down") }
    }

    fn finished() -> StreamEvent {
        StreamEvent::Finished(StopReason::End)
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_answer_is_discarded_and_asked_for_again() {
        let broken = Err(Fault::new(Kind::Broken, "cut"));
        let (lines, _) = told(vec![
            Err(limited(3)),
            Ok(vec![Ok(text("half")), broken]),
            Ok(vec![Ok(text("whole")), Ok(finished())]),
        ])
        .await;
        assert_eq!(
            lines,
            [
                "retry 1 discarded=false rate limited (slow down)",
                "half",
                "retry 2 discarded=true the answer broke off (cut)",
                "whole",
                "Finished(End)"
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_providers_delay_is_obeyed_to_the_minute() {
        let done = || Ok(vec![Ok(finished())]);
        let (lines, took) = told(vec![Err(limited(60)), done()]).await;
        assert_eq!(lines.len(), 2);
        assert_eq!(took, Duration::from_secs(60));
        let (lines, took) = told(vec![Err(limited(61))]).await;
        assert_eq!(lines, ["RateLimited"]);
        assert_eq!(took, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn rejected_reasoning_is_left_out_once() {
        let rejected = || Err(Fault { status: Some(400), ..Fault::new(Kind::Reasoning, "Invalid signature") });
        let (lines, took) = told(vec![rejected(), Ok(vec![Ok(finished())])]).await;
        let retry = "retry 1 discarded=false the provider rejects its earlier reasoning, which is left out now (Invalid signature)";
        assert_eq!((lines, took), (vec![retry.to_owned(), "Finished(End)".to_owned()], Duration::ZERO));
        let (lines, _) = told(vec![rejected(), rejected()]).await;
        assert_eq!(lines, [retry, "Reasoning"]);
    }

    #[tokio::test(start_paused = true)]
    async fn five_retries_and_no_more() {
        let plan = (0..6).map(|_| Err(Fault::new(Kind::Connection, "refused"))).collect();
        let (lines, took) = told(plan).await;
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[4], "retry 5 discarded=false no connection (refused)");
        assert_eq!(lines[5], "Connection");
        assert!(took <= Duration::from_millis(500 + 1000 + 2000 + 4000 + 8000), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_get_better_is_told_at_once() {
        for kind in [
            Kind::Authentication,
            Kind::Quota,
            Kind::Overflow(None),
            Kind::Rejected,
            Kind::Refused,
            Kind::Garbled,
            Kind::Idle(300),
            Kind::NotConfigured,
        ] {
            // Even a provider that asks for it does not change that.
            let fault = Fault { should_retry: Some(true), ..Fault::new(kind, "") };
            let (lines, took) = told(vec![Err(fault)]).await;
            assert_eq!((lines, took), (vec![format!("{kind:?}")], Duration::ZERO));
        }
    }

    #[test]
    fn every_status_has_its_delay() {
        let headers = reqwest::header::HeaderMap::new();
        let mut unsure = headers.clone();
        unsure.insert("x-should-retry", "false".parse().unwrap());
        for status in 300..600_u16 {
            let retried = matches!(status, 408 | 409 | 429 | 500..);
            let fault = from_response(status, &headers, "");
            let steps: Vec<_> = (0..6).map(|made| delay(&fault, made, || 1.0).map(|d| d.as_millis())).collect();
            let expected = [500, 1000, 2000, 4000, 8000].map(Some);
            let expected: Vec<_> = if retried { [&expected[..], &[None]].concat() } else { vec![None; 6] };
            assert_eq!(steps, expected, "{status}");
            assert_eq!(delay(&from_response(status, &unsure, ""), 0, || 1.0), None, "{status}, asked not to");
        }
        assert_eq!(
            delay(&Fault::new(Kind::Broken, ""), 0, || 0.0),
            Some(Duration::ZERO),
            "full jitter reaches nothing"
        );
    }
}
