// Pages in Chromium: which ones may connect, those of examples-js, and what the browser does with them.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Page } from 'playwright-core';
import { Nanostate } from '../src/node.js';
import { context, eventually, inPage, join_, open } from './chromium.js';
import { BOUND, Hub, path, readJson, until } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'nanostate-browser-'));
after(() => rmSync(folder, { recursive: true }));

test('names that are shortened are neither those of the API nor of anything in a browser', async () => {
  const internal: string[] = readJson('js/scripts/internal-names.json');
  const page = await context.newPage();
  const taken = new Set(
    await page.evaluate(() => {
      const names = new Set<string>();
      const add = (object: any) => {
        for (let one = object; one; one = Object.getPrototypeOf(one)) {
          Object.getOwnPropertyNames(one).forEach((name) => names.add(name));
        }
      };
      add(globalThis);
      for (const name of Object.getOwnPropertyNames(globalThis).filter((name) => !name.endsWith('Storage'))) {
        const one = (globalThis as any)[name];
        if (typeof one === 'function' || typeof one === 'object') [one, one?.prototype].forEach(add);
      }
      return [...names];
    }),
  );
  await page.close();
  assert.ok(taken.has('bufferedAmount') && taken.has('visibilityState'));
  const source = (name: string) => readFileSync(path(`js/src/${name}.ts`), 'utf8');
  const [about, value] = ['About', 'ValueState'].map((name) => new RegExp(`interface ${name} [^}]*\\}`).exec(source('engine/received'))![0]) as [string, string];
  const link = /export interface Link \{[^}]*\}/.exec(source('engine/reports'))![0];
  const api = new Set(
    [source('client'), source('store'), source('status'), source('compat'), about, value, link].flatMap((text) =>
      Array.from(text.matchAll(/^ {2,4}(?:readonly |get |async )*(\w+)\??(?: =|[:(<])/gm), ([, name]) => name!),
    ),
  );
  assert.ok(['accept', 'onLink', 'retained', 'getSnapshot', 'code'].every((name) => api.has(name)), [...api].join());
  assert.deepEqual(internal.filter((name) => taken.has(name) || api.has(name)), []);
});

test('a page of another server of this machine reads, and is told that it may not publish', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const node = new Nanostate('node', hub.urls[1]);
  node.on('**', () => {});
  node.send('x', 1);
  const page = await open('http://localhost:8999');
  await join_(page, 'page', hub.url);
  await eventually(() => inPage(page, 'x'), 'node int 1');
  const failure = page.evaluate(() => ((globalThis as any).ns.send('y', 1), (globalThis as any).ns.flush().catch((error: any) => error.code)));
  assert.equal(await failure, 'NS_ERR_PERMISSION');
  assert.deepEqual(await page.evaluate(() => (globalThis as any).rejected), ['NS_ERR_PERMISSION']);
  assert.equal(node.get('y'), undefined);
  const slider = await open('http://localhost:8999', `examples-js/slider.html?${hub.url}`);
  node.send('volume', 20);
  await slider.locator('#value', { hasText: '20' }).waitFor();
  await slider.locator('#slider').fill('30');
  await slider.locator('#status', { hasText: 'only reading is allowed' }).waitFor();
  await slider.locator('#status', { hasText: '--allow-local-pages' }).waitFor();
  assert.equal(node.get('volume'), 20);
  // It shows what the others have, and goes on to follow.
  assert.deepEqual([await slider.locator('#value').textContent(), await slider.locator('#slider').inputValue()], ['20', '20']);
  assert.ok(await slider.locator('#slider').isDisabled());
  node.send('volume', 25);
  await slider.locator('#value', { hasText: '25' }).waitFor();
  await slider.close();
  await page.close();
  await hub.kill();
  const lenient = await Hub.startWith(['--allow-local-pages'], ...hub.urls);
  const allowed = await open('http://localhost:8999', `examples-js/slider.html?${hub.url}`);
  await allowed.locator('#slider:enabled').fill('40');
  await until(() => node.get('volume') === 40, 'the value of a page that may publish');
  await allowed.close();
  await node.close();
  await lenient.kill();
});

test('a page from elsewhere does not connect, and says what may be the reason', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws');
  const page = await open('http://elsewhere.test');
  await join_(page, 'page', hub.url);
  await eventually(() => page.evaluate(() => (globalThis as any).ns.link.code ?? ''), 'NS_ERR_REFUSED');
  assert.match(await page.evaluate(() => (globalThis as any).ns.link.text), /does it allow this page/);
  await page.close();
  await hub.kill();
});

