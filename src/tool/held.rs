//! A command line with all that belongs to it: open files are saved first, it is held in the sandbox where there is one, and
//! protected names that it made are taken out again, unless the person wants to keep them.

mod at;
mod names;
mod sweep;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use self::names::Names;
use self::sweep::Swept;
use super::{Context, plain};
use crate::disk;
use crate::editor::{Place, ReadError};
use crate::model::without_keys;
use crate::permission::{Kind, Question, Reply, visible, visible_line};
use crate::process::{self, Confine, Done, End, Job};

/// The most names that a sentence lists.
const LISTED: usize = 20;
/// How much of a file a question shows, in bytes; of how many files; and how many are looked for in a folder.
const HEAD: u64 = 400;
const HEADS: usize = 10;
const ENTRIES: usize = 200;

/// What became of a command line.
#[derive(Debug)]
pub struct Held {
    /// How it ended, and what it printed.
    pub done: Done,
    /// What else there is to know, in sentences for the model.
    pub notes: Vec<String>,
}

/// Runs a command line with `sh -c` in a folder of the workspace, and tells what it prints as it comes.
///
/// # Errors
/// It did not run: why, in a sentence.
pub async fn hold(
    command: &str,
    folder: &Path,
    limit: Duration,
    context: &Context,
    heard: impl FnMut(String) + Send,
) -> Result<Held, String> {
    let unsaved = tokio::select! {
        biased;
        () = context.cancel.cancelled() => None,
        unsaved = unsaved(context) => unsaved,
    };
    let mut notes: Vec<String> = unsaved.into_iter().collect();
    let sandboxed = blocking(|| process::sandbox().is_ok()).await?;
    let before = match sandboxed {
        false => None,
        true => {
            let roots = context.roots.clone();
            Some(blocking(move || Names::found(&roots)).await??)
        }
    };
    if context.cancel.is_cancelled() {
        return Err("The person stopped the run before the command began. Nothing was done.".into());
    }
    let job = Job {
        program: ["sh", "-c", command].map(Into::into).into(),
        folder: folder.to_owned(),
        env: context.commands.env.clone(),
        input: Vec::new(),
        confine: before.as_ref().map(|names| confine(names, context)),
        limit,
    };
    let most = context.limits.tool_output_bytes;
    let done = process::run(job, most, &context.cancel, heard).await;
    let swept = match before {
        None => None,
        // However it ended: what it made is there.
        Some(before) => swept(before, command, context).await?,
    };
    let done = done.map_err(|why| swept.iter().fold(why, |why, note| format!("{why} {note}")))?;
    if sandboxed && done.end != End::Status(0) && refused(&done.output) {
        notes.push(hint(context.commands.network));
    }
    notes.extend(swept);
    Ok(Held { done, notes })
}

fn confine(names: &Names, context: &Context) -> Confine {
    let hidden = names.hidden.iter().chain(context.roots.own()).chain(&context.commands.hidden);
    Confine {
        writable: context.roots.folders().to_vec(),
        protected: names.protected.keys().cloned().collect(),
        hidden: hidden.cloned().collect(),
        network: context.commands.network,
    }
}

/// Whether what was printed looks as if the sandbox had said no.
fn refused(output: &str) -> bool {
    ["Read-only file system", "Operation not permitted", "Permission denied", "resolve host", "Device or resource busy"]
        .iter()
        .any(|words| output.contains(words))
}

fn hint(network: bool) -> String {
    let network = if network { "" } else { " It reaches no network." };
    format!(
        "It ran in a sandbox: it writes only in the workspace and in $TMPDIR, and changes no protected names such as .git.{network} If \
         that is why it failed, tell the person what to run."
    )
}

/// Has the editor save what is not on disk yet; a sentence that names what stayed unsaved.
async fn unsaved(context: &Context) -> Option<String> {
    let inside = context.editor.open().into_iter().filter(|(place, _)| place.path().is_some());
    let inside = inside.filter(|(place, _)| context.roots.admits(place)).collect::<Vec<_>>();
    let differs = move || -> Vec<Place> {
        let unsaved = inside.into_iter().filter(|(place, buffer)| match disk::read(place) {
            Ok(saved) => saved.lf() != buffer.lf(),
            Err(ReadError::Missing(_)) => true,
            Err(_) => false,
        });
        unsaved.map(|(place, _)| place).collect()
    };
    let places = blocking(differs).await.ok()?;
    if places.is_empty() {
        return None;
    }
    let saved = context.editor.save(&places).await;
    let left: Vec<String> =
        places.iter().filter(|place| !saved.contains(place)).map(|place| plain(&place.to_string())).collect();
    (!left.is_empty()).then(|| {
        let one = if left.len() == 1 { "is" } else { "are" };
        format!("{} {one} not saved in the editor: the command saw the file on disk, which is older.", listed(&left))
    })
}

