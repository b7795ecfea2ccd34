//! A client in memory that behaves as a real editor does: its capabilities, its order of replies and reports, its lies.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cowrite::framing::{FrameReader, frame};
use cowrite::settings::Places;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::buffer::{Buffer, Unit};

/// How long anything that a test waits for may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whose habits the client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Personality {
    VsCode,
    Neovim11,
    Neovim12,
    Helix,
    /// 25.01.1, whose replies and reports overtake one another.
    HelixOld,
    /// Emacs.
    Eglot,
    /// The same with `eglot-send-changes-idle-time` at 0, as the docs say.
    EglotAtOnce,
    /// Kakoune.
    KakLsp,
}

impl Personality {
    pub(crate) const ALL: [Self; 7] =
        [Self::VsCode, Self::Neovim11, Self::Neovim12, Self::Helix, Self::HelixOld, Self::Eglot, Self::KakLsp];

    fn initialize(self) -> Value {
        let captured = match self {
            Self::VsCode => include_str!("personalities/vscode-1.139.1.initialize.json"),
            Self::Neovim11 => include_str!("personalities/neovim-0.11.4.initialize.json"),
            Self::Neovim12 => include_str!("personalities/neovim-0.12.4.initialize.json"),
            Self::Helix => include_str!("personalities/helix-25.07.1.initialize.json"),
            Self::HelixOld => include_str!("personalities/helix-25.01.1.initialize.json"),
            Self::Eglot | Self::EglotAtOnce => include_str!("personalities/emacs-eglot-1.17.initialize.json"),
            Self::KakLsp => include_str!("personalities/kak-lsp-22.initialize.json"),
        };
        serde_json::from_str(captured).expect("a captured request")
    }

    /// How long the person pauses before this editor reports: Eglot after half a second, kak-lsp when Kakoune's hooks for
    /// idleness run. Shorter here, so that the tests are.
    pub(crate) fn reports_after(self) -> Option<Duration> {
        match self {
            Self::Eglot => Some(Duration::from_millis(40)),
            Self::KakLsp => Some(Duration::from_millis(15)),
            _ => None,
        }
    }

    /// Those whose person loses nothing whenever they type: all but Eglot as it is and kak-lsp, which put an edit into a text of
    /// which they have not told all yet, where nobody but they can keep what was typed.
    pub(crate) fn all_that_tell() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain([Self::EglotAtOnce]).filter(|personality| !personality.applies_blindly())
    }

    /// Whether an edit can come to a text that holds more than was reported, and is then applied to it all the same.
    pub(crate) fn applies_blindly(self) -> bool {
        self.reports_after().is_some()
    }
}

/// What a test wants of its client.
pub(crate) struct Setup<'a> {
    pub(crate) personality: Personality,
    pub(crate) folder: &'a Path,
    pub(crate) more_folders: Vec<PathBuf>,
    pub(crate) settings: Value,
    /// A state folder that outlives the server; none for one of its own.
    pub(crate) state: Option<PathBuf>,
    /// Whether the server is a process of its own, which can be killed.
    pub(crate) process: bool,
    /// The most bytes that such a process may write into one file; `lift_limit` takes it away.
    pub(crate) write_limit: Option<u64>,
    /// What such a process finds around itself, in place of what is around the tests.
    pub(crate) surroundings: Option<Surroundings>,
    /// Namespaces of a kind (`pid`, `user`) that the system refuses to such a process, so that it has no sandbox.
    pub(crate) refused: Option<&'static str>,
    /// `capabilities.experimental.cowrite`
    pub(crate) experimental: Value,
}

impl<'a> Setup<'a> {
    /// A client that takes events, in a folder where the conversation lies.
    pub(crate) fn scripted(personality: Personality, folder: &'a Path, rules: &[(&str, Vec<Value>)]) -> Self {
        let script = crate::script::write(folder, rules);
        Self {
            personality,
            folder,
            more_folders: Vec::new(),
            settings: crate::script::settings(&script),
            state: None,
            process: false,
            write_limit: None,
            surroundings: None,
            refused: None,
            experimental: json!({ "events": true }),
        }
    }
}

/// The variables of a server's process, and where its standard error goes.
pub(crate) struct Surroundings {
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) standard_error: std::fs::File,
}

