// Names that a program is sent: those of its functions, loops and stores, and those that it looks up. Node programs and a
// page, on real hubs; between some of them and the hub somebody listens.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { State } from '../src/index.js';
import { Writer } from '../src/msgpack.js';
import type { Nanostate } from '../src/node.js';
import { writeHead } from '../src/wire.js';
import { MOST_PATTERNS } from '../src/engine/subscribed.js';
import { app } from './apps.js';
import { eventually, inPage, join_, open } from './chromium.js';
import { Hub, Random, until, within } from './support.js';
import { Bodies, Tap } from './tap.js';

const synced = (client: Nanostate) => within(client.synced(), `what the hub holds, for ${client.identity}`);

test('a program that only sends is sent no states, also beside a camera', async () => {
  const hub = await Hub.start();
  const tap = await Tap.before(hub);
  const camera = app('camera', hub.url);
  camera.send('image', new Uint8Array(1 << 20));
  await camera.flush();
  const sender = app('sender', tap.url);
  for (let i = 0; i < 20; i++) {
    sender.send('n', i);
    camera.send('image', new Uint8Array(1 << 20).fill(i));
    await Promise.all([sender.flush(), camera.flush()]);
  }
  await synced(sender);
  assert.deepEqual(tap.take(), { asked: ['+', ...Array(20).fill('n')], sent: [] });
  await hub.kill();
});

test('a program is sent what its functions, loops and stores are for, and what it looks up, in one message for each task', async () => {
  const hub = await Hub.start();
  const tap = await Tap.before(hub);
  const a = app('a', hub.url);
  for (const name of ['f/1', 'l/1', 's', 'g', 'other']) a.send(name, name);
  await a.flush();
  const b = app('b', tap.url);
  b.on('f/*', () => {});
  const loop = b.states('l/**');
  assert.equal(b.get('g'), undefined);
  const store = b.store<string>('s');
  const end = store.subscribe(() => {});
  await synced(b);
  assert.deepEqual([b.get('f/1'), b.get('l/1'), b.get('g'), store.getSnapshot(), b.get('s', 'a')], ['f/1', 'l/1', 'g', 's', 's']);
  assert.deepEqual((await within(loop.next(), 'a state')).value!.retained, true);
  assert.deepEqual(tap.take(), { asked: ['+f/*,l/**,g,s'], sent: ['f/1', 'l/1', 's', 'g'] });
  // Neither what is known nor what a pattern is for is asked for again.
  assert.deepEqual([b.get('f/2'), b.state('g')!.value], [undefined, 'g']);
  for (const name of ['f/2', 'other', 'l/2', 's']) a.send(name, 2);
  await until(() => store.getSnapshot() as unknown === 2, 'the last');
  assert.deepEqual([b.get('f/2'), b.get('l/2')], [2, 2]);
  assert.deepEqual(tap.take(), { asked: [], sent: ['f/2', 'l/2', 's'] });
  end();
  await loop.return!();
  await synced(b);
  await b.flush();
  assert.deepEqual([b.get('l/1'), b.get('f/1')], [undefined, 'f/1'], 'what is given up is not known any more');
  await until(() => b.get('l/1') === 'l/1', 'a value that was asked for again');
  assert.deepEqual(tap.take(), { asked: ['-l/**', '-s', '+l/1'], sent: ['l/1'] });
  await hub.kill();
});

test('a pattern is in use until the last of those who use it ends, and what ends and begins in one task has not ended', async () => {
  const hub = await Hub.start();
  const tap = await Tap.before(hub);
  const [a, b] = [app('a', hub.url), app('b', tap.url)];
  const heard: unknown[] = [];
  const ends = [b.on('x', ({ value }) => heard.push(value)), b.on('x', () => {})] as const;
  await synced(b);
  ends[0]();
  ends[0]();
  await synced(b);
  a.send('x', 1);
  await until(() => b.get('x') === 1, 'a value');
  ends[1]();
  const end = b.on('x', ({ value, retained }) => heard.push([value, retained]));
  await synced(b);
  assert.equal(b.get('x'), 1);
  assert.deepEqual(tap.take(), { asked: ['+x'], sent: ['x'] });
  assert.deepEqual(heard, [[1, false]]);
  // What another pattern is for stays, and nobody is told twice.
  end();
  const all: unknown[] = [];
  b.on('*', ({ value }) => all.push(value));
  assert.equal(b.get('x'), 1);
  await synced(b);
  assert.deepEqual([b.get('x'), all, tap.take().asked], [1, [1], ['+*', '-x']]);
  await hub.kill();
});

