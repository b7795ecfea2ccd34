//! One run of an export.

use std::path::Path;

use url::Url;

use super::markdown::{fenced, inline, quote};
use crate::edit::unified;
use crate::model::{Block, Item};
use crate::protocol::{Event, FileStep, HunkView, RunId, RunStatus, Usage, utc};
use crate::store::{Decided, Prepared, Record, Verdict};

/// What is told of a run, or of what stands before the first one.
pub(super) struct Section {
    pub(super) run: Option<RunId>,
    heading: Option<(u64, u64)>,
    folder: String,
    command: Option<String>,
    prepared: Option<String>,
    prompted: bool,
    parts: Vec<String>,
    /// Text that was told and does not stand in a whole turn yet.
    streamed: String,
    answered: bool,
    /// Calls that have begun and not ended, by id, with their titles.
    open: Vec<(String, String)>,
    status: Option<RunStatus>,
    usage: Usage,
    requests: u64,
    pruned: u64,
}

impl Section {
    /// The run with this number in the export, which begins at this time.
    pub(super) fn of(run: RunId, number: u64, at_ms: u64, folder: &str) -> Self {
        Self { run: Some(run), heading: Some((number, at_ms)), ..Self::between(folder) }
    }

    /// What belongs to no run.
    pub(super) fn between(folder: &str) -> Self {
        Self {
            run: None,
            heading: None,
            folder: folder.to_owned(),
            command: None,
            prepared: None,
            prompted: false,
            parts: Vec::new(),
            streamed: String::new(),
            answered: false,
            open: Vec::new(),
            status: None,
            usage: Usage::default(),
            requests: 0,
            pruned: 0,
        }
    }

    /// Adds a paragraph of the export's own.
    pub(super) fn say(&mut self, text: String) {
        self.end_pruned();
        // Neighbouring calls make one list.
        match self.parts.last_mut() {
            Some(last) if last.starts_with("- ") && text.starts_with("- ") => {
                last.push('\n');
                last.push_str(&text);
            }
            _ => self.parts.push(text),
        }
    }

    /// Counts a record without its body.
    pub(super) fn pruned(&mut self) {
        self.pruned += 1;
    }

    /// Takes in a record of the run, or one that stands behind it.
    pub(super) fn take(&mut self, record: &Record) {
        match record {
            Record::Prepared(prepared) => self.prepared = Some(told(prepared)),
            Record::Item { run, item } => self.item(run.is_some(), item),
            Record::Event(envelope) => self.event(&envelope.event),
            // The edit is told by its event.
            Record::Changed(_) | Record::Proposed(_) => {}
            Record::Decided(decided) => {
                if let Some(said) = self.decided(decided) {
                    self.say(said);
                }
            }
            Record::Totals(_) | Record::Exceeded { .. } | Record::Previewed(_) => {}
            Record::Undone(undone) => {
                let files = |uris: &[String]| -> Option<String> {
                    let files: Vec<String> = uris.iter().map(|uri| inline(&self.shown(uri))).collect();
                    (!files.is_empty()).then(|| files.join(", "))
                };
                let (back, named) = (files(&undone.uris), files(&undone.named));
                if let Some(files) = back {
                    self.say(format!("*Afterwards the person took back what this run had changed in {files}.*"));
                }
                if let Some(files) = named {
                    self.say(format!(
                        "*Afterwards the person had the old name given back to {files}; its text stayed as this run had left it.*"
                    ));
                }
            }
            // A compaction is told by its event, and one that was only kept changes nothing.
            Record::Checkpoint(checkpoint) if checkpoint.reason != "cleared" => {}
            Record::Checkpoint(checkpoint) => {
                self.say(format!("*Here the history was {}.*", inline(&checkpoint.reason)));
            }
        }
    }

    /// What the person said to hunks; nothing where an event tells the same.
    fn decided(&self, decided: &Decided) -> Option<String> {
        let did = match decided.verdict {
            Verdict::Accepted => "took",
            Verdict::Kept => "kept",
            Verdict::Refused => "refused",
            Verdict::TakenBack => "took back",
            Verdict::Void => return None,
        };
        let hunks = inline(&decided.hunks.join(", "));
        Some(format!("*The person {did} {hunks} in {}.*", inline(&self.shown(&decided.uri))))
    }

