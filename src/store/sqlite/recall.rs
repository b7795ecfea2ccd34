//! Searching what a session has recorded: the index names entries that may hold what is looked for, and each of them is read
//! and looked at. Where there is no index to be had, all entries are read.

use std::sync::Arc;

use super::chain::Segment;
use super::index::{self, Known, Trouble};
use super::reads::{Entry, Reader};
use super::{REWRITTEN, Sqlite, fail, tidy};
use crate::context::recall::{self, Found, Query};
use crate::model::Item;
use crate::protocol::SessionId;
use crate::store::{Hash, StoreError};

/// Entries that go into the index at a time; others who write to it wait that long.
const BATCH: usize = 128;

/// Entries that are read without an index at most, the newest: a few seconds' work.
const SCANNED: usize = 50_000;

impl Sqlite {
    /// The entries of a session that hold all words of a query, newest first.
    pub(super) async fn find(&self, session: SessionId, query: &Query, most: usize) -> Result<Vec<Found>, StoreError> {
        let chain = self.ask(format!("search session {session}"), async |reader| reader.chain(session).await).await?;
        if query.is_empty() || most == 0 {
            return Ok(Vec::new());
        }
        let search = Search { store: self, chain: &chain, query, most };
        let trigrams = query.trigrams();
        if !trigrams.is_empty() {
            let trigrams = quoted(&trigrams);
            // A damaged index is thrown away and made again, once.
            for _ in 0..2 {
                match search.with_index(&trigrams).await {
                    Ok(found) if found.is_empty() && !self.index.is_sound().await => self.index.throw_away().await,
                    Ok(found) => return Ok(found),
                    Err(Trouble::Sessions(error)) => return Err(error),
                    Err(Trouble::Index(error)) => self.index.mend(&error).await,
                }
            }
        }
        search.without_index().await
    }

    /// Takes out of the index what is no longer in the sessions, and gives the room back: of a large file only with `whole`,
    /// for others wait meanwhile.
    pub(super) async fn sweep(&self, tried: &str, whole: bool) -> Result<(), StoreError> {
        if !self.index.is_there() {
            return Ok(());
        }
        let swept = async {
            self.index.change(async |index| self.swept(index, tried).await).await?;
            if whole || tidy::size(self.index.path()) <= REWRITTEN {
                self.index.rewrite().await?;
            }
            Ok(())
        };
        match swept.await {
            Ok(()) => Ok(()),
            Err(Trouble::Sessions(error)) => Err(error),
            Err(Trouble::Index(error)) => {
                self.index.mend(&error).await;
                if !self.index.is_there() {
                    return Ok(());
                }
                Err(StoreError::Failed(format!(
                    "could not finish to {tried} in {}: it is done, but traces of what was deleted may still stand in the \
                     search index ({error}); run `cowrite sessions gc` when that is over",
                    fail::shown(self.index.path())
                )))
            }
        }
    }

    async fn swept(&self, index: &mut sqlx::SqliteConnection, tried: &str) -> Result<(), Trouble> {
        let mut any = false;
        for (session, known) in index::all(index).await? {
            let link = self.ask(tried.to_owned(), async |reader| reader.link_of(&session, known.upto).await).await?;
            if link != Some(known.link) {
                index::remove(index, &session, known).await?;
                any = true;
            }
        }
        if any {
            index::purge(index).await?;
        }
        Ok(())
    }
}

/// Trigrams as the index is asked for them: each in quotation marks, so that none is an operator.
fn quoted(trigrams: &[String]) -> String {
    let quoted: Vec<String> = trigrams.iter().map(|three| format!("\"{}\"", three.replace('"', "\"\""))).collect();
    quoted.join(" AND ")
}

/// One search.
struct Search<'a> {
    store: &'a Sqlite,
    chain: &'a [Segment],
    query: &'a Query,
    most: usize,
}

