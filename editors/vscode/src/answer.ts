// What the model says: answers stream into a read-only Markdown document beside the editor, everything else ends in the
// status bar or, when it failed, in a message.

import * as vscode from 'vscode';

/** One `cowrite/event`. Types that are not known here are let pass. */
export interface RunEvent {
  runId?: string;
  event: {
    type: string;
    prompt?: string;
    command?: string;
    text?: string;
    turn?: number;
    status?: string;
    resultText?: string | null;
    error?: string | null;
  };
}

interface Run {
  title: string;
  turns: string[];
  shows: boolean;
}

/** Commands that ask for words. The others ask for changes, which show in the buffers. */
const asksForWords = new Set<string | undefined>(['ask', 'explain', 'review', undefined]);

const scheme = 'cowrite-answer';
const uri = vscode.Uri.from({ scheme, path: '/Cowrite.md' });

/** The document is read again at most this often while an answer streams. */
const refreshMs = 80;

export class Answers implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly runs = new Map<string, Run>();
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private shown: Run | undefined;
  private refresh: NodeJS.Timeout | undefined;

  readonly onDidChange = this.changed.event;

  // Registering looks at onDidChange, which therefore stands above.
  private readonly registration = vscode.workspace.registerTextDocumentContentProvider(scheme, this);

  provideTextDocumentContent(): string {
    if (!this.shown) {
      return 'No answer yet. Run “Cowrite: Ask…” from the command palette.\n';
    }
    const text = this.shown.turns.filter(Boolean).join('\n\n');
    return `# ${this.shown.title.split('\n')[0]}\n\n${text}\n`;
  }

  /** Opens the newest answer beside the editor, without taking the cursor. */
  async show(): Promise<void> {
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true });
  }

  take({ runId, event }: RunEvent): void {
    if (!runId) {
      return;
    }
    if (event.type === 'runStarted') {
      this.begin(runId, { title: event.prompt ?? '', turns: [], shows: asksForWords.has(event.command) });
      return;
    }
    const run = this.runs.get(runId);
    if (!run) {
      return;
    }
    switch (event.type) {
      case 'turnStarted':
        run.turns.push('');
        break;
      case 'turnDiscarded':
        run.turns[run.turns.length - 1] = '';
        this.update(run);
        break;
      case 'textDelta':
        run.turns.push((run.turns.pop() ?? '') + (event.text ?? ''));
        this.update(run);
        break;
      case 'runFinished':
        this.runs.delete(runId);
        this.update(run);
        finish(run, event);
        break;
    }
  }

  dispose(): void {
    clearTimeout(this.refresh);
    this.registration.dispose();
    this.changed.dispose();
  }

  private begin(runId: string, run: Run): void {
    this.runs.set(runId, run);
    if (run.shows) {
      this.shown = run;
      this.update(run);
      void this.show();
    }
  }

  private update(run: Run): void {
    if (run === this.shown && !this.refresh) {
      this.refresh = setTimeout(() => {
        this.refresh = undefined;
        this.changed.fire(uri);
      }, refreshMs);
    }
  }
}

function finish(run: Run, event: RunEvent['event']): void {
  switch (event.status) {
    case 'completed':
      if (!run.shows) {
        const said = event.resultText?.split('\n')[0] || 'done';
        vscode.window.setStatusBarMessage(`$(check) Cowrite: ${said}`, 8000);
      }
      break;
    case 'cancelled':
      vscode.window.setStatusBarMessage('Cowrite: cancelled', 5000);
      break;
    case 'limitReached':
      void vscode.window.showWarningMessage(`Cowrite: ${event.error ?? 'stopped at a limit'}`);
      break;
    default:
      void vscode.window.showErrorMessage(`Cowrite: ${event.error ?? 'the run failed'}`);
  }
}
