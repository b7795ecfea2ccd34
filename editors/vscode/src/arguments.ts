// A palette entry comes without arguments: the file, the selection and the prompt are added on the way to the server.

import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

/** What `cowrite.run` and its relatives take. Ranges are in UTF-16, as VS Code counts and the server agreed. */
interface RunArgument {
  prompt?: string;
  command?: string;
  uri?: string;
  range?: unknown;
  diagnostics?: unknown[];
}

/** Commands that start a run, and what to ask the person for. No text: nothing needs to be asked. */
const builtIn: Record<string, string | undefined> = {
  'cowrite.ask': 'What do you want to know?',
  'cowrite.edit': 'What should change?',
  'cowrite.fix': undefined,
  'cowrite.explain': undefined,
  'cowrite.test': undefined,
  'cowrite.document': undefined,
  'cowrite.review': undefined,
  'cowrite.run': 'What should be done?',
};

const control = /^cowrite\.(cancel|status|events|sessions|session\..*|compact|accept|reject|diff|undo|approve|deny|trust)$/;

/**
 * The arguments to send, or undefined when the person changed their mind. Code actions and keybindings bring their
 * own; those go through untouched.
 */
export async function addArguments(
  client: LanguageClient,
  command: string,
  args: unknown[],
): Promise<unknown[] | undefined> {
  if (control.test(command) || isComplete(args[0])) {
    return args.length > 0 ? args.slice(0, 1) : [{}];
  }
  const argument = here(client, command);
  if (command === 'cowrite.run') {
    const listed = client.initializeResult?.capabilities.executeCommandProvider?.commands ?? [];
    const own = listed.filter((name) => !(name in builtIn) && !control.test(name));
    const chosen = own.length > 0 ? await pick(own) : 'prompt';
    if (chosen === undefined) {
      return undefined;
    }
    if (chosen !== 'prompt') {
      return [{ ...here(client, chosen), command: chosen.slice('cowrite.'.length) }];
    }
  }
  const question = builtIn[command];
  if (question) {
    const prompt = await vscode.window.showInputBox({ title: 'Cowrite', prompt: question, ignoreFocusOut: true });
    if (!prompt?.trim()) {
      return undefined;
    }
    argument.prompt = prompt;
  }
  return [argument];
}

/** A plain object with one of the fields of a run; a context menu passes a Uri instead. */
function isComplete(argument: unknown): boolean {
  if (typeof argument !== 'object' || argument === null || argument instanceof vscode.Uri) {
    return false;
  }
  return ['prompt', 'command', 'uri', 'range', 'sessionId', 'mode'].some((field) => field in argument);
}

/** The file in the active editor, what is selected there or where the cursor is, and what is diagnosed there. */
function here(client: LanguageClient, command: string): RunArgument {
  const editor = vscode.window.activeTextEditor;
  if (editor?.document.uri.scheme !== 'file') {
    return {};
  }
  const { document, selection } = editor;
  const argument: RunArgument = {
    uri: client.code2ProtocolConverter.asUri(document.uri),
    range: client.code2ProtocolConverter.asRange(selection),
  };
  // Of the built-in ones only `fix` is about diagnostics; the person's own may be.
  if (command === 'cowrite.fix' || !(command in builtIn)) {
    const all = vscode.languages.getDiagnostics(document.uri);
    const about = selection.isEmpty ? all : all.filter(({ range }) => range.intersection(selection));
    argument.diagnostics = about.map((diagnostic) => client.code2ProtocolConverter.asDiagnostic(diagnostic));
  }
  return argument;
}

async function pick(own: string[]): Promise<string | undefined> {
  const typed = { label: '$(edit) Type a prompt…', command: 'prompt' };
  const items = [...own.map((command) => ({ label: command.slice('cowrite.'.length), command })), typed];
  return (await vscode.window.showQuickPick(items, { title: 'Cowrite', placeHolder: 'A command of your own' }))?.command;
}
