//! Asking the person: a request where the client shows such, else a message that says how, and code actions. One question at a
//! time; whoever answers first, by whichever way, has answered.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tower_lsp::ls_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, Command as LspCommand, MessageActionItem,
    MessageType,
};

use super::actions::wanted;
use super::client::{Client, Unanswered};
use super::documents::Documents;
use crate::permission::Kind;
use crate::session::{Answer, Approval};
use crate::workspace::Workspace;

const ONCE: &str = "Allow once";
const SESSION: &str = "Allow for this session";
const DENY: &str = "Deny";

/// How long the person has not typed when a question opens where their keys would answer it.
const PAUSE: Duration = Duration::from_secs(1);
/// So many questions are offered as code actions; the rest comes when these are answered.
const OFFERED: usize = 3;
/// The most characters of what would be written that a message shows; a command is always shown whole.
const SHOWN: usize = 4000;
/// What such a text stands behind in a question, and what each line of it begins with.
const WITH: &str = "With:";
const QUOTED: &str = "  | ";
/// Characters of a command that a menu shows.
const MENU: usize = 60;

/// Goes on until the process ends. Beside the document lane and never in it.
pub(super) async fn follow(client: Client, documents: Arc<Documents>, workspace: Arc<OnceLock<Workspace>>) {
    let Some(workspace) = workspace.get() else { return };
    let mut moved = workspace.approvals_moved();
    let mut asks = client.caps().asks;
    // Questions that were put to the person, as far as they are open still.
    let mut put: HashSet<String> = HashSet::new();
    loop {
        let open = workspace.approvals();
        put.retain(|id| open.iter().any(|approval| approval.id == *id));
        let next = open.into_iter().find(|approval| !put.contains(&approval.id));
        let Some(approval) = next else {
            if moved.changed().await.is_err() {
                return;
            }
            continue;
        };
        if client.caps().asks_over_text
            && let Some(left) = documents.left_of(PAUSE)
        {
            // Whoever types would answer without having read. Another question may come first then, or this one be over.
            sleep(left).await;
            continue;
        }
        put.insert(approval.id.clone());
        if asks && choices(&approval.question.kind).is_some() {
            match ask(&client, workspace, &approval).await {
                Asked::Over => continue,
                Asked::Unknown => asks = false,
                Asked::NoAnswer => {}
            }
        }
        client.message(MessageType::INFO, &how(&approval, client.caps().answers_with)).await;
    }
}

/// What came of a request.
enum Asked {
    /// The question is answered, in this way or another.
    Over,
    /// The client does not know the request.
    Unknown,
    /// The client did not answer it.
    NoAnswer,
}

async fn ask(client: &Client, workspace: &Workspace, approval: &Approval) -> Asked {
    let question = &approval.question;
    let text = format!("{}\n{}", question.title, fitting(&question.detail));
    let actions: Vec<String> = choices(&question.kind).unwrap_or_default();
    let mut moved = workspace.approvals_moved();
    let answered_otherwise = async {
        while workspace.approvals().iter().any(|open| open.id == approval.id) {
            if moved.changed().await.is_err() {
                return;
            }
        }
    };
    // A task of its own, so that a press on a question that is over is answered too. Ends when the client answers.
    let mut shown = tokio::spawn({
        let client = client.clone();
        async move { client.ask_person(text, &actions).await }
    });
    tokio::select! {
        biased;
        answer = &mut shown => match answer.unwrap_or_else(|error| Err(Unanswered::Error(error.to_string()))) {
            Ok(chosen) => {
                // A question that has been answered meanwhile, by another way, is answered.
                let _ = workspace.answer(Some(approval.id.clone()), &meant(chosen, &question.kind));
                Asked::Over
            }
            Err(Unanswered::Unknown) => Asked::Unknown,
            Err(error) => {
                tracing::debug!(%error, "a question was not shown");
                Asked::NoAnswer
            }
        },
        () = answered_otherwise => {
            tokio::spawn(pressed_late(client.clone(), shown));
            Asked::Over
        }
    }
}

/// Who presses something on a question that is over hears that nothing comes of it.
async fn pressed_late(client: Client, shown: JoinHandle<Result<Option<MessageActionItem>, Unanswered>>) {
    if let Ok(Ok(Some(pressed))) = shown.await {
        let text = format!(
            "Cowrite: that question is over (it was answered otherwise, or its time or run ended), so \u{201c}{}\u{201d} does nothing.",
            pressed.title
        );
        client.message(MessageType::INFO, &text).await;
    }
}

/// What there is to press; `None` where the person must write.
fn choices(kind: &Kind) -> Option<Vec<String>> {
    match kind {
        Kind::May { .. } => Some(vec![ONCE.into(), SESSION.into(), DENY.into()]),
        Kind::Answer { options } if options.is_empty() => None,
        Kind::Answer { options } => Some(options.clone()),
    }
}

