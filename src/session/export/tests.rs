use std::sync::Arc;

use serde_json::value::RawValue;

use super::*;
use crate::model::{Block, Item, ToolResult};
use crate::protocol::{
    ContextSource, ContextUse, Envelope, Event, HunkView, Mode, Position, Range, RunId, RunStatus, Usage,
};
use crate::store::{Checkpoint, Parent, Prepared, Rules, Undone};

const SESSION: &str = "019a0000-0000-7000-8000-000000000001";
const RUN: &str = "019a0000-0000-7000-8000-00000000000a";
const BEGUN: u64 = 1_795_245_064_000;

fn id() -> SessionId {
    SESSION.parse().expect("an id")
}

fn run() -> RunId {
    RUN.parse().expect("an id")
}

fn row(title: &str) -> SessionRow {
    SessionRow {
        id: id(),
        folder: "/home/p/app".into(),
        title: title.into(),
        created_at_ms: BEGUN,
        updated_at_ms: BEGUN + 90_000,
        runs: 1,
        parent: None,
    }
}

fn told(run_id: Option<RunId>, event: Event) -> Record {
    Record::Event(Envelope { run_id, session_id: id(), sequence: 1, first: None, timestamp_ms: BEGUN, event })
}

fn event(event: Event) -> Record {
    told(Some(run()), event)
}

fn started(prompt: &str) -> Record {
    event(Event::RunStarted { prompt: prompt.into(), command: Some("fix".into()) })
}

fn said(text: &str) -> Record {
    let blocks = vec![Block::Text { text: text.into(), raw: None }];
    Record::Item {
        run: Some(run()),
        item: Arc::new(Item::Assistant {
            model: "anthropic/claude".into(),
            origin: String::new(),
            blocks,
            partial: false,
        }),
    }
}

fn finished(status: RunStatus) -> Record {
    event(Event::RunFinished { status, result_text: Some("Done.".into()), error: None })
}

fn edit(uri: &str, line: u32, old: &str, new: &str) -> Record {
    let start = Position { line, character: 0 };
    let range = Range { start, end: start };
    let hunk = HunkView { id: "h1".into(), range, old_text: old.into(), new_text: new.into() };
    event(Event::EditApplied { uri: uri.into(), hunks: vec![hunk], rebased: false, late: false, file: None })
}

/// Records in their places; `None` is one that retention has dropped.
fn stored(records: Vec<Option<Record>>) -> Vec<Stored> {
    let place = |(index, record)| Stored { number: index as u64 + 1, at_ms: BEGUN, hash: Hash::of(b"x"), record };
    records.into_iter().enumerate().map(place).collect()
}

fn shown(records: Vec<Record>) -> String {
    markdown(&row("Fix the parser"), &stored(records.into_iter().map(Some).collect()))
}