/// A client with its server.
#[derive(Clone)]
pub(crate) struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    personality: Personality,
    out: mpsc::UnboundedSender<Value>,
    next: AtomicI64,
    state: Mutex<State>,
    changed: Notify,
    server: Mutex<Option<JoinHandle<ExitCode>>>,
    /// Ends a process at once.
    kill: CancellationToken,
    paused: watch::Sender<bool>,
    state_folder: PathBuf,
    _own_state_folder: Option<tempfile::TempDir>,
}

type Input = Box<dyn AsyncRead + Send + Unpin>;
type Output = Box<dyn AsyncWrite + Send + Unpin>;

type Typist = Box<dyn FnMut(&Client, &str) + Send>;

/// Answers a request (its method, id and parameters) in the client's place, or says that it does not.
type Habit = Box<dyn FnMut(&Client, &str, &Value, &Value) -> bool + Send>;

#[derive(Default)]
struct State {
    unit: Option<Unit>,
    replies: HashMap<i64, oneshot::Sender<Result<Value, Value>>>,
    buffers: HashMap<String, Buffer>,
    /// Neovim's changes that wait for its debounce, in order.
    pending: Vec<(String, Value)>,
    /// What Eglot and kak-lsp have not reported yet.
    unreported: HashMap<String, Unreported>,
    /// Counts replies, so that every other one comes first where the order is a matter of luck.
    luck: usize,
    notifications: Vec<Value>,
    requests: Vec<Value>,
    /// Requests of these methods get no reply.
    deaf: Vec<String>,
    /// Edits are called applied, and are not.
    lies: bool,
    /// Edits are applied, answered with an error, and reported a moment later.
    fails_after: bool,
    /// Called with each edit before it is applied: the person who types at that very moment.
    typist: Option<Typist>,
    habit: Option<Habit>,
    initialized: Value,
}

/// Changes of a buffer that wait for the person to pause.
#[derive(Default)]
struct Unreported {
    /// The text before the changes that were not looked at yet, with the part of the present text that they touched.
    touched: Option<(String, std::ops::Range<usize>)>,
    /// Looked at, and not sent.
    fetched: Vec<Value>,
    /// Grows with every change, so that only the last one's pause counts.
    changes: u64,
}

impl Client {
    /// A client that has said `initialize` and `initialized`.
    pub(crate) async fn start(setup: Setup<'_>) -> Self {
        Self::start_changed(setup, |_| {}).await
    }

    /// The same, with `change` applied to the captured request before it is sent.
    pub(crate) async fn start_changed(setup: Setup<'_>, change: impl FnOnce(&mut Value)) -> Self {
        Self::start_with(setup, Places::default(), change).await
    }

    /// The same, with a settings file.
    pub(crate) async fn start_with(setup: Setup<'_>, places: Places, change: impl FnOnce(&mut Value)) -> Self {
        // This process is not the binary that supervisors are made of.
        cowrite::process::supervisor_at(env!("CARGO_BIN_EXE_cowrite").into());
        let own = setup.state.is_none().then(state_folder);
        let state_folder = match (&setup.state, &own) {
            (Some(state), _) => state.clone(),
            (None, Some(own)) => own.path().to_path_buf(),
            (None, None) => unreachable!("one of the two"),
        };
        let places = Places { state: Some(state_folder.clone()), ..places };
        let kill = CancellationToken::new();
        let (server, input, mut output) = if setup.process {
            process(places, setup.write_limit, setup.surroundings, setup.refused, kill.clone())
        } else {
            in_memory(places)
        };
        let (out, mut outgoing) = mpsc::unbounded_channel::<Value>();
        tokio::spawn(async move {
            while let Some(message) = outgoing.recv().await {
                let body = serde_json::to_vec(&message).expect("JSON");
                if output.write_all(&frame(&body)).await.is_err() {
                    return;
                }
            }
        });
        let client = Self {
            inner: Arc::new(Inner {
                personality: setup.personality,
                out,
                next: AtomicI64::new(1),
                state: Mutex::default(),
                changed: Notify::new(),
                server: Mutex::new(Some(server)),
                kill,
                paused: watch::Sender::new(false),
                state_folder,
                _own_state_folder: own,
            }),
        };
        tokio::spawn(client.clone().read(input));
        let mut params = setup.personality.initialize();
        params["processId"] = Value::Null;
        params["rootUri"] = json!(uri(setup.folder));
        let mut folders: Vec<PathBuf> = setup.more_folders;
        folders.insert(0, setup.folder.to_path_buf());
        params["workspaceFolders"] =
            folders.iter().map(|folder| json!({ "uri": uri(folder), "name": "workspace" })).collect();
        params["initializationOptions"] = setup.settings;
        params["capabilities"]["experimental"]["cowrite"] = setup.experimental;
        change(&mut params);
        let answer = client.request("initialize", params).await.expect("initialize works");
        let unit = answer["capabilities"]["positionEncoding"].as_str().map_or(Unit::Utf16, Unit::of);
        {
            let mut state = client.lock();
            state.unit = Some(unit);
            state.initialized = answer;
        }
        client.notify("initialized", json!({}));
        client
    }

