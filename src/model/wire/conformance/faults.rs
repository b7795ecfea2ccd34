//! Everything that can go wrong, by name, and what a person sees of it. Every wire is put through every case that it can
//! have; nothing that is printed on the way holds a key.

mod cases;
mod log;

use std::fmt::Write as _;
use std::time::Instant;

use futures::StreamExt;

use super::*;
use crate::model::double::{Double, Event, Piece, Reply, Transcript, Trouble};
use crate::model::wire::testing::{request, user};
use crate::model::{Assembler, Item, ModelError, StreamEvent};

/// One case.
struct Case {
    name: &'static str,
    /// Whether an answer of the same provider, with opaque blocks, is in the history.
    after: bool,
    /// What the double answers, one request after the other; nothing where the wire has no such thing.
    replies: fn(&Say) -> Option<Vec<Reply>>,
    /// What comes out: `*` stands for anything. The first line whose wires fit counts.
    expected: &'static [(&'static str, &'static str)],
}

/// What the cases are made of.
struct Say {
    door: &'static Door,
    dialect: &'static dyn Dialect,
}

impl Say {
    /// The answer that is meant to come: a text and a call.
    fn answer(&self) -> Answer {
        let pieces = |pieces: &[&str]| pieces.iter().map(|piece| (*piece).to_owned()).collect::<Vec<_>>();
        let text = Part::Text(pieces(&["Rea", "ding."]));
        let arguments = pieces(&["{\"path\":", "\"a.rs\"}"]);
        let call = Part::Call { id: "toolu_1".to_owned(), name: "read".to_owned(), arguments };
        self.dialect.shape(Answer::of(vec![text, call]))
    }

    fn good(&self) -> Reply {
        Reply::answer(self.answer())
    }

    fn stream(&self) -> Transcript {
        self.dialect.stream(&self.answer(), Style::default())
    }

    fn error(&self, trouble: Trouble) -> Reply {
        self.dialect.error(trouble)
    }

    /// An error whose retry is due at once, whatever the delay would be.
    fn passing(&self, trouble: Trouble) -> Reply {
        self.error(trouble).header("retry-after", "0")
    }

    /// A stream of these bytes.
    fn bytes(&self, bytes: impl Into<Vec<u8>>) -> Reply {
        self.pieces(vec![Piece::Bytes(bytes.into())])
    }

    fn pieces(&self, pieces: Vec<Piece>) -> Reply {
        Reply::typed(self.dialect.content_type(), pieces)
    }

    fn said(&self, transcript: &Transcript) -> Reply {
        self.bytes(transcript.bytes())
    }

    fn is(&self, names: &str) -> bool {
        names.split(' ').any(|name| name == self.door.name)
    }

    fn sse(&self) -> bool {
        self.door.name != "bedrock"
    }

    /// The event after which all of the text is told, and nothing of the call.
    fn after_text(&self, transcript: &Transcript) -> usize {
        transcript.events.iter().position(|event| event.data.contains("ding.")).unwrap() + 1
    }

    /// The event that brings the first arguments.
    fn in_call(&self, transcript: &Transcript) -> usize {
        let first = transcript.events.iter().position(|event| event.data.contains("toolu_1")).unwrap();
        (first + 1).min(transcript.terminal)
    }

    /// An event with JSON that is none.
    fn garbage(&self, transcript: &Transcript) -> Event {
        Event { data: "{\"oops\": ".to_owned(), ..transcript.events[1].clone() }
    }
}

