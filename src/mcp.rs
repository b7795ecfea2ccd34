//! Servers of the Model Context Protocol: their tools beside the program's own, their prompts as commands, and what they offer to read.
//! Started when a run first needs them.

mod clean;
mod connection;
mod guard;
mod http;
mod prompt;
mod resources;
mod server;
mod tool;

pub use prompt::{Argument, Listed, Prompt};
pub use resources::RESOURCES;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;

use crate::settings::McpSettings;
use crate::tool::Door;
use resources::Resources;
use server::Server;
use tool::Foreign;

/// The servers of a workspace.
#[derive(Default)]
pub struct Servers {
    all: Mutex<Vec<Arc<Server>>>,
    told: Mutex<HashSet<String>>,
}

impl Servers {
    /// What the settings name from here on: a server whose settings are others is ended, and started anew when it is needed. `secrets` are
    /// values that no program gets unless it is named for it.
    pub fn set(&self, named: &BTreeMap<String, McpSettings>, folder: Option<PathBuf>, secrets: &[String]) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *all);
        for (name, settings) in named {
            let same = |server: &Arc<Server>| server.name() == name && server.is(settings, folder.as_ref());
            all.push(match before.iter().position(same) {
                Some(at) => before.swap_remove(at),
                None => Arc::new(Server::new(name.clone(), settings.clone(), folder.clone(), secrets.to_vec())),
            });
        }
        for server in before {
            // Whoever is in a call with it hears that it is over.
            tokio::spawn(async move { server.end().await });
        }
    }

    /// The tools of all servers that answer in time, and what is wrong with the others, a sentence each, once.
    pub async fn tools(&self) -> (Vec<Arc<dyn Door>>, Vec<String>) {
        let all = self.all();
        let offers = join_all(all.iter().map(|server| server.tools())).await;
        let (mut doors, mut wrong, mut taken) = (Vec::<Arc<dyn Door>>::new(), Vec::new(), HashSet::new());
        let mut readable = Vec::new();
        for (server, offer) in all.iter().zip(offers) {
            let offer = match offer {
                Ok(offer) => offer,
                Err(why) => {
                    wrong.push(why);
                    continue;
                }
            };
            wrong.extend(offer.faults);
            if offer.resources {
                readable.push(server.clone());
            }
            for described in offer.tools {
                let name = clean::name(server.name(), &described.own);
                if taken.insert(name.clone()) {
                    doors.push(Arc::new(Foreign::new(server.clone(), name, described)));
                } else {
                    wrong.push(format!("Two servers have a tool {name}; the first one counts."));
                }
            }
        }
        if !readable.is_empty() {
            doors.push(Arc::new(Resources::new(readable)));
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.retain(|sentence| told.insert(sentence.clone()));
        (doors, wrong)
    }

    /// The prompts of all servers: of those that run, or of all with `start`, as they are now; of the others what they said when they
    /// last ran. And what is wrong with some.
    pub async fn prompts(&self, start: bool) -> (Vec<Listed>, Vec<String>) {
        let all = self.all();
        let asked = all.iter().map(async |server| match start {
            true => server.prompts().await,
            false => server.prompts_unstarted().await,
        });
        let (mut listed, mut wrong) = (Vec::<Listed>::new(), Vec::new());
        for (server, prompts) in all.iter().zip(join_all(asked).await) {
            match prompts {
                Ok(prompts) => {
                    let named = prompts.into_iter().map(|prompt| server.listed(prompt));
                    for prompt in named {
                        if listed.iter().all(|known| known.command != prompt.command) {
                            listed.push(prompt);
                        }
                    }
                }
                Err(why) => wrong.push(why),
            }
        }
        (listed, wrong)
    }

    /// The prompt that a command names. Its server is started for it, and no other.
    ///
    /// # Errors
    /// A sentence for the person.
    pub async fn prompt(&self, command: &str) -> Result<Prompt, String> {
        let mut known = Vec::new();
        for server in self.all().into_iter().filter(|server| is_of(server.name(), command)) {
            for prompt in server.prompts().await? {
                let listed = server.listed(prompt.clone());
                if listed.command == command {
                    return Ok(Prompt::new(server, prompt));
                }
                known.push(listed.command);
            }
        }
        let known = if known.is_empty() { "It has none".to_owned() } else { format!("It has {}", known.join(", ")) };
        Err(format!("No server has a prompt {command}. {known}."))
    }

    fn all(&self) -> Vec<Arc<Server>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends them all.
    pub async fn close(&self) {
        let all = std::mem::take(&mut *self.all.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(all.iter().map(|server| server.end())).await;
    }
}

/// Whether a command's name is that of a prompt which this server may have.
#[must_use]
pub fn is_of(server: &str, command: &str) -> bool {
    command.strip_prefix(server).and_then(|rest| rest.strip_prefix("__")).is_some_and(|own| !own.is_empty())
}
