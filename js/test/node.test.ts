// Node programs on a real hub, over tcp and ipc.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { Ext, type Link, type Options, type Sendable, type State } from '../src/index.js';
import { Nanostate } from '../src/node.js';
import { Hub, Program, ROOT, compile, nanostate, until, within } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'nanostate-js-'));
after(() => rmSync(folder, { recursive: true }));
const MODULE = JSON.stringify(new URL('js/build/src/node.js', ROOT).href);
const quiet = { log: () => {} };

const clients: Nanostate[] = [];
/** A client that is closed with the test. */
function app(identity: string, url: string, options?: Options): Nanostate {
  const client = new Nanostate(identity, url, options);
  clients.push(client);
  return client;
}
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

/** A Node program of its own. */
function script(text: string, ...args: string[]): Program {
  const program = `import { Nanostate } from ${MODULE};\n${text}`;
  return new Program(process.execPath, ['--input-type=module', '--eval', program, 'x', ...args]);
}

const VALUES: Record<string, Sendable> = {
  text: 'für €😀',
  bytes: new Uint8Array([0, 255, 7]),
  nil: null,
  bool: true,
  int: -7,
  big: 2n ** 53n,
  uint: 2n ** 64n - 1n,
  double: 0.5,
  array: [1, [2, 'x'], null],
  map: { a: 1, b: { c: [true] }, 'é': 'x' },
  time: new Date(1_764_000_000_123),
  ext: new Ext(7, new Uint8Array([1, 2, 3])),
};

const isOldNode = parseInt(process.versions.node) < 22;
const abstract = isOldNode ? [] : [`ipc://@nanostate-js-${process.pid}`];
for (const listen of ['tcp://127.0.0.1:0', 'ws://127.0.0.1:0/ws', `ipc://${folder}/hub.sock`, ...abstract]) {
  test(`values of each kind arrive as they were sent, over ${listen.slice(0, 7)}`, async () => {
    const hub = await Hub.start(listen);
    const a = app('a', hub.url);
    for (const [name, value] of Object.entries(VALUES)) a.send(`v/${name}`, value);
    await a.flush();
    const b = app('b', hub.url);
    await until(() => Object.keys(VALUES).every((name) => b.state(`v/${name}`)), 'all values');
    for (const [name, value] of Object.entries(VALUES)) {
      const state = b.state(`v/${name}`)!;
      assert.deepEqual([state.sender, state.value, state.retained], ['a', value, true]);
      assert.deepEqual(a.get(`v/${name}`), value);
    }
    assert.deepEqual(['int', 'big', 'uint', 'double', 'time'].map((name) => b.state(`v/${name}`)!.kind), ['int', 'int', 'uint', 'double', 'ext']);
    assert.ok(Math.abs(b.state('v/int')!.time - Date.now()) < 60_000);
    a.send('slider', 22, { type: 'double' });
    a.key('fader', { type: 'double' }).send(3);
    await until(() => b.get('slider') === 22 && b.get('fader') === 3, 'numbers');
    assert.deepEqual([b.state('slider')!.kind, b.state('fader')!.kind], ['double', 'double']);
    await Promise.all([a.close(), b.close()]);
    await hub.kill();
  });
}

test('the command line sends and receives', async () => {
  const hub = await Hub.start();
  const client = app('app', hub.url);
  client.send('room/temperature', 21.5);
  await client.flush();
  const watch = nanostate('watch', '--json', '--count', '1', '--connect', hub.url);
  assert.deepEqual((({ sender, name, kind, data }) => ({ sender, name, kind, data }))(JSON.parse(await watch.line())), {
    sender: 'app', name: 'room/temperature', kind: 'double', data: 21.5,
  });
  const heard = client.states('greeting/**');
  assert.equal(await nanostate('send', 'greeting', 'hello', '--connect', hub.url).ended(), 0);
  const { value } = await heard.next();
  assert.deepEqual([value!.sender, value!.value, value!.retained], ['nanostate', 'hello', false]);
  await client.close();
  assert.deepEqual(await heard.next(), { done: true, value: undefined });
  assert.throws(() => client.send('x', 1), { code: 'NS_ERR_CLOSED' });
  await assert.rejects(client.flush(), { code: 'NS_ERR_CLOSED' });
  await hub.kill();
});