test('the slider of the example moves in two pages and a program, figures, the chat and the image arrive', async () => {
  const www = path('examples-js');
  const hub = await Hub.startWith(['--www', www], 'ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  // All that the pages are comes from the hub.
  const visit = async (name: string) => {
    const page = await context.newPage();
    page.on('pageerror', (error) => assert.fail(error));
    await page.goto(`http://${new URL(hub.url).host}/${name}?${hub.url}`);
    return page;
  };
  const node = new Nanostate('node', hub.urls[1]);
  const [a, b] = [await visit('slider.html'), await visit('slider.html')];
  await a.locator('#slider:enabled').waitFor();
  await a.locator('#slider').fill('30');
  await b.locator('#value', { hasText: '30' }).waitFor();
  await until(() => node.get('volume') === 30, 'the value of the slider');
  assert.equal(node.state('volume')!.kind, 'double');
  node.send('volume', 71.5);
  for (const page of [a, b]) {
    await page.locator('#value', { hasText: '72' }).waitFor();
    assert.equal(await page.locator('#slider').inputValue(), '72');
  }

  const dashboard = await visit('dashboard.html');
  node.send('cpu/load', 1.5);
  node.send('mem/total', 4 * 2 ** 30);
  node.send('mem/available', 2 ** 30);
  await dashboard.locator('#load', { hasText: '1.50' }).waitFor();
  await dashboard.locator('#memory', { hasText: '3.0 GiB' }).waitFor();
  assert.equal(await dashboard.locator('#part').evaluate((part) => (part as any).value), 0.75);
  assert.ok(await dashboard.locator('#loads polyline').getAttribute('points'));
  // A rate takes two states, of other milliseconds.
  for (let sum = 0, end = Date.now() + BOUND; (await dashboard.locator('#received').textContent()) === '-'; ) {
    assert.ok(Date.now() < end, 'a rate');
    node.send('net/eth0/rx', (sum += 1000));
  }
  await dashboard.locator('#received', { hasText: /^↓ .* [KMG]?i?B\/s$/ }).waitFor();
  node.send('dashboard/span', 30);
  await dashboard.locator('#by', { hasText: '30 s, set by node' }).waitFor();
  await dashboard.locator('#span').fill('45');
  await until(() => node.get('dashboard/span') === 45 && node.state('dashboard/span')!.kind === 'double', 'the time span');

  const chat = await visit('chat.html');
  await chat.locator('#text:enabled').fill('hello');
  await chat.locator('#text').press('Enter');
  await until(() => node.get('chat') === 'hello', 'a line');
  node.send('chat', 'hi <b>');
  await chat.locator('li', { hasText: 'node: hi <b>' }).waitFor();

  const image = await visit('image.html');
  await image.locator('#file').setInputFiles(path('docs/images/dashboard.png'));
  await until(() => node.get('image'), 'the image');
  assert.deepEqual(node.get('image'), new Uint8Array(readFileSync(path('docs/images/dashboard.png'))));
  await image.waitForFunction(() => document.querySelector('img')!.naturalWidth > 0);
  const served = await (await fetch(`http://${new URL(hub.url).host}/nanostate.js`)).text();
  assert.equal(served, readFileSync(path('js/dist/nanostate.js'), 'utf8'));
  for (const page of [a, b, dashboard, chat, image]) {
    await page.close();
  }
  await node.close();
  await hub.kill();
});

test('a page comes back from the back/forward cache with its values, and connects again', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const node = new Nanostate('node', hub.urls[1]);
  node.on('**', () => {});
  const origin = `http://${new URL(hub.url).host}`;
  const page = await open(origin);
  await join_(page, 'page', hub.url);
  // The page tells by itself, since Playwright does not know pages that come back.
  await page.evaluate(() => {
    const { ns, counts } = globalThis as any;
    addEventListener('pageshow', ({ persisted }) => ns.send('persisted', persisted));
    ns.on('late', ({ value }: any) => ns.send('heard', [value, counts.now, counts.most]));
    // What has expired meanwhile has expired for the page as well.
    ns.on('mortal', ({ kind }: any) => ns.send('mortal/kind', kind));
    ns.send('own', 1, { ttl: 1_000 });
    return (ns.send('x', 1), ns.flush());
  });
  node.send('mortal', 1, { ttl: 1_000 });
  await until(() => node.get('mortal/kind') === 'int', 'what the page hears');
  await page.goto(`${origin}/other.html`);
  await until(() => node.get('own') === undefined && node.get('mortal') === undefined, 'the end of both');
  node.send('late', 2);
  await node.flush();
  void page.evaluate(() => history.back()).catch(() => {});
  await until(() => node.get('heard') !== undefined, 'the page');
  assert.deepEqual([node.get('persisted'), node.get('heard'), node.get('x')], [true, [2, 1, 1], 1]);
  await until(() => node.get('mortal/kind') === 'cleared', 'what the page hears of it');
  assert.equal(node.get('own'), undefined);
  await page.close();
  await node.close();
  await hub.kill();
});

