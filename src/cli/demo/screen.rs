//! What a person sees: plain text, with colours on a terminal that wants them.

use std::io::{self, IsTerminal, Write};

use crate::protocol::{ContextUse, Event, Usage};

/// Streamed text goes to the next line behind this column.
const WIDTH: usize = 96;

#[derive(Clone, Copy)]
enum Look {
    Bold,
    Dim,
    Red,
    Green,
    Blue,
}

pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    colours: bool,
    /// Characters in the line that is being streamed; none while no line is begun.
    column: usize,
    usage: Usage,
    requests: u32,
}

/// Tells on standard error what went wrong.
pub(super) fn error(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

impl Screen {
    pub(super) fn stdout() -> Self {
        let out = io::stdout();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colours = out.is_terminal() && !set("NO_COLOR") && !dumb;
        Self::new(Box::new(out), colours)
    }

    fn new(out: Box<dyn Write + Send>, colours: bool) -> Self {
        Self { out, colours, column: 0, usage: Usage::default(), requests: 0 }
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.end_line();
        let text = self.paint(Look::Bold, text);
        self.write(&format!("\n{text}\n"));
    }

    pub(super) fn fact(&mut self, name: &str, text: &str) {
        self.end_line();
        let name = self.paint(Look::Dim, &format!("{name:<9}"));
        self.write(&format!("  {name}{text}\n"));
    }

    pub(super) fn line(&mut self, text: &str) {
        self.end_line();
        self.write(&format!("  {text}\n"));
    }

    pub(super) fn note(&mut self, text: &str) {
        let text = self.paint(Look::Dim, text);
        self.line(&text);
    }

    pub(super) fn command(&mut self, name: &str, prompt: &str) {
        self.heading(&format!("> cowrite.{name}: {prompt}"));
    }

    /// What the person types while the run is at work.
    pub(super) fn typed(&mut self, lines: &str) {
        self.note("meanwhile you type, above the line that is going to be edited:");
        for line in lines.lines() {
            let line = self.paint(Look::Blue, &format!("  + {line}"));
            self.line(&line);
        }
    }

    /// A unified diff.
    pub(super) fn diff(&mut self, diff: &str) {
        for line in diff.lines() {
            let look = match line.as_bytes().first() {
                Some(b'-') => Look::Red,
                Some(b'+') => Look::Green,
                Some(b'@') => Look::Blue,
                _ => {
                    self.line(line);
                    continue;
                }
            };
            let line = self.paint(look, line);
            self.line(&line);
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::TextDelta { text } => self.stream(text),
            Event::ToolFinished { ok, title, summary, .. } => {
                let mark = if *ok { self.paint(Look::Green, "ok") } else { self.paint(Look::Red, "no") };
                self.line(&format!("  {mark} {title}: {summary}"));
            }
            Event::EditApplied { hunks, rebased, .. } => {
                let moved = if *rebased { ", moved to where its lines are now" } else { "" };
                let count = hunks.len();
                let places = if count == 1 { "place" } else { "places" };
                self.line(&format!("  the buffer holds the edit ({count} {places}{moved})"));
            }
            Event::EditRejected { reason, .. } => {
                let text = self.paint(Look::Red, &format!("  the edit was not made: {reason}"));
                self.line(&text);
            }
            Event::Retrying { reason, delay_ms, .. } => self.note(&format!("trying again in {delay_ms} ms: {reason}")),
            Event::Usage { usage, context, .. } => self.count(usage, context),
            Event::RunFinished { status, .. } => self.finished(&format!("{status:?}").to_lowercase()),
            _ => {}
        }
    }

    /// Ends the line that is being streamed, when there is one.
    pub(super) fn end_line(&mut self) {
        if self.column > 0 {
            self.column = 0;
            self.write("\n");
        }
    }

    fn count(&mut self, usage: &Usage, _context: &ContextUse) {
        self.usage.add(usage);
        self.requests += 1;
    }

    fn finished(&mut self, status: &str) {
        let figure = |tokens: Option<u64>| tokens.map_or_else(|| "unknown".to_owned(), |tokens| tokens.to_string());
        let (sent, came) = (figure(self.usage.sent()), figure(self.usage.output));
        self.note(&format!("run {status}: {} requests, {sent} tokens in, {came} tokens out", self.requests));
    }

    /// Shows a piece of text as it comes, broken between words.
    fn stream(&mut self, text: &str) {
        for letter in text.chars() {
            if letter == '\n' {
                self.end_line();
                continue;
            }
            if letter == ' ' && (self.column == 0 || self.column >= WIDTH) {
                self.end_line();
                continue;
            }
            if self.column == 0 {
                self.write("  ");
            }
            self.column += 1;
            self.write(letter.encode_utf8(&mut [0; 4]));
        }
        let _ = self.out.flush();
    }

    fn paint(&self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Bold => 1,
            Look::Dim => 2,
            Look::Red => 31,
            Look::Green => 32,
            Look::Blue => 34,
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A reader that has gone away is no reason to fail.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(colours: bool, show: impl FnOnce(&mut Screen)) -> String {
        let shared = Shared::default();
        show(&mut Screen::new(Box::new(shared.clone()), colours));
        String::from_utf8(shared.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn streamed_text_is_broken_between_words_and_ended_before_a_tool_line() {
        let words = "word ".repeat(40);
        let text = shown(false, |screen| {
            for piece in words.as_bytes().chunks(3) {
                screen.event(&Event::TextDelta { text: String::from_utf8_lossy(piece).into_owned() });
            }
            screen.event(&Event::ToolFinished {
                call_id: "1".into(),
                ok: true,
                title: "Read a".into(),
                summary: "3 lines".into(),
            });
        });
        assert_eq!(text.split_whitespace().filter(|word| *word == "word").count(), 40);
        assert!(text.lines().all(|line| line.len() <= WIDTH + 8 && line.starts_with("  ")), "{text}");
        assert!(text.ends_with("word\n    ok Read a: 3 lines\n"), "{text}");
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let diff = "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n";
        assert!(!shown(false, |screen| screen.diff(diff)).contains('\x1b'));
        assert!(shown(true, |screen| screen.diff(diff)).contains("\x1b[32m+y\x1b[0m"));
    }
}