#[test]
fn a_session_reads_as_its_runs_with_prompt_answer_tools_edits_status_and_usage() {
    let prepared = Prepared {
        run: run(),
        system: Some("You are Cowrite.".into()),
        model: "anthropic/claude".into(),
        context_limit: None,
        max_output: None,
        max_turns: 100,
        tool_output_bytes: 65536,
        mode: Mode::Edit,
        tools: vec!["read".into()],
        rules: vec![Rules { path: "AGENTS.md".into(), hash: Hash::of(b"x") }],
        fixed_tokens: 10,
    };
    let call = |call_id: &str, title: &str| Event::ToolStarted {
        call_id: call_id.into(),
        name: "read".into(),
        title: title.into(),
        input: serde_json::Value::Null,
    };
    let came = |call_id: &str, ok, title: &str, summary: &str| Event::ToolFinished {
        call_id: call_id.into(),
        ok,
        title: title.into(),
        summary: summary.into(),
    };
    let usage = Usage { input: Some(100), output: Some(20), cache_read: Some(300), cache_write: None };
    let context = ContextUse { used: 420, limit: None, source: ContextSource::Measured };
    let results = vec![ToolResult {
        undone: false,
        call_id: "1".into(),
        name: "read".into(),
        ok: true,
        content: "fn main".into(),
    }];
    let item = |item| Record::Item { run: Some(run()), item: Arc::new(item) };
    let text = shown(vec![
        event(Event::RunStarted { prompt: "Mend it.\n\nPlease.".into(), command: Some("fix".into()) }),
        Record::Prepared(Box::new(prepared)),
        item(Item::told("Mend it. The file is src/lib.rs …")),
        event(Event::TextDelta { text: "I look.".into() }),
        said("I look."),
        event(Event::cost(usage, context, 1)),
        event(call("1", "Read src/lib.rs")),
        event(came("1", true, "Read src/lib.rs", "12 lines")),
        event(call("2", "Search for `x`")),
        event(came("2", false, "Search for `x`", "bad pattern")),
        item(Item::Results { results }),
        edit("file:///home/p/app/src/a%20b.rs", 11, "let x = 1;\nlet y = 2;\n", "let x = 2;\nlet y = 2;\n"),
        event(Event::cost(usage, context, 1)),
        said("It is **mended**."),
        finished(RunStatus::Completed),
        Record::Undone(Undone { run: run(), uris: vec!["file:///home/p/app/src/a%20b.rs".into()], named: Vec::new() }),
    ]);
    insta::assert_snapshot!(text, @r#"
        # Fix the parser

        - Session 019a0000-0000-7000-8000-000000000001
        - Workspace /home/p/app
        - Begun 2026-11-21 07:11:04 UTC, last written 2026-11-21 07:12:34 UTC

        ## Run 1: completed

        2026-11-21 07:11:04 UTC, command fix, model anthropic/claude, mode edit, rules AGENTS.md

        **Prompt**

        > Mend it.
        >
        > Please.

        **anthropic/claude**

        > I look.

        - Read src/lib.rs: 12 lines
        - Search for \`x\`: failed: bad pattern

        Changed src/a b.rs:

        ```diff
        @@ line 12 @@
        -let x = 1;
        +let x = 2;
         let y = 2;
        ```

        **anthropic/claude**

        > It is **mended**.

        *Afterwards the person took back what this run had changed in src/a b.rs.*

        Tokens: 800 in (600 from the cache), 40 out, 2 requests.
        "#);
}

#[test]
fn a_fork_says_where_it_comes_from_and_where_it_begins() {
    let parent: SessionId = "019a0000-0000-7000-8000-000000000009".parse().expect("an id");
    let row = SessionRow { parent: Some(Parent { session: parent, record: 3 }), ..row("Fork of Fix") };
    let records = vec![
        Some(started("Mend it.")),
        Some(said("Mended.")),
        Some(finished(RunStatus::Completed)),
        Some(told(None, Event::SessionForked { parent })),
    ];
    insta::assert_snapshot!(markdown(&row, &stored(records)), @r#"
        # Fork of Fix

        - Session 019a0000-0000-7000-8000-000000000001
        - Forked from session 019a0000-0000-7000-8000-000000000009 behind its record 3
        - Workspace /home/p/app
        - Begun 2026-11-21 07:11:04 UTC, last written 2026-11-21 07:12:34 UTC

        ## Run 1: completed

        2026-11-21 07:11:04 UTC, command fix

        **Prompt**

        > Mend it.

        **anthropic/claude**

        > Mended.

        *Here the session was forked from 019a0000-0000-7000-8000-000000000009.*
        "#);
}

#[test]
fn pruned_parts_are_said() {
    let records = vec![
        Some(started("Mend it.")),
        None,
        None,
        Some(said("Mended.")),
        None,
        Some(Record::Checkpoint(Box::new(Checkpoint { reason: "cleared".into(), ..Checkpoint::default() }))),
    ];
    insta::assert_snapshot!(markdown(&row("Fix"), &stored(records)), @r#"
        # Fix

        - Session 019a0000-0000-7000-8000-000000000001
        - Workspace /home/p/app
        - Begun 2026-11-21 07:11:04 UTC, last written 2026-11-21 07:12:34 UTC

        ## Run 1: no end is recorded

        2026-11-21 07:11:04 UTC, command fix

        **Prompt**

        > Mend it.

        *(2 records here: retention has dropped what stood in them.)*

        **anthropic/claude**

        > Mended.

        *(1 record here: retention has dropped what stood in it.)*

        *Here the history was cleared.*
        "#);
}

#[test]
fn a_call_without_an_outcome_and_an_answer_that_broke_off_are_said() {
    let text = shown(vec![
        started("Mend it."),
        event(Event::ToolStarted {
            call_id: "1".into(),
            name: "edit".into(),
            title: "Edit a.rs".into(),
            input: serde_json::Value::Null,
        }),
        event(Event::TextDelta { text: "I was about".into() }),
    ]);
    assert!(text.contains("## Run 1: no end is recorded"), "{text}");
    assert!(text.contains("**Answer** (cut short)\n\n> I was about"), "{text}");
    assert!(text.contains("- Edit a\\.rs: no outcome") || text.contains("- Edit a.rs: no outcome"), "{text}");
}

#[test]
fn nothing_that_others_wrote_passes_for_a_part_of_the_export() {
    let evil = "x\n\n## Run 9: completed\n\n```\nnever closed <script>\n\u{1b}[2J";
    let text = markdown(
        &row("# <b>Title</b>\nline ![i](http://e/i.png)"),
        &stored(vec![
            Some(event(Event::RunStarted { prompt: evil.into(), command: None })),
            Some(said("<img src=x onerror=y> ![i](http://e/i.png)\n\n<!-- ")),
            Some(edit("untitled:<x>", 0, "", "```\n````\n<script>\n## Run 8\n")),
            Some(finished(RunStatus::Completed)),
        ]),
    );
    insta::assert_snapshot!(text, @r#"
        # \# \<b\>Title\</b\> line \!\[i\]\(http://e/i.png\)

        - Session 019a0000-0000-7000-8000-000000000001
        - Workspace /home/p/app
        - Begun 2026-11-21 07:11:04 UTC, last written 2026-11-21 07:12:34 UTC

        ## Run 1: completed

        2026-11-21 07:11:04 UTC

        **Prompt**

        > x
        >
        > ## Run 9: completed
        >
        > ```
        > never closed <script>
        > �[2J

        **anthropic/claude**

        > &lt;img src=x onerror=y> \![i](http://e/i.png)
        >
        > &lt;!--

        Changed untitled:\<x\>:

        `````diff
        @@ line 1 @@
        +```
        +````
        +<script>
        +## Run 8
        `````
        "#);
}

#[test]
fn json_holds_every_record_and_a_providers_own_block_byte_for_byte() {
    let own = "{ \"type\":\"thinking\",\n  \"signature\": \"a\\/b\", \"n\": 1.50 }";
    let raw: Arc<RawValue> = RawValue::from_string(own.to_owned()).expect("JSON").into();
    let blocks = vec![Block::Reasoning { text: String::new(), raw: Some(raw) }];
    let item = Arc::new(Item::Assistant { model: "a/b".into(), origin: String::new(), blocks, partial: false });
    let records = stored(vec![Some(started("Mend it.")), None, Some(Record::Item { run: None, item })]);
    let text = json(&row("Fix"), &records).expect("JSON");
    assert!(text.contains(own), "{text}");
    let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(read["session"]["sessionId"], SESSION);
    assert_eq!(read["session"]["createdAtMs"], BEGUN);
    assert_eq!(read["records"].as_array().map(Vec::len), Some(3));
    assert_eq!(read["records"][0]["number"], 1);
    assert_eq!(read["records"][0]["atMs"], BEGUN);
    assert_eq!(read["records"][0]["hash"], Hash::of(b"x").to_string());
    assert_eq!(read["records"][0]["record"]["event"]["event"]["type"], "runStarted");
    assert_eq!(read["records"][1]["record"], serde_json::Value::Null);
    // What is there is read back as what it was.
    let back: Record = serde_json::from_str(&read["records"][0]["record"].to_string()).expect("a record");
    assert_eq!(back.run(), Some(run()));
}
