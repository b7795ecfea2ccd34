// Starts the server and stays out of the way: the commands are the server's own, the palette entries only name them.

import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

import { Answers } from './answer';
import { createClient, settings } from './client';
import { findServer, NotFound } from './server';

/** The palette entries that the server answers once it runs. */
const serverCommands = ['ask', 'edit', 'fix', 'explain', 'test', 'document', 'review', 'run', 'cancel', 'status'];

let client: LanguageClient | undefined;
let standIns: vscode.Disposable[] = [];

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const answers = new Answers();
  const start = () => startServer(answers);
  context.subscriptions.push(
    answers,
    { dispose: removeStandIns },
    vscode.commands.registerCommand('cowrite.showAnswer', () => answers.show()),
    vscode.commands.registerCommand('cowrite.restart', start),
    vscode.workspace.onDidChangeConfiguration(async (change) => {
      if (change.affectsConfiguration('cowrite.server.path')) {
        await start();
      } else if (change.affectsConfiguration('cowrite.settings')) {
        await client?.sendNotification('workspace/didChangeConfiguration', { settings: { cowrite: settings() } });
      }
    }),
  );
  await start();
}

export async function deactivate(): Promise<void> {
  await stopServer();
}

async function startServer(answers: Answers): Promise<void> {
  await stopServer();
  try {
    const path = findServer(vscode.workspace.getConfiguration('cowrite').get('server.path', 'cowrite'));
    // The client registers every command that the server lists, and a name can be registered only once.
    removeStandIns();
    client = createClient(path, answers);
    await client.start();
  } catch (error) {
    client = undefined;
    addStandIns(answers);
    void explain(error, answers);
  }
}

async function stopServer(): Promise<void> {
  const running = client;
  client = undefined;
  await running?.dispose().catch(() => undefined);
}

/** Without a server the palette entries say what is missing instead of "command not found". */
function addStandIns(answers: Answers): void {
  removeStandIns();
  standIns = serverCommands.map((name) =>
    vscode.commands.registerCommand(`cowrite.${name}`, () => startServer(answers)),
  );
}

function removeStandIns(): void {
  standIns.forEach((standIn) => standIn.dispose());
  standIns = [];
}

async function explain(error: unknown, answers: Answers): Promise<void> {
  const reason = error instanceof Error ? error.message : String(error);
  const text = error instanceof NotFound ? reason : `Cowrite: the server did not start: ${reason}`;
  const choice = await vscode.window.showErrorMessage(text, 'Open Setting', 'Try Again');
  if (choice === 'Open Setting') {
    await vscode.commands.executeCommand('workbench.action.openSettings', 'cowrite.server.path');
  } else if (choice === 'Try Again') {
    await startServer(answers);
  }
}
