//! The runs of one session, held against the events that they were told with.

use sqlx::sqlite::SqliteRow;

use super::{Session, Walk};
use crate::protocol::{Envelope, Event, RunId, RunSnapshot};
use crate::store::Record;
use crate::store::sqlite::row::{Read, id};

impl Walk<'_> {
    pub(super) async fn runs(&mut self, session: &Session) {
        let rows = sqlx::query(
            "SELECT run, snapshot, finished, events, first_record, last_record FROM runs WHERE session = $1 ORDER BY run",
        )
        .bind(&session.id)
        .fetch_all(&mut *self.connection)
        .await;
        match rows {
            Ok(rows) => {
                for row in rows {
                    if let Err(what) = self.run(session, &row).await {
                        let run = row.text(0).unwrap_or_default();
                        self.fault(Some(&session.id), None, format!("run {run}: {what}"));
                    }
                }
            }
            Err(error) => self.fault(Some(&session.id), None, format!("its runs cannot be read: {error}")),
        }
    }

    async fn run(&mut self, session: &Session, row: &SqliteRow) -> Result<(), String> {
        let unreadable = |error: sqlx::Error| format!("it cannot be read: {error}");
        let run: RunId = row.text(0).and_then(|run| id(&run)).map_err(unreadable)?;
        let snapshot = row.text(1).map_err(unreadable)?;
        let snapshot: RunSnapshot =
            serde_json::from_str(&snapshot).map_err(|error| format!("it cannot be understood: {error}"))?;
        let beside = || Ok::<_, sqlx::Error>((row.number(2)?, row.number(3)?, row.number(4)?, row.number(5)?));
        let (finished, events, first, last) = beside().map_err(unreadable)?;
        if snapshot.id != run
            || snapshot.session_id.to_string() != session.id
            || u64::from(snapshot.status.is_final()) != finished
            || snapshot.event_count != events
        {
            return Err("what stands beside it is not what it says".to_owned());
        }
        if first <= session.parent_record || last > session.head.record || first > last + 1 {
            return Err(format!("it reaches from record {first} to {last}, and the session does not"));
        }
        if finished == 1
            && let Some(Envelope { sequence, event: Event::RunFinished { status, .. }, .. }) =
                self.newest_event(session, run).await
            && (status, sequence) != (snapshot.status, snapshot.event_count)
        {
            return Err(format!("it is told to have ended otherwise, with event {sequence}"));
        }
        Ok(())
    }

    /// The newest event of a run, when it is there and short; what is wrong with it is the chain's to say.
    async fn newest_event(&mut self, session: &Session, run: RunId) -> Option<Envelope> {
        let row = sqlx::query(
            "SELECT body FROM records WHERE session = $1 AND run = $2 AND kind = 'event' AND stored <> 2 AND stored = 0 \
             ORDER BY sequence DESC LIMIT 1",
        )
        .bind(&session.id)
        .bind(run.to_string())
        .fetch_optional(&mut *self.connection)
        .await
        .ok()??;
        match serde_json::from_slice(row.bytes(0).ok()?).ok()? {
            Record::Event(envelope) => Some(envelope),
            _ => None,
        }
    }
}