    /// What `initialize` answered.
    pub(crate) fn offered(&self) -> Value {
        self.lock().initialized.clone()
    }

    pub(crate) async fn request(&self, method: &str, params: Value) -> Result<Value, Value> {
        let (id, reply) = self.send(method, params);
        timeout(PATIENCE, reply)
            .await
            .unwrap_or_else(|_| panic!("no answer to {method} ({id})"))
            .expect("the reader lives")
    }

    /// Sends a request without waiting for its reply.
    pub(crate) fn send(&self, method: &str, params: Value) -> (i64, oneshot::Receiver<Result<Value, Value>>) {
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let (tx, rx) = oneshot::channel();
        self.lock().replies.insert(id, tx);
        if self.inner.personality == Personality::Eglot {
            self.flush_all();
        }
        self.raw(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        (id, rx)
    }

    pub(crate) fn notify(&self, method: &str, params: Value) {
        self.raw(json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn raw(&self, message: Value) {
        // The server may be gone: then the test that cares sees it.
        let _ = self.inner.out.send(message);
    }

    /// `workspace/executeCommand`
    pub(crate) async fn execute(&self, command: &str, argument: Value) -> Result<Value, Value> {
        self.request("workspace/executeCommand", json!({ "command": command, "arguments": [argument] })).await
    }

    /// Starts a run and gives its id.
    pub(crate) async fn run(&self, command: &str, argument: Value) -> String {
        let answer = self.execute(command, argument).await.unwrap_or_else(|error| panic!("{command}: {error}"));
        answer["runId"].as_str().expect("a run id").to_owned()
    }

    pub(crate) fn open(&self, path: &Path, text: &str) -> String {
        let uri = uri(path);
        // Helix, Neovim and Eglot begin with version 0, Kakoune with the timestamp of a buffer that was read.
        let version = if matches!(self.inner.personality, Personality::VsCode | Personality::KakLsp) { 1 } else { 0 };
        let unit = self.lock().unit.expect("initialized");
        self.lock().buffers.insert(uri.clone(), Buffer { text: text.into(), version, unit });
        self.notify(
            "textDocument/didOpen",
            json!({ "textDocument": { "uri": uri, "languageId": "rust", "version": version, "text": text } }),
        );
        uri
    }

    pub(crate) fn text(&self, uri: &str) -> String {
        self.lock().buffers[uri].text.clone()
    }

    /// The person types: `choose` looks at the text and says what is replaced by what.
    pub(crate) fn type_into(&self, uri: &str, choose: impl FnOnce(&str) -> (std::ops::Range<usize>, String)) {
        let mut state = self.lock();
        let (range, text) = choose(&state.buffers[uri].text);
        self.make_change(&mut state, uri, range, &text);
    }

    /// Changes a buffer, and reports that when this editor does.
    fn make_change(&self, state: &mut State, uri: &str, range: std::ops::Range<usize>, text: &str) {
        if self.inner.personality.applies_blindly() {
            return self.change_unreported(state, uri, range, text);
        }
        let change = state.buffers.get_mut(uri).expect("an open buffer").replace(range, text);
        self.report(state, uri, vec![change]);
    }

    /// Hands changes to the server as this editor does.
    fn report(&self, state: &mut State, uri: &str, changes: Vec<Value>) {
        if matches!(self.inner.personality, Personality::Neovim11 | Personality::Neovim12) {
            if state.pending.is_empty() {
                let client = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(15)).await;
                    client.flush();
                });
            }
            state.pending.extend(changes.into_iter().map(|change| (uri.to_owned(), change)));
            return;
        }
        let version = state.buffers[uri].version;
        self.notify(
            "textDocument/didChange",
            json!({ "textDocument": { "uri": uri, "version": version }, "contentChanges": changes }),
        );
    }