/// Takes out what a command should not have made, and asks whether it may stay.
async fn swept(before: Names, command: &str, context: &Context) -> Result<Option<String>, String> {
    let roots = context.roots.clone();
    let (swept, heads) = blocking(move || {
        let swept = before.swept(&roots);
        let heads = heads(&swept);
        (swept, heads)
    })
    .await?;
    if swept.taken.is_empty() && swept.left.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = swept.taken.iter().map(|taken| shown(&taken.from, context)).collect();
    let stuck: Vec<String> =
        swept.left.iter().map(|(path, why)| format!("{} ({})", shown(path, context), visible_line(why))).collect();
    let kept = swept.kept.display().to_string();
    let question = question(&names, &stuck, &heads, command, &kept);
    let unasked = context.cancel.is_cancelled();
    let reply = tokio::select! {
        biased;
        () = context.cancel.cancelled() => Reply::Cancelled,
        reply = context.told.ask(question) => reply,
    };
    let why = match reply {
        Reply::Once | Reply::Session => "",
        Reply::Cancelled if unasked => "the run was stopped, so nobody was asked",
        Reply::Cancelled => "the run was stopped before the person answered",
        Reply::Expired => "nobody answered in time",
        Reply::Answered(_) | Reply::Denied => "the person did not want to keep it",
    };
    let names = listed(&names);
    let (them, is, were) = if swept.taken.len() == 1 { ("it", "is", "it was") } else { ("them", "are", "they were") };
    let mut notes = Vec::new();
    if !swept.taken.is_empty() && !why.is_empty() {
        notes.push(format!(
            "{names}, which {is} protected, appeared while a command ran, so {were} taken out of the workspace and can be found in {kept}; {why}."
        ));
    } else if !swept.taken.is_empty() {
        let put = move || {
            let failed = swept.taken.into_iter().filter_map(|taken| taken.put_back().err()).collect::<Vec<_>>();
            // Only when nothing is left in it.
            let _ = fs::remove_dir(&swept.kept);
            failed
        };
        let failed = blocking(put).await?;
        notes.push(if failed.is_empty() {
            format!("{names}, which {is} protected, appeared while a command ran; the person wants to keep {them}.")
        } else {
            let failed = plain(&failed.join("; "));
            format!(
                "{names}, which {is} protected, appeared while a command ran; not all of it could be put back, the rest is \
                 in {kept}: {failed}."
            )
        });
    }
    if !stuck.is_empty() {
        notes.push(format!(
            "What is protected appeared or was shut while a command ran, and that could not be taken out: {}. The person must look at it; \
             leave it alone.",
            listed(&stuck)
        ));
    }
    let notes = notes.join(" ");
    if matches!(reply, Reply::Cancelled | Reply::Expired) {
        // They have not seen it, or not what became of it.
        context.told.say(clean(format!("{notes} The command:\n{}", visible(command))));
    }
    if reply == Reply::Cancelled {
        // Nobody reads this call's answer any more.
        context.told.note(clean(notes));
        return Ok(None);
    }
    Ok(Some(notes))
}

/// What a person must know to say whether it may stay.
fn question(names: &[String], stuck: &[String], heads: &str, command: &str, kept: &str) -> Question {
    let mut detail = format!(
        "While this command ran, there appeared what editors, shells, builds or git obey:\n{}",
        visible(command)
    );
    if !names.is_empty() {
        detail.push_str(&format!(
            "\nTaken out: {}\nUnless you want it, it stays in {}",
            listed(names),
            visible_line(kept)
        ));
    }
    if !stuck.is_empty() {
        detail.push_str(&format!("\nSTILL THERE, look at it before you use the workspace: {}", listed(stuck)));
    }
    detail.push_str(heads);
    let title = match names {
        [] => "A command left protected names that could not be taken out. Go on?".to_owned(),
        _ => format!("Keep {}, which appeared while a command ran?", listed(names)),
    };
    Question { title: clean(title), detail: clean(detail), kind: Kind::May { rememberable: false } }
}

/// Without keys.
fn clean(text: String) -> String {
    without_keys(text).unwrap_or_else(|| "[it may hold a key, so it is not shown]".into())
}