/** A page as those of the original are: classic scripts and globals. It shows what it hears, and sends what it is told. */
const OLD_PAGE = `<!doctype html>
<script src="/nanostate-compat.js"></script>
<p id="status"></p><img id="image"><pre id="log"></pre>
<script>
  var byId = function (id) { return document.getElementById(id); };
  var isOwn = location.search === '?own';
  function show(e) {
    var state = recv_state_update(e.data);
    if (state.name === 'image') byId('image').src = 'data:image/png;base64,' + state.data;
    else byId('log').textContent += state.sender + ' ' + state.name + ' ' + JSON.stringify(state.data) + '\\n';
  }
  function opened() { byId('status').textContent = 'open'; }
  function closed() { byId('status').textContent = 'closed'; }
  var ws;
  if (isOwn) {
    ws = new WebSocket('ws://' + location.hostname + ':' + location.port + '/ws');
    ws.binaryType = 'arraybuffer';
    ws.onmessage = show;
    ws.onopen = opened;
    ws.onclose = closed;
    ws.identity = 'own';
  } else {
    ws = start_websocket('started', location.hostname, location.port, '/ws', show, opened, closed);
  }
</script>`;

test('pages of the original that load the classic script share states with an app', async () => {
  const www = join(folder, 'www');
  mkdirSync(www);
  writeFileSync(join(www, 'old.html'), OLD_PAGE);
  const hub = await Hub.startWith(['--www', www], 'ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const node = new Nanostate('node', hub.urls[1]);
  const pages: Page[] = [];
  for (const query of ['?own', '?started']) {
    const page = await context.newPage();
    page.on('pageerror', (error) => assert.fail(error));
    await page.goto(`http://${new URL(hub.url).host}/old.html${query}`);
    await page.locator('#status', { hasText: 'open' }).waitFor();
    pages.push(page);
  }
  const [own, started] = pages as [Page, Page];
  const sends = (page: Page, name: string, data: string) =>
    page.evaluate(([name, data]) => {
      const { ws, send_state_update } = globalThis as any;
      send_state_update(ws, ws.identity, name, (0, eval)(data!));
    }, [name, data]);
  const log = async (page: Page) => (await page.locator('#log').textContent()) ?? '';
  const object = { text: 'für 😀', list: [1, 0.5, null, true] };
  await sends(own, 'from/own', `(${JSON.stringify(object)})`);
  await sends(started, 'from/started', 'new Uint8Array([1, 2])');
  await until(() => node.get('from/own') && node.get('from/started'), 'what the pages sent');
  assert.deepEqual([node.get('from/own'), node.state('from/own')!.sender], [object, 'own']);
  assert.deepEqual([node.get('from/started'), node.state('from/started')!.sender], [new Uint8Array([1, 2]), 'started']);
  node.send('n', 7);
  await eventually(() => log(started), `own from/own ${JSON.stringify(object)}\nnode n 7\n`);
  await eventually(() => log(own), 'started from/started {"0":1,"1":2}\nnode n 7\n');
  // As the original's Python sends it: a text in bytes, here of more than nanomsg takes.
  const image = readFileSync(path('docs/images/dashboard.png'));
  const padded = Buffer.concat([image, Buffer.alloc(2 << 20)]).toString('base64');
  node.send('image', new TextEncoder().encode(padded));
  for (const page of pages) await page.waitForFunction(() => document.querySelector('img')!.naturalWidth > 0);
  const refused = await own.evaluate(() => {
    try {
      (globalThis as any).send_state_update((globalThis as any).ws, 'own', 'x', undefined);
    } catch (error) {
      return String(error);
    }
  });
  assert.equal(refused, 'TypeError: undefined cannot be sent');
  await hub.kill();
  for (const page of pages) {
    await page.locator('#status', { hasText: 'closed' }).waitFor();
    await page.close();
  }
  await node.close();
});
