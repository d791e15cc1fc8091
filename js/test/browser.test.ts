// Two pages in Chromium, a Node program and one in C on one hub.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { Ext, type State } from '../src/index.js';
import { Nanostate } from '../src/node.js';
import { BINARY, BOUND, Hub, Program, ROOT, until } from './support.js';

const EXECUTABLE = '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  // The tests give pages their content themselves, so that Chromium does not see that they are of this machine.
  '--disable-features=LocalNetworkAccessChecks',
];
const path = (name: string) => fileURLToPath(new URL(name, ROOT));
const folder = mkdtempSync(join(tmpdir(), 'nanostate-browser-'));
let browser: Browser;
let context: BrowserContext;

before(async () => {
  browser = await chromium.launch({ executablePath: EXECUTABLE, args: FLAGS, ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  context = await browser.newContext();
  context.setDefaultTimeout(BOUND);
  // How many WebSockets a page has, and had at most.
  await context.addInitScript(() => {
    const counts = ((globalThis as any).counts = { now: 0, most: 0 });
    globalThis.WebSocket = class extends WebSocket {
      constructor(url: string | URL, protocol?: string | string[]) {
        super(url, protocol);
        counts.most = Math.max(counts.most, ++counts.now);
        this.addEventListener('close', () => counts.now--);
      }
    };
  });
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

/** A page of this origin; it has the file that the hub is to serve, and files of the examples. */
async function open(origin: string, name = 'page.html'): Promise<Page> {
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  (page as any).errors = errors;
  await page.route(`${origin}/**`, (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname.endsWith('/nanostate.js')) {
      return route.fulfill({ contentType: 'text/javascript', body: readFileSync(path('js/dist/nanostate.js'), 'utf8') });
    }
    const text = '<!doctype html><script type="module">Object.assign(globalThis, await import("/nanostate.js"))</script>';
    const isExample = pathname.startsWith('/examples-js/');
    return route.fulfill({ contentType: 'text/html', body: isExample ? readFileSync(path(pathname.slice(1)), 'utf8') : text });
  });
  await page.goto(`${origin}/${name}`);
  return page;
}

/** Makes a client in a page. */
async function join_(page: Page, identity: string, url: string) {
  await page.waitForFunction(() => 'Nanostate' in globalThis);
  await page.evaluate(([identity, url]) => {
    const global = globalThis as any;
    global.rejected = [];
    global.ns = new global.Nanostate(identity, url, { backoffMax: 200, log() {} });
    global.ns.onRejected(({ error }: any) => global.rejected.push(error.code));
  }, [identity, url]);
}

/** A value in words, in the program that has it. */
function shown(state: State | undefined): string {
  if (!state) return 'nothing';
  const show = (value: any): string => {
    if (typeof value === 'bigint') return `${value}n`;
    if (value instanceof Date) return value.toISOString();
    if (value instanceof Uint8Array) return `[${value}]`;
    if (value?.data instanceof Uint8Array) return `ext ${value.type} ${show(value.data)}`;
    if (Array.isArray(value)) return `(${value.map(show)})`;
    if (value && typeof value === 'object') return `{${Object.entries(value).map(([k, v]) => `${k}:${show(v)}`)}}`;
    return String(value);
  };
  return `${state.sender} ${state.kind} ${show(state.value)}`;
}

const SHOWN = `globalThis.shown = ${shown}`;

function inPage(page: Page, name: string): Promise<string> {
  return page.evaluate(([script, name]) => {
    const global = globalThis as any;
    if (!global.shown) (0, eval)(script!);
    return global.shown(global.ns.state(name));
  }, [SHOWN, name]);
}

/** Waits until a program has this. */
async function eventually(get: () => string | Promise<string>, expected: string) {
  const end = Date.now() + BOUND;
  for (let last = await get(); last !== expected; last = await get()) {
    assert.ok(Date.now() < end, `${last} instead of ${expected}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const VALUES = `({
  text: 'für €', bytes: new Uint8Array([0, 255]), nil: null, bool: true, int: -5, big: 2n ** 53n, uint: 2n ** 64n - 1n,
  double: 0.25, array: [1, ['x', null]], map: { a: { b: [true] } }, time: new Date(1764000000123),
  ext: new Ext(5, new Uint8Array([1])),
})`;

test('values of each kind go from each to each, and all get the newest after each of ten kills of the hub', async () => {
  let hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const [ws, tcp] = hub.urls as [string, string];
  const origin = `http://${new URL(ws).host}`;
  const pages = [await open(origin), await open(origin)] as const;
  await join_(pages[0], 'page1', ws);
  await join_(pages[1], 'page2', ws);
  const node = new Nanostate('node', tcp, { backoffMax: 200, log: () => {} });
  const binary = join(folder, 'app');
  const library = join(dirname(BINARY), 'libnanostate.so');
  symlinkSync(library, join(folder, 'libnanostate.so.0'));
  execFileSync('cc', ['-o', binary, path('tests/peers/app.c'), `-I${path('include')}`, library, `-Wl,-rpath,${folder}`]);
  const c = new Program(binary, [tcp, 'c', '200']);
  const inC = new Map<string, string>();
  const takeLines = () => {
    for (const line of c.lines.splice(0)) {
      const [, sender, name, value] = /^state (\S+) (\S+) \d+ \d+ (.*)$/.exec(line) ?? [];
      if (name) inC.set(`${sender} ${name}`, value!);
    }
  };
  const getC = (key: string) => () => (takeLines(), inC.get(key) ?? 'nothing');

  for (const page of pages) {
    await page.evaluate((values) => {
      const global = globalThis as any;
      for (const [name, value] of Object.entries((0, eval)(values))) global.ns.send(`${global.ns.identity}/${name}`, value);
      return global.ns.flush();
    }, VALUES);
  }
  const values = new Function('Ext', `return ${VALUES}`)(Ext);
  for (const [name, value] of Object.entries(values)) node.send(`node/${name}`, value as any);
  const json = { text: 'für €', bool: true, int: -5, double: 0.25, array: [1, ['x', null]], map: { a: { b: [true] } } };
  for (const [name, value] of Object.entries(json)) c.process.stdin!.write(`json c/${name} ${JSON.stringify(value)}\n`);

  for (const [name, value] of Object.entries(values)) {
    const kind = name === 'big' ? 'int' : name === 'time' ? 'ext' : name;
    const text = shown({ sender: '', kind, value } as any);
    for (const sender of ['page1', 'page2', 'node']) {
      for (const page of pages) await eventually(() => inPage(page, `${sender}/${name}`), sender + text);
      await eventually(() => shown(node.state(`${sender}/${name}`)), sender + text);
    }
    if (name in json) {
      for (const page of pages) await eventually(() => inPage(page, `c/${name}`), `c${text}`);
      await eventually(() => shown(node.state(`c/${name}`)), `c${text}`);
      const inJson = name === 'text' ? (json as any)[name] : JSON.stringify((json as any)[name]);
      for (const sender of ['page1', 'page2', 'node']) await eventually(getC(`${sender} ${sender}/${name}`), inJson);
    }
  }
  await eventually(getC('page1 page1/time'), '"2025-11-24T16:00:00.123Z"');

  for (let round = 0; round < 10; round++) {
    hub = await hub.restart();
    for (const page of pages) await page.evaluate((round) => (globalThis as any).ns.send(`round/${(globalThis as any).ns.identity}`, round), round);
    node.send('round/node', round);
    c.process.stdin!.write(`json round/c ${round}\n`);
    for (const sender of ['page1', 'page2', 'node', 'c']) {
      const expected = `${sender} int ${round}`;
      for (const page of pages) await eventually(() => inPage(page, `round/${sender}`), expected);
      await eventually(() => shown(node.state(`round/${sender}`)), expected);
      if (sender !== 'c') await eventually(getC(`${sender} round/${sender}`), String(round));
    }
  }
  for (const page of pages) {
    assert.deepEqual(await page.evaluate(() => (globalThis as any).counts), { now: 1, most: 1 }, 'one socket at a time');
    assert.deepEqual((page as any).errors, []);
    await page.close();
  }
  await node.close();
  await c.kill();
  await hub.kill();
});

test('a page of another server of this machine reads, and is told that it may not publish', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const node = new Nanostate('node', hub.urls[1]);
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
  await slider.locator('#status', { hasText: 'permission denied (only reading is allowed)' }).waitFor();
  assert.equal(node.get('volume'), 20);
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

test('the slider of the example moves in two pages and a program, the chat and the image arrive', async () => {
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
  for (const page of [a, b, chat, image]) {
    await page.close();
  }
  await node.close();
  await hub.kill();
});

test('a page comes back from the back/forward cache with its values, and connects again', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const node = new Nanostate('node', hub.urls[1]);
  const origin = `http://${new URL(hub.url).host}`;
  const page = await open(origin);
  await join_(page, 'page', hub.url);
  // The page tells by itself, since Playwright does not know pages that come back.
  await page.evaluate(() => {
    const { ns, counts } = globalThis as any;
    addEventListener('pageshow', ({ persisted }) => ns.send('persisted', persisted));
    ns.on('late', ({ value }: any) => ns.send('heard', [value, counts.now, counts.most]));
    return (ns.send('x', 1), ns.flush());
  });
  await page.goto(`${origin}/other.html`);
  node.send('late', 2);
  await node.flush();
  void page.evaluate(() => history.back()).catch(() => {});
  await until(() => node.get('heard') !== undefined, 'the page');
  assert.deepEqual([node.get('persisted'), node.get('heard'), node.get('x')], [true, [2, 1, 1], 1]);
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
