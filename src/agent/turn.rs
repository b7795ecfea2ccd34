//! The turn loop: ask the model, run its calls, until it is done.

use std::sync::Arc;

use futures::StreamExt;

use super::verifying::Checked;
use super::writing::{Piece, Writings};
use super::{Agent, Ended};
use crate::model::{Assembler, Block, Item, ModelError, Purpose, Request, StopReason, StreamEvent, Turn};
use crate::permission::Access;
use crate::protocol::{Event, RunStatus, Usage};

/// How often the model is told that a call was cut off by the output limit before the run stops.
const CUT_CALLS_TOLD: u32 = 2;

/// Why the loop ends before the model is done.
pub(super) enum Stop {
    Cancelled,
    Failed(String),
    /// The provider says that the request was too long.
    Overflow(String),
}

impl Agent {
    /// Runs to the end. Every await in it gives way to the cancellation; the history is valid whenever it returns.
    pub async fn run(&mut self) -> Ended {
        let mut said = None;
        let ended = self.turns(&mut said).await;
        if ended.is_ok() {
            self.look_back();
        }
        if matches!(ended, Err(Stop::Cancelled)) {
            self.was_cancelled();
        }
        match ended {
            Ok(RunStatus::LimitReached) => Ended {
                status: RunStatus::LimitReached,
                result_text: said,
                error: Some(format!(
                    "Stopped at the limit of {} turns. Ask to go on to continue, or raise limits.max_turns.",
                    self.setup.limits.max_turns
                )),
            },
            Ok(status) => Ended { status, result_text: said, error: None },
            Err(Stop::Cancelled) => Ended::cancelled(said),
            Err(Stop::Failed(error) | Stop::Overflow(error)) => Ended { result_text: said, ..Ended::failed(error) },
        }
    }

    async fn turns(&mut self, said: &mut Option<String>) -> Result<RunStatus, Stop> {
        let prompt = std::mem::take(&mut self.setup.prompt);
        let typed = self.setup.typed.take();
        let heard = self.before_prompt(&prompt).await?;
        self.keep(Item::asked(prompt, typed)).await?;
        if let Some(heard) = heard {
            self.keep(Item::told(heard)).await?;
        }
        let (mut cut, mut paused) = (0, false);
        let mut checked = Checked::default();
        for number in 1..=self.setup.limits.max_turns {
            for note in self.journal.take_notes() {
                self.keep(Item::told(note)).await?;
            }
            self.before_request(number).await?;
            self.make_room().await?;
            self.journal.event(Event::TurnStarted { turn: number });
            let turn = match self.ask_model(number, said).await {
                Err(Stop::Overflow(error)) => {
                    self.overflowed(&error).await?;
                    self.ask_model(number, said).await?
                }
                other => other?,
            };
            // What follows a pause goes on in the same answer.
            let before = if paused { said.take() } else { None };
            let calls = self.keep_answer(&turn, said).await?;
            if let Some(before) = before {
                *said = Some(before + said.as_deref().unwrap_or_default());
            }
            paused = turn.stop == StopReason::Pause;
            match turn.stop {
                StopReason::Refusal(reason) => {
                    return Err(Stop::Failed(format!("{} would not answer: {reason}", self.setup.provider.name())));
                }
                StopReason::MaxTokens if !turn.cut_calls.is_empty() => {
                    cut += 1;
                    if cut > CUT_CALLS_TOLD {
                        return Err(Stop::Failed(format!(
                            "{} was cut off in a tool call {cut} times at its output limit; raise max_output of the model or ask for less at once",
                            self.setup.provider.name()
                        )));
                    }
                    self.tell_cut(&turn.cut_calls).await?;
                    self.turn_ended(number, said.as_deref()).await?;
                }
                StopReason::MaxTokens => {
                    if text_of(&turn.blocks).is_none() {
                        return Err(Stop::Failed(format!(
                            "{} came to its output limit before it said anything; raise max_output of the model or ask for less at once",
                            self.setup.provider.name()
                        )));
                    }
                    said.get_or_insert_default().push_str("\n\n(The answer was cut off at the model's output limit.)");
                    self.turn_ended(number, said.as_deref()).await?;
                    self.verify_at_last(&mut checked, said).await?;
                    return Ok(RunStatus::Completed);
                }
                StopReason::Pause if calls.is_empty() => self.turn_ended(number, said.as_deref()).await?,
                _ if calls.is_empty() => {
                    if said.is_none() && number == 1 {
                        return Err(Stop::Failed(format!(
                            "{} gave an empty answer; try again, or try another model",
                            self.setup.provider.name()
                        )));
                    }
                    self.turn_ended(number, said.as_deref()).await?;
                    if let Some(failures) = self.verify(&mut checked).await? {
                        self.keep(Item::told(failures)).await?;
                        continue;
                    }
                    add_summary(&checked, said);
                    return Ok(RunStatus::Completed);
                }
                _ => {
                    self.run_calls(calls).await?;
                    self.turn_ended(number, said.as_deref()).await?;
                }
            }
        }
        self.verify_at_last(&mut checked, said).await?;
        Ok(RunStatus::LimitReached)
    }

