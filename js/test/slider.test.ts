// The slider of the examples in three languages: a page, a C program, and a window of QML where it is built.

import assert from 'node:assert/strict';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { after, test } from 'node:test';
import { context, eventually } from './chromium.js';
import { WINDOW, Window } from './qml.js';
import { Hub, Program, compile, path } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'nanostate-slider-'));
after(() => rmSync(folder, { recursive: true }));

/** A web server that knows nothing of hubs, as any that is there for writing pages. */
async function serve(directory: string) {
  const types: Record<string, string> = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript' };
  const server = createServer(({ url }, response) => {
    const { pathname } = new URL(url!, 'http://localhost');
    response.setHeader('Content-Type', types[extname(pathname)] ?? 'text/plain');
    createReadStream(join(directory, pathname)).on('error', () => response.writeHead(404).end()).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

test('the slider moves in a page, a window and a C program, and a page that may only read follows and says why', async () => {
  let hub = await Hub.startWith(['--allow-local-pages'], 'ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const [ws, tcp] = hub.urls as [string, string];
  const server = await serve(path('examples-js'));
  const page = await context.newPage();
  page.on('pageerror', (error) => assert.fail(error));
  const slider = page.locator('#slider');
  const c = new Program(compile(folder, 'examples-c/slider.c'), ['slider-c', tcp]);
  const window = WINDOW ? new Window('slider-qml', tcp, 'examples-qt/slider/Main.qml') : undefined;
  await page.goto(`${server.url}/slider.html?${ws}`);
  await page.locator('#slider:enabled').waitFor();

  /** Waits until each of them shows this value of this program. */
  const all = async (value: number, sender: RegExp) => {
    for (const [locator, pattern] of [['#value', `^${value}$`], ['#sender', `^set by (this page|${sender.source})$`]] as const) {
      await page.locator(locator, { hasText: new RegExp(pattern) }).waitFor();
    }
    assert.equal(await slider.inputValue(), String(value));
    let line;
    do line = await c.line(); while (!line.includes(`] ${value} of `));
    assert.match(line, new RegExp(`of ${sender.source}$`));
    if (window) {
      await eventually(async () => String(await window.evaluate('slider.value')), String(value));
      assert.match(await window.evaluate('volume.sender'), sender);
    }
  };
  const ofPage = /slider-[a-z0-9]+/;

  // Over whole numbers, which a page would send as integers, and the program in C would not get.
  await slider.fill('21');
  await slider.press('ArrowRight');
  await all(22, ofPage);
  c.write('30');
  await all(30, /slider-c/);
  if (window) {
    await window.drag('slider', 30, 22);
    await all(22, /slider-qml/);
  }
  await slider.fill('64');
  await all(64, ofPage);

  await hub.kill();
  hub = await Hub.start(ws, tcp);
  // The page is told already when it offers what it had set.
  const status = page.locator('#status', { hasText: 'only reading is allowed' });
  await status.waitFor();
  assert.match((await status.textContent())!, /follows the others.*nanostate hub --allow-local-pages/);
  assert.ok(await slider.isDisabled());
  c.write('35');
  await all(35, /slider-c/);
  assert.ok((await slider.isDisabled()) && (await status.isVisible()));

  await page.close();
  await window?.kill();
  await c.kill();
  await hub.kill();
  server.close();
});