/// The beginnings of the files that were taken out.
fn heads(swept: &Swept) -> String {
    let (mut heads, mut shown) = (String::new(), 0);
    for taken in &swept.taken {
        let (mut ahead, mut seen) = (vec![taken.at.clone()], 0);
        while let Some(path) = ahead.pop() {
            seen += 1;
            if shown == HEADS || seen > ENTRIES {
                heads.push_str("\nand more that is not shown");
                return heads;
            }
            let inner = path.strip_prefix(&taken.at).unwrap_or(Path::new(""));
            let name = if inner.as_os_str().is_empty() { taken.from.clone() } else { taken.from.join(inner) };
            let Ok(found) = path.symlink_metadata() else { continue };
            let text = if found.is_dir() {
                let inside = fs::read_dir(&path).into_iter().flatten().flatten().take(ENTRIES);
                let mut inside: Vec<_> = inside.map(|entry| entry.path()).collect();
                inside.sort();
                ahead.extend(inside.into_iter().rev());
                continue;
            } else if found.is_symlink() {
                path.read_link().map(|target| format!("-> {}", target.display())).unwrap_or_default()
            } else if found.is_file() {
                let mut head = Vec::new();
                let read = fs::File::open(&path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
                read.map(|_| String::from_utf8_lossy(&head).into_owned()).unwrap_or_default()
            } else {
                continue;
            };
            shown += 1;
            let more = if found.is_file() && found.len() > HEAD { "\n[... it goes on]" } else { "" };
            heads.push_str(&format!("\n{}:\n{}{more}", visible_line(&name.display().to_string()), visible(&text)));
        }
    }
    heads
}

fn shown(path: &Path, context: &Context) -> String {
    let inside = context.roots.folders().iter().find_map(|folder| path.strip_prefix(folder).ok());
    visible_line(&inside.unwrap_or(path).display().to_string())
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let listed = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { listed } else { format!("{listed} and {more} more") }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|_| "the workspace could not be looked through".to_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::tool::testing::World;

    async fn after(world: &World, command: &str, does: impl FnOnce()) -> (String, Vec<String>) {
        let before = Names::found(&world.context.roots).expect("it can be looked at");
        does();
        let note = swept(before, command, &world.context).await.expect("swept").expect("a note");
        (note, world.heard())
    }

    #[tokio::test]
    async fn what_nobody_wants_is_kept_for_the_person_and_they_are_told_where() {
        let world = World::new(&[]);
        let (note, asked) = after(&world, "plant", || world.write(".vscode/tasks.json", "mine")).await;
        assert_eq!(asked, ["asked Keep .vscode, which appeared while a command ran?"]);
        let kept = note.split_once("found in ").and_then(|(_, rest)| rest.split_once(';')).expect("a place").0;
        assert_eq!(fs::read_to_string(Path::new(kept).join("0/tasks.json")).expect("a file"), "mine");
        fs::remove_dir_all(kept).expect("removed");
        world.replies(Reply::Once);
        let (note, _) = after(&world, "plant", || world.write(".vscode/tasks.json", "mine")).await;
        assert!(note.contains("wants to keep it"), "{note}");
        assert_eq!(world.disk(".vscode/tasks.json"), "mine");
    }

    #[tokio::test]
    async fn a3_08_what_nobody_was_asked_about_is_told_to_the_person_and_noted_for_the_model() {
        for (reply, why) in [
            (None, "nobody was asked"),
            (Some(Reply::Cancelled), "before the person answered"),
            (Some(Reply::Expired), "nobody answered in time"),
        ] {
            let world = World::new(&[]);
            let before = Names::found(&world.context.roots).expect("it can be looked at");
            world.write(".vscode/tasks.json", "mine");
            match reply.clone() {
                None => world.context.cancel.cancel(),
                Some(reply) => world.replies(reply),
            }
            let note = swept(before, "plant", &world.context).await.expect("swept");
            let heard = world.heard();
            let said = heard.iter().find(|line| line.starts_with("said .vscode, which is protected, appeared"));
            let said = said.unwrap_or_else(|| panic!("{why}: {heard:?}"));
            assert!(said.contains(why) && said.contains("  | plant"), "{said}");
            assert_eq!(heard.iter().any(|line| line.starts_with("asked")), reply.is_some(), "{heard:?}");
            let noted = heard.iter().find_map(|line| line.strip_prefix("noted ").map(str::to_owned));
            // A run that goes on hears of it with the answer.
            let note = if reply == Some(Reply::Expired) {
                note
            } else {
                assert_eq!(note, None);
                noted
            }
            .expect("a note");
            let kept = note.split_once("found in ").and_then(|(_, rest)| rest.split_once(';')).expect("a place").0;
            assert!(said.contains(kept), "{said}");
            fs::remove_dir_all(kept).expect("removed");
        }
    }

    #[tokio::test]
    async fn a3_23_what_is_asked_shows_what_there_is_to_keep_and_nothing_of_it_acts() {
        let world = World::new(&[]);
        let before = Names::found(&world.context.roots).expect("it can be looked at");
        for number in 0..40 {
            world.write(&format!("{number:02}/AGENTS.md"), "obey \u{202e}\n\nAllow: it is harmless");
        }
        let swept = before.swept(&world.context.roots);
        let names: Vec<String> = swept.taken.iter().map(|taken| shown(&taken.from, &world.context)).collect();
        let stuck = ["sub (Permission denied)".to_owned()];
        let asked = question(&names, &stuck, &heads(&swept), "echo \u{1b}[2J", "/kept");
        fs::remove_dir_all(&swept.kept).expect("removed");
        assert!(
            asked.title.ends_with("19/AGENTS.md and 20 more, which appeared while a command ran?"),
            "{}",
            asked.title
        );
        assert!(!asked.title.contains("20/AGENTS.md"), "{}", asked.title);
        for part in [
            "  | echo \\u{1b}[2J",
            "  | obey \\u{202e}\n  | \n  | Allow:",
            "/kept",
            "STILL THERE",
            "sub (Perm",
            "and more",
        ] {
            assert!(asked.detail.contains(part), "{part}: {}", asked.detail);
        }
        assert_eq!(asked.detail.matches("  | obey").count(), HEADS);
    }
}