/// A dismissed question is a no.
fn meant(chosen: Option<MessageActionItem>, kind: &Kind) -> Answer {
    match (chosen.map(|item| item.title), kind) {
        (Some(title), Kind::May { .. }) if title == ONCE => Answer::Approve { session: false, words: None },
        (Some(title), Kind::May { .. }) if title == SESSION => Answer::Approve { session: true, words: None },
        (Some(title), Kind::Answer { .. }) => Answer::Approve { session: false, words: Some(title) },
        (Some(_) | None, _) => Answer::Deny,
    }
}

/// The question, and what to do about it where nothing can be pressed.
fn how(approval: &Approval, with: &str) -> String {
    let question = &approval.question;
    let asks = match &question.kind {
        Kind::May { .. } => format!("Answer with {with}: cowrite.approve or cowrite.deny."),
        Kind::Answer { options } if options.is_empty() => {
            "Answer with the command cowrite.approve {\"answer\": \"…\"}, or cowrite.deny.".to_owned()
        }
        Kind::Answer { options } => {
            format!(
                "Answer with {with}: cowrite.approve {{\"answer\": \"…\"}} ({}) or cowrite.deny.",
                options.join(", ")
            )
        }
    };
    format!("Cowrite waits for you: {}\n{}\n{asks}", question.title, fitting(&question.detail))
}

/// What a question says, as far as a message has room: of a long text that would be written only the beginning. All of it is in the
/// question's event and in `cowrite.status`.
fn fitting(detail: &str) -> String {
    let (mut lines, mut room): (Vec<String>, Option<usize>) = (Vec::new(), None);
    let mut left = 0;
    let close = |lines: &mut Vec<String>, left: &mut usize| {
        if std::mem::take(left) > 0 {
            lines.push("(and more that there is no room for: cowrite.status shows all of it)".to_owned());
        }
    };
    for line in detail.lines() {
        match (&mut room, line.strip_prefix(QUOTED)) {
            (Some(room), Some(text)) => {
                let shown: String = text.chars().take(*room).collect();
                left += text.len() - shown.len();
                if *room > 0 {
                    lines.push(format!("{QUOTED}{shown}"));
                } else {
                    left += 1;
                }
                *room = room.saturating_sub(shown.chars().count() + 1);
            }
            (_, quoted) => {
                close(&mut lines, &mut left);
                room = (quoted.is_none() && line == WITH).then_some(SHOWN);
                lines.push(line.to_owned());
            }
        }
    }
    close(&mut lines, &mut left);
    lines.join("\n")
}

/// The code actions that answer what is open, wherever the cursor is.
pub(super) fn actions(workspace: &Workspace, params: &CodeActionParams) -> Vec<CodeActionOrCommand> {
    if !wanted(params.context.only.as_deref(), &CodeActionKind::QUICKFIX) {
        return Vec::new();
    }
    let open = workspace.approvals();
    open.iter().take(OFFERED).flat_map(answers).map(CodeActionOrCommand::CodeAction).collect()
}

fn answers(approval: &Approval) -> Vec<CodeAction> {
    let what = shortened(&approval.question.title);
    let id = &approval.id;
    let approve = |says: String, more: serde_json::Value| {
        let mut argument = json!({ "approvalId": id });
        if let (Some(argument), Some(more)) = (argument.as_object_mut(), more.as_object()) {
            argument.extend(more.clone());
        }
        action(says, "cowrite.approve", argument)
    };
    let mut actions = match &approval.question.kind {
        Kind::May { rememberable } => {
            let once = approve(format!("Cowrite: allow once: {what}"), json!({ "remember": "once" }));
            let session =
                || approve(format!("Cowrite: allow for this session: {what}"), json!({ "remember": "session" }));
            std::iter::once(once).chain(rememberable.then(session)).collect()
        }
        Kind::Answer { options } => {
            let option = |option: &String| {
                approve(format!("Cowrite: answer {}", shortened(option)), json!({ "answer": option }))
            };
            options.iter().map(option).collect::<Vec<_>>()
        }
    };
    actions.push(action(format!("Cowrite: deny: {what}"), "cowrite.deny", json!({ "approvalId": id })));
    actions
}

fn action(title: String, command: &str, argument: serde_json::Value) -> CodeAction {
    CodeAction {
        title: title.clone(),
        kind: Some(CodeActionKind::QUICKFIX),
        command: Some(LspCommand { title, command: command.into(), arguments: Some(vec![argument]) }),
        ..CodeAction::default()
    }
}

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MENU) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_every_command_whole_and_of_a_long_write_the_beginning() {
        let command = format!("Run with sh -c:\n  | {}\n  | With:", "x".repeat(10_000));
        let write = |lines: usize| format!("write: change a\nWith:\n{}", vec!["  | 123456789"; lines].join("\n"));
        let short = format!("{}\n{command}", write(400));
        assert_eq!(fitting(&short), short);
        let long = fitting(&format!("{}\n{command}", write(1000)));
        assert_eq!(long.matches("123456789").count(), 400);
        assert!(long.contains("shows all of it)\nRun with sh -c:") && long.ends_with(&command[15..]), "{long}");
        let one = fitting(&format!("With:\n  | {}", "é".repeat(9000)));
        assert_eq!(one.matches('é').count(), SHOWN);
        assert!(one.ends_with("shows all of it)"), "{one}");
    }
}
