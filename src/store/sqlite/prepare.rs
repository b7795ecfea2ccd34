//! A batch made ready for the database: bodies written, hashed and linked before the writer is troubled.

use crate::protocol::now_ms;
use crate::store::{Batch, Begins, Hash, Head, Record, RunMoved};

use super::blob::{Packed, pack};

/// Bodies longer than this lie among the blobs.
const INLINE: usize = 4096;

/// Where a record's body is.
pub(super) const HERE: i64 = 0;
pub(super) const BLOB: i64 = 1;
pub(super) const PRUNED: i64 = 2;

/// A batch as rows.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) session: crate::protocol::SessionId,
    pub(super) begins: Option<Begins>,
    pub(super) after: Head,
    pub(super) head: Head,
    pub(super) at_ms: u64,
    pub(super) rows: Vec<Row>,
    /// Record numbers with the texts that they need.
    pub(super) uses: Vec<(u64, Hash)>,
    pub(super) texts: Vec<Text>,
    pub(super) runs: Vec<RunMoved>,
}

/// A record as a row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) kind: &'static str,
    pub(super) run: String,
    pub(super) sequence: u64,
    pub(super) stored: i64,
    pub(super) body_hash: Hash,
    pub(super) hash: Hash,
    pub(super) body: Vec<u8>,
}

/// A text that may be there already.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) hash: Hash,
    pub(super) text: Vec<u8>,
    /// Left out while it looks as if the text were there.
    pub(super) packed: Option<Packed>,
}

impl Text {
    pub(super) fn pack(&mut self) -> std::io::Result<&Packed> {
        if self.packed.is_none() {
            self.packed = Some(pack(&self.text)?);
        }
        self.packed.as_ref().ok_or_else(|| std::io::Error::other("nothing was packed"))
    }
}

/// Writes out, hashes and links everything; large texts are packed later, when it is known that they are new.
pub(super) fn prepare(batch: Batch) -> Result<Ready, serde_json::Error> {
    let at_ms = now_ms();
    let mut head = batch.after;
    let mut rows = Vec::with_capacity(batch.records.len());
    let mut uses = Vec::new();
    let mut texts: Vec<Text> =
        batch.contents.into_iter().map(|text| Text { hash: Hash::of(&text), text, packed: None }).collect();
    for record in &batch.records {
        let mut body = serde_json::to_vec(record)?;
        let body_hash = Hash::of(&body);
        let kind = record.kind();
        let run = record.run().map(|run| run.to_string()).unwrap_or_default();
        head = head.then(at_ms, kind, &run, body_hash);
        uses.extend(record.contents().map(|hash| (head.record, hash)));
        let mut stored = HERE;
        if body.len() > INLINE {
            stored = BLOB;
            uses.push((head.record, body_hash));
            texts.push(Text { hash: body_hash, text: std::mem::take(&mut body), packed: None });
        }
        rows.push(Row {
            number: head.record,
            kind,
            run,
            sequence: sequence(record),
            stored,
            body_hash,
            hash: head.hash,
            body,
        });
    }
    uses.sort_unstable();
    uses.dedup();
    Ok(Ready {
        session: batch.session,
        begins: batch.begins,
        after: batch.after,
        head,
        at_ms,
        rows,
        uses,
        texts,
        runs: batch.runs,
    })
}

/// The number of an event in its series; 0 for everything else.
pub(super) fn sequence(record: &Record) -> u64 {
    match record {
        Record::Event(envelope) => envelope.sequence,
        _ => 0,
    }
}
