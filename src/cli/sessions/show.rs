//! One session: its model, its figures, its rules files, its runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::table::{table, words};
use crate::context::Summary;
use crate::protocol::{ContextSource, ContextUse, Event, RunSnapshot, RunStatus, Usage, utc};
use crate::session::export::SessionView;
use crate::settings::Settings;
use crate::store::{Owner, Record, Rules, SessionRow, Standing, Store, StoreError, Stored};

/// Runs that are shown, the newest.
const RUNS: usize = 200;

/// Records at the beginning of a run in which it says what it started from.
const BEGINNING: u64 = 16;

/// A session as its records tell of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    session: SessionView,
    model: Option<String>,
    items: usize,
    context: Option<ContextUse>,
    /// How often the beginning of the history was summarised.
    compactions: u32,
    /// What the model is shown in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Arc<Summary>>,
    usage: Usage,
    /// Of everything that was sent, what the provider read from its cache.
    cached_share: Option<f64>,
    /// What all requests come to at the prices of the settings.
    cost: Option<f64>,
    requests: u64,
    /// Records whose figures retention has dropped.
    pruned: u64,
    rules: Vec<Rules>,
    runs: Vec<RunSnapshot>,
    #[serde(skip)]
    by_model: BTreeMap<String, Usage>,
    #[serde(skip)]
    row: Standing,
}

impl Shown {
    pub(super) async fn of(store: &dyn Store, settings: &Settings, row: SessionRow) -> Result<Self, StoreError> {
        let (row, records) = store.resume(row.id).await?;
        let stored = store.runs(row.id, RUNS).await?;
        let mut shown = Self {
            session: SessionView::from(&*row),
            model: None,
            items: 0,
            context: None,
            compactions: 0,
            summary: None,
            cached_share: None,
            cost: None,
            usage: Usage::default(),
            requests: 0,
            pruned: 0,
            rules: Vec::new(),
            runs: Vec::new(),
            by_model: BTreeMap::new(),
            row,
        };
        for record in &records {
            shown.take(record);
        }
        shown.cached_share = shown.usage.cached_share();
        shown.cost = settings.cost(&shown.by_model, &shown.usage);
        if shown.model.is_none()
            && let Some(run) = stored.last()
        {
            // What the newest run started from stands before the newest checkpoint.
            let beginning = run.first..=run.last.min(run.first + BEGINNING);
            let records = store.records(shown.row.id, beginning).await?;
            shown.model = records.iter().rev().find_map(|stored| match &stored.record {
                Some(Record::Prepared(prepared)) => Some(prepared.model.clone()),
                _ => None,
            });
        }
        shown.runs = stored
            .into_iter()
            .map(|run| match run.owner {
                // Whoever opens the session next will say so in its records.
                Owner::Gone if !run.snapshot.status.is_final() => {
                    RunSnapshot { status: RunStatus::Interrupted, ..run.snapshot }
                }
                _ => run.snapshot,
            })
            .collect();
        Ok(shown)
    }