    /// What the run has changed is checked once, though the model can mend nothing any more: the person hears how it is.
    async fn verify_at_last(&mut self, checked: &mut Checked, said: &mut Option<String>) -> Result<(), Stop> {
        if let Some(failures) = self.verify(checked).await? {
            // For the run after this one.
            self.keep(Item::told(failures)).await?;
        }
        add_summary(checked, said);
        Ok(())
    }

    /// The calls of an answer that was cut off are not in the history, so the model hears of them in words.
    async fn tell_cut(&mut self, calls: &[String]) -> Result<(), Stop> {
        let text = format!(
            "Your answer was cut off at the output limit, so none of its tool calls was run ({}). Make them shorter, or fewer \
             at a time.",
            calls.join(", ")
        );
        self.keep(Item::told(text)).await
    }

    /// One request and its whole answer. Whatever came before a cancel or a break is kept, marked as partial.
    async fn ask_model(&mut self, number: u32, said: &mut Option<String>) -> Result<Turn, Stop> {
        let mut assembler = Assembler::after(self.window.items());
        let ended = match self.stream(number, &mut assembler).await {
            Ok(()) => assembler.missing().map_or(Ok(()), |missing| {
                let model = self.setup.provider.name();
                Err(Stop::Failed(format!("{model} broke off its answer ({missing}); try again")))
            }),
            Err(stop) => Err(stop),
        };
        match ended {
            Ok(()) => assembler.finish().map_err(Stop::Failed),
            Err(stop) => {
                let (usage, origin) = (assembler.usage(), assembler.origin());
                let blocks = assembler.partial();
                if !blocks.is_empty() {
                    *said = text_of(&blocks);
                    let model = self.setup.provider.name().into();
                    self.keep(Item::Assistant { model, origin, blocks, partial: true }).await?;
                }
                if usage != Usage::default() {
                    self.count(usage);
                }
                Err(stop)
            }
        }
    }

