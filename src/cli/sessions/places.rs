//! Where words stand in a session.

use serde::Serialize;

use crate::context::recall::{Found, Query};
use crate::protocol::{SessionId, utc};
use crate::store::Store;
use crate::tool::plain;

/// The most that are shown.
const MOST: usize = 20;

/// What was looked for, and what was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Places<'a> {
    session_id: SessionId,
    query: &'a str,
    found: Vec<Found>,
}

impl<'a> Places<'a> {
    pub(super) async fn of(store: &dyn Store, session_id: SessionId, query: &'a str) -> Result<Self, String> {
        if Query::new(query).is_empty() {
            return Err("the query is empty; name one or more words that stood in what you look for".to_owned());
        }
        let found = store.search(session_id, query, MOST).await.map_err(|error| error.to_string())?;
        Ok(Self { session_id, query, found })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        if self.found.is_empty() {
            return format!(
                "Nothing in session {} holds all of: {}\nAll words must occur in one entry; try fewer words, or parts of them.\n",
                self.session_id,
                plain(self.query)
            );
        }
        let mut places: Vec<String> = self.found.iter().map(place).collect();
        if self.found.len() == MOST {
            places.push(format!("The newest {MOST} places; there may be older ones, and more words find fewer.\n"));
        }
        places.join("\n")
    }
}

fn place(found: &Found) -> String {
    let time: String = utc(found.at_ms).chars().take(16).collect();
    let head = plain(&format!("record {}  {time} UTC  {} {}", found.record, found.who, found.title));
    let lines: String = found.excerpt.lines().map(|line| format!("  {}\n", kept(line))).collect();
    format!("{head}\n{lines}")
}

/// A line that may be shown on a terminal, with its indentation.
fn kept(line: &str) -> String {
    let indented = line.len() - line.trim_start().len();
    format!("{}{}", " ".repeat(line[..indented].chars().count()), plain(line)).trim_end().to_owned()
}
