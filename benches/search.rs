//! What a search of a tree of 100,000 files takes, against ripgrep's own program in the same run: `cargo bench --bench search`.
//! It needs `rg` on the path, or where `tests/install/ripgrep.sh` puts it.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a program that prints figures, and stops at the first surprise"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use cowrite::context::recall::NoRecall;
use cowrite::disk;
use cowrite::editor::{Applied, Change, Editor, Outcome, Place, ReadError};
use cowrite::permission::Roots;
use cowrite::protocol::{HunkView, Mode};
use cowrite::settings::Limits;
use cowrite::text::{Encoding, Snapshot};
use cowrite::tool::{Context, Reads, Registry, Told};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const FOLDERS: usize = 1_000;
const FILES: usize = 100;
const ROUNDS: usize = 9;

fn main() {
    let Some(rg) = ripgrep() else {
        println!("rg is not there to be compared with: tests/install/ripgrep.sh brings it");
        return;
    };
    println!("{}", version(&rg));
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path().canonicalize().unwrap();
    plant(&root);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (tools, context) = (Registry::all(), context(&root));
    println!("{:<58} {:>10} {:>10} {:>7} {:>8}", "figure", "ours, ms", "rg, ms", "ratio", "wanted");
    for (name, pattern, expected) in [
        ("100,000 files, a word that stands in 100 of them", "needle_in_[a-z]+", 100),
        ("100,000 files, a word that stands in none", "nowhere_to_be_found", 0),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let began = Instant::now();
            let found = Command::new(&rg)
                .args(["--line-number", "--hidden", "--no-require-git", "--crlf", "--", pattern])
                .arg(&root)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let rg = began.elapsed();
            assert_eq!(found.stdout.split_inclusive(|byte| *byte == b'\n').count(), expected);
            let began = Instant::now();
            let arguments = json!({ "pattern": pattern }).to_string();
            let answer = runtime.block_on(async {
                // As in a run: in a task.
                let (tools, context) = (tools.clone(), context.clone());
                tokio::spawn(async move { tools.call("search", &arguments, &context).await }).await.unwrap()
            });
            let own = began.elapsed();
            assert!(answer.summary.starts_with(&expected.to_string()) || expected == 0, "{}", answer.summary);
            if round > 0 {
                ours.push(own.as_secs_f64() * 1e3);
                theirs.push(rg.as_secs_f64() * 1e3);
            }
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!("{name:<58} {ours:>10.1} {theirs:>10.1} {:>7.2} {:>8}", ours / theirs, "<= 1.3");
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn ripgrep() -> Option<PathBuf> {
    let clients = std::env::var_os("COWRITE_CLIENTS").map(PathBuf::from);
    let own =
        clients.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/clients")).join("bin/rg");
    let works =
        |rg: &Path| Command::new(rg).arg("--version").stdout(Stdio::null()).status().is_ok_and(|end| end.success());
    [PathBuf::from("rg"), own].into_iter().find(|rg| works(rg))
}

/// Which one it is: a figure against another one is another figure.
fn version(rg: &Path) -> String {
    let said = Command::new(rg).arg("--version").stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or_default().to_owned()
}

/// Source-like files of one to four kilobytes, and a word in one of a thousand.
fn plant(root: &Path) {
    for folder in 0..FOLDERS {
        let at = root.join(format!("part{:02}/module{folder}", folder % 40));
        fs::create_dir_all(&at).unwrap();
        for file in 0..FILES {
            let mut text = String::new();
            for line in 0..(20 + (folder * 7 + file * 13) % 60) {
                writeln!(text, "    let value_{line} = compute(\"{folder}\", {file}, {line});").unwrap();
            }
            if folder % 10 == 0 && file == 50 {
                text.push_str("    // needle_in_haystack\n");
            }
            fs::write(at.join(format!("file{file}.rs")), text).unwrap();
        }
    }
    fs::write(root.join(".gitignore"), "target/\n*.log\n").unwrap();
}

fn context(root: &Path) -> Context {
    Context {
        call: String::new(),
        editor: Arc::new(NoEditor),
        roots: Roots::new(&[root.to_owned()]),
        reads: Arc::new(Reads::default()),
        limits: Limits::default(),
        mode: Mode::Edit,
        cancel: CancellationToken::new(),
        told: Arc::new(Silent),
        recall: Arc::new(NoRecall),
        commands: Arc::default(),
    }
}

/// An editor with nothing open.
struct NoEditor;

#[async_trait]
impl Editor for NoEditor {
    fn open(&self) -> Vec<(Place, Snapshot)> {
        Vec::new()
    }

    fn buffer(&self, _: &Place) -> Option<Snapshot> {
        None
    }

    async fn read(&self, place: &Place) -> Result<Snapshot, ReadError> {
        disk::read(place)
    }

    async fn apply(&self, _: Change) -> Outcome {
        Outcome::Refused { reason: "nothing is changed here".into() }
    }

    fn uri(&self, place: &Place) -> String {
        place.to_string()
    }

    fn encoding(&self) -> Encoding {
        Encoding::Utf8
    }
}

struct Silent;

#[async_trait]
impl Told for Silent {
    async fn applied(&self, _: &Place, _: &Applied, _: bool) {}
    async fn rejected(&self, _: String, _: Vec<HunkView>, _: String) {}
    fn maybe_late(&self, _: Place, _: tokio::sync::oneshot::Receiver<Applied>) {}
}
