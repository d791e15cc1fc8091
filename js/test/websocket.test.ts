// WebSockets: those of the package ws in Node, and a page's events.

import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, afterEach, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { Nanostate as Page } from '../src/index.js';
import { Nanostate } from '../src/node.js';
import { SUBPROTOCOL } from '../src/websocket.js';
import { token } from '../src/control.js';
import { Driver } from '../src/driver.js';
import { messages } from '../src/engine/codec.js';
import { Session } from '../src/engine/session.js';
import { Writer } from '../src/msgpack.js';
import { writeHead } from '../src/wire.js';
import type { Dial } from '../src/transport.js';
import { Hub, Program, until } from './support.js';

const quiet = { WebSocket, log: () => {} };
const open: { close(): unknown }[] = [];
function keep<T extends { close(): unknown }>(one: T): T {
  open.push(one);
  return one;
}
afterEach(() => Promise.all(open.splice(0).map((one) => one.close())));

/** A WebSocket that counts how many there are. */
class Counting extends WebSocket {
  static open = new Set<Counting>();
  static most = 0;

  constructor(url: string, protocol: string) {
    super(url, protocol);
    Counting.open.add(this);
    Counting.most = Math.max(Counting.most, Counting.open.size);
    this.once('close', () => Counting.open.delete(this));
  }
}

/** What a hub says, as a body. */
function control(name: string, write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  writeHead(writer, '$ns', `$ns/${name}`);
  write(writer);
  writer.map(0);
  return writer.copy();
}

function welcome(instance = 1): Uint8Array {
  return control('welcome', (writer) => {
    writer.map(3);
    [new Uint8Array(16).fill(instance), 1 << 24, 1.8e12].forEach((field, key) => {
      writer.int(key);
      writer.value(field);
    });
  });
}

/** A server that plays a hub by hand. */
async function fake(act: (link: WebSocket, number: number) => void, protocol: string | false = SUBPROTOCOL) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => protocol });
  let count = 0;
  server.on('connection', (link) => act(link, ++count));
  await new Promise((resolve) => server.once('listening', resolve));
  keep({
    close: () => {
      server.clients.forEach((link) => link.terminate());
      server.close();
    },
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, count: () => count, server };
}

test('a program with a WebSocket and one with a socket share states, through hubs that are killed', async () => {
  let hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const a = keep(new Nanostate('a', hub.url, { ...quiet, WebSocket: Counting, backoffMax: 200 }));
  const b = keep(new Nanostate('b', hub.urls[1], { ...quiet, backoffMax: 200 }));
  const values = { int: 7, big: 2n ** 60n, double: 0.5, text: 'é', bytes: new Uint8Array([1, 2]), map: { x: [null, true] } };
  for (const [name, value] of Object.entries(values)) {
    a.send(`a/${name}`, value);
    b.send(`b/${name}`, value);
  }
  await Promise.all([a.flush(), b.flush()]);
  for (const [name, value] of Object.entries(values)) {
    await until(() => a.get(`b/${name}`) !== undefined && b.get(`a/${name}`) !== undefined, name);
    assert.deepEqual([a.get(`b/${name}`), b.get(`a/${name}`)], [value, value]);
  }
  const large = new Uint8Array(4 << 20).fill(7);
  a.send('large', large);
  for (let i = 0; i < 2_000; i++) a.send('fast', i);
  await until(() => b.get('fast') === 1_999 && b.get('large') !== undefined, 'the newest value');
  for (let round = 0; round < 5; round++) {
    hub = await hub.restart();
    a.send('round', round);
    await until(() => b.get('round') === round, 'a round');
  }
  await until(() => a.link.state === 'connected', 'a link');
  assert.equal(Counting.most, 1, 'one socket at a time');
  await Promise.all([a.close(), b.close()]);
  assert.equal(Counting.open.size, 0);
  await hub.kill();
});

