//! `read`: a document, or some lines of it.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::lines::{self, Numbered};
use super::{Answer, Context, Failure, Tool};
use crate::editor::ReadError;
use crate::permission::{Access, Want};

pub(super) struct Read;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The file, relative to the workspace.
    path: String,
    /// The first line to read, from 1. Default: 1.
    #[schemars(range(min = 1))]
    start_line: Option<usize>,
    /// The last line to read. Default: as many lines as fit.
    #[schemars(range(min = 1))]
    end_line: Option<usize>,
}

#[async_trait]
impl Tool for Read {
    type Input = Input;
    const NAME: &'static str = "read";
    const DESCRIPTION: &'static str = "Reads a text file as the editor has it now, unsaved changes included. Each line comes as its number, a tab, and the text; \
         number and tab are not part of the file. A long file is cut at whole lines; the end says how to read on. \
         Read a file before you edit it.";
    const ACCESS: Access = Access::Read;

    fn title(&self, input: &Input) -> String {
        match (input.start_line, input.end_line) {
            (None, None) => format!("Read {}", input.path),
            (first, Some(last)) => format!("Read {} lines {}-{last}", input.path, first.unwrap_or(1)),
            (Some(first), None) => format!("Read {} from line {first}", input.path),
        }
    }

    fn wants(&self, input: &Input) -> Vec<Want> {
        vec![Want::read(&input.path)]
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let first = input.start_line.unwrap_or(1);
        let last = input.end_line.unwrap_or(usize::MAX);
        if first == 0 || last == 0 {
            let cure = if first == 0 {
                "leave start_line out to begin at the first"
            } else {
                "leave end_line out to read to the end"
            };
            return Err(Failure(format!("There is no line 0: lines count from 1; {cure}")));
        }
        if last < first {
            return Err(Failure(format!("There are no lines {first} to {last}: end_line comes before start_line")));
        }
        let place = context.roots.resolve(&input.path, Access::Read)?;
        let snapshot = context.editor.read(&place).await.map_err(hint)?;
        let text = snapshot.lf();
        let total = lines::count(&text);
        if first > total.max(1) {
            return Err(Failure(format!("{place} has {total} lines; start_line {first} is past its end")));
        }
        // What the head and the foot of the answer take.
        let room = context.limits.tool_output_bytes.saturating_sub(place.to_string().len() + 256);
        let numbered = Numbered::of(&text, first..=last.min(total), room);
        if first == 1 && numbered.last == total && !numbered.cut {
            context.reads.note(&place, &snapshot);
        } else {
            context.reads.note_part(&place, &snapshot);
        }
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { ", no line break at the end" };
        let mut content = format!("{place} ({}{end})\n{}", lines::counted(total, "line"), numbered.text);
        if numbered.last < total {
            let next = numbered.last + 1;
            content.push_str(&format!(
                "[lines {first} to {} of {total}; read on with start_line {next}]\n",
                numbered.last
            ));
        }
        let summary = if first == 1 && numbered.last == total {
            lines::counted(total, "line")
        } else {
            format!("lines {first} to {} of {total}", numbered.last)
        };
        Ok(Answer { undone: false, ok: true, content, summary })
    }
}

