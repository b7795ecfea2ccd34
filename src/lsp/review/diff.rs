//! Everything that a run proposes as one unified diff, for editors without a view of their own.

use ropey::Rope;

use crate::edit::unified;
use crate::editor::Editor;
use crate::session::{Operation, ReviewFile, ReviewHunk};
use crate::text::Encoding;

/// The diff of these documents against their present texts.
pub(in crate::lsp) async fn diff(files: &[ReviewFile], editor: &dyn Editor) -> String {
    let mut all = String::new();
    for file in files {
        let name = file.place.to_string();
        let part = match &file.operation {
            Operation::Create => one_sided("/dev/null", &format!("b/{name}"), "", &texts(file, |hunk| &hunk.new_text)),
            Operation::Delete => one_sided(&format!("a/{name}"), "/dev/null", &texts(file, |hunk| &hunk.old_text), ""),
            Operation::Edit => edited(file, &name, editor).await,
            Operation::Rename { to } => {
                format!("rename from {name}\nrename to {to}\n{}", edited(file, &to.to_string(), editor).await)
            }
        };
        all.push_str(&part);
        if !all.ends_with('\n') {
            all.push('\n');
        }
    }
    all
}

async fn edited(file: &ReviewFile, name: &str, editor: &dyn Editor) -> String {
    let now = match editor.read(&file.place).await {
        Ok(now) => now,
        Err(error) => return format!("# {error}\n"),
    };
    match with(now.rope(), &file.hunks, editor.encoding()) {
        Some(new) => unified(name, &now.rope().to_string(), &new),
        None => format!("# {name} was changed meanwhile; what still has a place in it is found when it is accepted\n"),
    }
}

/// A text with all hunks in place; `None` when it does not hold what they replace.
fn with(rope: &Rope, hunks: &[ReviewHunk], encoding: Encoding) -> Option<String> {
    let mut text = rope.to_string();
    // From the end, so that what is before keeps its place.
    for hunk in hunks.iter().rev() {
        let range = encoding.range(rope, hunk.range);
        if text.get(range.clone())? != hunk.old_text {
            return None;
        }
        text.replace_range(range, &hunk.new_text);
    }
    Some(text)
}

fn one_sided(old_name: &str, new_name: &str, old: &str, new: &str) -> String {
    let body: String = unified("", old, new).split_inclusive('\n').skip(2).collect();
    format!("--- {old_name}\n+++ {new_name}\n{body}")
}

fn texts(file: &ReviewFile, side: impl Fn(&ReviewHunk) -> &str) -> String {
    file.hunks.iter().map(side).collect()
}