test('a hub that closes for good is not dialled again, and one that refuses is, later', async () => {
  const policy = await fake((link) => link.close(1008, 'the origin is not allowed'));
  const a = keep(new Nanostate('a', policy.url, { ...quiet, backoffMin: 1, backoffMax: 1 }));
  await until(() => a.link.state === 'refused', 'the end');
  assert.equal(a.link.code, 'NS_ERR_PERMISSION');
  assert.match(a.link.text, /1008, the origin is not allowed.*ws:\/\//);
  a.send('x', 1);
  await assert.rejects(a.flush(), { code: 'NS_ERR_PERMISSION' });
  const refusing = await fake((link, number) => {
    if (number === 3) return link.send(welcome());
    link.send(control('refuse', (writer) => writer.value([])));
    link.send(control('refuse', (writer) => {
      writer.map(2);
      [0, -17, 1, 'it is full'].forEach((part) => writer.value(part));
    }));
    link.close(1000, 'it is full');
  });
  const b = keep(new Nanostate('b', refusing.url, { ...quiet, backoffMin: 1, backoffMax: 1 }));
  await until(() => b.link.state === 'connected', 'the welcome');
  assert.equal(refusing.count(), 3);
  assert.equal(policy.count(), 1);
});

test('a hub that ends is dialled again as after any loss', async () => {
  const hub = await fake((link, number) => {
    link.send(welcome());
    if (number === 1) link.close(1001, 'the hub ends');
  });
  const links: string[] = [];
  const a = keep(new Nanostate('a', hub.url, { ...quiet, backoffMin: 1, backoffMax: 1 }));
  a.onLink(({ state, text }) => links.push(`${state}: ${text}`));
  await until(() => hub.count() === 2 && a.link.state === 'connected', 'the second link');
  assert.ok(links.some((link) => /1001, the hub ends/.test(link)), links.join('\n'));
});

test('what is no hub is told as such', async () => {
  const other = await fake(() => {}, false);
  const a = keep(new Nanostate('a', other.url, quiet));
  await until(() => a.link.code !== undefined, 'an error');
  assert.equal(a.link.state, 'connecting');
  const nobody = keep(new Nanostate('b', 'ws://127.0.0.1:1/ws', quiet));
  await until(() => nobody.link.code !== undefined, 'an error');
  assert.equal(nobody.link.code, 'NS_ERR_REFUSED');
  assert.match(nobody.link.text, /is "nanostate hub" running/);
});

test('text messages, rubbish and unknown bodies change nothing', async () => {
  const hub = await fake((link) => {
    link.send(welcome());
    link.send('text');
    link.send(new Uint8Array([0xc1]));
    link.send(new Uint8Array());
    link.send(control('later', (writer) => writer.value({ x: 1 })));
    link.send(token('$ns', 'ping', 2n ** 64n - 1n));
    link.on('message', (data: Buffer) => data.includes('pong') && link.send(control('pong', (writer) => writer.int(1))));
  });
  const told: string[] = [];
  const a = keep(new Nanostate('a', hub.url, { WebSocket, log: (text) => told.push(text) }));
  a.send('x', 1);
  await a.flush();
  assert.equal(a.link.state, 'connected');
  assert.ok(told.length === 1 && told[0]!.includes('malformed message'), told.join());
});

test('while its WebSocket is congested, a program sends newest values only', async () => {
  const names: string[] = [];
  const hub = await fake((link) => {
    link.send(welcome());
    link.on('message', (data: Buffer) => names.push(data.toString('latin1')));
  });
  class Slow extends WebSocket {
    static congested = false;
  }
  Object.defineProperty(Slow.prototype, 'bufferedAmount', { get: () => (Slow.congested ? 1 << 30 : 0) });
  const a = keep(new Nanostate('a', hub.url, { ...quiet, WebSocket: Slow }));
  await until(() => a.link.state === 'connected', 'a link');
  Slow.congested = true;
  const large = 'x'.repeat(100_000);
  for (let i = 0; i < 100; i++) a.send(`n${i % 2}`, `${large}${i}`);
  Slow.congested = false;
  await until(() => names.some((name) => name.endsWith('99', name.length - 28)), 'the last value');
  const values = names.filter((name) => name.includes('xxx'));
  assert.ok(values.length >= 3 && values.length < 20, `${values.length} of 100`);
});

test('URLs of a page', () => {
  assert.throws(() => new Page('a', 'tcp://127.0.0.1:1', quiet), { code: 'NS_ERR_URL', message: /ws:\/\/ and wss:\/\/ only/ });
  assert.throws(() => new Page('a', '/ws', quiet), { code: 'NS_ERR_URL' });
  const none = Object.assign({}, quiet, { WebSocket: undefined });
  if (!globalThis.WebSocket) {
    assert.throws(() => new Page('a', 'ws://127.0.0.1:1', none as any), { code: 'NS_ERR_UNSUPPORTED' });
  }
});

test('a page that is put away has no connection, and one when it comes back', async () => {
  const target = new EventTarget();
  Object.assign(globalThis, {
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
    document: Object.assign(new EventTarget(), { visibilityState: 'visible' }),
  });
  after(() => ['addEventListener', 'removeEventListener', 'document'].forEach((name) => delete (globalThis as any)[name]));
  const hub = await Hub.start('ws://127.0.0.1:0/ws');
  // Waits are long: what connects is not a timer.
  const a = keep(new Page('a', hub.url, { ...quiet, WebSocket: Counting, backoffMin: 100_000, backoffMax: 100_000 }));
  await until(() => a.link.state === 'connected', 'a link');
  target.dispatchEvent(new Event('pagehide'));
  assert.equal(a.link.state, 'connecting');
  await until(() => Counting.open.size === 0, 'the end of the connection');
  a.send('away', 1);
  target.dispatchEvent(new Event('pageshow'));
  await a.flush();
  Counting.open.forEach((link) => link.terminate());
  await until(() => a.link.state === 'connecting', 'the loss');
  target.dispatchEvent(new Event('online'));
  await until(() => a.link.state === 'connected', 'a link at once');
  Counting.open.forEach((link) => link.terminate());
  await until(() => a.link.state === 'connecting', 'the loss');
  globalThis.document.dispatchEvent(new Event('visibilitychange'));
  await until(() => a.link.state === 'connected', 'a link at once');
  assert.equal(Counting.most, 1);
  await a.close();
  target.dispatchEvent(new Event('pageshow'));
  assert.equal(a.link.state, 'idle', 'a page that comes back does not bring a closed one back');
  await hub.kill();
});

test('a hub that takes what had to wait is not given up, and one that does not is', async () => {
  const session = new Session('a', new Uint8Array(16), new Uint8Array(16), { silence: 40 });
  let [looks, waiting, isOver] = [0, 1_000, false];
  const transport = {
    send: (bytes: Uint8Array) => void (waiting += bytes.length),
    // It takes a byte whenever it is looked at, and after a while none.
    get buffered() {
      return ++looks > 100 ? waiting : --waiting;
    },
    close() {},
  };
  const dial: Dial = (_url, { opened, received }) => {
    queueMicrotask(() => {
      opened(messages);
      received(welcome());
    });
    return transport;
  };
  const driver = new Driver(session, dial, (event) => (isOver ||= event.is === 'link' && event.link.code === 'NS_ERR_TIMEOUT'), () => {});
  session.connect(['ws://hub']);
  driver.pump();
  await until(() => isOver, 'the end of a link on which nothing comes or goes');
  assert.ok(looks > 100, `given up after ${looks} looks`);
  driver.keepRunning(false);
  void driver.close();
});

test("Node's own WebSocket serves, too", async () => {
  let hub = await Hub.start('ws://127.0.0.1:0/ws');
  const text = `
    import { Nanostate } from ${JSON.stringify(new URL('../src/node.js', import.meta.url).href)};
    const ns = new Nanostate('a', '${hub.url}', { WebSocket, backoffMax: 100, log() {} });
    ns.send('x', new Uint8Array(100_000));
    await ns.flush();
    ns.on('y', ({ value }) => value === 2 && ns.close());
    console.log('ready');`;
  const program = new Program(process.execPath, ['--experimental-websocket', '--no-warnings', '--input-type=module', '--eval', text]);
  await program.line();
  hub = await hub.restart();
  const b = keep(new Nanostate('b', hub.url, quiet));
  await until(() => (b.get('x') as Uint8Array | undefined)?.length === 100_000, 'the value, from a hub that was killed');
  b.send('y', 2);
  assert.equal(await program.ended(), 0);
  await b.close();
  await hub.kill();
});