    /// Neovim's debounce is over.
    fn flush(&self) {
        let mut state = self.lock();
        let pending = std::mem::take(&mut state.pending);
        let mut by_uri: Vec<(String, Vec<Value>)> = Vec::new();
        for (uri, change) in pending {
            match by_uri.iter_mut().find(|(known, _)| *known == uri) {
                Some((_, changes)) => changes.push(change),
                None => by_uri.push((uri, vec![change])),
            }
        }
        for (uri, changes) in by_uri {
            let version = state.buffers[&uri].version;
            self.notify(
                "textDocument/didChange",
                json!({ "textDocument": { "uri": uri, "version": version }, "contentChanges": changes }),
            );
        }
    }

    /// A change that Eglot or kak-lsp reports when the person pauses.
    fn change_unreported(&self, state: &mut State, uri: &str, range: std::ops::Range<usize>, text: &str) {
        // Eglot looks at what has changed, and counts a version, only when the next change is far away.
        let touched = state.unreported.get(uri).and_then(|unreported| unreported.touched.as_ref());
        let near =
            touched.is_none_or(|(_, touched)| range.start <= touched.end + 100 && touched.start <= range.end + 100);
        if !near && self.inner.personality == Personality::Eglot {
            fetch(state, uri);
        }
        let buffer = state.buffers.get_mut(uri).expect("an open buffer");
        let unreported = state.unreported.entry(uri.to_owned()).or_default();
        let (_, touched) = unreported.touched.get_or_insert_with(|| (buffer.text.clone(), range.clone()));
        let end = touched.end.max(range.end) - range.len() + text.len();
        *touched = touched.start.min(range.start)..end;
        buffer.text.replace_range(range, text);
        unreported.changes += 1;
        let (changes, client, uri) = (unreported.changes, self.clone(), uri.to_owned());
        let pause = self.inner.personality.reports_after().expect("a lazy editor");
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let mut state = client.lock();
            if state.unreported.get(&uri).is_some_and(|unreported| unreported.changes == changes) {
                client.report_unreported(&mut state, &uri);
            }
        });
    }

    /// The person has paused, or something else makes the editor report.
    fn report_unreported(&self, state: &mut State, uri: &str) {
        fetch(state, uri);
        let changes = state.unreported.get_mut(uri).map(|unreported| std::mem::take(&mut unreported.fetched));
        let changes = changes.filter(|changes| !changes.is_empty());
        let buffer = &state.buffers[uri];
        let changes = match (changes, self.inner.personality) {
            (None, _) => return,
            // kak-lsp sends the whole text, whatever the server can take.
            (Some(_), Personality::KakLsp) => json!([{ "text": buffer.text }]),
            (Some(changes), _) => json!(changes),
        };
        self.notify(
            "textDocument/didChange",
            json!({ "textDocument": { "uri": uri, "version": buffer.version }, "contentChanges": changes }),
        );
    }

    /// Eglot reports before it asks for anything.
    fn flush_all(&self) {
        let mut state = self.lock();
        let uris: Vec<String> = state.unreported.keys().cloned().collect();
        uris.iter().for_each(|uri| self.report_unreported(&mut state, uri));
    }

    /// Somebody who is at the keyboard whenever an edit arrives.
    pub(crate) fn set_typist(&self, typist: impl FnMut(&Client, &str) + Send + 'static) {
        self.lock().typist = Some(Box::new(typist));
    }

    /// From now on requests are answered so, where it answers.
    pub(crate) fn set_habit(&self, habit: impl FnMut(&Client, &str, &Value, &Value) -> bool + Send + 'static) {
        self.lock().habit = Some(Box::new(habit));
    }

    /// Whether a document is open.
    pub(crate) fn is_open(&self, uri: &str) -> bool {
        self.lock().buffers.contains_key(uri)
    }

    /// Closes a document.
    pub(crate) fn close(&self, uri: &str) {
        self.lock().buffers.remove(uri);
        self.notify("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    }

    /// Makes edits in a text that is nowhere reported.
    pub(crate) fn edited(&self, text: &str, edits: &[Value]) -> String {
        let unit = self.lock().unit.expect("initialized");
        let mut buffer = Buffer { text: text.into(), version: 0, unit };
        buffer.apply(edits);
        buffer.text
    }

    /// Makes edits in an open document; what `report_all` then says of them.
    pub(crate) fn apply(&self, uri: &str, edits: &[Value]) -> Vec<Value> {
        self.lock().buffers.get_mut(uri).expect("an open buffer").apply(edits)
    }

    /// Reports changes of an open document.
    pub(crate) fn report_all(&self, uri: &str, changes: Vec<Value>) {
        self.report(&mut self.lock(), uri, changes);
    }

    /// The version of an open document.
    pub(crate) fn version(&self, uri: &str) -> i64 {
        self.lock().buffers[uri].version
    }

    /// Answers a request with an error.
    pub(crate) fn fail(&self, id: &Value, message: &str) {
        self.raw(json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32603, "message": message } }));
    }

    /// From now on edits are called applied, and are not.
    pub(crate) fn lie_about_edits(&self) {
        self.lock().lies = true;
    }

    /// From now on they are applied again.
    pub(crate) fn tell_the_truth_about_edits(&self) {
        self.lock().lies = false;
    }

    /// From now on edits are applied and answered with an error, and reported a moment later.
    pub(crate) fn fail_after_applying(&self) {
        self.lock().fails_after = true;
    }

    /// From now on requests of this method get no reply.
    pub(crate) fn be_deaf_to(&self, method: &str) {
        self.lock().deaf.push(method.into());
    }

    /// Waits until `look` finds something in what the server has sent.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl FnMut(&[Value], &[Value]) -> Option<T>) -> T {
        let found = timeout(PATIENCE, async {
            loop {
                let changed = self.inner.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                {
                    let state = self.lock();
                    if let Some(found) = look(&state.notifications, &state.requests) {
                        return found;
                    }
                }
                changed.await;
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("{what} never came; notifications: {:#?}", self.lock().notifications),
        }
    }

    /// Whether the client reads what the server writes.
    pub(crate) fn stop_reading(&self, stop: bool) {
        self.inner.paused.send_replace(stop);
    }

    /// Waits for the last event of whichever run ends first.
    pub(crate) async fn any_finished(&self) -> Value {
        self.until("runFinished", |notifications, _| {
            notifications
                .iter()
                .map(|message| &message["params"]["event"])
                .find(|event| event["type"] == "runFinished")
                .cloned()
        })
        .await
    }

    /// Waits for a run's last event (of a client that takes events).
    pub(crate) async fn finished(&self, run: &str) -> Value {
        self.until(&format!("runFinished of {run}"), |notifications, _| {
            events_in(notifications, run).into_iter().find(|event| event["type"] == "runFinished")
        })
        .await
    }

    /// Waits until the model's first words were told.
    pub(crate) async fn streamed(&self, run: &str) {
        self.until(&format!("the first words of {run}"), |notifications, _| {
            events_in(notifications, run).iter().any(|event| event["type"] == "textDelta").then_some(())
        })
        .await;
    }

    /// The events of a run that were told so far.
    pub(crate) fn events(&self, run: &str) -> Vec<Value> {
        events_in(&self.lock().notifications, run)
    }

    /// The whole notifications that were sent so far.
    pub(crate) fn notifications(&self, method: &str) -> Vec<Value> {
        self.lock().notifications.iter().filter(|message| message["method"] == method).cloned().collect()
    }

    /// Everything that the server sent so far of itself.
    pub(crate) fn sent(&self) -> String {
        let state = self.lock();
        format!("{:?}\n{:?}", state.notifications, state.requests)
    }

    /// The requests that the server made so far.
    pub(crate) fn requests(&self, method: &str) -> Vec<Value> {
        self.lock().requests.iter().filter(|message| message["method"] == method).cloned().collect()
    }

    /// Forgets the events so far, so that a long campaign does not look through them again and again.
    pub(crate) fn forget_events(&self) {
        self.lock().notifications.retain(|message| message["method"] != "cowrite/event");
    }

    /// The state folder of this server.
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.inner.state_folder.clone()
    }

    /// Ends the server in order.
    pub(crate) async fn stop(&self) -> ExitCode {
        self.request("shutdown", Value::Null).await.expect("shutdown works");
        self.notify("exit", Value::Null);
        self.ended().await
    }

    /// From now on the server's process may write as much as it wants.
    pub(crate) fn lift_limit(&self) {
        let process = std::fs::read_to_string(self.state_folder().join("process")).expect("written at the start");
        limit_writes(process.parse().expect("a number"), None);
    }

    /// Ends the server's process as a crash would.
    pub(crate) async fn kill(&self) {
        self.inner.kill.cancel();
        self.ended().await;
    }

    /// Waits for the server's end.
    pub(crate) async fn ended(&self) -> ExitCode {
        let server = self.inner.server.lock().expect("sound").take().expect("stopped once");
        timeout(PATIENCE, server).await.expect("the server ends").expect("without a panic")
    }

    async fn read(self, mut input: Input) {
        let mut frames = FrameReader::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            while let Some(next) = frames.next() {
                let message = serde_json::from_slice(&next.expect("the server frames well")).expect("JSON");
                self.take(message);
            }
            let mut paused = self.inner.paused.subscribe();
            paused.wait_for(|paused| !paused).await.expect("the client lives");
            match input.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(length) => frames.push(&buffer[..length]),
            }
        }
    }

    fn take(&self, message: Value) {
        match (message.get("method").and_then(Value::as_str), message.get("id")) {
            (Some(method), Some(id)) => {
                let (method, id) = (method.to_owned(), id.clone());
                let deaf = {
                    let mut state = self.lock();
                    state.requests.push(message.clone());
                    state.deaf.contains(&method)
                };
                self.inner.changed.notify_waiters();
                if !deaf {
                    self.answer(&method, id, &message["params"]);
                }
            }
            (Some(_), None) => {
                self.lock().notifications.push(message);
                self.inner.changed.notify_waiters();
            }
            (None, _) => {
                let id = message["id"].as_i64().unwrap_or(-1);
                let waiting = self.lock().replies.remove(&id);
                if let Some(waiting) = waiting {
                    let result = match message.get("error") {
                        Some(error) => Err(error.clone()),
                        None => Ok(message["result"].clone()),
                    };
                    let _ = waiting.send(result);
                } else {
                    // Such as the answer to a frame that could not be read.
                    self.lock().notifications.push(message);
                    self.inner.changed.notify_waiters();
                }
            }
        }
    }

    fn answer(&self, method: &str, id: Value, params: &Value) {
        let habit = self.lock().habit.take();
        if let Some(mut habit) = habit {
            let answered = habit(self, method, &id, params);
            self.lock().habit.get_or_insert(habit);
            if answered {
                return;
            }
        }
        match method {
            "workspace/applyEdit" => self.apply_edit(id, &params["edit"]),
            "window/workDoneProgress/create" | "workspace/codeLens/refresh" => self.reply(id, Value::Null),
            "window/showDocument" => self.reply(id, json!({ "success": true })),
            other => self.raw(json!({
                "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": format!("MethodNotFound: {other}") }
            })),
        }
    }

    /// Answers a request that nothing was said to so far.
    pub(crate) fn reply(&self, id: Value, result: Value) {
        self.raw(json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    }

    fn apply_edit(&self, id: Value, edit: &Value) {
        let (uri, version, edits) = match edit["documentChanges"].as_array() {
            Some(changes) => {
                assert_eq!(changes.len(), 1, "one document a request: {edit}");
                let document = &changes[0]["textDocument"];
                (document["uri"].clone(), document["version"].as_i64(), changes[0]["edits"].clone())
            }
            None => {
                let changes = edit["changes"].as_object().expect("documentChanges or changes");
                let (uri, edits) = changes.iter().next().expect("one document");
                (json!(uri), None, edits.clone())
            }
        };
        let uri = uri.as_str().expect("a URI").to_owned();
        let edits = edits.as_array().expect("edits").clone();
        let typist = self.lock().typist.take();
        if let Some(mut typist) = typist {
            typist(self, &uri);
            self.lock().typist.get_or_insert(typist);
        }
        let mut state = self.lock();
        if state.lies {
            return self.reply(id, json!({ "applied": true }));
        }
        if state.fails_after {
            let changes = state.buffers.get_mut(&uri).expect("open").apply(&edits);
            self.raw(json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32603, "message": "a hook failed" } }));
            let client = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                client.report(&mut client.lock(), &uri, changes);
            });
            return;
        }
        let current = state.buffers[&uri].version;
        match self.inner.personality {
            // Any mismatch is a bare "no"; the reply comes before the report.
            Personality::VsCode => {
                if version.is_some_and(|version| version != current) {
                    return self.reply(id, json!({ "applied": false }));
                }
                let changes = state.buffers.get_mut(&uri).expect("open").apply(&edits);
                self.reply(id, json!({ "applied": true }));
                self.report(&mut state, &uri, changes);
            }
            // An edit against an older version is skipped, and still called applied; version 0 is not looked at.
            Personality::Neovim11 | Personality::Neovim12 => {
                if version.is_none_or(|version| version == 0 || version >= current) {
                    let changes = state.buffers.get_mut(&uri).expect("open").apply(&edits);
                    self.report(&mut state, &uri, changes);
                }
                self.reply(id, json!({ "applied": true }));
            }
            // Strict, and the report comes before the reply; in the older one each goes its own way to the server.
            Personality::Helix | Personality::HelixOld => {
                if version.is_some_and(|version| version != current) {
                    let reason = "document has changed";
                    let answer = json!({ "applied": false, "failureReason": reason, "failedChange": 0 });
                    return self.reply(id, answer);
                }
                let changes = state.buffers.get_mut(&uri).expect("open").apply(&edits);
                state.luck += 1;
                let reply_first = self.inner.personality == Personality::HelixOld && state.luck.is_multiple_of(2);
                if reply_first {
                    self.reply(id.clone(), json!({ "applied": true }));
                }
                self.report(&mut state, &uri, changes);
                if !reply_first {
                    self.reply(id, json!({ "applied": true }));
                }
            }
            // An edit against an older version is an error. What was typed since the last look does not count as a version,
            // so such an edit goes where the same lines and columns are now, and is told with the typing as one change.
            Personality::Eglot | Personality::EglotAtOnce => {
                if version.is_some_and(|version| version != current) {
                    let file = uri.rsplit('/').next().expect("a name");
                    let message = format!(
                        "Edits on \u{2018}{file}\u{2019} require version {}, you have {current}",
                        version.unwrap_or(0)
                    );
                    let error = json!({ "code": -32603, "message": message });
                    return self.raw(json!({ "jsonrpc": "2.0", "id": id, "error": error }));
                }
                self.reply(id, json!({ "applied": true }));
                for (range, text) in state.buffers[&uri].ranges(&edits) {
                    self.make_change(&mut state, &uri, range, &text);
                }
            }
            // Yes at once, without a look at the version; then Kakoune is told to select and change, and to report.
            Personality::KakLsp => {
                self.reply(id, json!({ "applied": true }));
                let client = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    let mut state = client.lock();
                    // From the last to the first, each a selection of its own.
                    let selections = edits.iter().rev().map(|edit| {
                        let (start, end) = (edit["range"]["start"].clone(), edit["range"]["end"].clone());
                        (start, end, edit["newText"].as_str().expect("newText").to_owned())
                    });
                    for (start, end, text) in selections {
                        let mut range = state.buffers[&uri].selected(&start, &end);
                        let end = state.buffers[&uri].text.len();
                        if range.end == end && range.start < end && !text.is_empty() {
                            // With the last line gone, the cursor is on the break before it.
                            client.change_unreported(&mut state, &uri, range.clone(), "");
                            range = range.start.saturating_sub(1)..range.start.saturating_sub(1);
                        }
                        client.change_unreported(&mut state, &uri, range, &text);
                    }
                    client.report_unreported(&mut state, &uri);
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().expect("sound")
    }
}

