//! A connection that is lost anywhere: no call is run, the text that came is kept, the person is told.

use bytes::Bytes;

use super::*;
use crate::model::double::{Double, Piece, Reply, Trouble};
use crate::model::fault::Kind;
use crate::model::wire::testing::{assembled, block_on, request, user};
use crate::model::{Assembler, StreamEvent};

/// The prose that was kept, and no call among it.
fn kept(blocks: &[Block]) -> String {
    let text = |block: &Block| match block {
        Block::Text { text, .. } => text.clone(),
        Block::Reasoning { .. } => String::new(),
        Block::Call { .. } => panic!("a call of an answer that broke off: {block:?}"),
    };
    blocks.iter().map(text).collect()
}

#[test]
fn campaign_disconnects_in_memory_at_every_byte() {
    every(|door| {
        let dialect = door.dialect();
        let styles = dialect.styles();
        for seed in 0..count(20) as u64 {
            let answer = dialect.shape(generate::answer(1000 + seed));
            let transcript = dialect.stream(&answer, styles[seed as usize % styles.len()]);
            let (bytes, whole_at) = (Bytes::from(transcript.bytes()), transcript.whole_at());
            let full: String = answer
                .parts
                .iter()
                .map(|part| if let Part::Text(text) = part { text.concat() } else { String::new() })
                .collect();
            let mut before = String::new();
            block_on(async {
                for end in 0..bytes.len() {
                    // By half when the campaign is a small one: an end and a reset take turns.
                    let both = [false, true];
                    for reset in if count(20) < 20 { &both[end % 2..=end % 2] } else { &both[..] } {
                        let mut pieces = vec![Ok(bytes.slice(..end))];
                        pieces.extend((*reset).then(|| Err(Fault::new(Kind::Connection, "reset"))));
                        let told = door.told(pieces).await;
                        let finished = told.iter().flatten().any(|event| matches!(event, StreamEvent::Finished(_)));
                        let context = format!("answer {seed} cut after {end} of {}, whole at {whole_at}", bytes.len());
                        assert_eq!(finished, end >= whole_at, "{context}");
                        if finished {
                            assembled(&told).finish().unwrap_or_else(|error| panic!("{context}: {error}"));
                            continue;
                        }
                        assert!(told.last().is_some_and(Result::is_err), "{context}: nobody is told");
                        assert!(assembled(&told).finish().is_err(), "{context}");
                        let kept = kept(&assembled(&told).partial());
                        assert!(full.starts_with(&kept), "{context}: {kept:?} is not of {full:?}");
                        assert!(kept.starts_with(&before), "{context}: {before:?} is lost, {kept:?} is left");
                        before = kept;
                    }
                }
            });
            // Gemini's last event holds the last piece.
            assert!(before == full || door.name == "gemini", "{before:?} of {full:?}");
        }
    });
}

#[test]
fn campaign_disconnects_over_http_at_fifty_places() {
    every_async(async |door| {
        let dialect = door.dialect();
        let answer = dialect.shape(Answer::of(vec![
            Part::reasoning("Hm."),
            Part::Text(vec!["Reading ".to_owned(), "both ".to_owned(), "files.".to_owned()]),
            Part::Call {
                id: "a".to_owned(),
                name: "read".to_owned(),
                arguments: vec!["{\"path\":".to_owned(), "\"a\"}".to_owned()],
            },
            Part::call("b", "read", "{\"path\":\"b\"}"),
        ]));
        let transcript = dialect.stream(&answer, Style::default());
        let (bytes, whole_at) = (transcript.bytes(), transcript.whole_at());
        for place in 0..50 {
            let end = bytes.len() * place / 50;
            let pieces = vec![Piece::Bytes(bytes[..end].to_vec()), Piece::Reset];
            // Whoever asks again is told something that ends it.
            let replies = [Reply::typed(dialect.content_type(), pieces), dialect.error(Trouble::BadRequest)];
            let double = Double::start(replies).await;
            let (mut assembler, mut broken) = (Assembler::default(), None);
            let mut stream = door.provider(&double.base).stream(request(vec![user("Hi.")])).await.unwrap();
            while let Some(event) = stream.next().await {
                match event {
                    Ok(StreamEvent::Retrying { reason, discarded, .. }) => {
                        broken = Some((reason, discarded));
                        break;
                    }
                    Ok(event) => assembler.push(&event),
                    Err(error) => panic!("{error} after {end}"),
                }
            }
            assert_eq!(double.refusals(), [""; 0]);
            let Some((reason, discarded)) = broken else {
                assert!(end >= whole_at, "nobody is told of a cut after {end}");
                assert_eq!(said(&assembler.finish().unwrap()), expected(&answer, Style::default()));
                continue;
            };
            assert!(end < whole_at, "{reason}, though the turn was whole at {whole_at} and cut after {end}");
            assert!(reason.starts_with("the answer broke off ("), "{reason}");
            let blocks = assembler.partial();
            let kept = kept(&blocks);
            assert!("Reading both files.".starts_with(&kept), "{kept}");
            assert!(discarded || blocks.is_empty(), "something was told: {blocks:?}");
        }
    });
}
