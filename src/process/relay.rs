//! In the supervisor of a program that is talked with: what comes on standard input goes on to it.

use std::io::{self, Read, Write};
use std::process::ChildStdin;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

/// What is read at once.
const PIECE: usize = 64 * 1024;
/// Pieces that a program may leave unread: 16 MiB. One that leaves more is ended.
const UNREAD: usize = 256;
/// How long a program may take to end by itself once nobody talks to it any more.
const FAREWELL: Duration = Duration::from_millis(300);

/// Passes on what comes, whether it is read or not; does something once nobody talks any more.
pub(super) fn pass_on(to: Option<ChildStdin>, then: impl FnOnce() + Send + 'static) {
    let (pieces, waiting) = sync_channel::<Vec<u8>>(UNREAD);
    thread::spawn(move || {
        let Some(mut to) = to else { return };
        while let Ok(piece) = waiting.recv() {
            if to.write_all(&piece).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    });
    // A thread of its own for the end: the other may wait forever for a program that does not read.
    thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        let mut input = io::stdin().lock();
        loop {
            match input.read(&mut piece) {
                Ok(0) | Err(_) => break,
                // A program that reads no more has its end seen elsewhere.
                Ok(more) => match pieces.try_send(piece[..more].to_vec()) {
                    Ok(()) | Err(std::sync::mpsc::TrySendError::Disconnected(_)) => {}
                    Err(std::sync::mpsc::TrySendError::Full(_)) => break,
                },
            }
        }
        drop(pieces);
        thread::sleep(FAREWELL);
        then();
    });
}
