// What a person does in VS Code, step by step; each step is a line, and a screenshot where there is something to see.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const { URL: url, SCREENS, PROJECT, SETTINGS, CHROMIUM } = process.env;
const limit = 30_000;

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const page = await browser.newPage({ viewport: { width: 1200, height: 760 } });
page.setDefaultTimeout(limit);

const shot = (name) => page.screenshot({ path: join(SCREENS, `vscode-${name}.png`) });

function check(what, condition) {
  if (!condition) {
    throw new Error(what);
  }
}

/** Waits for a condition that is looked at again and again. */
async function until(what, condition) {
  const end = Date.now() + limit;
  let found;
  while (!(found = await condition())) {
    check(`waited ${limit / 1000} s for: ${what}`, Date.now() < end);
    await page.waitForTimeout(50);
  }
  console.log(`ok vscode ${what}`);
  return found;
}

/** The lines of the editor of a file, as they are on the screen. */
async function lines(file) {
  const editor = page.locator(`.editor-instance[aria-label*="${file}"], .monaco-editor[data-uri$="/${file}"]`).first();
  const rows = await editor.locator('.view-line').evaluateAll((all) =>
    all
      .map((row) => ({ top: parseFloat(row.style.top), text: row.textContent.replace(/\u00a0/g, ' ') }))
      .sort((a, b) => a.top - b.top)
      .map((row) => row.text),
  );
  return rows;
}

async function statusBar() {
  return (await page.locator('.statusbar-item').allTextContents()).join(' | ');
}

/** Runs a command from the palette, and types into the box that it opens. */
async function palette(title, prompt) {
  await page.keyboard.press('F1');
  const input = page.locator('.quick-input-widget input').first();
  await input.waitFor({ state: 'visible' });
  await input.fill(`>${title}`);
  await page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first().waitFor();
  await page.keyboard.press('Enter');
  if (prompt !== undefined) {
    await page.locator('.quick-input-widget', { hasText: 'Press \'Enter\' to confirm' }).waitFor();
    await page.keyboard.type(prompt);
    await page.keyboard.press('Enter');
  }
}