test('functions and loops hear of what is there, and of what comes, until they end', async () => {
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  a.send('n/1', 1);
  await until(() => b.get('n/1') === 1, 'a value');
  const heard: unknown[] = [];
  const end = b.on('n/*', ({ name, value }) => heard.push([name, value]));
  assert.deepEqual(heard, [], 'not before the program has the function that ends it');
  const loop = b.states('n/*');
  assert.equal((await loop.next()).value!.value, 1);
  a.send('n/1', 2);
  a.send('m/1', 9);
  a.send('n/2', 3);
  assert.deepEqual([(await loop.next()).value!.value, (await loop.next()).value!.value], [2, 3]);
  assert.deepEqual(heard, [['n/1', 1], ['n/1', 2], ['n/2', 3]]);
  end();
  await loop.return!();
  a.send('n/1', 4);
  await until(() => b.get('n/1') === 4, 'another value');
  assert.equal(heard.length, 3);
  assert.deepEqual([b.get('n/1', 'a'), b.get('n/1', 'b'), b.get('n/3')], [4, undefined, undefined]);
  assert.throws(() => b.on('', () => {}), { code: 'NS_ERR_NAME' });
  assert.throws(() => b.states(''), { code: 'NS_ERR_NAME' });
  await Promise.all([a.close(), b.close()]);
  await hub.kill();
});

