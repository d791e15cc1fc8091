// Pages that nobody invited, in Chromium: from another server, from a file, in a sandboxed frame, and under a name that
// was bound to the machine of the hub.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Browser, Frame, Page } from 'playwright-core';
import { launch } from './chromium.js';
import { BOUND, Hub, until } from './support.js';

const PAGE = '<!doctype html><title>a page</title>';
const folder = mkdtempSync(join(tmpdir(), 'nanostate-strangers-'));
const server = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end(PAGE));
let browser: Browser;

before(async () => {
  writeFileSync(join(folder, 'index.html'), PAGE);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // As DNS rebinding does it: names of strangers, at the address of this machine.
  browser = await launch('--host-resolver-rules=MAP *.test 127.0.0.1');
});
after(async () => {
  await browser?.close();
  server.close();
  rmSync(folder, { recursive: true });
});

/** Whether a WebSocket of this page to the hub opens. */
function opens(page: Page | Frame, url: string): Promise<boolean> {
  return page.evaluate(
    (url) =>
      new Promise<boolean>((resolve) => {
        const socket = new WebSocket(url, 'nanostate.v1');
        socket.onopen = () => resolve(true);
        socket.onclose = () => resolve(false);
      }),
    url,
  );
}

/** The status of an answer to a plain request of this page; 0 if the page does not get to see it. */
function status(page: Page | Frame, url: string): Promise<number> {
  return page.evaluate((url) => fetch(url).then((answer) => answer.status, () => 0), url);
}

test('no page that was not invited opens a WebSocket or reads a file of the hub, and the log says how to invite one', async () => {
  const hub = await Hub.startWith(['--www', folder], 'ws://127.0.0.1:0/ws');
  const { port } = server.address() as AddressInfo;
  const own = hub.url.replace('ws:', 'http:').replace(/\/ws$/, '/');
  const rebound = own.replace('127.0.0.1', 'evil.test');
  const page = await browser.newPage();
  page.setDefaultTimeout(BOUND);

  await page.goto(own);
  assert.deepEqual([await opens(page, hub.url), await status(page, own)], [true, 200], 'its own page');

  await page.goto(`http://evil.test:${port}/`);
  assert.deepEqual([await opens(page, hub.url), await status(page, own)], [false, 0], 'of another server');
  await until(() => hub.program.errors.some((line) => line.endsWith(`--allow-origin http://evil.test:${port})`)), 'a line of the log');

  await page.goto(pathToFileURL(join(folder, 'index.html')).href);
  assert.deepEqual([await opens(page, hub.url), await status(page, own)], [false, 0], 'a file');

  await page.goto(own);
  await page.setContent('<iframe sandbox="allow-scripts" srcdoc="<p>framed"></iframe>');
  const frame = await (await page.waitForSelector('iframe')).contentFrame();
  await frame!.waitForSelector('p');
  assert.deepEqual([await opens(frame!, hub.url), await status(frame!, own)], [false, 0], 'a sandboxed frame of its own page');

  // The name is the hub's as far as the browser knows: nothing but the hub keeps that page out.
  const answer = await page.goto(rebound);
  assert.equal(answer!.status(), 403);
  assert.equal(new URL(page.url()).hostname, 'evil.test');
  const under = hub.url.replace('127.0.0.1', 'evil.test');
  assert.deepEqual([await opens(page, under), await status(page, rebound)], [false, 403], 'a rebound name');
  await page.close();
  await hub.kill();
});