    /// As Markdown.
    pub(super) fn markdown(mut self) -> String {
        self.end_streamed();
        self.end_pruned();
        for (_, title) in std::mem::take(&mut self.open) {
            self.say(format!("- {title}: no outcome is recorded; whether it was done is not known"));
        }
        let mut blocks = Vec::new();
        if let Some((number, at_ms)) = self.heading {
            blocks.push(format!("## Run {number}: {}", self.status.map_or("no end is recorded", status)));
            let command = self.command.as_ref().map(|command| format!(", command {}", inline(command)));
            let prepared = self.prepared.as_ref().map(|prepared| format!(", {prepared}"));
            blocks.push(format!("{} UTC{}{}", utc(at_ms), command.unwrap_or_default(), prepared.unwrap_or_default()));
        }
        blocks.append(&mut self.parts);
        if self.requests > 0 {
            blocks.push(spent(&self.usage, self.requests));
        }
        blocks.join("\n\n")
    }

    fn item(&mut self, of_run: bool, item: &Item) {
        match item {
            Item::User { text, .. } if !of_run => self.say(format!("**Told between runs**\n\n{}", quote(text))),
            // The event has told what the person typed; this is what was made of it.
            Item::User { text, .. } => {
                if !self.prompted {
                    self.prompt(text);
                }
            }
            Item::Assistant { model, blocks, partial, .. } => {
                self.streamed.clear();
                for block in blocks {
                    match block {
                        Block::Text { text, .. } if !text.trim().is_empty() => {
                            let cut = if *partial { " (cut short)" } else { "" };
                            self.say(format!("**{}**{cut}\n\n{}", inline(model), quote(text.trim())));
                            self.answered = true;
                        }
                        Block::Text { .. } | Block::Reasoning { .. } | Block::Call { .. } => {}
                    }
                }
            }
            // What came of each call is told by its event.
            Item::Results { .. } => {}
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { prompt, command } => {
                self.command.clone_from(command);
                self.prompt(prompt);
            }
            Event::TextDelta { text } => self.streamed.push_str(text),
            Event::TurnDiscarded { .. } => self.streamed.clear(),
            Event::ToolStarted { call_id, title, .. } => self.open.push((call_id.clone(), inline(title))),
            Event::ToolFinished { call_id, ok, title, summary } => {
                self.open.retain(|(open, _)| open != call_id);
                let failed = if *ok { "" } else { "failed: " };
                self.say(format!("- {}: {failed}{}", inline(title), inline(summary)));
            }
            Event::EditApplied { uri, hunks, late, file, .. } => {
                let late = if *late { " (late)" } else { "" };
                match file {
                    None => self.edit(&format!("Changed{late}"), uri, hunks),
                    Some(FileStep::Delete) => self.edit(&format!("Deleted{late}"), uri, hunks),
                    Some(FileStep::Rename { to }) => {
                        let (from, to) = (self.shown(uri), self.shown(to));
                        self.say(format!("Moved{late} {} to {}.", inline(&from), inline(&to)));
                    }
                }
            }
            Event::EditProposed { uri, hunks, operation, to, .. } => {
                let what = match (operation.as_deref(), to) {
                    (Some("create"), _) => "Proposed to make".to_owned(),
                    (Some("delete"), _) => "Proposed to delete".to_owned(),
                    (_, Some(to)) => format!("Proposed to call {} and to change", inline(&self.shown(to))),
                    _ => "Proposed".to_owned(),
                };
                if !hunks.is_empty() {
                    self.edit(&what, uri, hunks);
                }
            }
            Event::EditRejected { uri, hunks, reason } => {
                self.edit(&format!("Not changed ({})", inline(reason)), uri, hunks);
            }
            Event::Verified { command, ok, summary } => {
                let failed = if *ok { "" } else { "failed: " };
                self.say(format!("- {}: {failed}{}", inline(command), inline(summary)));
            }
            Event::CompactionFinished { before, after, error: None, notice, .. } => {
                let notice = notice.as_ref().map(|notice| format!(" ({})", inline(notice))).unwrap_or_default();
                self.say(format!("*The conversation was compacted from {before} to {after} tokens{notice}.*"));
            }
            Event::Usage { usage, .. } => {
                self.usage.add(usage);
                self.requests += 1;
            }
            Event::RunFinished { status, result_text, error } => {
                self.end_streamed();
                self.status = Some(*status);
                if let Some(text) = result_text.as_ref().filter(|_| !self.answered) {
                    self.say(format!("**Answer**\n\n{}", quote(text)));
                }
                if let Some(error) = error {
                    self.say(format!("**Ended with**\n\n{}", quote(error)));
                }
            }
            _ => {}
        }
    }