/// The error, and what to do instead.
pub(super) fn hint(error: ReadError) -> Failure {
    let next = match &error {
        ReadError::Missing(_) => "; find and list show what is there",
        ReadError::NotAFile(_) => "; list shows what is in a folder",
        ReadError::TooLarge { .. } => "; go on without it",
        ReadError::NotText { .. } | ReadError::Io { .. } => "",
    };
    Failure(format!("{error}{next}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tool::testing::World;

    #[tokio::test]
    async fn a_file_comes_with_numbered_lines_and_lf() {
        let world = World::new(&[("a.rs", "one\r\ntwo\r\n\r\nfour")]);
        assert_eq!(
            world.ok("read", json!({"path": "a.rs"})).await,
            "a.rs (4 lines, no line break at the end)\n1\tone\n2\ttwo\n3\t\n4\tfour\n"
        );
        assert_eq!(
            world.ok("read", json!({"path": "a.rs", "start_line": 2, "end_line": 3})).await,
            "a.rs (4 lines, no line break at the end)\n2\ttwo\n3\t\n[lines 2 to 3 of 4; read on with start_line 4]\n"
        );
        world.write("empty", "");
        assert_eq!(world.ok("read", json!({"path": "empty"})).await, "empty (0 lines)\n");
    }

    #[tokio::test]
    async fn a_file_in_another_encoding_is_read_and_edited_in_it() {
        let world = World::new(&[]);
        world.write("latin", b"d\xe9j\xe0 vu\r\n");
        world.write("wide", b"\xff\xfeh\0i\0\n\0");
        assert_eq!(world.ok("read", json!({"path": "latin"})).await, "latin (1 line)\n1\td\u{e9}j\u{e0} vu\n");
        assert_eq!(world.ok("read", json!({"path": "wide"})).await, "wide (1 line)\n1\thi\n");
        let edit = |path: &str, old: &str, new: &str| json!({"path": path, "edits": [{"old": old, "new": new}]});
        world.ok("edit", edit("latin", "vu", "\u{e0} No\u{eb}l")).await;
        world.ok("edit", edit("wide", "hi", "\u{e9}")).await;
        let bytes = |path: &str| std::fs::read(world.top.join("ws").join(path)).expect("there");
        assert_eq!(bytes("latin"), b"d\xe9j\xe0 \xe0 No\xebl\r\n");
        assert_eq!(bytes("wide"), b"\xff\xfe\xe9\0\n\0");
        let said = world.fails("edit", edit("latin", "No", "\u{2192}")).await;
        assert!(said.contains("windows-1252") && said.contains("U+2192"), "{said}");
        assert_eq!(bytes("latin"), b"d\xe9j\xe0 \xe0 No\xebl\r\n");
    }

    #[tokio::test]
    async fn an_open_buffer_is_read_before_the_disk() {
        let world = World::new(&[("a.rs", "on disk\n")]);
        world.open("a.rs", "in the editor\n");
        world.open("new.rs", "not saved\n");
        assert_eq!(world.ok("read", json!({"path": "a.rs"})).await, "a.rs (1 line)\n1\tin the editor\n");
        assert_eq!(world.ok("read", json!({"path": "new.rs"})).await, "new.rs (1 line)\n1\tnot saved\n");
    }

    #[tokio::test]
    async fn t1_a_long_file_is_cut_at_a_line_and_says_how_to_read_on() {
        let text: String = (1..=1000).map(|line| format!("line {line}\n")).collect();
        let mut world = World::new(&[("long", &text), ("wide", &"é".repeat(5000))]);
        world.context.limits.tool_output_bytes = 2000;
        let (mut next, mut seen) = (1, 0);
        while seen < 1000 {
            let content = world.ok("read", json!({"path": "long", "start_line": next})).await;
            assert!(content.len() <= 2000, "{} bytes", content.len());
            for line in content.lines().filter_map(|line| line.split_once('\t')) {
                seen += 1;
                assert_eq!(line, (seen.to_string().as_str(), format!("line {seen}").as_str()));
            }
            if let Some((_, from)) = content.split_once("read on with start_line ") {
                next = from.trim_end_matches("]\n").parse().expect("a number");
            }
        }
        assert!(world.context.reads.last_whole(&world.place("long")).is_none(), "a part was shown each time");
        let wide = world.ok("read", json!({"path": "wide"})).await;
        assert!(wide.len() <= 2000 && wide.contains("bytes more]"), "{wide}");
        assert!(world.context.reads.last_whole(&world.place("wide")).is_none());
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_an_answer_with_a_next_step() {
        let world = World::new(&[("a.rs", "one\n"), ("src/b.rs", ""), (".git/config", "secret")]);
        world.write("bytes", b"\x7fELF\0\xff");
        std::fs::write(world.top.join("secret"), "secret").expect("written");
        world.link("out", "../secret");
        let said = async |arguments| world.fails("read", arguments).await;
        assert_eq!(said(json!({"path": "b"})).await, "b does not exist; find and list show what is there");
        assert_eq!(said(json!({"path": "src"})).await, "src is not a regular file; list shows what is in a folder");
        assert_eq!(
            said(json!({"path": "bytes"})).await,
            "bytes is not a text file that can be read: it holds bytes that no text holds"
        );
        assert_eq!(
            said(json!({"path": "a.rs", "start_line": 3})).await,
            "a.rs has 1 lines; start_line 3 is past its end"
        );
        assert_eq!(
            said(json!({"path": "a.rs", "start_line": 0})).await,
            "There is no line 0: lines count from 1; leave start_line out to begin at the first"
        );
        assert_eq!(
            said(json!({"path": "a.rs", "end_line": 0})).await,
            "There is no line 0: lines count from 1; leave end_line out to read to the end"
        );
        assert_eq!(
            said(json!({"path": "a.rs", "start_line": 2, "end_line": 1})).await,
            "There are no lines 2 to 1: end_line comes before start_line"
        );
        for path in ["../secret", "out", "/etc/passwd"] {
            assert!(said(json!({"path": path})).await.contains("is outside the workspace"), "{path}");
        }
        assert!(said(json!({"path": ".git/config"})).await.contains("is protected"));
    }
}