    fn take(&mut self, stored: &Stored) {
        match &stored.record {
            None => self.pruned += 1,
            Some(Record::Prepared(prepared)) => {
                self.model = Some(prepared.model.clone());
                self.rules.clone_from(&prepared.rules);
            }
            Some(Record::Checkpoint(checkpoint)) => {
                self.items = checkpoint.items.len();
                self.compactions = checkpoint.summary.as_ref().map_or(0, |summary| summary.compactions);
                self.summary.clone_from(&checkpoint.summary);
                if checkpoint.model.is_some() {
                    self.model.clone_from(&checkpoint.model);
                }
                self.usage = checkpoint.usage;
                self.by_model.clone_from(&checkpoint.by_model);
                self.requests = checkpoint.requests;
                self.context = checkpoint.context;
                self.rules.clone_from(&checkpoint.rules);
            }
            Some(Record::Item { .. }) => self.items += 1,
            Some(Record::Event(envelope)) => {
                if let Event::Usage { usage, context, aside, .. } = &envelope.event {
                    self.usage.add(usage);
                    self.requests += 1;
                    if let Some(model) = aside.as_ref().map(|aside| &aside.model).or(self.model.as_ref()) {
                        self.by_model.entry(model.clone()).or_default().add(usage);
                    }
                    // What a summary cost says nothing of the history.
                    if aside.is_none() {
                        self.context = Some(*context);
                    }
                }
            }
            Some(
                Record::Changed(_)
                | Record::Undone(_)
                | Record::Proposed(_)
                | Record::Decided(_)
                | Record::Exceeded { .. }
                | Record::Previewed(_),
            ) => {}
            Some(Record::Totals(totals)) => {
                (self.usage, self.requests) = (totals.usage, totals.requests);
                self.by_model.clone_from(&totals.by_model);
            }
        }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let row = &self.row;
        let mut facts = vec![("Session", row.id.to_string()), ("Title", words(&row.title))];
        if !row.folder.is_empty() {
            facts.push(("Workspace", crate::tool::line(&row.folder)));
        }
        if let Some(parent) = row.parent {
            facts.push(("Fork of", format!("{}, behind its record {}", parent.session, parent.record)));
        }
        facts.push(("Created", format!("{} UTC", utc(row.created_at_ms))));
        facts.push(("Written", format!("{} UTC", utc(row.updated_at_ms))));
        facts.push(("Model", self.model.as_deref().map_or_else(|| "not known".to_owned(), words)));
        facts.push(("Items", self.items.to_string()));
        facts.push(("Context", self.context.as_ref().map_or_else(|| "not known".to_owned(), context)));
        if self.compactions > 0 {
            let times = if self.compactions == 1 { "once".to_owned() } else { format!("{} times", self.compactions) };
            facts.push(("Compacted", format!("{times}; --search finds what was said before")));
        }
        facts.push(("Tokens", self.tokens()));
        if let Some(cost) = self.cost {
            facts.push(("Cost", format!("{cost:.4}, at the prices of the settings")));
        }
        for (index, rules) in self.rules.iter().enumerate() {
            let hash: String = rules.hash.to_string().chars().take(12).collect();
            facts.push((if index == 0 { "Rules" } else { "" }, format!("{} ({hash})", words(&rules.path))));
        }
        let facts = facts.into_iter().map(|(name, text)| vec![name.to_owned(), text]).collect();
        let mut text = table(facts);
        if !self.runs.is_empty() {
            let head = ["RUN", "STATUS", "ASKED FOR (UTC)", "PROMPT"].map(str::to_owned).to_vec();
            let lines = self.runs.iter().map(|run| {
                let asked: String = utc(run.created_at_ms).chars().take(16).collect();
                vec![run.id.to_string(), status(run.status).to_owned(), asked, words(&run.prompt)]
            });
            text.push('\n');
            text.push_str(&table(std::iter::once(head).chain(lines).collect()));
        }
        text
    }

    fn tokens(&self) -> String {
        let figure = |tokens: Option<u64>| tokens.map_or_else(|| "not known".to_owned(), |tokens| tokens.to_string());
        let Usage { output, cache_read, cache_write, .. } = self.usage;
        let times = if self.requests == 1 { "request" } else { "requests" };
        let mut text = format!(
            "{} in (cache: {} read, {} written), {} out, {} {times}",
            figure(self.usage.sent()),
            figure(cache_read),
            figure(cache_write),
            figure(output),
            self.requests
        );
        if let Some(share) = self.cached_share {
            text.push_str(&format!("; {:.0}% of the input from the cache", share * 100.0));
        }
        if self.pruned > 0 {
            text.push_str(&format!("; without the figures in {} records that retention has dropped", self.pruned));
        }
        text
    }
}

fn context(context: &ContextUse) -> String {
    let source = match context.source {
        ContextSource::Measured => "measured",
        ContextSource::Extended => "measured in part",
        ContextSource::Estimated => "estimated",
    };
    match context.limit.filter(|limit| *limit > 0) {
        Some(limit) => {
            let share = context.used.saturating_mul(100) / limit;
            format!("{} of {limit} tokens, {share}%, {source}", context.used)
        }
        None => format!("{} tokens, limit not known, {source}", context.used),
    }
}

/// As the protocol spells it.
fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Created => "created",
        RunStatus::Planning => "planning",
        RunStatus::Executing => "executing",
        RunStatus::Verifying => "verifying",
        RunStatus::Completed => "completed",
        RunStatus::Failed => "failed",
        RunStatus::Cancelled => "cancelled",
        RunStatus::LimitReached => "limitReached",
        RunStatus::Interrupted => "interrupted",
    }
}
