use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;
use crate::protocol::RunId;

/// The records of a run that turned each text into the next but one: the texts before and after its edits, in turn.
fn records(texts: &[&str], created: bool) -> (Vec<Changed>, Vec<u8>) {
    let mut left: Option<Rope> = None;
    let mut records = Vec::new();
    for pair in texts.chunks_exact(2) {
        let (before, after) = (Rope::from_str(pair[0]), Rope::from_str(pair[1]));
        let pieces = |patch: Patch| -> Vec<Back> {
            let piece = |hunk: &Hunk| Back {
                hunk: String::new(),
                start: hunk.range.start,
                end: hunk.range.end,
                new: hunk.new.clone(),
            };
            patch.hunks().iter().map(piece).collect()
        };
        let base = match &left {
            None => Base::Whole(Hash::of(pair[0].as_bytes())),
            Some(left) => Base::Since(pieces(Patch::exact(left, &before))),
        };
        records.push(Changed {
            run: RunId::new(),
            uri: "file:///ws/a.rs".into(),
            path: Some("/ws/a.rs".into()),
            shown: "a.rs".into(),
            created: created && left.is_none(),
            gone: None,
            moved: None,
            base,
            change: pieces(Patch::exact(&before, &after)),
        });
        left = Some(after);
    }
    // As a store gives them back.
    let json = serde_json::to_string(&records).expect("records are JSON");
    (serde_json::from_str(&json).expect("and back"), texts[0].as_bytes().to_vec())
}

fn trail(records: &[Changed], first: &[u8]) -> Result<Trail, String> {
    let refs: Vec<&Changed> = records.iter().collect();
    Trail::replay(&refs, |hash| (hash == Hash::of(first)).then(|| first.to_vec()))
}

/// What undo makes of the text now, after a run whose edits led from text to text.
fn check(texts: &[&str], now: &str) -> String {
    told(texts, false, Some(now))
}

fn told(texts: &[&str], created: bool, now: Option<&str>) -> String {
    let (records, first) = records(texts, created);
    let trail = trail(&records, &first).expect("whole records");
    let now = now.map(Rope::from_str);
    let after = |patch: &Patch| patch.apply(now.as_ref().expect("a text")).to_string();
    match trail.plan(0, now.as_ref()) {
        Plan::Restored(patch) => format!("restored {:?}", after(&patch)),
        Plan::Merged(patch) => format!("merged {:?}", after(&patch)),
        Plan::Delete => "deleted".into(),
        Plan::Restore { text, merged } => format!("put back {:?}, merged: {merged}", text.to_string()),
        Plan::Nothing => "nothing".into(),
        Plan::Conflict { reason } => reason,
    }
}

