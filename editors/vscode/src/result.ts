// What the answers of the commands that start no run look like to a person.

import * as vscode from 'vscode';

interface Status {
  model?: string | null;
  context?: { used: number; limit?: number | null };
  runs?: { status: string; prompt: string }[];
}

/** Shows the answer of a command where it is one that a person waits for. */
export function showResult(command: string, result: unknown): void {
  if (command === 'cowrite.cancel') {
    const { cancelled = [] } = result as { cancelled?: string[] };
    const text = cancelled.length === 0 ? 'nothing is running' : `stopped ${cancelled.length}`;
    vscode.window.setStatusBarMessage(`Cowrite: ${text}`, 5000);
  } else if (command === 'cowrite.status') {
    void vscode.window.showInformationMessage(`Cowrite: ${describe(result as Status)}`);
  }
}

function describe(status: Status): string {
  const parts = [status.model ?? 'no model'];
  if (status.context?.limit) {
    parts.push(`context ${status.context.used} of ${status.context.limit} tokens`);
  }
  const live = (status.runs ?? []).filter((run) => ['created', 'planning', 'executing', 'verifying'].includes(run.status));
  parts.push(live.length === 0 ? 'nothing is running' : `running: ${live.map((run) => run.prompt).join(', ')}`);
  return parts.join(' · ');
}