    fn prompt(&mut self, text: &str) {
        self.prompted = true;
        self.say(format!("**Prompt**\n\n{}", quote(text)));
    }

    fn edit(&mut self, what: &str, uri: &str, hunks: &[HunkView]) {
        let shown = self.shown(uri);
        let diff: String = hunks.iter().map(|hunk| diff(&shown, hunk)).collect();
        self.say(format!("{what} {}:\n\n{}", inline(&shown), fenced(&diff, "diff")));
    }

    fn end_streamed(&mut self) {
        let text = std::mem::take(&mut self.streamed);
        if !text.trim().is_empty() {
            self.answered = true;
            self.say(format!("**Answer** (cut short)\n\n{}", quote(text.trim())));
        }
    }

    fn end_pruned(&mut self) {
        let pruned = std::mem::take(&mut self.pruned);
        if pruned > 0 {
            let (records, them) =
                if pruned == 1 { ("1 record".to_owned(), "it") } else { (format!("{pruned} records"), "them") };
            self.parts.push(format!("*({records} here: retention has dropped what stood in {them}.)*"));
        }
    }

    /// A document as the person knows it.
    fn shown(&self, uri: &str) -> String {
        let path = Url::parse(uri).ok().and_then(|uri| uri.to_file_path().ok());
        let Some(path) = path else { return uri.to_owned() };
        let inside = path.strip_prefix(Path::new(&self.folder)).ok().filter(|_| !self.folder.is_empty());
        inside.unwrap_or(&path).display().to_string()
    }
}

fn told(prepared: &Prepared) -> String {
    let rules: Vec<String> = prepared.rules.iter().map(|rules| inline(&rules.path)).collect();
    let rules = if rules.is_empty() { String::new() } else { format!(", rules {}", rules.join(", ")) };
    format!("model {}, mode {}{rules}", inline(&prepared.model), mode(prepared))
}

fn mode(prepared: &Prepared) -> String {
    serde_json::to_value(prepared.mode).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Created => "waiting",
        RunStatus::Planning | RunStatus::Executing | RunStatus::Verifying => "at work",
        RunStatus::Completed => "completed",
        RunStatus::Failed => "failed",
        RunStatus::Cancelled => "cancelled",
        RunStatus::LimitReached => "stopped at a limit",
        RunStatus::Interrupted => "interrupted",
    }
}

fn spent(usage: &Usage, requests: u64) -> String {
    let figure = |tokens: Option<u64>| tokens.map_or_else(|| "unknown".to_owned(), |tokens| tokens.to_string());
    let mut told = format!("Tokens: {} in", figure(usage.sent()));
    if let Some(cached) = usage.cache_read.filter(|cached| *cached > 0) {
        told.push_str(&format!(" ({cached} from the cache)"));
    }
    let times = if requests == 1 { "request" } else { "requests" };
    format!("{told}, {} out, {requests} {times}.", figure(usage.output))
}

/// One changed place: where it stands, then the lines that went and came.
fn diff(name: &str, hunk: &HunkView) -> String {
    let whole =
        |text: &str| if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let unified = unified(name, &whole(&hunk.old_text), &whole(&hunk.new_text));
    // The names stand above the fence, and the numbers in it would count from the place's own beginning.
    let body: String = unified.split_inclusive('\n').skip(3).collect();
    format!("@@ line {} @@\n{body}", hunk.range.start.line + 1)
}
