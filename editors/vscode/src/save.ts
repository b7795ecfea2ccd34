// Saves what the server asks for: a command that it runs reads the disk.

import * as vscode from 'vscode';

/** Answers `cowrite/save`: with the documents whose files now hold what the editor shows. */
export async function save({ uris }: { uris: string[] }): Promise<{ saved: string[] }> {
  const saved: string[] = [];
  for (const uri of uris) {
    if (await saves(vscode.Uri.parse(uri))) {
      saved.push(uri);
    }
  }
  return { saved };
}

async function saves(uri: vscode.Uri): Promise<boolean> {
  const document = vscode.workspace.textDocuments.find((open) => open.uri.toString() === uri.toString());
  // One without a file would ask for a name.
  if (!document || document.isUntitled) {
    return false;
  }
  return !document.isDirty || (await document.save());
}