/// What a person sees, in a line: how many requests were made, what was told of retries, and how it ended.
async fn outcome(door: &'static Door, case: &Case, replies: Vec<Reply>) -> String {
    let say = Say { door, dialect: door.dialect() };
    let reasoned = Answer::of(vec![Part::reasoning("Hm."), Part::text("Yes."), Part::call("toolu_0", "read", "{}")]);
    let first = case.after.then(|| Reply::answer(say.dialect.shape(reasoned)));
    let double = Double::start(first.clone().into_iter().chain(replies)).await;
    let provider = door.provider(&double.base);
    let (mut items, mut seen) = (vec![user("Hi.")], String::new());
    if first.is_some() {
        let (assembler, end) = run(&*provider, &items, &mut Vec::new(), &mut seen).await;
        end.unwrap_or_else(|error| panic!("{error}"));
        let turn = assembler.finish().unwrap();
        items.push(Item::Assistant { model: String::new(), origin: turn.origin, blocks: turn.blocks, partial: false });
        items.push(crate::model::wire::testing::results(&[("toolu_0", true, "x")]));
    }
    let mut told = Vec::new();
    let (assembler, end) = run(&*provider, &items, &mut told, &mut seen).await;
    let mut line = format!("{}x ", double.bodies().len() - usize::from(first.is_some()));
    for retry in told {
        write!(line, "[{retry}] ").unwrap();
    }
    line += &match end {
        Err(error) => {
            let kept: Vec<String> = assembler
                .partial()
                .iter()
                .map(|block| match block {
                    Block::Text { text, .. } => text.clone(),
                    Block::Reasoning { text, .. } => format!("({text})"),
                    Block::Call { name, .. } => panic!("the call of {name} is kept of an answer that broke off"),
                })
                .collect();
            format!("{}, kept {:?}", named(&error), kept.concat())
        }
        Ok(()) => match assembler.finish() {
            Err(error) => format!("no turn: {error}"),
            Ok(turn) => {
                let cut = turn.cut_calls.iter().map(|name| format!(", {name} cut off")).collect::<String>();
                let whole = said(&turn) == expected(&say.answer(), Style::default());
                let lines = if whole { "all".to_owned() } else { said(&turn).join(" + ") };
                format!("turn: {lines} ({:?}{cut})", turn.stop)
            }
        },
    };
    for refusal in double.refusals() {
        write!(line, " REFUSED {refusal}").unwrap();
    }
    write!(seen, "{line} {}", provider.name()).unwrap();
    for secret in [CANARY, AWS_SECRET] {
        assert!(!seen.contains(secret), "{} shows the key: {seen}", case.name);
    }
    line
}

/// The events of one request, everything that can be printed of them, and the retries apart.
async fn run(
    provider: &dyn Provider,
    items: &[Item],
    retries: &mut Vec<String>,
    seen: &mut String,
) -> (Assembler, Result<(), ModelError>) {
    let mut assembler = Assembler::default();
    let mut stream = match provider.stream(request(items.to_vec())).await {
        Ok(stream) => stream,
        Err(error) => return (assembler, Err(error)),
    };
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                writeln!(seen, "{event:?}").unwrap();
                if let StreamEvent::Retrying { reason, discarded, .. } = &event {
                    retries.push(format!("{}{reason}", if *discarded { "discarded: " } else { "" }));
                }
                assembler.push(&event);
            }
            Err(error) => {
                writeln!(seen, "{error} {error:?} {assembler:?}").unwrap();
                return (assembler, Err(error));
            }
        }
    }
    (assembler, Ok(()))
}

/// The kind of an error, and what it says.
fn named(error: &ModelError) -> String {
    let kind = match error {
        ModelError::NotConfigured(_) => "not configured".to_owned(),
        ModelError::Authentication { .. } => "authentication".to_owned(),
        ModelError::Quota { .. } => "quota".to_owned(),
        ModelError::RateLimited { retry_after, .. } => format!("rate limited ({retry_after:?})"),
        ModelError::Overflow { limit, .. } => format!("overflow ({limit:?})"),
        ModelError::Rejected { status, .. } => format!("rejected ({status})"),
        ModelError::Unavailable { .. } => "unavailable".to_owned(),
        ModelError::Connection { .. } => "connection".to_owned(),
        ModelError::Idle { .. } => "idle".to_owned(),
        ModelError::Broken { .. } => "broken".to_owned(),
        ModelError::Refused { .. } => "refused".to_owned(),
        other => format!("{other:?}"),
    };
    format!("{kind}: {error}")
}

/// Whether a line is what a pattern says.
fn fits(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        (rest, last) = (&rest[at + piece.len()..], Some(piece));
    }
    rest.is_empty() || last == Some("") || last.is_some_and(|piece| line.ends_with(piece))
}

