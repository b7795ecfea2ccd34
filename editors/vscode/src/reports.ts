// What all language servers report, for the server to ask: the editor alone knows it.

import * as vscode from 'vscode';

/** Answers `cowrite/diagnostics`: for these documents, or for all when there is none. */
export function reports({ uris }: { uris: string[] }): { items: object[] } {
  const of = (uri: vscode.Uri, found: readonly vscode.Diagnostic[]) => ({
    uri: uri.toString(),
    diagnostics: found.map(reported),
  });
  if (uris.length === 0) {
    return { items: vscode.languages.getDiagnostics().map(([uri, found]) => of(uri, found)) };
  }
  const asked = uris.map((uri) => vscode.Uri.parse(uri));
  return { items: asked.map((uri) => of(uri, vscode.languages.getDiagnostics(uri))) };
}

function reported(one: vscode.Diagnostic): object {
  return {
    range: { start: one.range.start, end: one.range.end },
    // The protocol counts from 1.
    severity: one.severity + 1,
    source: one.source,
    code: typeof one.code === 'object' ? one.code.value : one.code,
    message: one.message,
  };
}
