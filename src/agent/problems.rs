//! What an edit breaks, as the editor's language servers see it: brought to the model with the edit's result.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::Agent;
use super::passing::Pass;
use super::turn::Call;
use crate::editor::{Diagnosis, Place};
use crate::permission::{Access, Want};
use crate::tool::{Answer, new_problems};

/// How long language servers have to look at an edit.
const SETTLING: Duration = Duration::from_millis(1500);
/// How often is looked meanwhile.
const LOOK: Duration = Duration::from_millis(250);

/// What was reported before a change, and where the change goes.
pub(super) struct Before {
    places: Vec<Place>,
    found: Vec<(Place, Vec<Diagnosis>)>,
}

impl Agent {
    /// What is reported of the documents that a call would change; nothing where the editor cannot say.
    pub(super) async fn problems_before(&self, call: &Call, access: Access, pass: &Pass) -> Option<Before> {
        let grant = match pass {
            Pass::Free(grant) | Pass::Asked { grant, .. } if access == Access::Write => grant.clone(),
            Pass::Free(_) | Pass::Asked { .. } | Pass::Refused(_) => return None,
        };
        let roots = self.setup.roots.clone().with_grant(grant);
        let wants = self.setup.tools.wants(&call.name, &call.arguments);
        let written = wants.into_iter().filter_map(|want| match want {
            Want::Path { given, access: Access::Write } => roots.resolve(&given, Access::Write).ok(),
            _ => None,
        });
        let places: Vec<Place> = written.collect();
        if places.is_empty() {
            return None;
        }
        let found = self.reported(&places).await?;
        Some(Before { places, found })
    }

    /// What is reported now; nothing where the editor cannot say, and when the person stops the run meanwhile.
    async fn reported(&self, places: &[Place]) -> Option<Vec<(Place, Vec<Diagnosis>)>> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            found = self.setup.editor.diagnostics(places) => found,
        }
    }

    /// The answer with what is reported after a change and was not before it. Waits until two looks agree, for a short time at most.
    pub(super) async fn with_problems(&self, before: Option<Before>, mut answer: Answer) -> Answer {
        let Some(before) = before.filter(|_| answer.ok) else { return answer };
        let until = Instant::now() + SETTLING;
        let mut last = before.found.clone();
        while Instant::now() < until {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return answer,
                () = sleep(LOOK) => {}
            }
            let Ok(now) = timeout_at(until, self.reported(&before.places)).await else { break };
            let Some(now) = now else { return answer };
            // Before anything has moved they may not have looked yet.
            let settled = now == last && now != before.found;
            last = now;
            if settled {
                break;
            }
        }
        if let Some(problems) = new_problems(&before.found, &last) {
            answer.content = format!("{}\n\n{problems}", answer.content);
        }
        answer
    }
}
