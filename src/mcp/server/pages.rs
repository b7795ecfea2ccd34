//! Lists that come in pages.

use rmcp::model::{ClientRequest, PaginatedRequestParams};
use serde_json::Value;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::super::connection::{Connection, Fault};

/// The most pages of a list.
const PAGES: usize = 16;

/// What came of a list.
pub(super) struct Pages {
    pub(super) entries: Vec<Value>,
    /// Whether there would have been more.
    pub(super) more: bool,
}

/// Why there is no list.
pub(super) enum NoList {
    Fault(Fault),
    /// The answer is none.
    Other,
}

/// The pages of a list, up to so many entries, all of them within the time. `field` is what holds the entries.
pub(super) async fn pages(
    connection: &Connection,
    field: &str,
    (most, limit): (usize, Duration),
    cancel: &CancellationToken,
    request: impl Fn(PaginatedRequestParams) -> ClientRequest,
) -> Result<Pages, NoList> {
    let until = Instant::now() + limit;
    let (mut entries, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..PAGES {
        let asked = request(PaginatedRequestParams::default().with_cursor(cursor.clone()));
        let left = until.saturating_duration_since(Instant::now());
        let mut page = connection.ask(asked, left, cancel).await.map_err(NoList::Fault)?;
        let next = page.get("nextCursor").and_then(Value::as_str).filter(|next| !next.is_empty()).map(str::to_owned);
        let Some(Value::Array(listed)) = page.get_mut(field).map(Value::take) else { return Err(NoList::Other) };
        let room = most - entries.len();
        let over = listed.len() > room;
        entries.extend(listed.into_iter().take(room));
        // One that sends back to where it was would never end.
        let again = next == cursor;
        cursor = next;
        if cursor.is_none() || over || again {
            return Ok(Pages { entries, more: over });
        }
    }
    Ok(Pages { entries, more: true })
}
