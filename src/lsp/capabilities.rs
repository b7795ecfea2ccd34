//! What the client can do, and what the server offers.

use serde_json::Value;
use tower_lsp::ls_types::{
    ClientCapabilities, CodeActionKind, CodeActionOptions, CodeActionProviderCapability, CodeLensOptions,
    ExecuteCommandOptions, InitializeParams, OneOf, PositionEncodingKind, ResourceOperationKind, SaveOptions,
    ServerCapabilities, TextDocumentSyncCapability, TextDocumentSyncKind, TextDocumentSyncOptions,
    TextDocumentSyncSaveOptions, WorkspaceFoldersServerCapabilities, WorkspaceServerCapabilities,
};

use crate::text::Encoding;

/// What the client can do, as far as the server cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Caps {
    /// In what characters are counted from now on.
    pub(super) encoding: Encoding,
    /// Whether edits may be sent at all.
    pub(super) apply_edit: bool,
    /// Whether an edit may name the version that it was made against.
    pub(super) document_changes: bool,
    /// Whether an edit may create files.
    pub(super) create_files: bool,
    /// Whether an edit may delete files.
    pub(super) delete_files: bool,
    /// Whether an edit may rename files.
    pub(super) rename_files: bool,
    /// Whether an open buffer goes with its file when that is renamed.
    pub(super) buffers_follow: bool,
    /// Whether it says yes to an edit that it skips because the buffer has moved on; then the first report after the reply
    /// tells whether it was applied. From any other client a yes means that an edit must not be sent again.
    pub(super) says_yes_to_stale: bool,
    /// What stands in the error by which it refuses an edit because the buffer has moved on. Any other error may have come
    /// after the edit was applied.
    pub(super) stale_error: Option<&'static str>,
    /// Whether one report may tell what was typed and an edit as one change.
    pub(super) merges_reports: bool,
    /// Whether it takes the text's last line break for its end, so that what is added behind it comes before it.
    pub(super) keeps_last_break: bool,
    /// Whether an error that answers a command is only logged, so that the person must hear of it otherwise.
    pub(super) hides_command_errors: bool,
    /// Whether progress can be shown.
    pub(super) progress: bool,
    /// Whether documents can be opened.
    pub(super) show_document: bool,
    /// Whether one can be opened beside what the person works on, without taking the keyboard there.
    pub(super) opens_aside: bool,
    /// Whether code lenses are shown.
    pub(super) code_lens: bool,
    /// Whether they are asked for anew when the server says so.
    pub(super) refreshes_lenses: bool,
    /// How the person decides on what waits for them there.
    pub(super) decides_with: &'static str,
    /// Whether questions can be shown with something to press.
    pub(super) asks: bool,
    /// Whether they open where the person types, so that keys which were meant for the text answer them.
    pub(super) asks_over_text: bool,
    /// How the person answers a question there otherwise.
    pub(super) answers_with: &'static str,
    /// Whether `cowrite/event` is wanted.
    pub(super) events: bool,
    /// Whether `cowrite/save` is answered.
    pub(super) save: bool,
    /// Whether `cowrite/diagnostics` is answered.
    pub(super) diagnostics: bool,
}