test('a loop that is slow gets the newest value of each name, each in the place of its oldest', async () => {
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  a.send('first', 0);
  const loop = b.states('**');
  assert.equal((await loop.next()).value!.name, 'first');
  for (let i = 0; i < 3_000; i++) a.send(`n${i % 7}`, i);
  a.send('last', 1);
  await until(() => b.get('last'), 'the last value');
  const taken: [string, unknown][] = [];
  for await (const { name, value } of loop) {
    taken.push([name, value]);
    if (name === 'last') break;
  }
  assert.deepEqual(taken.slice(-8).map(([name]) => name), ['n0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'last']);
  assert.ok(taken.length < 2_000 && taken.some(([, value]) => value === 2_999), `${taken.length}`);
  await Promise.all([a.close(), b.close()]);
  await hub.kill();
});

test('values sent before, between and after links arrive, and a hub that is killed gets all back', async () => {
  let hub = await Hub.start();
  await hub.kill();
  const links: Link['state'][] = [];
  const a = app('a', hub.url, { ...quiet, backoffMax: 200 });
  a.onLink((link) => links.push(link.state));
  a.send('early', 1);
  a.send('early', 2);
  await assert.rejects(a.flush({ timeout: 20 }), { code: 'NS_ERR_TIMEOUT' });
  const b = app('b', hub.url, { ...quiet, backoffMax: 200 });
  for (let round = 0; round < 5; round++) {
    hub = await hub.restart();
    await until(() => b.get('early') === 2, 'the early value');
    a.send('round', round);
    b.send('answer', round);
    await until(() => b.get('round') === round && a.get('answer') === round, 'values of this round');
    await hub.kill();
    await until(() => a.link.state === 'connecting' && b.link.state === 'connecting', 'the end of the link');
    assert.match(a.link.text, /127\.0\.0\.1/);
    a.send('between', round);
    hub = await hub.restart();
    await until(() => b.get('between') === round, 'a value between links');
  }
  const c = app('c', hub.url);
  await until(() => c.get('early') === 2 && c.get('round') === 4 && c.get('answer') === 4, 'all for a newcomer');
  assert.ok(links.filter((link) => link === 'connected').length >= 5);
  await Promise.all([a.close(), b.close(), c.close()]);
  await hub.kill();
});

test('an identity is one program, and the second is refused until the first ends', async () => {
  const hub = await Hub.start();
  const first = app('a', hub.url);
  first.send('x', 1);
  await first.flush();
  const told: string[] = [];
  const second = app('a', hub.url, { log: (text) => told.push(text), backoffMax: 100 });
  await assert.rejects(second.flush().then(() => second.send('y', 1)).then(() => second.flush()), { code: 'NS_ERR_IDENTITY_TAKEN' });
  assert.deepEqual([second.link.state, second.link.code], ['refused', 'NS_ERR_IDENTITY_TAKEN']);
  assert.equal(told.length, 1);
  await first.close();
  await until(() => second.link.state === 'connected', 'the identity');
  await second.flush();
  await until(() => second.get('x') === 1, 'what the first said, which stays');
  await second.close();
  await hub.kill();
});

test('a value that the hub does not take is told', async () => {
  const hub = await Hub.startWith(['--table-states', '2', '--max-message', '2000']);
  const client = app('a', hub.url, quiet);
  const rejected: string[] = [];
  client.onRejected(({ name, error }) => rejected.push(`${name} ${error.code}`));
  client.send('x', 1);
  await client.flush();
  client.send('y', 2);
  await assert.rejects(client.flush(), { code: 'NS_ERR_FULL' });
  assert.deepEqual(rejected, ['y NS_ERR_FULL']);
  assert.throws(() => client.send('large', new Uint8Array(3000)), { code: 'NS_ERR_TOO_LARGE' });
  await client.close();
  await hub.kill();
});

test('kinds that are not accepted do not come, own states come with echo', async () => {
  const hub = await Hub.start();
  const a = app('a', hub.url, { accept: ['int', 'text'], echo: true });
  const heard: State[] = [];
  a.on('**', (state) => heard.push(state));
  const b = app('b', hub.url);
  b.send('x', 0.5);
  b.send('y', 5);
  a.send('own', 'text');
  await until(() => heard.length === 2, 'two states');
  assert.deepEqual(heard.map(({ name }) => name).sort(), ['own', 'y']);
  assert.equal(a.get('x'), undefined);
  assert.throws(() => new Nanostate('a', hub.url, { accept: ['number' as 'int'] }), TypeError);
  await Promise.all([a.close(), b.close()]);
  await hub.kill();
});

test('a store shows one and the same value until there is another, to React and to Svelte', async () => {
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  const store = b.store<{ n: number }>('o');
  assert.equal(b.store('o'), store);
  const seen: unknown[] = [];
  const notified = () => seen.push(store.getSnapshot());
  // StrictMode subscribes, ends and subscribes again; both may be there at a time.
  const first = store.subscribe(notified);
  const second = store.subscribe(notified);
  first();
  first();
  assert.deepEqual(seen.splice(0), [undefined, undefined]);
  a.send('o', { n: 1 });
  await until(() => seen.length > 0, 'a value');
  const snapshot = store.getSnapshot();
  a.send('other', 1);
  await until(() => b.get('other'), 'another name');
  assert.ok(seen.length === 1 && seen[0] === snapshot && store.getSnapshot() === snapshot);
  store.set({ n: 2 });
  assert.deepEqual(seen.at(-1), { n: 2 }, 'own values at once');
  assert.equal(store.getSnapshot(), store.getSnapshot());
  second();
  store.set({ n: 3 });
  assert.equal(seen.length, 2);
  await until(() => (a.get('o') as any)?.n === 3, 'the value of the store');
  const fader = b.store<any>('o', { type: 'double' });
  assert.ok(fader !== store && b.store('o', { type: 'double' }) === fader);
  fader.set(3);
  await until(() => a.state('o')!.kind === 'double', 'a double');
  assert.deepEqual([a.get('o'), store.getSnapshot()], [3, 3]);
  await Promise.all([a.close(), b.close()]);
  await hub.kill();
});

test('a large value, and many, pass a transport that is slower than the program', async () => {
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  b.on('n*', () => {});
  const large = new Uint8Array(8 << 20).map((_, i) => i >> 12);
  for (let i = 0; i < 20_000; i++) a.send(`n${i % 500}`, i);
  a.send('large', large);
  for (let i = 0; i < 300; i++) a.send('frame', new Uint8Array(200_000).fill(i));
  a.send('end', 1);
  await a.flush();
  await until(() => b.get('end') && b.get('large') && b.get('frame'), 'the end');
  assert.deepEqual(b.get('large'), large);
  await until(() => (b.get('frame') as Uint8Array)[5] === 299 % 256, 'the last frame');
  for (let i = 0; i < 500; i++) assert.equal(b.get(`n${i}`), 19_500 + i);
  await Promise.all([a.close(), b.close()]);
  await hub.kill();
});

/** Stops a hub, in all of its threads. */
async function stop(hub: Hub) {
  const { process } = hub.program;
  process.kill('SIGSTOP');
  const threads = () => readdirSync(`/proc/${process.pid}/task`);
  const isStopped = (thread: string) => / \(.*\) T /.test(readFileSync(`/proc/${process.pid}/task/${thread}/stat`, 'utf8'));
  await until(() => threads().every(isStopped), 'a hub that is stopped');
}

test('ping tells how long the hub takes, waits for one, and asks again if it is killed meanwhile', async () => {
  let hub = await Hub.start();
  const a = app('a', hub.url, { ...quiet, backoffMax: 200 });
  const began = performance.now();
  const times = await Promise.all([a.ping(), a.ping({ timeout: 60_000 })]);
  const passed = performance.now() - began;
  assert.ok(times.every((time) => time > 0 && time <= passed), `${times} of ${passed}`);
  // A hub that is stopped does not answer, and the time counts.
  await stop(hub);
  const waiting = a.ping();
  await assert.rejects(a.ping({ timeout: 30 }), { code: 'NS_ERR_TIMEOUT' });
  hub.program.process.kill('SIGCONT');
  const time = await within(waiting, 'the answer of a hub that goes on');
  assert.ok(time >= 25, `${time}`);
  await stop(hub);
  const later = a.ping();
  await new Promise((resolve) => setImmediate(resolve));
  await hub.kill();
  await until(() => a.link.state === 'connecting', 'the end of the link');
  const before = performance.now();
  hub = await Hub.start(...hub.urls);
  assert.ok((await within(later, 'the answer of the next hub')) <= performance.now() - before, 'of that one alone');
  const second = app('a', hub.url, quiet);
  await assert.rejects(second.ping(), { code: 'NS_ERR_IDENTITY_TAKEN' });
  await a.close();
  await assert.rejects(a.ping(), { code: 'NS_ERR_CLOSED' });
  await hub.kill();
});

test('an error in a function of the program is told as such, and ends nothing else', async () => {
  const hub = await Hub.start();
  const program = script(`
    process.on('uncaughtException', (error) => console.log(error.message));
    const ns = new Nanostate('a', process.argv[2], { echo: true });
    ns.on('x', () => { throw new Error('mine'); });
    ns.on('x', ({ value }) => console.log(value));
    ns.send('x', 1);
    await ns.flush();
    ns.close();`, hub.url);
  assert.deepEqual([await program.line(), await program.line()].sort(), ['1', 'mine']);
  assert.equal(await program.ended(), 0);
  await hub.kill();
});

test('a program ends after close, and with unref by itself; without a hub it neither ends nor fails', async () => {
  const hub = await Hub.start();
  const closes = script(`const ns = new Nanostate('a', process.argv[2]); ns.send('x', 1); ns.close();`, hub.url);
  assert.equal(await closes.ended(), 0);
  const unrefs = script(`
    const ns = new Nanostate('b', process.argv[2]).unref();
    ns.send('y', 2);
    await ns.flush({ timeout: 60000 });`, hub.url);
  assert.equal(await unrefs.ended(), 0);
  const reader = app('c', hub.url);
  await until(() => reader.get('x') === 1 && reader.get('y') === 2, 'both values');
  await reader.close();
  await hub.kill();
  const alone = script(`
    const ns = new Nanostate('d', process.argv[2]);
    ns.onLink(({ text }) => console.log(text));`, hub.url);
  assert.equal(await alone.line(), '');
  assert.match(await alone.line(), /ECONNREFUSED.*is "nanostate hub" running/);
  assert.equal(alone.process.exitCode, null);
  await alone.kill();
  const away = script(`new Nanostate('e', process.argv[2]).unref();`, hub.url);
  assert.equal(await away.ended(), 0);
});

test('URLs that cannot be dialled are errors at once', () => {
  for (const url of ['', 'tcp://', 'tcp://host', 'tcp://host:0', 'tcp://host:99999', 'http://host:1', 'ipc://', 'ws://', 'ws://a b/']) {
    assert.throws(() => new Nanostate('a', url), { code: 'NS_ERR_URL' }, url);
  }
  if (isOldNode) {
    assert.throws(() => new Nanostate('a', 'ipc://@x'), { code: 'NS_ERR_UNSUPPORTED', message: /or Node 22/ });
  }
  assert.throws(() => new Nanostate('', 'tcp://127.0.0.1:1'), { code: 'NS_ERR_IDENTITY' });
});

test('a hub of the original gets text and bytes, and what its programs send comes', async () => {
  const binary = compile(folder, 'tests/peers/nn_hub.c', '-lnanomsg');
  for (const url of [`ipc://${folder}/nn.sock`, `ws://127.0.0.1:${await freePort()}`]) {
    const hub = new Program(binary, [url]);
    await hub.line();
    await talkThrough(url);
    await hub.kill();
  }
});

async function talkThrough(url: string) {
  const [a, b] = [app('a', url, quiet), app('b', url, quiet)];
  await until(() => a.link.state === 'connected' && b.link.state === 'connected', 'links');
  await assert.rejects(a.ping(), { code: 'NS_ERR_UNSUPPORTED' });
  // Such a hub may know the second of them a little later, and forgets what it got before.
  await until(() => (a.send('ready', 'x'), b.get('ready')), 'both are known');
  a.send('number', 1);
  a.send('text', 'x');
  a.send('bytes', new Uint8Array([1]));
  await a.flush();
  await until(() => b.get('text') === 'x' && b.get('bytes'), 'text and bytes');
  assert.deepEqual([b.get('number'), a.state('text')!.sender, b.state('text')!.time], [undefined, 'a', 0]);
  await a.close();
  for (let round = 0; round < 8; round++) {
    const last = app('last', url, quiet);
    await until(() => last.link.state === 'connected', 'a link');
    for (let i = 0; i < 20; i++) last.send(`before/${i}`, 'x');
    last.send('last', `${round}`);
    await last.close();
    await until(() => b.get('last') === `${round}`, 'what was sent before the end');
  }
  await b.close();
}

/** A port that nobody uses now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