impl Search<'_> {
    async fn with_index(&self, trigrams: &str) -> Result<Vec<Found>, Trouble> {
        let mut found = Vec::new();
        for segment in self.own() {
            let known = self.fill(segment).await?;
            let mut before = segment.high + 1;
            loop {
                let numbers = self.store.index.candidates(known, segment.low, before, trigrams).await?;
                for picked in numbers.chunks(Reader::PICKED) {
                    let entries = self.ask(async |reader| reader.picked(segment, picked).await).await?;
                    if self.look(entries, &mut found).await? {
                        return Ok(found);
                    }
                }
                match numbers.last() {
                    Some(last) if numbers.len() == index::CANDIDATES => before = *last,
                    _ => break,
                }
            }
        }
        Ok(found)
    }

    async fn without_index(&self) -> Result<Vec<Found>, StoreError> {
        let (mut found, mut read) = (Vec::new(), 0);
        for segment in self.own() {
            let mut before = segment.high + 1;
            while read < SCANNED {
                let entries = self.ask(async |reader| reader.entries_before(segment, before).await).await?;
                let Some(last) = entries.last() else { break };
                (before, read) = (last.number, read + entries.len());
                if self.look(entries, &mut found).await? {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// The stretches of records, those that hold any, newest first.
    fn own(&self) -> impl Iterator<Item = &Segment> {
        self.chain.iter().filter(|segment| segment.low < segment.high)
    }

    /// Brings the index up to the end of a stretch. What is in it already is not read again.
    async fn fill(&self, segment: &Segment) -> Result<Known, Trouble> {
        let session = &segment.session;
        if let Some(known) = self.store.index.known(session).await?
            && known.upto >= segment.high
            && self.holds(session, known).await?
        {
            return Ok(known);
        }
        loop {
            let known = self.store.index.change(async |index| self.fill_some(index, segment).await).await?;
            if known.upto >= segment.high {
                return Ok(known);
            }
        }
    }

    async fn fill_some(&self, index: &mut sqlx::SqliteConnection, segment: &Segment) -> Result<Known, Trouble> {
        let session = &segment.session;
        let mut known = index::known(index, session).await?;
        if let Some(other) = known
            && !self.holds(session, other).await?
        {
            index::remove(index, session, other).await?;
            known = None;
        }
        if let Some(known) = known.filter(|known| known.upto >= segment.high) {
            return Ok(known);
        }
        let after = known.map_or(segment.low, |known| known.upto);
        let entries = self.ask(async |reader| reader.entries_after(segment, after, BATCH).await).await?;
        let upto = match entries.last() {
            Some(last) if entries.len() == BATCH => last.number,
            _ => segment.high,
        };
        let link = self.ask(async |reader| reader.link_of(session, upto).await).await?;
        // It was deleted a moment ago.
        let link = link.ok_or(StoreError::NoRecord { session: parsed(session)?, record: upto })?;
        let words: Vec<(u64, String)> = entries
            .iter()
            .filter_map(|entry| Some((entry.number, recall::words_of(entry.item.as_ref()?))))
            .filter(|(_, words)| !words.is_empty())
            .collect();
        index::add(index, session, known, &words, upto, link).await
    }

    /// Whether a session is still the one that the index was filled from.
    async fn holds(&self, session: &str, known: Known) -> Result<bool, StoreError> {
        let link: Option<Hash> = self.ask(async |reader| reader.link_of(session, known.upto).await).await?;
        Ok(link == Some(known.link))
    }

    /// Adds those of the entries, newest first, that hold what is looked for. Says whether that is enough.
    async fn look(&self, entries: Vec<Entry>, found: &mut Vec<Found>) -> Result<bool, StoreError> {
        for Entry { session, number, at_ms, item } in entries {
            let Some(item) = item else { continue };
            let Some(hit) = recall::find(self.query, &item) else { continue };
            let mut title = hit.title;
            if let Some(call) = &hit.call
                && let Some(said) = self.item_before(&session, number).await?
                && let Some(titled) = recall::title_of(&said, call)
            {
                title = titled;
            }
            found.push(Found { record: number, at_ms, who: hit.who.to_owned(), title, excerpt: hit.excerpt });
            if found.len() >= self.most {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The entry before another one, where the calls stand that it has the results of.
    async fn item_before(&self, session: &str, number: u64) -> Result<Option<Arc<Item>>, StoreError> {
        let segment = self.chain.iter().position(|segment| segment.session == session).unwrap_or_default();
        // A fork may begin between a call and its result.
        for segment in &self.chain[segment..] {
            let entry = self.ask(async |reader| reader.entry_before(segment, number).await).await?;
            if let Some(entry) = entry {
                return Ok(entry.item);
            }
        }
        Ok(None)
    }

    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let session = self.chain.first().map(|segment| segment.session.as_str()).unwrap_or_default();
        self.store.ask(format!("search session {session}"), question).await
    }
}

fn parsed(session: &str) -> Result<SessionId, Trouble> {
    Ok(super::row::id(session)?)
}