impl Caps {
    /// Reads them from what the client sent.
    pub(super) fn of(params: &InitializeParams) -> Self {
        let client = &params.capabilities;
        let name = params.client_info.as_ref().map_or("", |info| info.name.as_str());
        let workspace = client.workspace.as_ref();
        let edit = workspace.and_then(|workspace| workspace.workspace_edit.as_ref());
        let window = client.window.as_ref();
        let code_lens = client.text_document.as_ref().is_some_and(|document| document.code_lens.is_some());
        let may = |operation: ResourceOperationKind| {
            edit.and_then(|edit| edit.resource_operations.as_ref()).is_some_and(|all| all.contains(&operation))
        };
        let ours = client.experimental.as_ref().and_then(|experimental| experimental.get("cowrite"));
        let our = |key: &str| ours.and_then(|ours| ours.get(key)).and_then(Value::as_bool).unwrap_or(false);
        // Neovim does not say that it takes versioned edits, but it does.
        let neovim = name.eq_ignore_ascii_case("neovim");
        let helix = name.eq_ignore_ascii_case("helix");
        let eglot = name.eq_ignore_ascii_case("eglot");
        let kakoune = name.eq_ignore_ascii_case("kakoune-lsp");
        Self {
            encoding: encoding(client),
            apply_edit: workspace.and_then(|workspace| workspace.apply_edit).unwrap_or(false),
            document_changes: neovim || edit.and_then(|edit| edit.document_changes).unwrap_or(false),
            create_files: may(ResourceOperationKind::Create),
            delete_files: may(ResourceOperationKind::Delete),
            rename_files: may(ResourceOperationKind::Rename),
            // kak-lsp renames the file alone, and Kakoune's buffer would write the old one again.
            buffers_follow: !kakoune,
            says_yes_to_stale: neovim,
            stale_error: eglot.then_some("require version"),
            // These report each change by itself. The last is VS Code, which goes by many names: only its client library
            // knows notebooks.
            merges_reports: !(neovim || helix || client.notebook_document.is_some()),
            keeps_last_break: kakoune,
            hides_command_errors: helix,
            progress: window.and_then(|window| window.work_done_progress).unwrap_or(false),
            show_document: window.and_then(|window| window.show_document.as_ref()).is_some_and(|show| show.support),
            // Helix goes to what it opens, in a split or not.
            opens_aside: !helix,
            code_lens,
            refreshes_lenses: workspace
                .and_then(|workspace| workspace.code_lens.as_ref())
                .and_then(|lens| lens.refresh_support)
                .unwrap_or(false),
            decides_with: match (code_lens, helix) {
                (true, _) => {
                    "the lenses above the lines, code actions, or the commands cowrite.accept and cowrite.reject"
                }
                (_, true) => "space a, or :lsp-workspace-command cowrite.accept or cowrite.reject",
                _ => "code actions, or the commands cowrite.accept and cowrite.reject",
            },
            asks: window.is_some_and(|window| window.show_message.is_some()),
            asks_over_text: helix || neovim,
            answers_with: if helix {
                "space a, or :lsp-workspace-command"
            } else {
                "a code action, or one of the commands"
            },
            events: our("events"),
            save: our("save"),
            diagnostics: our("diagnostics"),
        }
    }
}

/// utf-8, then utf-32, then utf-16, from what the client offers; utf-16 when it offers nothing.
fn encoding(client: &ClientCapabilities) -> Encoding {
    let offered = client.general.as_ref().and_then(|general| general.position_encodings.as_ref());
    let has = |kind: &PositionEncodingKind| offered.is_some_and(|offered| offered.contains(kind));
    if has(&PositionEncodingKind::UTF8) {
        Encoding::Utf8
    } else if has(&PositionEncodingKind::UTF32) {
        Encoding::Utf32
    } else {
        Encoding::Utf16
    }
}

/// What the server offers, with its commands by name.
pub(super) fn offered(encoding: Encoding, commands: Vec<String>) -> ServerCapabilities {
    ServerCapabilities {
        position_encoding: Some(match encoding {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
            Encoding::Utf32 => PositionEncodingKind::UTF32,
        }),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions { include_text: Some(false) })),
            ..TextDocumentSyncOptions::default()
        })),
        execute_command_provider: Some(ExecuteCommandOptions { commands, ..ExecuteCommandOptions::default() }),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![
                CodeActionKind::QUICKFIX,
                CodeActionKind::REFACTOR_REWRITE,
                CodeActionKind::SOURCE,
            ]),
            resolve_provider: Some(false),
            ..CodeActionOptions::default()
        })),
        code_lens_provider: Some(CodeLensOptions { resolve_provider: Some(false) }),
        workspace: Some(WorkspaceServerCapabilities {
            workspace_folders: Some(WorkspaceFoldersServerCapabilities {
                supported: Some(true),
                change_notifications: Some(OneOf::Left(true)),
            }),
            ..WorkspaceServerCapabilities::default()
        }),
        ..ServerCapabilities::default()
    }
}
