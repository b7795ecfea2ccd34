//! Where a session tells what happens.

use async_trait::async_trait;

use crate::protocol::Envelope;

/// What is told: the event, and what a front end needs beside it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The event in its place.
    pub envelope: Envelope,
    /// The title of the run, for progress.
    pub title: std::sync::Arc<str>,
}

/// A front end that listens. It takes everything at once and says whether it keeps up.
#[async_trait]
pub trait Outlet: Send + Sync {
    /// Takes an event. Never waits.
    fn tell(&self, told: Told);

    /// Takes a sentence for the person that belongs to no run. Never waits.
    fn say(&self, sentence: String);

    /// Whether the listener keeps up. While it does not, deltas wait unnumbered and merge.
    fn has_room(&self) -> bool;

    /// Returns when there may be room again.
    async fn room(&self);
}
