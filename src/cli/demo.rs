//! `cowrite demo`: the main job on a sample project.
//!
//! A real server process is spoken to as an editor would: a buffer with unsaved lines is open, a command runs, the person types on
//! meanwhile, the edit lands in the buffer. Then a new server process is asked what it knows of that. Only the model's words are scripted.

mod buffer;
mod check;
mod editor;
mod next_editor;
mod sample;
mod screen;
mod server;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::edit::unified;
use crate::protocol::RunStatus;
use crate::settings::Places;
use check::Outcome;
use editor::{Editor, Finished};
use sample::Sample;
use screen::Screen;
use server::Server;

/// Nothing here takes longer than seconds; when something hangs, that is said instead of waited for.
const WHOLE_STORY: Duration = Duration::from_secs(30);

/// The time after which the sample's own tests are not waited for.
const UNTIL_TESTED: Duration = Duration::from_millis(4_500);

/// What a person has typed and not saved when the story begins.
const UNSAVED: &str = "/// Units add up, in any order: `1h 30m`, or 90 minutes, which is the same.\n";

/// What the person types while the run is at work.
const TYPED: &str = "/// A day is 24 hours, whatever the calendar says.\n";

/// The line that both stand above.
const FUNCTION: &str = "pub fn seconds(";

/// What the run is asked for.
const PROMPT: &str = "The test several_units_add_up fails.";

/// The line that makes the test pass.
const MENDED: &str = "        total += count * unit.seconds();\n";

/// Why the demo could not be shown, in words for the person.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl Failure {
    fn because(what: &str, error: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// Shows the demo on standard output. The status is 0 when everything went as it should.
pub async fn run() -> ExitCode {
    let mut screen = Screen::stdout();
    let told = tokio::select! {
        told = tokio::time::timeout(WHOLE_STORY, story(&mut screen)) => told,
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
    };
    let failure = match told {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.to_string(),
        Err(_) => format!("it was not over after {} seconds", WHOLE_STORY.as_secs()),
    };
    screen.end_line();
    screen::error(&format!("cowrite demo did not work: {failure}"));
    ExitCode::FAILURE
}

async fn story(screen: &mut Screen) -> Result<(), Failure> {
    let begun = Instant::now();
    let sample = Sample::unpack()?;
    screen.heading("Cowrite demo: a real server and a real editor protocol; only the model's words are scripted");
    screen.fact("project", &format!("{} (gone when this is over)", sample.root.display()));
    // The sample fails its test as it lies on the disk. That is found out while the story goes on.
    let before = tokio::spawn(check::cargo_test(sample.root.clone(), UNTIL_TESTED));

    let mut editor = Editor::new(Server::start(&sample)?, screen, &sample);
    let told = talk(&mut editor).await;
    let text = editor.text();
    let finished = ended(editor, told).await?;

    screen.heading("The buffer, against the file on disk");
    screen.diff(&unified(sample::OPEN_FILE, sample::open_text(), &text));
    for (line, whose) in [(MENDED, "the edit"), (UNSAVED, "the unsaved line"), (TYPED, "what was typed meanwhile")] {
        if !text.contains(line) {
            return Err(Failure(format!("{whose} is not in the buffer:\n{text}")));
        }
    }
    sample.save(&text)?;
    let after = tokio::spawn(check::cargo_test(sample.root.clone(), UNTIL_TESTED.saturating_sub(begun.elapsed())));

    screen.heading("The next editor goes on with the same session");
    let mut editor = Editor::new(Server::start(&sample)?, screen, &sample);
    let told = next_editor::look_back(&mut editor, finished.session, finished.run).await;
    ended(editor, told).await?;

    report_tests(screen, before.await.ok().flatten(), after.await.ok().flatten())?;
    next_steps(screen);
    Ok(())
}

/// Ends the server, and gives what the conversation with it came to.
async fn ended<T>(editor: Editor<'_>, told: Result<T, Failure>) -> Result<T, Failure> {
    let log = editor.server_log();
    let stopped = editor.stop().await;
    told.and_then(|told| stopped.map(|()| told)).map_err(|failure| match log {
        Some(log) => Failure(format!("{failure}\nThe server's last words:\n{log}")),
        None => failure,
    })
}

/// The conversation with the server, from `initialize` to the end of the run.
async fn talk(editor: &mut Editor<'_>) -> Result<Finished, Failure> {
    let server = editor.initialize().await?;
    editor.screen().fact("server", &server);
    editor.open(&sample::open_text().replacen(FUNCTION, &format!("{UNSAVED}{FUNCTION}"), 1)).await?;
    editor.type_during_run(FUNCTION, TYPED);
    let range = editor.range_from(FUNCTION, "\n}\n");
    editor.screen().command("fix", PROMPT);
    let argument = json!({"uri": editor.uri(), "range": range, "prompt": PROMPT});
    let finished = editor.run("cowrite.fix", argument).await?;
    match finished.status {
        RunStatus::Completed => Ok(finished),
        status => Err(Failure(format!("the run ended as {status:?}: {}", finished.error.unwrap_or_default()))),
    }
}

fn report_tests(screen: &mut Screen, before: Option<Outcome>, after: Option<Outcome>) -> Result<(), Failure> {
    screen.heading("The sample's own tests");
    match (before, after) {
        (_, Some(after)) if !after.passed => {
            return Err(Failure(format!("the test still fails after the fix: {}", after.summary)));
        }
        (before, Some(after)) => {
            if let Some(before) = before {
                screen.fact("before", &before.summary);
            }
            screen.fact("after", &after.summary);
        }
        (_, None) => {
            let line = "the line that made the test fail is gone (cargo is not here, or took too long to try it)";
            screen.fact("after", line);
        }
    }
    Ok(())
}

fn next_steps(screen: &mut Screen) {
    screen.heading("Next");
    let config =
        Places::from_env().config.map_or_else(|| "the settings file".to_owned(), |file| file.display().to_string());
    screen.line("1. Give it a model: set ANTHROPIC_API_KEY or OPENAI_API_KEY, or name a local server in");
    screen.line(&format!("   {config}:"));
    screen.line("       model = \"local/my-model\"");
    screen.line("       [providers.local]");
    screen.line("       kind = \"openai-chat\"");
    screen.line("       base_url = \"http://127.0.0.1:8080/v1\"");
    screen.line("2. Set up your editor: README.md shows it for VS Code, Neovim and Helix; editors/ has the files.");
    screen.line("3. Select some code there and run cowrite.edit, or put the cursor on an error and run cowrite.fix.");
}