#[test]
fn a_text_nobody_else_touched_is_what_it_was() {
    assert_eq!(check(&["a\r\nb\r\n", "a\r\nB\r\nC\r\n"], "a\r\nB\r\nC\r\n"), r#"restored "a\r\nb\r\n""#);
    // Several edits, one over the other.
    assert_eq!(check(&["a\nb\n", "a\nB\n", "a\nB\n", "A\nBB\n"], "A\nBB\n"), r#"restored "a\nb\n""#);
}

#[test]
fn what_was_typed_on_other_lines_stays() {
    assert_eq!(check(&["a\nb\nc\n", "a\nB\nc\n"], "0\na\nB\nc\nd\n"), r#"merged "0\na\nb\nc\nd\n""#);
    // Typed between two edits, and after both.
    assert_eq!(
        check(&["a\nb\nc\nd\n", "a\nB\nc\nd\n", "a\nB\nc\nd\ne\n", "a\nB\nc\nD\ne\n"], "a!\nB\nc\nD\ne\n"),
        r#"merged "a!\nb\nc\nd\ne\n""#
    );
}

#[test]
fn what_was_undone_by_hand_is_not_in_the_way() {
    assert_eq!(check(&["a\nb\n", "a\nB\n"], "a\nb\n"), "nothing");
    let texts = ["a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\n", "a\nB\nC\n"];
    assert_eq!(check(&texts, "a\nB\nc\n"), r#"restored "a\nb\nc\n""#);
    assert_eq!(check(&texts, "a\nb\nC\n"), r#"restored "a\nb\nc\n""#);
    // All of it, and then something was typed.
    assert_eq!(check(&texts, "0\na\nb\nc\n"), r#"merged "0\na\nb\nc\n""#);
}

#[test]
fn typing_on_the_same_line_is_a_conflict_that_names_it() {
    let conflict = "line 3 was changed after the run had changed something there, so nothing in a.rs was undone";
    assert_eq!(check(&["a\nb\nc\n", "a\nB\nc\n"], "0\na\nB!\nc\n"), conflict);
    // Typed between two edits, on lines that the second one moved down: named as they stand now.
    assert_eq!(check(&["a\nb\nc\n", "a\nB\nc\n", "a\nB!\nc\n", "new\na\nB!\nc\n"], "new\na\nB!\nc\n"), conflict);
    assert_eq!(check(&["a\nb\n", "a\nB\n", "a\nB!\n", "a\nXY\n"], "a\nXY\n"), conflict.replace('3', "2"));
}

#[test]
fn what_the_run_took_away_of_the_persons_comes_back() {
    assert_eq!(check(&["a\n", "a\n", "a\nmine\n", "a\n"], "a\n"), r#"merged "a\nmine\n""#);
}

#[test]
fn what_was_typed_and_taken_away_again_is_no_conflict() {
    assert_eq!(check(&["a\nb\nc\n", "a\nB\nc\n", "a\nB!\nc\n", "a\nB!\nC\n"], "a\nB\nC\n"), r#"restored "a\nb\nc\n""#);
}

#[test]
fn a_file_that_the_run_made_goes_only_when_it_holds_nothing_else() {
    let made = ["", "a\nb\n", "a\nb\n", "a\nB\n"];
    assert_eq!(told(&made, true, Some("a\nB\n")), "deleted");
    assert_eq!(told(&made, true, None), "nothing");
    let conflict = |lines| format!("{lines} changed since the run had made a.rs, so it was not deleted");
    assert_eq!(told(&made, true, Some("a\nB\nmine\nmine\n")), conflict("lines 3 to 4 were"));
    assert_eq!(told(&made, true, Some("a!\nB\n")), conflict("line 1 was"));
    assert_eq!(told(&made, true, Some("")), conflict("line 1 was"));
    assert_eq!(told(&["", "a\n", "a\nmine\n", ""], true, Some("")), conflict("line 1 was"));
    // Typed between two edits of the run.
    assert_eq!(
        told(&["", "a\nb\n", "a\nb\nmine\n", "A\nb\nmine\n"], true, Some("A\nb\nmine\n")),
        conflict("line 3 was")
    );
    assert_eq!(
        told(&["", "a\nb\n", "a\nmine b\n", "A\nmine b\n"], true, Some("A\nmine b\n")),
        conflict("lines 1 to 2 were")
    );
}

#[test]
fn a_file_that_is_gone_is_a_conflict_unless_the_run_made_it() {
    assert_eq!(
        told(&["a\n", "b\n"], false, None),
        "a.rs is not there any more, so there is nothing to take the changes out of"
    );
}

#[test]
fn only_what_was_not_undone_yet_is_taken_back() {
    let (records, first) = records(&["a\nb\n", "A\nb\n", "a\nb\n", "a\nB\n"], false);
    let trail = trail(&records, &first).expect("whole records");
    let now = Rope::from_str("a\nB\n");
    let Plan::Restored(patch) = trail.plan(1, Some(&now)) else { panic!("restored") };
    assert_eq!(patch.apply(&now).to_string(), "a\nb\n");
    assert_eq!(trail.plan(2, Some(&now)), Plan::Nothing);
}

#[test]
fn records_that_do_not_fit_are_told_and_nothing_is_done() {
    let (mut records, first) = records(&["aä\n", "b\n"], false);
    assert_eq!(
        trail(&records, b"other").expect_err("no text"),
        "the text of a.rs before the change is not kept any more"
    );
    let piece = |start, end| Back { hunk: String::new(), start, end, new: String::new() };
    for wrong in [vec![piece(0, 9)], vec![piece(2, 3)], vec![piece(3, 1)], vec![piece(0, 1), piece(0, 1)]] {
        records[0].change = wrong;
        let told = trail(&records, &first).expect_err("pieces that do not fit");
        assert_eq!(told, "what was recorded of the changes of a.rs does not fit together");
    }
    records[0].base = Base::Since(Vec::new());
    assert!(trail(&records, &first).is_err());
}

#[test]
fn lines_are_told_in_words() {
    let text = Rope::from_str("1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    let said = |parts: &[(usize, usize)]| Lines::of(&text, parts.iter().map(|(start, end)| *start..*end)).to_string();
    assert_eq!(said(&[(4, 6)]), "line 3 was");
    assert_eq!(said(&[(4, 6), (6, 7)]), "lines 3 to 4 were");
    assert_eq!(said(&[(0, 1), (4, 7), (12, 12)]), "lines 1, 3 to 4 and 7 were");
    let text = Rope::from_str(&"x\n".repeat(40));
    let many = (0..8).map(|at| at * 8..at * 8 + 1);
    assert_eq!(Lines::of(&text, many).to_string(), "lines 1, 5, 9, 13, 17 and 3 more places were");
}

/// A line as it is, and as it would be had the run done nothing.
#[derive(Clone, Debug)]
struct Line {
    real: Option<String>,
    alone: Option<String>,
    /// Whether the run ever touched it.
    touched: bool,
}

/// A document under a run and a person.
#[derive(Clone, Debug)]
struct World {
    lines: Vec<Line>,
    ending: &'static str,
    closed: bool,
    /// Names are used once, so that what is whose can be told afterwards.
    names: usize,
    /// Whether the person was at a line of the run's, so that nobody can say what should come out.
    met: bool,
    /// Whether they came close to one, so that a conflict is no surprise.
    near: bool,
}

const ALPHABET: [&str; 6] = ["word", "Straße", "日本", "😀", "e\u{301}", "👩\u{200d}🔬"];

impl World {
    fn new(lines: usize, ending: &'static str, closed: bool) -> Self {
        let mut world = Self { lines: Vec::new(), ending, closed, names: 0, met: false, near: false };
        for _ in 0..lines {
            let text = world.name("o");
            world.lines.push(Line { real: Some(text.clone()), alone: Some(text), touched: false });
        }
        world
    }

    fn name(&mut self, of: &str) -> String {
        self.names += 1;
        let n = self.names;
        format!("{of}{n};{}", ALPHABET[n % ALPHABET.len()])
    }

    fn text(&self, of: impl Fn(&Line) -> Option<&String>) -> String {
        let lines: Vec<&str> = self.lines.iter().filter_map(|line| of(line).map(String::as_str)).collect();
        let end = if self.closed && !lines.is_empty() { self.ending } else { "" };
        lines.join(self.ending) + end
    }

    fn real(&self) -> String {
        self.text(|line| line.real.as_ref())
    }

    fn alone(&self) -> String {
        self.text(|line| line.alone.as_ref())
    }

    /// The lines that are there, by their numbers among all.
    fn there(&self) -> Vec<usize> {
        (0..self.lines.len()).filter(|&at| self.lines[at].real.is_some()).collect()
    }

    fn run(&mut self, (kind, at): Deed) {
        let new = self.name("R");
        let there = self.there();
        if kind.is_multiple_of(3) || there.is_empty() {
            let at = at % (self.lines.len() + 1);
            self.lines.insert(at, Line { real: Some(new), alone: None, touched: true });
            return;
        }
        let line = &mut self.lines[there[at % there.len()]];
        line.touched = true;
        line.real = match (kind % 3, &line.real) {
            (1, _) => None,
            // A word in the line, or all of it.
            (_, Some(old)) if kind % 2 == 0 => Some(format!("{new} {old}")),
            _ => Some(new),
        };
    }

    fn person(&mut self, (kind, at): Deed) {
        let new = self.name("P");
        let there = self.there();
        if kind.is_multiple_of(3) || there.is_empty() {
            let at = at % (self.lines.len() + 1);
            self.look_around(at, at);
            self.lines.insert(at, Line { real: Some(new.clone()), alone: Some(new), touched: false });
            return;
        }
        let at = there[at % there.len()];
        self.look_around(at, at + 1);
        let line = &mut self.lines[at];
        if kind % 7 == 1 && line.touched {
            // Takes the run's change of this line back by hand.
            line.real.clone_from(&line.alone);
            return;
        }
        self.met |= line.real != line.alone;
        let type_in = |text: &String| match kind % 3 {
            1 => None,
            _ => {
                let middle = text.char_indices().nth(usize::from(kind) % 4).map_or(text.len(), |(at, _)| at);
                Some(format!("{}{new}{}", &text[..middle], &text[middle..]))
            }
        };
        let same = line.real == line.alone;
        line.real = line.real.as_ref().and_then(type_in);
        if same {
            line.alone.clone_from(&line.real);
        }
    }

    /// Whether the run was at one of these lines or beside them.
    fn look_around(&mut self, start: usize, end: usize) {
        let before = self.lines[..start].iter().rposition(|line| line.real.is_some()).unwrap_or(0);
        let behind = self.lines[end..].iter().position(|line| line.real.is_some());
        let behind = behind.map_or(self.lines.len(), |behind| end + behind + 1);
        self.near |= self.lines[before..behind].iter().any(|line| line.touched);
        // Where the last line has no break, one that comes after it gives it one.
        self.near |= !self.closed && behind == self.lines.len() && self.lines.iter().any(|line| line.touched);
    }
}

/// The names of one hand's words in a text.
fn names(text: &str, of: char) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (at, _) in text.match_indices(of) {
        let digits: String = text[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        if !digits.is_empty() && text[at + 1 + digits.len()..].starts_with(';') {
            names.push(digits);
        }
    }
    names
}

/// What is done, and at which line.
type Deed = (u8, usize);

#[derive(Clone, Debug)]
struct Mix {
    lines: usize,
    ending: &'static str,
    closed: bool,
    created: bool,
    /// Each edit of the run with what the person does after it.
    turns: Vec<(Vec<Deed>, Vec<Deed>)>,
}

fn mix() -> impl Strategy<Value = Mix> {
    let deed = || (any::<u8>(), 0..60_usize);
    let turn = (prop::collection::vec(deed(), 1..4), prop::collection::vec(deed(), 0..3));
    let ending = prop::sample::select(vec!["\n", "\r\n"]);
    let created = prop::bool::weighted(0.15);
    (0..40_usize, ending, prop::bool::weighted(0.8), created, prop::collection::vec(turn, 1..6)).prop_map(
        |(lines, ending, closed, created, turns)| Mix {
            lines: if created { 0 } else { lines },
            ending,
            closed,
            created,
            turns,
        },
    )
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn campaign_undo_after_typing(mix in mix()) {
        let mut world = World::new(mix.lines, mix.ending, mix.closed);
        let mut texts = Vec::new();
        let mut typed = false;
        for (run, person) in &mix.turns {
            texts.push(world.real());
            run.iter().for_each(|deed| world.run(*deed));
            texts.push(world.real());
            person.iter().for_each(|deed| world.person(*deed));
            typed |= !person.is_empty();
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (records, first) = records(&texts, mix.created);
        let trail = trail(&records, &first).map_err(TestCaseError::fail)?;
        let told: Vec<String> = trail.texts().flat_map(|(before, after)| [before.to_string(), after.to_string()]).collect();
        prop_assert_eq!(&told, &texts, "the records lead to every text again");

        let now = world.real();
        let rope = Rope::from_str(&now);
        let after = match trail.plan(0, Some(&rope)) {
            Plan::Conflict { reason } => {
                prop_assert!(world.near || mix.created && typed, "typed far from the run's lines: {reason}");
                let numbers: Vec<usize> = reason.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
                prop_assert!(reason.starts_with("line") && !numbers.is_empty(), "names lines: {reason}");
                prop_assert!(numbers.iter().all(|n| (1..=rope.len_lines()).contains(n)), "lines of the text now: {reason}");
                return Ok(());
            }
            Plan::Delete => {
                prop_assert!(mix.created && names(&now, 'P').is_empty());
                return Ok(());
            }
            Plan::Restore { .. } => return Err(TestCaseError::fail("nothing was taken away")),
            Plan::Nothing => {
                prop_assert_eq!(now.as_str(), texts[0]);
                if world.near {
                    // Taken back by hand, perhaps with what the run had taken of theirs.
                    return Ok(());
                }
                now.clone()
            }
            Plan::Restored(patch) => {
                let after = patch.apply(&rope).to_string();
                prop_assert_eq!(after.as_str(), texts[0]);
                after
            }
            Plan::Merged(patch) => patch.apply(&rope).to_string(),
        };
        prop_assert!(!mix.created || typed, "a file that the run made is never emptied");
        let left = names(&after, 'P');
        prop_assert!(names(&now, 'P').iter().all(|name| left.contains(name)), "typed and lost: {now:?} became {after:?}");
        prop_assert_eq!(names(&after, 'R'), Vec::<String>::new(), "the run's text is gone");
        if !world.met && !world.near {
            prop_assert_eq!(after, world.alone());
        } else if !world.met {
            // What was typed where the run had taken lines out comes before or behind them, and a last line without a break
            // may have got one.
            let lines = |text: &str| {
                let mut lines: Vec<String> =
                    text.split(mix.ending).filter(|line| !line.is_empty()).map(str::to_owned).collect();
                lines.sort();
                lines
            };
            prop_assert_eq!(lines(&after), lines(&world.alone()));
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    /// Places are taken back one by one in any order while the person types lines of theirs, and the rest by undo.
    #[test]
    fn campaign_place_by_place(
        changed in prop::collection::vec(any::<bool>(), 1..12),
        deeds in prop::collection::vec((any::<bool>(), 0..24_usize), 0..20),
    ) {
        let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let before: Vec<String> = (0..changed.len()).map(|n| format!("l{n}")).collect();
        let after: Vec<String> =
            changed.iter().enumerate().map(|(n, changed)| format!("{}{n}", if *changed { 'R' } else { 'l' })).collect();
        let (mut records, first) = records(&[&text(&before), &text(&after)], false);
        for (piece, n) in records[0].change.iter_mut().zip((0..changed.len()).filter(|n| changed[*n])) {
            piece.hunk = format!("h{n}");
        }
        let trail = trail(&records, &first).map_err(TestCaseError::fail)?;
        let mut now = after;
        let mut taken: Vec<String> = Vec::new();
        for (takes, at) in deeds {
            if !takes {
                now.insert(at % (now.len() + 1), format!("P{at}"));
                continue;
            }
            let id = format!("h{}", at % changed.len());
            if !changed[at % changed.len()] || taken.contains(&id) {
                continue;
            }
            let rope = Rope::from_str(&text(&now));
            let Plan::Merged(patch) = trail.clone().only(|other| other == id).plan_places(Some(&rope)) else {
                return Err(TestCaseError::fail(format!("{id} is not taken back in {now:?}")));
            };
            let run_line = format!("R{}", &id[1..]);
            now.iter_mut().filter(|line| **line == run_line).for_each(|line| *line = format!("l{}", &id[1..]));
            prop_assert_eq!(patch.apply(&rope).to_string(), text(&now));
            taken.push(id);
        }
        let rope = Rope::from_str(&text(&now));
        let undone = match trail.only(|id| !taken.contains(&id.to_owned())).plan(0, Some(&rope)) {
            Plan::Restored(patch) | Plan::Merged(patch) => patch.apply(&rope).to_string(),
            Plan::Nothing => text(&now),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        for line in now.iter_mut().filter(|line| line.starts_with('R')) {
            *line = line.replace('R', "l");
        }
        prop_assert_eq!(undone, text(&now));
    }
}

#[test]
fn a_place_that_a_later_edit_or_the_person_built_on_stays() {
    let (mut records, first) = records(&["a\nb\nc\n", "a\nB\nC\n", "a\nB\nC\n", "a\nBB\nC\n"], false);
    for (record, names) in records.iter_mut().zip([["h1", "h2"], ["h3", ""]]) {
        for (piece, name) in record.change.iter_mut().zip(names) {
            piece.hunk = name.into();
        }
    }
    let trail = trail(&records, &first).expect("whole records");
    let told = |id: &str, now: &str| {
        let now = Rope::from_str(now);
        match trail.clone().only(|other| other == id).plan_places(Some(&now)) {
            Plan::Merged(patch) => patch.apply(&now).to_string(),
            Plan::Conflict { reason } => reason,
            other => format!("{other:?}"),
        }
    };
    let said = "line 2 was changed after the run had changed something there, so that stays in a.rs as it is";
    assert_eq!(told("h1", "a\nBB\nC\n"), said);
    assert_eq!(told("h2", "a\nBB\nC\n"), "a\nBB\nc\n");
    assert_eq!(told("h3", "a\nBB\nC\n"), "a\nB\nC\n");
    assert_eq!(told("h3", "a\nBB typed\nC\n"), said);
    assert_eq!(told("h2", "a\nBB\nc\n"), "Nothing", "the person was faster");
}
