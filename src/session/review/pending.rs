//! What waits in one document of one run.

use ropey::Rope;

use super::making::Marks;
use super::{Operation, ReviewFile, ReviewHunk, ReviewState};
use crate::edit::{Hunk, Proposal, Proposed, Void};
use crate::editor::{Editor, Place};
use crate::protocol::{HunkView, Range, RunId, SessionId};
use crate::store::{self, Back, Hash};
use crate::text::Encoding;

/// Everything that a run proposes in one document.
#[derive(Clone, Debug)]
pub(in crate::session) struct Pending {
    pub(super) run: RunId,
    pub(super) place: Place,
    /// As the client spells it.
    pub(super) uri: String,
    pub(super) kind: Kind,
    /// The places. A document that is made or taken away has one, of the empty text or of all of it.
    pub(super) proposal: Proposal,
    /// Who makes some of it at this moment. What the text holds then says nothing about what the person did.
    pub(super) making: Marks,
    /// What empties the record under the place that it had before, once it has moved.
    left: Option<store::Proposed>,
}

/// What is done with the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Edit,
    Create,
    Delete,
    Rename { id: String, to: Place },
}

/// A hunk that waits no longer.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub(super) hunk: Proposed,
    /// The text that it last stood in.
    pub(super) base: Rope,
    /// Why, for the person and the model.
    pub(super) reason: String,
    /// Whether the person has made it themselves.
    pub(super) by_hand: bool,
}

impl Pending {
    pub(super) fn new(run: RunId, place: &Place, uri: String, kind: Kind, base: Rope) -> Self {
        Self {
            run,
            place: place.clone(),
            uri,
            kind,
            proposal: Proposal::new(base),
            making: Marks::default(),
            left: None,
        }
    }

    /// It waits at another place from now on.
    pub(super) fn move_to(&mut self, place: &Place, uri: String) {
        self.left = Some(Self::new(self.run, &self.place, self.uri.clone(), Kind::Edit, Rope::new()).record().0);
        self.place = place.clone();
        self.uri = uri;
    }

    /// One hunk and nothing else: a document that is made or taken away.
    pub(super) fn whole(&mut self, id: String, base: Rope, text: String) {
        let hunk = Hunk { range: 0..base.len_bytes(), new: text };
        // It fits: the range is all of the text.
        self.proposal = Proposal::restored(base.clone(), vec![Proposed { id, hunk }]).unwrap_or(Proposal::new(base));
    }

    /// Whether nothing waits any more.
    pub(super) fn is_empty(&self) -> bool {
        self.proposal.hunks().is_empty() && !matches!(self.kind, Kind::Rename { .. })
    }

    /// Some of it waits no longer.
    pub(super) fn forget(&mut self, ids: &[String]) {
        self.proposal.remove(|id| ids.iter().any(|gone| gone == id));
        if matches!(&self.kind, Kind::Rename { id, .. } if ids.contains(id)) {
            self.kind = Kind::Edit;
        }
    }

    /// Every id, in order.
    pub(super) fn ids(&self) -> Vec<String> {
        let rename = match &self.kind {
            Kind::Rename { id, .. } => Some(id.clone()),
            _ => None,
        };
        rename.into_iter().chain(self.proposal.hunks().iter().map(|hunk| hunk.id.clone())).collect()
    }

    /// Moves it over what was typed since, and gives what that leaves no place for.
    pub(super) fn follow(&mut self, now: &Rope) -> Vec<Gone> {
        match self.kind {
            Kind::Edit | Kind::Rename { .. } => self.proposal.follow(now).into_iter().map(Gone::of).collect(),
            Kind::Create if now.len_bytes() == 0 => Vec::new(),
            Kind::Create => self.all_gone(&format!("{} is there by now", self.place)),
            Kind::Delete if now == self.proposal.base() => Vec::new(),
            Kind::Delete => self.all_gone(&format!("{} was changed meanwhile", self.place)),
        }
    }

    /// The document is not there any more.
    pub(super) fn missing(&mut self) -> Vec<Gone> {
        match self.kind {
            Kind::Create => Vec::new(),
            Kind::Edit | Kind::Delete | Kind::Rename { .. } => {
                self.all_gone(&format!("{} is not there any more", self.place))
            }
        }
    }

    fn all_gone(&mut self, reason: &str) -> Vec<Gone> {
        let base = self.proposal.base().clone();
        let mut hunks = self.proposal.remove(|_| true);
        if let Kind::Rename { id, .. } = std::mem::replace(&mut self.kind, Kind::Edit) {
            hunks.push(Proposed { id, hunk: Hunk { range: 0..0, new: String::new() } });
        }
        let gone = |hunk| Gone { hunk, base: base.clone(), reason: reason.to_owned(), by_hand: false };
        hunks.into_iter().map(gone).collect()
    }

    /// As events tell it, or some of it.
    pub(super) fn told(&self, encoding: Encoding, wanted: impl Fn(&str) -> bool) -> Vec<HunkView> {
        let rename = match &self.kind {
            Kind::Rename { id, .. } => Some(rename(id)),
            _ => None,
        };
        let hunks = self.proposal.hunks().iter().map(|hunk| told(hunk, self.proposal.base(), encoding));
        rename.into_iter().chain(hunks).filter(|hunk| wanted(&hunk.id)).collect()
    }