/// A state folder, in memory where the system has a place for that: many servers at once would wait for one disk.
pub(crate) fn state_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// A server in this process.
fn in_memory(places: Places) -> (JoinHandle<ExitCode>, Input, Output) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (from_client, to_client) = tokio::io::split(theirs);
    let server = tokio::spawn(cowrite::lsp::serve(from_client, to_client, places, CancellationToken::new()));
    let (input, output) = tokio::io::split(ours);
    (server, Box::new(input), Box::new(output))
}

fn limit_writes(process: u32, most: Option<u64>) {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let process = Pid::from_raw(i32::try_from(process).expect("an id"));
    let maximum = getrlimit(Resource::Fsize).maximum;
    prlimit(process, Resource::Fsize, Rlimit { current: most.or(maximum), maximum }).expect("a limit");
}

/// A server as a process of its own, with nobody's settings.
fn process(
    places: Places,
    write_limit: Option<u64>,
    surroundings: Option<Surroundings>,
    refused: Option<&str>,
    kill: CancellationToken,
) -> (JoinHandle<ExitCode>, Input, Output) {
    let state = places.state.expect("a state folder");
    std::fs::create_dir_all(&state).expect("a folder");
    let config = state.join("no-settings.toml");
    std::fs::write(&config, "").expect("written");
    // A write beyond the limit shall fail, not end the process.
    let mut command = tokio::process::Command::new("sh");
    let line = match refused {
        None => "trap '' XFSZ; exec \"$0\"".to_owned(),
        // Root in a namespace of users of its own may say how many more there are to be below it.
        Some(kind) => format!(
            "trap '' XFSZ; exec unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_{kind}_namespaces && exec \"$0\"' \"$0\""
        ),
    };
    command.args(["-c", &line, env!("CARGO_BIN_EXE_cowrite")]).env_remove("COWRITE_LOG");
    if let Some(Surroundings { variables, standard_error }) = surroundings {
        command.env_clear().envs(variables).stderr(standard_error);
    }
    let mut child = command
        .env("COWRITE_CONFIG", config)
        .env("COWRITE_STATE_DIR", &state)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    if let Some(limit) = write_limit {
        let process = child.id().expect("it runs");
        std::fs::write(state.join("process"), process.to_string()).expect("written");
        limit_writes(process, Some(limit));
    }
    let (input, output) = (child.stdout.take().expect("piped"), child.stdin.take().expect("piped"));
    let ended = tokio::spawn(async move {
        tokio::select! {
            status = child.wait() => ExitCode::from(u8::try_from(status.expect("it was started").code().unwrap_or(255)).expect("a status")),
            () = kill.cancelled() => {
                child.kill().await.expect("it can be killed");
                ExitCode::from(255)
            }
        }
    });
    (ended, Box::new(input), Box::new(output))
}

/// What has changed since the last look becomes one change, and one version more.
fn fetch(state: &mut State, uri: &str) {
    let Some(unreported) = state.unreported.get_mut(uri) else { return };
    let Some((before, touched)) = unreported.touched.take() else { return };
    let buffer = state.buffers.get_mut(uri).expect("an open buffer");
    let behind = buffer.text.len() - touched.end;
    let old = Buffer { text: before, ..buffer.clone() };
    let range = old.range(touched.start..old.text.len() - behind);
    unreported.fetched.push(json!({ "range": range, "text": buffer.text[touched] }));
    buffer.version += 1;
}

fn events_in(notifications: &[Value], run: &str) -> Vec<Value> {
    notifications
        .iter()
        .filter(|message| message["method"] == "cowrite/event" && message["params"]["runId"] == run)
        .map(|message| message["params"]["event"].clone())
        .collect()
}

pub(crate) fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// How often a campaign goes round: whole when asked for, else a twentieth.
pub(crate) fn rounds(whole: usize) -> usize {
    if std::env::var("COWRITE_CAMPAIGN").is_ok_and(|word| word == "full") { whole } else { (whole / 20).max(1) }
}