    async fn stream(&mut self, number: u32, assembler: &mut Assembler) -> Result<(), Stop> {
        let request = Request {
            system: self.setup.system.clone(),
            tools: self.setup.tools.specs(),
            items: self.window.shown().into(),
            max_output: None,
            cache_key: Some(self.setup.conversation.clone()),
            purpose: Purpose::Turn,
        };
        self.sent = request.items.len() as u64;
        let cancel = self.cancel.clone();
        let starting = self.setup.provider.stream(request);
        let mut stream = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Stop::Cancelled),
            started = starting => started.map_err(|error| failed(&error))?,
        };
        let mut block = None;
        let mut writings = Writings::default();
        loop {
            let event = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(Stop::Cancelled),
                event = stream.next() => match event {
                    None => return Ok(()),
                    Some(event) => event.map_err(|error| failed(&error))?,
                },
            };
            assembler.push(&event);
            if let StreamEvent::Text { index, .. } | StreamEvent::Reasoning { index, .. } = &event
                && block.replace(*index).is_some_and(|before| before != *index)
            {
                self.journal.block_ended();
            }
            match event {
                StreamEvent::Text { text, .. } => self.journal.event(Event::TextDelta { text }),
                StreamEvent::Reasoning { text, .. } => self.journal.event(Event::ReasoningDelta { text }),
                StreamEvent::Retrying { attempt, delay, reason, discarded } => {
                    if discarded {
                        writings = Writings::default();
                        self.journal.event(Event::TurnDiscarded { turn: number, reason: reason.clone() });
                    }
                    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                    self.journal.event(Event::Retrying { attempt, delay_ms, reason });
                }
                StreamEvent::CallStarted { index, name, .. } => {
                    writings.begin(index, self.setup.tools.access(&name) == Access::Write);
                }
                StreamEvent::CallArguments { index, json } => {
                    for (call, Piece { path, number, text }) in writings.push(index, &json) {
                        self.journal.event(Event::EditDelta { path, call, edit: number, text });
                    }
                }
                StreamEvent::Answering { .. }
                | StreamEvent::Raw { .. }
                | StreamEvent::BlockStopped { .. }
                | StreamEvent::Usage(_) => {}
                StreamEvent::Finished(_) => return Ok(()),
            }
        }
    }

    /// Keeps a whole turn and gives its calls.
    async fn keep_answer(&mut self, turn: &Turn, said: &mut Option<String>) -> Result<Vec<Call>, Stop> {
        if let Some(text) = text_of(&turn.blocks) {
            *said = Some(text);
        }
        // An answer of which nothing is left was an answer nevertheless.
        if !turn.blocks.is_empty() || !turn.cut_calls.is_empty() {
            let (model, origin) = (self.setup.provider.name().into(), turn.origin.clone());
            let partial = !turn.cut_calls.is_empty();
            self.keep(Item::Assistant { model, origin, blocks: turn.blocks.clone(), partial }).await?;
        }
        self.count(turn.usage);
        Ok(turn.blocks.iter().filter_map(Call::of).collect())
    }

    /// Takes in what the request cost. The answer is part of it, so this comes after the answer was kept.
    fn count(&mut self, usage: Usage) {
        self.window.measure(&usage);
        let context = self.context();
        self.journal.event(Event::cost(usage, context, self.sent));
    }

    /// Records an entry, then counts it among what the next request holds.
    pub(super) async fn keep(&mut self, item: Item) -> Result<(), Stop> {
        let item = Arc::new(item);
        self.journal.item(item.clone()).await.map_err(Stop::Failed)?;
        self.window.push(item);
        Ok(())
    }
}

/// A call that the model made.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

impl Call {
    fn of(block: &Block) -> Option<Self> {
        match block {
            Block::Call { id, name, arguments, .. } => {
                Some(Self { id: id.clone(), name: name.clone(), arguments: arguments.clone() })
            }
            Block::Text { .. } | Block::Reasoning { .. } => None,
        }
    }
}

/// Tells the person what the checks found, behind what was said.
fn add_summary(checked: &Checked, said: &mut Option<String>) {
    if let Some(summary) = checked.summary() {
        let said = said.get_or_insert_default();
        said.push_str(if said.is_empty() { "" } else { "\n\n" });
        said.push_str(&summary);
    }
}

fn failed(error: &ModelError) -> Stop {
    match error {
        ModelError::Overflow { .. } => Stop::Overflow(error.to_string()),
        _ => Stop::Failed(error.to_string()),
    }
}

fn text_of(blocks: &[Block]) -> Option<String> {
    let texts: Vec<&str> = blocks
        .iter()
        .filter_map(|block| match block {
            Block::Text { text, .. } if !text.trim().is_empty() => Some(text.as_str()),
            _ => None,
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}