    /// As a front end lists it.
    pub(super) fn view(&self, editor: &dyn Editor, session: SessionId) -> ReviewFile {
        let waiting = |HunkView { id, range, old_text, new_text }: HunkView| ReviewHunk {
            id,
            state: ReviewState::Proposed,
            range,
            old_text,
            new_text,
        };
        ReviewFile {
            run: self.run,
            session,
            place: self.place.clone(),
            uri: editor.uri(&self.place),
            operation: match &self.kind {
                Kind::Edit => Operation::Edit,
                Kind::Create => Operation::Create,
                Kind::Delete => Operation::Delete,
                Kind::Rename { to, .. } => Operation::Rename { to: to.clone() },
            },
            hunks: self.told(editor.encoding(), |_| true).into_iter().map(waiting).collect(),
        }
    }

    /// What is to be recorded of it now, and the texts that this names: also that it is no longer where it was before.
    pub(super) fn records(&mut self) -> (Vec<store::Record>, Vec<Vec<u8>>) {
        let (record, text) = self.record();
        let left = self.left.take().map(|left| (left, Vec::new()));
        let records = left.into_iter().chain([(record, text)]);
        records.map(|(record, text)| (store::Record::Proposed(Box::new(record)), text)).unzip()
    }

    /// The same when it has moved and is not recorded at its new place yet; else nothing.
    pub(super) fn records_of_move(&mut self) -> (Vec<store::Record>, Vec<Vec<u8>>) {
        if self.left.is_some() { self.records() } else { Default::default() }
    }

    /// What is recorded of it, and the text that this names.
    fn record(&self) -> (store::Proposed, Vec<u8>) {
        let text: Vec<u8> = self.proposal.base().bytes().collect();
        let piece = |Proposed { id, hunk }: &Proposed| Back {
            hunk: id.clone(),
            start: hunk.range.start,
            end: hunk.range.end,
            new: hunk.new.clone(),
        };
        let record = store::Proposed {
            run: self.run,
            uri: self.uri.clone(),
            path: self.place.path().map(Into::into),
            shown: self.place.to_string(),
            operation: match &self.kind {
                Kind::Edit => store::Operation::Edit,
                Kind::Create => store::Operation::Create,
                Kind::Delete => store::Operation::Delete,
                Kind::Rename { id, to } => store::Operation::Rename {
                    hunk: id.clone(),
                    path: to.path().map(Into::into).unwrap_or_default(),
                    shown: to.to_string(),
                },
            },
            base: Hash::of(&text),
            hunks: self.proposal.hunks().iter().map(piece).collect(),
        };
        (record, text)
    }

    /// What was recorded, with the text that it names; `None` when the two do not fit.
    pub(in crate::session) fn restored(record: &store::Proposed, text: &[u8]) -> Option<Self> {
        let hunk = |piece: &Back| Proposed {
            id: piece.hunk.clone(),
            hunk: Hunk { range: piece.start..piece.end, new: piece.new.clone() },
        };
        let base = Rope::from_str(std::str::from_utf8(text).ok()?);
        let kind = match &record.operation {
            store::Operation::Edit => Kind::Edit,
            store::Operation::Create => Kind::Create,
            store::Operation::Delete => Kind::Delete,
            store::Operation::Rename { hunk, path, shown } => {
                Kind::Rename { id: hunk.clone(), to: Place::File { path: path.clone(), shown: shown.clone() } }
            }
        };
        let place = match &record.path {
            Some(path) => Place::File { path: path.clone(), shown: record.shown.clone() },
            None => Place::Buffer { uri: record.uri.clone() },
        };
        Some(Self {
            run: record.run,
            place,
            uri: record.uri.clone(),
            kind,
            proposal: Proposal::restored(base, record.hunks.iter().map(hunk).collect())?,
            making: Marks::default(),
            left: None,
        })
    }
}

impl Gone {
    pub(super) fn of(Void { proposed, base, clash }: Void) -> Self {
        let by_hand = clash.is_none();
        let reason = clash.map_or_else(
            || "the text reads so already".to_owned(),
            |clash| format!("there is no place for it any more: {clash}"),
        );
        Self { hunk: proposed, base, reason, by_hand }
    }

    pub(super) fn view(&self, encoding: Encoding) -> HunkView {
        told(&self.hunk, &self.base, encoding)
    }
}

/// Whether two places are the same document, however each is named.
pub(super) fn same(one: &Place, other: &Place) -> bool {
    match (one.path(), other.path()) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one == other,
        _ => false,
    }
}

fn told(Proposed { id, hunk }: &Proposed, base: &Rope, encoding: Encoding) -> HunkView {
    let [start, end] = [hunk.range.start, hunk.range.end].map(|offset| encoding.position(base, offset));
    let old_text = base.byte_slice(hunk.range.clone()).to_string();
    HunkView { id: id.clone(), range: Range { start, end }, old_text, new_text: hunk.new.clone() }
}

fn rename(id: &str) -> HunkView {
    HunkView { id: id.to_owned(), range: Range::default(), old_text: String::new(), new_text: String::new() }
}
