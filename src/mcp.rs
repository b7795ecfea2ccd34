//! Servers of the Model Context Protocol: their tools, beside the program's own. Started when a run first needs them.

mod clean;
mod connection;
mod guard;
mod server;
mod tool;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;

use crate::settings::McpSettings;
use crate::tool::Door;
use server::Server;
use tool::Foreign;

/// The servers of a workspace.
#[derive(Default)]
pub struct Servers {
    all: Mutex<Vec<Arc<Server>>>,
    told: Mutex<HashSet<String>>,
}

impl Servers {
    /// What the settings name from here on: a server whose settings are others is ended, and started anew when it is needed.
    pub fn set(&self, named: &BTreeMap<String, McpSettings>, folder: Option<PathBuf>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *all);
        for (name, settings) in named {
            let same = |server: &Arc<Server>| server.name() == name && server.is(settings, folder.as_ref());
            all.push(match before.iter().position(same) {
                Some(at) => before.swap_remove(at),
                None => Arc::new(Server::new(name.clone(), settings.clone(), folder.clone())),
            });
        }
        for server in before {
            // Whoever is in a call with it hears that it is over.
            tokio::spawn(async move { server.end().await });
        }
    }

    /// The tools of all servers that answer in time, and what is wrong with the others, a sentence each, once.
    pub async fn tools(&self) -> (Vec<Arc<dyn Door>>, Vec<String>) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let listed = join_all(all.iter().map(|server| server.tools())).await;
        let (mut doors, mut wrong, mut taken) = (Vec::<Arc<dyn Door>>::new(), Vec::new(), HashSet::new());
        for (server, listed) in all.iter().zip(listed) {
            let (tools, faults) = match listed {
                Ok(listed) => listed,
                Err(why) => {
                    wrong.push(why);
                    continue;
                }
            };
            wrong.extend(faults);
            for described in tools {
                let name = clean::name(server.name(), &described.own);
                if taken.insert(name.clone()) {
                    doors.push(Arc::new(Foreign::new(server.clone(), name, described)));
                } else {
                    wrong.push(format!("Two servers have a tool {name}; the first one counts."));
                }
            }
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.retain(|sentence| told.insert(sentence.clone()));
        (doors, wrong)
    }

    /// Ends them all.
    pub async fn close(&self) {
        let all = std::mem::take(&mut *self.all.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(all.iter().map(|server| server.end())).await;
    }
}