test('what is in use before a value is sent is asked for before it', async () => {
  const hub = await Hub.start();
  const tap = await Tap.before(hub);
  const echo = app('echo', hub.url);
  echo.on('question', ({ value }) => echo.send('answer', value as number));
  await synced(echo);
  const b = app('b', tap.url);
  await synced(b);
  tap.take();
  const heard = new Promise<State>((resolve) => b.on('answer', resolve));
  b.send('question', 7);
  const { value, retained } = await within(heard, 'the answer');
  assert.deepEqual([value, retained, tap.take()], [7, false, { asked: ['+answer', 'question'], sent: ['answer'] }]);
  await hub.kill();
});

test('synced covers what is in use when it is called, and isSynced what is in use now', async () => {
  const hub = await Hub.start();
  const a = app('a', hub.url);
  for (let i = 0; i < 500; i++) a.send(`${i % 5}/${i}`, i);
  await a.flush();
  const b = app('b', hub.url);
  let told = 0;
  b.onSynced(() => told++);
  await synced(b);
  assert.deepEqual([b.isSynced, told], [true, 1]);
  const heard: string[] = [];
  for (let part = 0; part < 5; part++) {
    b.on(`${part}/*`, ({ name }) => heard.push(name));
    assert.equal(b.isSynced, false);
    await synced(b);
    assert.deepEqual([heard.length, b.isSynced, told], [100 * (part + 1), true, part + 2]);
  }
  // One that waits for what is in use is not held up by what comes after that.
  b.on('later/*', () => {});
  let isOver = false;
  const waiting = synced(b).then(() => (isOver = true));
  for (let i = 0; !isOver; i++) {
    b.on(`${i % 1000}`, () => {});
    await new Promise((resolve) => setImmediate(resolve));
  }
  await waiting;
  await hub.kill();
});

test('after a reconnect a program is sent what it uses then, and no more', async () => {
  let hub = await Hub.start();
  const tap = await Tap.before(hub);
  const [a, b] = [app('a', hub.url), app('b', tap.url)];
  const end = b.on('x/*', () => {});
  b.on('y', () => {});
  a.send('x/1', 1);
  a.send('y', 1);
  await until(() => b.get('x/1') && b.get('y'), 'values');
  tap.cut();
  await until(() => b.link.state === 'connecting', 'the end of the link');
  tap.take();
  end();
  b.on('z', () => {});
  a.send('x/1', 2);
  a.send('y', 2);
  a.send('z', 2);
  await until(() => b.get('y') === 2 && b.get('z') === 2, 'what is in use now');
  await synced(b);
  assert.deepEqual(tap.take(), { asked: ['+y,z'], sent: ['y', 'z'] });
  assert.equal(tap.links, 2);
  hub = await hub.restart();
  await until(() => tap.links === 3, 'another link');
  await synced(b);
  await a.flush();
  a.send('y', 3);
  await until(() => b.get('y') === 3, 'a value through the other hub');
  assert.ok(tap.asked.join() === '+y,z' && !tap.sent.includes('x/1'), `${tap.asked} ${tap.sent}`);
  await hub.kill();
});

