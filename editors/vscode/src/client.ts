// The language client: what it tells the server about itself, and what it does with the server's own words.

import * as vscode from 'vscode';
import {
  LanguageClient,
  type ClientCapabilities,
  type LanguageClientOptions,
  type ServerOptions,
  type StaticFeature,
} from 'vscode-languageclient/node';

import type { Answers, RunEvent } from './answer';
import { addArguments } from './arguments';
import { reports } from './reports';
import { showResult } from './result';
import { save } from './save';

/** Cowrite's settings as the person wrote them here, in the shape of config.toml. */
export function settings(): object {
  return vscode.workspace.getConfiguration('cowrite').get<object>('settings') ?? {};
}

/** A client that is not started yet. */
export function createClient(path: string, answers: Answers): LanguageClient {
  const server: ServerOptions = { command: path, args: ['lsp'] };
  const options: LanguageClientOptions = {
    documentSelector: [{ scheme: 'file' }],
    initializationOptions: settings(),
    middleware: {
      executeCommand: async (command, args, next) => {
        const complete = await addArguments(client, command, args);
        if (!complete) {
          return undefined;
        }
        try {
          const result: unknown = await next(command, complete);
          showResult(command, result);
          return result;
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          void vscode.window.showErrorMessage(`Cowrite: ${reason}`);
          return undefined;
        }
      },
      workspace: {
        // The section holds more than settings of the server: its path, the trace.
        configuration: (params) => params.items.map((item) => (item.section === 'cowrite' ? settings() : null)),
      },
    },
  };
  const client = new LanguageClient('cowrite', 'Cowrite', server, options);
  client.registerFeature(new Experimental());
  client.onNotification('cowrite/event', (event: RunEvent) => answers.take(event));
  client.onRequest('cowrite/save', save);
  client.onRequest('cowrite/diagnostics', reports);
  return client;
}

/** What this client can do beyond LSP. */
class Experimental implements StaticFeature {
  fillClientCapabilities(capabilities: ClientCapabilities): void {
    const experimental = (capabilities.experimental ?? {}) as object;
    capabilities.experimental = { ...experimental, cowrite: { events: true, save: true, diagnostics: true } };
  }

  getState(): { kind: 'static' } {
    return { kind: 'static' };
  }

  initialize(): void {}

  clear(): void {}
}
