//! An answer is the same however it arrives: in pieces cut anywhere, in each of the provider's styles, or as one document.

use bytes::Bytes;
use fastrand::Rng;

use super::*;
use crate::model::StreamEvent;
use crate::model::double::Figures;
use crate::model::wire::testing::{assembled, block_on};

/// The kinds of events in a row, each once; the figures may come anywhere.
fn kinds(told: &Told) -> Vec<String> {
    let kind = |event: &StreamEvent| match event {
        StreamEvent::Text { index, .. } => format!("text {index}"),
        StreamEvent::Reasoning { index, .. } => format!("reasoning {index}"),
        StreamEvent::CallStarted { index, id, name } => format!("call {index} {id:?} {name}"),
        // No arguments are an empty object, with or without a piece.
        StreamEvent::CallArguments { .. } => String::new(),
        StreamEvent::Raw { index, .. } => format!("raw {index}"),
        StreamEvent::BlockStopped { index } => format!("stop {index}"),
        StreamEvent::Usage(_) => String::new(),
        StreamEvent::Finished(stop) => format!("finished {stop:?}"),
        other => format!("{other:?}"),
    };
    let mut kinds: Vec<String> = told.iter().flatten().map(kind).filter(|kind| !kind.is_empty()).collect();
    // Blocks that were open together close in no order that matters.
    kinds.sort();
    kinds.dedup();
    kinds
}

fn turn(told: &Told) -> Turn {
    match told.last() {
        Some(Err(fault)) => panic!("{fault:?}"),
        _ => assembled(told).finish().unwrap_or_else(|error| panic!("{error}: {told:?}")),
    }
}

fn one_piece(bytes: &[u8]) -> Vec<Result<Bytes, Fault>> {
    vec![Ok(Bytes::copy_from_slice(bytes))]
}

#[test]
fn an_answer_is_the_same_in_pieces_and_as_one_document() {
    every(|door| {
        let dialect = door.dialect();
        for seed in 0..count(500) as u64 {
            let answer = dialect.shape(generate::answer(seed));
            for style in dialect.styles() {
                let transcript = dialect.stream(&answer, style);
                let text = String::from_utf8_lossy(&transcript.bytes()).into_owned();
                let streamed = block_on(door.told(one_piece(&transcript.bytes())));
                let whole = door.told_whole(&style.written(dialect.whole(&answer, style)));
                let (one, other) = (turn(&streamed), turn(&whole));
                let context = format!("answer {seed} {style:?}\n{text}\n{streamed:?}\n{whole:?}");
                assert_eq!(said(&one), expected(&answer, style), "in pieces, {context}");
                assert_eq!(said(&other), expected(&answer, style), "whole, {context}");
                assert_eq!((bare(&one.stop), one.usage), (meant(answer.stop), answer.usage), "in pieces, {context}");
                assert_eq!((bare(&other.stop), other.usage), (meant(answer.stop), answer.usage), "whole, {context}");
                let opaque = |turn: &Turn| raws(turn).iter().map(|raw| value(raw)).collect::<Vec<_>>();
                let hidden = answer.parts.iter().filter(|part| matches!(part, Part::Reasoning { opaque: true, .. }));
                assert!(opaque(&one).len() >= hidden.count(), "what is encrypted is kept, {context}");
                // Of what is put together from pieces, only what is known can be.
                if !style.new_fields {
                    assert_eq!(opaque(&one), opaque(&other), "{context}");
                }
                // At the limit the last block stays open where blocks are closed at all.
                if answer.stop != Stop::Limit && !style.no_ids {
                    assert_eq!(kinds(&streamed), kinds(&whole), "{context}");
                }
            }
        }
    });
}

#[test]
fn campaign_chunks_an_answer_is_the_same_wherever_it_is_cut() {
    every(|door| {
        let (dialect, mut rng) = (door.dialect(), Rng::with_seed(4));
        let styles = dialect.styles();
        for seed in 0..count(500) as u64 {
            let style = styles[seed as usize % styles.len()];
            let bytes = dialect.stream(&dialect.shape(generate::answer(seed)), style).bytes();
            block_on(async {
                let whole = format!("{:?}", door.told(one_piece(&bytes)).await);
                let singly = bytes.chunks(1).map(|byte| Ok(Bytes::copy_from_slice(byte))).collect();
                assert_eq!(format!("{:?}", door.told(singly).await), whole, "answer {seed}, byte by byte");
                let bytes = Bytes::from(bytes);
                for round in 0..200 {
                    let mut cuts: Vec<usize> = (0..rng.usize(1..20)).map(|_| rng.usize(0..=bytes.len())).collect();
                    cuts.extend([0, bytes.len()]);
                    cuts.sort_unstable();
                    let pieces = cuts.windows(2).map(|pair| Ok(bytes.slice(pair[0]..pair[1]))).collect();
                    assert_eq!(
                        format!("{:?}", door.told(pieces).await),
                        whole,
                        "answer {seed}, round {round}: {cuts:?}"
                    );
                }
            });
        }
    });
}

#[test]
fn figures_that_are_missing_or_null_are_not_known() {
    every(|door| {
        let dialect = door.dialect();
        let answer = dialect.shape(generate::answer(1));
        for usage in [Figures::Missing, Figures::Null] {
            let style = Style { usage, ..Style::default() };
            let streamed = turn(&block_on(door.told(one_piece(&dialect.stream(&answer, style).bytes()))));
            let whole = turn(&door.told_whole(&style.written(dialect.whole(&answer, style))));
            assert_eq!((streamed.usage, whole.usage), (UNKNOWN, UNKNOWN), "{usage:?}");
            assert_eq!(said(&streamed), expected(&answer, style));
        }
    });
}

/// What is encrypted, and what a provider wants back as it was, is kept to the byte: spaces and escapes too.
#[test]
fn opaque_blocks_are_kept_to_the_byte() {
    every(|door| {
        let dialect = door.dialect();
        let opaque = Part::Reasoning { text: vec!["Secret".to_owned()], opaque: true };
        let answer =
            dialect.shape(Answer::of(vec![opaque, Part::text("Ю."), Part::call("a", "read", "{\"path\": \"x\"}")]));
        let style = Style { spaced: true, ..Style::default() };
        let bytes = dialect.stream(&answer, style).bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let turn = turn(&block_on(door.told(one_piece(&bytes))));
        for raw in raws(&turn).iter().filter(|_| door.name != "bedrock") {
            assert!(text.contains(raw), "{raw} is not in\n{text}");
        }
        assert_eq!(raws(&turn).is_empty(), !seals(door), "{turn:?}");
        // And go back as they are.
        let blocks = turn.blocks.clone();
        let results = super::super::testing::results(&[("a", true, "x")]);
        let items = vec![super::super::testing::user("Hi."), super::super::testing::said("double", blocks), results];
        let request = super::super::testing::request(items);
        let wire = door.wire();
        let sent = String::from_utf8(super::super::testing::sent(&*wire, "double", &request)).unwrap();
        for raw in raws(&turn) {
            assert!(sent.contains(raw), "{raw} is not in\n{sent}");
        }
    });
}
