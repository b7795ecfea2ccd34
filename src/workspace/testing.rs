//! A workspace to test in: a real folder, and buffers over it.

use std::fs;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::disk;
use crate::editor::{Change, Editor, Outcome, Place, ReadError};
use crate::permission::Roots;
use crate::text::{Encoding, Snapshot};

/// A workspace on disk, with buffers over it.
pub(super) struct World {
    _keep: tempfile::TempDir,
    pub(super) top: PathBuf,
    pub(super) roots: Roots,
    buffers: Vec<(Place, Snapshot)>,
}

impl World {
    /// A folder `ws` with these files; what lies beside it is outside.
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let keep = tempfile::tempdir().expect("a folder");
        let top = keep.path().canonicalize().expect("a real path");
        fs::create_dir(top.join("ws")).expect("a folder");
        let roots = Roots::new(&[top.join("ws")]);
        let world = Self { _keep: keep, top, roots, buffers: Vec::new() };
        for (path, text) in files {
            world.write(path, text);
        }
        world
    }

    pub(super) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.top.join("ws").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    pub(super) fn opens(&mut self, path: &str, text: &str) {
        let path = self.top.join("ws").join(path);
        let place = Place::File { shown: path.display().to_string(), path };
        self.buffers.push((place, Snapshot::detached(text, "")));
    }

    pub(super) fn place(&self, path: &str) -> Place {
        Place::File { path: self.top.join("ws").join(path), shown: path.to_owned() }
    }
}

#[async_trait]
impl Editor for World {
    fn open(&self) -> Vec<(Place, Snapshot)> {
        self.buffers.clone()
    }

    fn buffer(&self, place: &Place) -> Option<Snapshot> {
        self.buffers.iter().find(|(open, _)| open.path() == place.path()).map(|(_, snapshot)| snapshot.clone())
    }

    async fn read(&self, place: &Place) -> Result<Snapshot, ReadError> {
        self.buffer(place).map_or_else(|| disk::read(place), Ok)
    }

    async fn apply(&self, change: Change) -> Outcome {
        Outcome::Refused { reason: format!("{} is not changed here", change.place) }
    }

    fn uri(&self, place: &Place) -> String {
        place.to_string()
    }

    fn encoding(&self) -> Encoding {
        Encoding::Utf8
    }
}
