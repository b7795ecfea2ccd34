//! The person types while the agent edits: no typed character is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::client::{Client, Personality, Setup, rounds};
use crate::script::{calls, edit, says};

/// Lines that the agent edits, one an edit, round and round.
const LINES: usize = 5;
/// Edits in one run.
const EDITS: usize = 8;

/// 2,000 runs in a campaign, over the personalities that tell what was typed before they take an edit. What becomes of an edit
/// in the others has a test among the edits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaign_typing_during_edits_loses_no_character() {
    let runs = rounds(2000).div_ceil(Personality::all_that_tell().count());
    for personality in Personality::all_that_tell() {
        let mut applied = 0;
        for seed in 0..runs as u64 {
            applied += one_run(personality, seed + 1).await;
        }
        let edits = runs * EDITS;
        assert!(applied > edits / 3, "{personality:?}: only {applied} of {edits} edits landed");
    }
}

/// Gives how many edits landed.
async fn one_run(personality: Personality, seed: u64) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("real");
    std::fs::write(real.join("a.rs"), "").expect("written");
    let mut turns = vec![calls(&[("read", json!({ "path": "a.rs" }))])];
    for n in 0..EDITS {
        let line = n % LINES;
        let pass = n / LINES;
        turns.push(calls(&[edit(
            "a.rs",
            &[(&format!("agent {line}: {pass};"), &format!("agent {line}: {};", pass + 1))],
        )]));
    }
    turns.push(says("done"));
    let client = Client::start(Setup::scripted(personality, &real, &[("go", turns)])).await;
    let text: String = (0..LINES).map(|line| format!("person {line}:\nagent {line}: 0;\n")).collect();
    let uri = client.open(&real.join("a.rs"), &text);

    // A typist at random places: mostly lines of their own, now and then one of the agent's; each typed piece has a name
    // that can be looked for. Some of it lands at the very moment at which an edit arrives.
    let random = Arc::new(AtomicU64::new(seed));
    let next = {
        let random = random.clone();
        move |below: usize| {
            let state = random
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                    Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
                })
                .expect("always some");
            ((state >> 33) as usize) % below
        }
    };
    let typed = Arc::new(AtomicU64::new(0));
    let press = {
        let (typed, next) = (typed.clone(), next.clone());
        move |client: &Client, uri: &str| {
            let number = typed.fetch_add(1, Ordering::Relaxed);
            client.type_into(uri, |text| {
                let line = next(LINES);
                let whose = if next(12) == 0 { "agent" } else { "person" };
                let start = text.find(&format!("{whose} {line}:")).expect("the line is there");
                let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
                let piece = match next(3) {
                    0 => format!("<{number}>\n"),
                    1 => format!("<{number}>é𝄞"),
                    _ => format!("<{number}>"),
                };
                (end..end, piece)
            });
        }
    };
    {
        let (press, next) = (press.clone(), next.clone());
        client.set_typist(move |client, uri| {
            if next(3) == 0 {
                press(client, uri);
            }
        });
    }
    let over = Arc::new(AtomicBool::new(false));
    let typist = tokio::spawn({
        let (client, uri, over, press, next) = (client.clone(), uri.clone(), over.clone(), press.clone(), next.clone());
        async move {
            while !over.load(Ordering::Relaxed) {
                press(&client, &uri);
                tokio::time::sleep(Duration::from_millis(2 + next(10) as u64)).await;
            }
        }
    });
    let run = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    let finished = client.finished(&run).await;
    over.store(true, Ordering::Relaxed);
    typist.await.expect("the typist");
    assert_eq!(finished["status"], "completed", "{personality:?} {seed}: {finished}");
    let text = client.text(&uri);
    for number in 0..typed.load(Ordering::Relaxed) {
        assert!(text.contains(&format!("<{number}>")), "{personality:?} {seed}: piece {number} is gone from\n{text}");
    }
    for line in 0..LINES {
        assert_eq!(text.matches(&format!("person {line}:")).count(), 1, "{personality:?} {seed}\n{text}");
        assert_eq!(text.matches(&format!("agent {line}:")).count(), 1, "{personality:?} {seed}\n{text}");
    }
    // What was called applied is there, and what was not is not.
    let events = client.events(&run);
    let applied = events.iter().filter(|event| event["type"] == "editApplied").count();
    let agents: usize = (0..LINES)
        .map(|line| {
            let at = text.find(&format!("agent {line}: ")).expect("there") + format!("agent {line}: ").len();
            text[at..].chars().next().and_then(|digit| digit.to_digit(10)).expect("a number") as usize
        })
        .sum();
    assert_eq!(agents, applied, "{personality:?} {seed}: {applied} edits were called applied\n{text}\n{events:#?}");
    applied
}