test('a store is used from the first look at it until its last subscriber has left', async () => {
  const hub = await Hub.start();
  const tap = await Tap.before(hub);
  const [a, b] = [app('a', hub.url), app('b', tap.url)];
  a.send('x', 1);
  await a.flush();
  const store = b.store('x');
  await synced(b);
  assert.deepEqual(tap.take().asked, ['+'], 'it is only there');
  // As React does it in StrictMode: it looks, subscribes, leaves, and subscribes again.
  assert.equal(store.getSnapshot(), undefined);
  store.subscribe(() => {})();
  const seen: unknown[] = [];
  const ends = [store.subscribe((value) => seen.push(value)), store.subscribe(() => {})] as const;
  await synced(b);
  assert.deepEqual([store.getSnapshot(), seen, tap.take().asked], [1, [undefined, 1], ['+x']]);
  ends[0]();
  ends[0]();
  await b.flush();
  assert.deepEqual([store.getSnapshot(), tap.take().asked], [1, []]);
  ends[1]();
  await synced(b);
  b.send('end', 1);
  await b.flush();
  assert.deepEqual(tap.take().asked, ['-x', 'end']);
  assert.equal(store.getSnapshot(), undefined, 'it begins anew');
  await until(() => store.getSnapshot() === 1, 'the value');
  assert.deepEqual(tap.take().asked, ['+x']);
  await hub.kill();
});

test('one pattern too many is an error that names it and changes nothing, and one that ends makes room', async () => {
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  const ends = Array.from({ length: MOST_PATTERNS }, (_, i) => b.on(`n/${i}`, () => {}));
  const full = { code: 'NS_ERR_FULL', message: `"one/more" would be one pattern too many: ${MOST_PATTERNS} are in use` };
  for (const use of [() => b.on('one/more', () => {}), () => b.states('one/more'), () => b.get('one/more'), () => b.store('one/more').subscribe(() => {})]) {
    assert.throws(use, full);
  }
  b.on('n/7', () => {});
  await synced(b);
  assert.equal(b.link.state, 'connected');
  ends[3]!();
  b.on('one/more', () => {});
  assert.throws(() => b.on('two/more', () => {}), { code: 'NS_ERR_FULL' });
  a.send('n/3', 1);
  a.send('n/4', 1);
  a.send('one/more', 1);
  await until(() => b.get('n/4') && b.get('one/more'), 'values');
  await synced(b);
  assert.equal(b.link.state, 'connected');
  for (const pattern of ['', 'x'.repeat(1025), 'a/**/1/2/3/4/5/6/7/8/9/**']) {
    for (const use of [() => b.on(pattern, () => {}), () => b.states(pattern), () => b.get(pattern)]) assert.throws(use, { code: 'NS_ERR_NAME' });
  }
  await hub.kill();
});