#[test]
fn every_case_on_every_wire() {
    log::listen();
    every(|door| {
        let door = WIRES.iter().find(|other| other.name == door.name).unwrap();
        let lines = log::Lines::default();
        let wrong: Vec<String> = tracing::subscriber::with_default(lines.subscriber(), || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // What takes long to read would keep the others waiting: silence is measured by the clock.
            let (heavy, light): (Vec<_>, Vec<_>) =
                cases::CASES.iter().partition(|case| case.name.contains("over the limit"));
            runtime.block_on(async {
                let run = |cases: Vec<&'static Case>, at_once| {
                    let ran = futures::stream::iter(cases).map(|case| one(door, case)).buffer_unordered(at_once);
                    ran.filter_map(std::future::ready).collect::<Vec<_>>()
                };
                [run(light, 16).await, run(heavy, 1).await].concat()
            })
        });
        let lines = lines.all();
        assert!(lines.contains("hyper"), "the client's own log is not seen");
        for secret in [CANARY, AWS_SECRET] {
            let line = lines.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "the log shows the key: {line:?}");
        }
        assert!(wrong.is_empty(), "{} cases\n{}", wrong.len(), wrong.join("\n"));
    });
    assert_eq!(log::shown(), [""; 0], "the log of a library shows the key");
}

/// What is wrong with a case on a wire.
async fn one(door: &'static Door, case: &'static Case) -> Option<String> {
    let say = Say { door, dialect: door.dialect() };
    let replies = (case.replies)(&say)?;
    let (_, pattern) = case.expected.iter().find(|(wires, _)| *wires == "*" || say.is(wires)).unwrap();
    let pattern = pattern.replace("{limit}", &format!("{:?}", say.dialect.limit()));
    let began = Instant::now();
    let line = outcome(door, case, replies).await;
    let seconds = began.elapsed().as_secs_f32();
    (!fits(&pattern, &line) || seconds > 30.0)
        .then(|| format!("  {} ({seconds:.1} s)\n    is     {line}\n    wanted {pattern}", case.name))
}

#[test]
fn there_are_forty_cases_a_wire() {
    for door in WIRES {
        let say = Say { door, dialect: door.dialect() };
        let names: Vec<&str> =
            cases::CASES.iter().filter(|case| (case.replies)(&say).is_some()).map(|case| case.name).collect();
        assert!(names.len() >= 40, "{}: {} {names:?}", door.name, names.len());
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), names.len(), "a name is there twice");
    }
}

#[test]
fn a_redirect_carries_the_key_nowhere() {
    every_async(async |door| {
        let say = Say { door, dialect: door.dialect() };
        let other = Double::start([say.good()]).await;
        for status in [301, 302, 307, 308] {
            let moved = Reply::of(status, "text/plain", "").header("location", &format!("{}/v1/messages", other.base));
            let double = Double::start([moved]).await;
            let (_, end) =
                run(&*door.provider(&double.base), &[user("Hi.")], &mut Vec::new(), &mut String::new()).await;
            let error = end.unwrap_err().to_string();
            assert!(error.contains("redirects are not followed"), "{error}");
        }
        assert!(other.bodies().is_empty() && other.refusals().is_empty());
    });
}

#[test]
fn a_cancel_ends_the_request() {
    every_async(async |door| {
        let say = Say { door, dialect: door.dialect() };
        let transcript = say.stream();
        let start = transcript.first(say.after_text(&transcript));
        let double = Double::start([say.pieces(vec![Piece::Bytes(start), Piece::Hang])]).await;
        let mut stream = door.provider(&double.base).stream(request(vec![user("Hi.")])).await.unwrap();
        let mut text = String::new();
        while text != "Reading." {
            match stream.next().await.unwrap().unwrap() {
                StreamEvent::Text { text: more, .. } => text += &more,
                StreamEvent::Answering { .. } | StreamEvent::Usage(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(double.sending(), "the text is told while the rest is still to come");
        // A cancel is nothing but this.
        drop(stream);
        let start = Instant::now();
        while double.sending() {
            assert!(start.elapsed() < Duration::from_millis(200), "the request goes on after it was dropped");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

#[test]
fn patterns_fit() {
    assert!(fits("1x a", "1x a") && fits("1x*b", "1x a b") && fits("*", "x") && fits("a*", "ab") && fits("*b*", "abc"));
    assert!(!fits("1x a", "1x ab") && !fits("1x*b", "1x a bc") && !fits("a*c", "b c"));
}
