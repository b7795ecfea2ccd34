use insta::assert_snapshot;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::tool::Failure;
use crate::tool::testing::World;

#[test]
fn schemas_are_plain_and_fixed() {
    let specs = Registry::all().specs();
    let shown: Vec<String> = specs
        .iter()
        .map(|spec| {
            let mut schema = spec.schema.as_ref().clone();
            strip(&mut schema);
            format!("{} {schema}", spec.name)
        })
        .collect();
    assert_snapshot!(shown.join("\n"), @r##"
    ask {"additionalProperties":false,"properties":{"options":{"default":[],"items":{"type":"string"},"maxItems":6,"type":"array"},"question":{"type":"string"}},"required":["question"],"type":"object"}
    delete {"additionalProperties":false,"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}
    diagnostics {"additionalProperties":false,"properties":{"path":{"type":"string"}},"type":"object"}
    edit {"additionalProperties":false,"properties":{"edits":{"items":{"additionalProperties":false,"properties":{"all":{"type":"boolean"},"line":{"minimum":0,"type":"integer"},"new":{"type":"string"},"old":{"type":"string"}},"required":["old","new"],"type":"object"},"minItems":1,"type":"array"},"path":{"type":"string"}},"required":["path","edits"],"type":"object"}
    fetch {"additionalProperties":false,"properties":{"url":{"type":"string"}},"required":["url"],"type":"object"}
    find {"additionalProperties":false,"properties":{"pattern":{"type":"string"}},"required":["pattern"],"type":"object"}
    list {"additionalProperties":false,"properties":{"path":{"type":"string"}},"type":"object"}
    move {"additionalProperties":false,"properties":{"from":{"type":"string"},"to":{"type":"string"}},"required":["from","to"],"type":"object"}
    patch {"additionalProperties":false,"properties":{"patch":{"type":"string"}},"required":["patch"],"type":"object"}
    plan {"additionalProperties":false,"properties":{"steps":{"items":{"additionalProperties":false,"properties":{"done":{"default":false,"type":"boolean"},"title":{"type":"string"}},"required":["title"],"type":"object"},"maxItems":50,"minItems":1,"type":"array"}},"required":["steps"],"type":"object"}
    read {"additionalProperties":false,"properties":{"end_line":{"minimum":1,"type":"integer"},"path":{"type":"string"},"start_line":{"minimum":1,"type":"integer"}},"required":["path"],"type":"object"}
    recall {"additionalProperties":false,"properties":{"query":{"type":"string"}},"required":["query"],"type":"object"}
    run {"additionalProperties":false,"properties":{"command":{"type":"string"},"cwd":{"type":"string"},"timeout_seconds":{"minimum":0,"type":"integer"}},"required":["command"],"type":"object"}
    search {"additionalProperties":false,"properties":{"glob":{"type":"string"},"path":{"type":"string"},"pattern":{"type":"string"}},"required":["pattern"],"type":"object"}
    write {"additionalProperties":false,"properties":{"content":{"type":"string"},"path":{"type":"string"}},"required":["path","content"],"type":"object"}
    "##);
    let all = serde_json::to_string(&specs.iter().map(|spec| spec.schema.clone()).collect::<Vec<_>>()).expect("JSON");
    for noise in ["$ref", "$schema", "$defs", "\"title\":\"", "null", "\"format\""] {
        assert!(!all.contains(noise), "{noise} in {all}");
    }
}

/// Descriptions are words, not a contract.
fn strip(schema: &mut Value) {
    if let Value::Object(object) = schema {
        object.remove("description");
        object.values_mut().for_each(strip);
    }
}

#[test]
fn tools_are_chosen_by_name_and_by_access() {
    let names = |registry: &Registry| registry.names();
    let all = Registry::all();
    assert_eq!(
        names(&all),
        "ask, delete, diagnostics, edit, fetch, find, list, move, patch, plan, read, recall, run, search, write"
    );
    assert_eq!(names(&all.reading()), "ask, diagnostics, fetch, find, list, plan, read, recall, search");
    assert_eq!(names(&all.only(&["write".into(), "read".into(), "shell".into()])), "read, write");
    let (old_and_new, patch) = (all.in_form(EditFormat::StrReplace), all.in_form(EditFormat::Patch));
    assert_eq!(
        names(&old_and_new),
        "ask, delete, diagnostics, edit, fetch, find, list, move, plan, read, recall, run, search, write"
    );
    assert_eq!(
        names(&patch),
        "ask, delete, diagnostics, fetch, find, list, move, patch, plan, read, recall, run, search, write"
    );
    for named in ["edit", "patch"] {
        let only = |form| names(&all.only(&["read".into(), named.into()]).in_form(form));
        assert_eq!(only(EditFormat::StrReplace), "edit, read");
        assert_eq!(only(EditFormat::Patch), "patch, read");
    }
    assert_eq!(all.access("edit"), Access::Write);
    assert_eq!(all.access("search"), Access::Read);
    assert_eq!(all.access("nothing of ours"), Access::Read);
}

#[test]
fn titles_say_what_a_call_does_and_cannot_act_on_a_terminal() {
    let title = |name: &str, arguments: Value| Registry::all().title(name, &arguments.to_string());
    let titles = [
        title("read", json!({"path": "src/lib.rs"})),
        title("read", json!({"path": "src/lib.rs", "start_line": 3, "end_line": 9})),
        title("list", json!({})),
        title("find", json!({"pattern": "*.rs"})),
        title("recall", json!({"query": "foo"})),
        title("search", json!({"pattern": "foo", "path": "src"})),
        title("search", json!({"pattern": "foo"})),
        title("edit", json!({"path": "src/lib.rs", "edits": []})),
        title("delete", json!({"path": "a.rs"})),
        title("move", json!({"from": "a.rs", "to": "b.rs"})),
        title("patch", json!({"patch": "*** Begin Patch\n*** Delete File: a\n*** Delete File: b\n*** End Patch"})),
        title(
            "patch",
            json!({"patch": format!("*** Begin Patch\n{}*** End Patch", ["0", "1", "2", "3", "4"].map(|n| format!("*** Delete File: {n}\n")).concat())}),
        ),
        title("patch", json!({"patch": "nothing of the form"})),
        title("write", json!({"path": "a\u{1b}[2J\u{202e}b\nc", "content": ""})),
        title("edit", json!({"path": 1})),
        title("other\u{7}", json!({})),
    ];
    assert_snapshot!(titles.join("\n"), @r##"
    Read src/lib.rs
    Read src/lib.rs lines 3-9
    List the workspace
    Find *.rs
    Look back for foo
    Search for foo in src
    Search for foo
    Edit src/lib.rs
    Delete a.rs
    Move a.rs to b.rs
    Patch a, b
    Patch 0, 1, 2 and 2 more
    Patch
    Write a[2Jb c
    edit
    other
    "##);
}

#[tokio::test]
async fn t2_arguments_that_do_not_fit_are_never_run() {
    let world = World::new(&[("a.txt", "one\n")]);
    let mut said = Vec::new();
    for (tool, arguments) in [
        ("read", "{\"path\": \"a.txt\""),
        ("read", "{}"),
        ("read", ""),
        ("read", "[\"a.txt\", 1, 2]"),
        ("read", "{\"path\": \"a.txt\", \"start_line\": \"x\"}"),
        ("read", "{\"path\": \"a.txt\", \"offset\": 1}"),
        ("write", "{\"path\": \"b.txt\"}"),
        ("write", "{\"path\": \"b.txt\", \"content\": 1}"),
        ("edit", "{\"path\": \"a.txt\", \"edits\": [[\"one\", \"1\"]]}"),
        ("edit", "{\"path\": \"a.txt\", \"edits\": [{\"old\": \"one\"}]}"),
        ("edit", "{\"path\": \"a.txt\", \"edits\": {\"old\": \"one\", \"new\": \"1\"}}"),
    ] {
        let answer = Registry::all().call(tool, arguments, &world.context).await;
        assert!(!answer.ok, "{tool} {arguments}");
        assert!(answer.content.contains("so nothing was done"), "{}", answer.content);
        said.push(answer.content.split(". Expected here").next().unwrap_or_default().to_owned());
    }
    assert_snapshot!(said.join("\n"), @r##"
    The arguments of read cannot be used, so nothing was done: they are not JSON (EOF while parsing an object at line 1 column 16)
    The arguments of read cannot be used, so nothing was done: missing field `path`
    The arguments of read cannot be used, so nothing was done: missing field `path`
    The arguments of read cannot be used, so nothing was done: they are not an object
    The arguments of read cannot be used, so nothing was done: start_line: invalid type: string "x", expected usize
    The arguments of read cannot be used, so nothing was done: offset: unknown field `offset`, expected one of `path`, `start_line`, `end_line`
    The arguments of write cannot be used, so nothing was done: missing field `content`
    The arguments of write cannot be used, so nothing was done: content: invalid type: integer `1`, expected a string
    The arguments of edit cannot be used, so nothing was done: edits[0] is not an object
    The arguments of edit cannot be used, so nothing was done: edits[0]: missing field `new`
    The arguments of edit cannot be used, so nothing was done: edits: invalid type: map, expected a sequence
    "##);
    assert!(!world.top.join("ws/b.txt").exists());
    assert_eq!(world.disk("a.txt"), "one\n");
    let part = world.fails("edit", json!({"path": "a.txt", "edits": [{"old": 1, "new": "1"}]})).await;
    assert_snapshot!(part, @r##"The arguments of edit cannot be used, so nothing was done: edits[0].old: invalid type: integer `1`, expected a string. Expected here: {"description":"The text to replace, exactly as in the file, without line numbers. It must be there once; add lines around it until it is.","type":"string"}"##);
}

#[tokio::test]
async fn an_unknown_tool_and_plan_mode_are_answers() {
    let mut world = World::new(&[("a.txt", "")]);
    assert_eq!(
        world.fails("shell", json!({})).await,
        "There is no tool shell. There are: ask, delete, diagnostics, edit, fetch, find, list, move, patch, plan, read, recall, run, search, write"
    );
    world.context.mode = Mode::Plan;
    let said = world.fails("write", json!({"path": "a.txt", "content": "x"})).await;
    assert_eq!(said, "write may change something, and in plan mode nothing is changed. Say what you would change.");
    assert_eq!(world.disk("a.txt"), "");
    world.ok("read", json!({"path": "a.txt"})).await;
}

struct Odd;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OddInput {
    bytes: usize,
}

#[async_trait]
impl Tool for Odd {
    type Input = OddInput;
    const NAME: &'static str = "odd";
    const DESCRIPTION: &'static str = "Gives as many bytes as asked for, and panics for none.";
    const ACCESS: Access = Access::Read;

    fn title(&self, _: &OddInput) -> String {
        "Odd".into()
    }

    fn wants(&self, _: &OddInput) -> Vec<Want> {
        Vec::new()
    }

    async fn call(&self, input: OddInput, _: &Context) -> Result<Answer, Failure> {
        assert!(input.bytes > 0, "nothing was asked for");
        if input.bytes == 1 {
            crate::tool::walk::blocking(|| -> Result<(), Failure> { panic!("on a thread") }).await?;
        }
        let content = "é\n".repeat(input.bytes / 3);
        Ok(Answer { undone: false, ok: true, summary: content.clone(), content })
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let world = World::new(&[]);
    let registry = Registry::of(vec![door(Odd)]);
    let answer = registry.call("odd", "{\"bytes\": 0}", &world.context).await;
    assert!(!answer.ok);
    assert_eq!(answer.content, "odd failed by a fault of its own. Try another way.");
    let answer = registry.call("odd", "{\"bytes\": 1}", &world.context).await;
    assert_eq!(answer.content, "odd failed by a fault of its own. Try another way.");
}

#[tokio::test]
async fn t1_every_result_is_capped() {
    let world = World::new(&[]);
    let answer = Registry::of(vec![door(Odd)]).call("odd", "{\"bytes\": 300000}", &world.context).await;
    assert!(answer.content.len() <= 65536 && answer.content.len() > 65000);
    assert!(answer.content.contains("line breaks left out ...]"));
    assert!(answer.summary.chars().count() <= 161 && !answer.summary.contains('\n'));
}