async function story() {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await page.goto(url);
      break;
    } catch (error) {
      check(`code-server does not answer: ${error.message}`, attempt < 100);
      await page.waitForTimeout(200);
    }
  }
  await page.locator('.monaco-workbench').waitFor();
  console.log('ok vscode starts');

  // Open a file and leave something unsaved in it: the agent must see it.
  await page.locator('.explorer-folders-view .monaco-list-row', { hasText: 'poem.txt' }).dblclick();
  await until('opens the file', async () => (await lines('poem.txt'))[0] === 'roses are red');
  await page.locator('.view-line').first().click();
  await page.keyboard.press('Control+Home');
  await page.keyboard.type('typed, not saved\n');
  await until('has an unsaved line', async () => (await lines('poem.txt'))[0] === 'typed, not saved');

  // A command from the palette edits the buffer; meanwhile the status bar shows the progress.
  await palette('Cowrite: Edit…', 'shout');
  await until('shows the progress', async () => /Cowrite: Edit: shout/.test(await statusBar()));
  await shot('progress');
  await until('edits the buffer', async () => {
    const [first, second] = await lines('poem.txt');
    return first === 'TYPED, NOT SAVED' && second === 'ROSES are red';
  });
  await until('says the end', async () => /It shouts now/.test(await statusBar()));
  await until('ends the progress', async () => !/Cowrite: Edit: shout/.test(await statusBar()));
  await shot('edited');
  check('the disk was written', readFileSync(join(PROJECT, 'poem.txt'), 'utf8') === 'roses are red\nviolets are blue\n');

  await page.locator('.view-line').first().click();
  await page.keyboard.press('Control+z');
  await until('takes the edit back with one undo', async () => {
    const [first, second] = await lines('poem.txt');
    return first === 'typed, not saved' && second === 'roses are red';
  });

  // What a run in mode `ask` proposes stands in lenses; one of them takes it, and one undo gives it back.
  const lens = (title) => page.locator('.codelens-decoration a', { hasText: title }).first();
  await page.keyboard.press('Control+Alt+r');
  await lens('Accept: `violets` -> `tulips`').waitFor();
  await until('shows what is proposed in lenses', async () => {
    const shown = (await page.locator('.codelens-decoration').allTextContents()).join(' / ').replace(/\u00a0/g, ' ');
    return ['Accept all 2', 'Reject all', 'Show as diff', 'Accept: `typed` -> `written`'].every((one) => shown.includes(one));
  });
  check('nothing is changed yet', (await lines('poem.txt'))[2] === 'violets are blue');
  await page.locator('.notification-toast', { hasText: '2 changes in 1 file wait for you' }).waitFor();
  await shot('proposed');
  await lens('Accept: `violets` -> `tulips`').click();
  await until('takes it into the buffer', async () => (await lines('poem.txt'))[2] === 'tulips are blue');
  await until('has lenses for the rest', async () => (await page.locator('.codelens-decoration', { hasText: 'tulips' }).count()) === 0);
  await page.locator('.view-line').first().click();
  await page.keyboard.press('Control+z');
  await until('takes that back with one undo', async () => (await lines('poem.txt'))[2] === 'violets are blue');
  await lens('Reject').click();
  await until('drops the rest', async () => (await page.locator('.codelens-decoration').count()) === 0);
  check('that changed something', (await lines('poem.txt'))[0] === 'typed, not saved');

  // A command is asked for; a button lets it run, and it sees what was not saved.
  const question = (text) => page.locator('.notification-toast', { hasText: text });
  const press = (toast, title) => toast.getByRole('button', { name: title, exact: true }).click();
  await palette('Cowrite: Edit…', 'count the lines');
  const command = question('cat poem.txt');
  await command.waitFor();
  check('nobody has allowed it yet', !readFileSync(join(PROJECT, 'poem.txt'), 'utf8').includes('typed'));
  await shot('asked');
  await press(command, 'Allow once');
  await until('runs a command once it is allowed', async () => /Three lines/.test(await statusBar()));
  check('it saw the disk', readFileSync(join(PROJECT, 'poem.txt'), 'utf8') === 'typed, not saved\nroses are red\nviolets are blue\n');

  // A protected file is asked for, and a no is heard.
  await palette('Cowrite: Edit…', 'set it up');
  const guarded = question('.vscode/settings.json');
  await guarded.waitFor();
  await press(guarded, 'Deny');
  await until('hears a no', async () => /So be it/.test(await statusBar()));
  check('the protected file was written', !existsSync(join(PROJECT, '.vscode')));

  // A new file is made through the editor, and saved.
  await palette('Cowrite: Edit…', 'a second poem');
  await until('makes a file', async () => /There are two now/.test(await statusBar()));
  check('it is not on disk', readFileSync(join(PROJECT, 'second.txt'), 'utf8') === 'sugar is sweet\n');

  // What another language server reports reaches the model.
  const file = (name) => page.locator('.explorer-folders-view .monaco-list-row', { hasText: name });
  await file('broken.json').dblclick();
  const problems = page.locator('#status\\.problems a');
  await until('has an error', async () => /Errors: 1/.test((await problems.getAttribute('aria-label')) ?? ''));
  await palette('Cowrite: Edit…', 'what is wrong');
  await until('tells what is reported', async () => /Its JSON is broken/.test(await statusBar()));
  await file('poem.txt').dblclick();
  await until('is back in the poem', async () => (await lines('poem.txt'))[0] === 'typed, not saved');

  // An answer streams into a document beside the editor.
  await palette('Cowrite: Ask…', 'why so blue');
  await until('shows the answer', async () => {
    // A narrow editor wraps its lines.
    const text = (await lines('Cowrite.md')).join(' ').replace(/\s+/g, ' ');
    return text.includes('because of the sky');
  });
  await shot('answer');

  // A model that hangs, and a cancel.
  await palette('Cowrite: Ask…', 'hang');
  await until('has a run at work', async () => /Cowrite: Ask: hang/.test(await statusBar()));
  await palette('Cowrite: Stop All Runs');
  await until('cancels it', async () => !/Cowrite: Ask: hang/.test(await statusBar()));

  // A server that is not there is said, with the way out.
  writeFileSync(SETTINGS, JSON.stringify({ 'cowrite.server.path': '/no/such/cowrite' }));
  await page.reload();
  const toast = page.locator('.notification-toast', { hasText: '/no/such/cowrite is not an executable file' });
  await toast.waitFor();
  check('the message has its buttons', /Open Setting/.test(await toast.textContent()));
  await shot('missing');
  console.log('ok vscode says that the server is missing');
}

try {
  await story();
} catch (error) {
  console.log(`FAILED vscode: ${error.message}`);
  await shot('failed');
  process.exitCode = 1;
} finally {
  await browser.close();
}
