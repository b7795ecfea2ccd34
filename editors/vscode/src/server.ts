// Where the server's binary is.

import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, isAbsolute, join } from 'node:path';

/** There is no such binary; the message says what to do. */
export class NotFound extends Error {}

/** The absolute path of the binary that the setting names: a path, or a name to find on PATH. */
export function findServer(setting: string): string {
  const name = setting.startsWith('~/') ? join(homedir(), setting.slice(2)) : setting;
  if (isAbsolute(name)) {
    if (isExecutable(name)) {
      return name;
    }
    throw new NotFound(`Cowrite: ${name} is not an executable file. Correct the setting cowrite.server.path.`);
  }
  const endings = process.platform === 'win32' ? ['.exe', ''] : [''];
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    for (const ending of endings) {
      const candidate = join(folder, name + ending);
      if (isExecutable(candidate)) {
        return candidate;
      }
    }
  }
  throw new NotFound(
    `Cowrite: ${name} was not found on PATH. Install it with "cargo install cowrite", ` +
      'or set cowrite.server.path to the binary.',
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