test('a hub that sends all names is told nothing, and everything else is as with others', async () => {
  // One that welcomes without the feature, sends three states, and says that this was all.
  const message = (sender: string, name: string, data: (writer: Writer) => void, meta: (writer: Writer) => void = (writer) => writer.map(0)) => {
    const writer = new Writer();
    writeHead(writer, sender, name);
    data(writer);
    meta(writer);
    const head = Buffer.alloc(8);
    head.writeBigUInt64BE(BigInt(writer.length));
    return Buffer.concat([head, writer.copy()]);
  };
  const welcome = message('$ns', '$ns/welcome', (writer) => {
    writer.map(3);
    for (const value of [0, new Uint8Array(16).fill(7), 1, 1 << 20, 4, 3]) writer.value(value);
  });
  const states = ['x/1', 'x/2', 'y'].map((name) => message('other', name, (writer) => writer.text(name)));
  const marker = message('$ns', '$ns/synced', (writer) => writer.int(0));
  const asked: string[] = [];
  const server = createServer((socket) => {
    socket.write(Buffer.from('0053500000704e01', 'hex'));
    const bodies = new Bodies(({ name }) => {
      asked.push(name);
      if (name === '$ns/hello') socket.write(Buffer.concat([welcome, ...states, marker]));
    });
    socket.on('data', (bytes: Buffer) => bodies.push(bytes));
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = app('a', `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, { linger: 0 });
  const heard: string[] = [];
  client.on('x/*', ({ name }) => heard.push(name));
  await synced(client);
  assert.deepEqual(heard, ['x/1', 'x/2']);
  // It would not send this again.
  client.on('y', ({ name }) => heard.push(name))();
  const end = client.on('y', ({ name }) => heard.push(name));
  await synced(client);
  assert.deepEqual([heard, client.get('y'), client.get('x/1'), client.isSynced], [['x/1', 'x/2', 'y'], 'y', 'x/1', true]);
  end();
  await synced(client);
  assert.equal(client.get('y'), 'y');
  assert.deepEqual(asked, ['$ns/hello']);
  await client.close();
  server.close();
});

test('a page is sent what it uses, and has it again after the hub is killed', async () => {
  let hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const [ws, tcp] = hub.urls as [string, string];
  const node = app('node', tcp);
  node.send('x/1', 1);
  node.send('camera', new Uint8Array(1 << 20));
  await node.flush();
  const page = await open(`http://${new URL(ws).host}`);
  await page.evaluate(() => {
    const { WebSocket } = globalThis;
    (globalThis as any).bytes = 0;
    globalThis.WebSocket = class extends WebSocket {
      constructor(url: string | URL, protocol?: string | string[]) {
        super(url, protocol);
        this.addEventListener('message', ({ data }) => ((globalThis as any).bytes += data.byteLength));
      }
    };
  });
  await join_(page, 'page', ws);
  await page.evaluate(() => {
    const global = globalThis as any;
    global.heard = [];
    global.ns.on('x/*', ({ value, retained }: State) => global.heard.push([value, retained]));
    return global.ns.synced();
  });
  node.send('x/1', 2);
  node.send('camera', new Uint8Array(1 << 20));
  await eventually(() => inPage(page, 'x/1'), 'node int 2');
  assert.deepEqual(await page.evaluate(() => (globalThis as any).heard), [[1, true], [2, false]]);
  hub = await hub.restart();
  await node.flush();
  node.send('x/2', 3);
  await eventually(() => inPage(page, 'x/2'), 'node int 3');
  const bytes = await page.evaluate(() => (globalThis as any).bytes);
  assert.ok(bytes > 0 && bytes < 10_000, `${bytes}`);
  await page.close();
  await hub.kill();
});

test('patterns that come and go while values change leave a program with the newest value of each name in use, and no others', async () => {
  const random = new Random();
  let hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  const names = Array.from({ length: 60 }, (_, i) => `${i % 4}/${i % 3}/${i}`);
  const patterns = ['**', '0/**', '*/1/*', '1/2/*', ...names.slice(0, 20)];
  const uses: { pattern: string; newest: Map<string, unknown>; end: () => void }[] = [];
  const fits = (pattern: string, name: string) => new RegExp(`^${pattern.replaceAll('**', '.+').replaceAll(/(?<!\.)\*/g, '[^/]*')}$`).test(name);
  for (let round = 0; round < 300; round++) {
    for (let i = random.below(8); i > 0; i--) {
      const name = random.of(names);
      random.below(5) ? a.send(name, round) : a.clear(name);
    }
    if (uses.length < 6 && random.below(2)) {
      const [pattern, newest] = [random.of(patterns), new Map<string, unknown>()];
      uses.push({ pattern, newest, end: b.on(pattern, ({ name, value }) => newest.set(name, value)) });
    } else if (uses.length > 0 && random.below(3) === 0) {
      uses.splice(random.below(uses.length), 1)[0]!.end();
    }
    if (random.below(4) === 0) await new Promise((resolve) => setImmediate(resolve));
    if (random.below(100) === 0) hub = await hub.restart();
    if (round % 60 === 59) {
      await within(a.flush(), 'an answer of the hub');
      await synced(b);
      const uptodate = new Promise<void>((resolve) => {
        const end = b.on('mark', ({ value }) => value === round && (end(), resolve()));
      });
      a.send('mark', round);
      await within(uptodate, 'the mark');
      for (const { pattern, newest } of uses) {
        for (const name of names.filter((name) => fits(pattern, name))) {
          assert.equal(newest.get(name), a.get(name, 'a'), `${name} for ${pattern}`);
          assert.equal(b.get(name, 'a'), a.get(name, 'a'), `${name} for ${pattern}`);
        }
      }
    }
  }
  await hub.kill();
});
