// Which states a hub held, and when a program has all of them: Node programs and a page, on real hubs.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { State } from '../src/index.js';
import { Writer } from '../src/msgpack.js';
import type { Nanostate } from '../src/node.js';
import { writeHead } from '../src/wire.js';
import { app } from './apps.js';
import { open } from './chromium.js';
import { Hub, Program, compile, until, within } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'nanostate-synced-'));
after(() => rmSync(folder, { recursive: true }));

const synced = (client: Nanostate) => within(client.synced(), `all that the hub held, for ${client.identity}`);

test('a late page and a late program have 10,000 states of 20 senders once they are synced, and know that these were held', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const [ws, tcp] = hub.urls as [string, string];
  const senders = Array.from({ length: 20 }, (_, i) => app(`sender${i}`, tcp));
  for (const sender of senders) {
    for (let n = 0; n < 500; n++) sender.send(`n/${n}`, n);
  }
  await Promise.all(senders.map((sender) => within(sender.flush(), 'an answer of the hub')));
  // A stream that goes on meanwhile puts nothing off.
  let count = 0;
  const stream = setInterval(() => {
    for (let i = 0; i < 50; i++) senders[0]!.send('stream', ++count);
  }, 1);

  const node = app('node', tcp);
  const heard = new Map<string, State>();
  node.on('n/*', (state) => heard.set(`${state.sender} ${state.name}`, state));
  const order: string[] = [];
  node.onSynced(() => order.push(`told behind ${heard.size}`));
  assert.equal(node.isSynced, false);
  await synced(node);
  order.push(`waited until ${heard.size}`);
  assert.deepEqual(order, ['told behind 10000', 'waited until 10000']);
  assert.ok(node.isSynced && [...heard.values()].every(({ retained }) => retained));
  assert.equal(node.get('n/499', 'sender19'), 499);

  const page = await open('http://127.0.0.1:8999');
  await page.waitForFunction(() => 'Nanostate' in globalThis);
  const inPage = await page.evaluate(async (url) => {
    const global = globalThis as any;
    const ns = (global.ns = new global.Nanostate('page', url));
    const heard = (global.heard = new Map<string, boolean>());
    ns.on('n/*', ({ sender, name, retained }: State) => heard.set(`${sender} ${name}`, retained));
    await ns.synced();
    return [heard.size, [...heard.values()].filter((retained) => retained).length, ns.isSynced, ns.get('n/499', 'sender19')];
  }, ws);
  assert.deepEqual(inPage, [10_000, 10_000, true, 499]);
  clearInterval(stream);
  assert.ok(count > 0);

  senders[7]!.send('n/3', 'new');
  await until(() => heard.get('sender7 n/3')!.value === 'new', 'a new value in the program');
  await page.waitForFunction(() => (globalThis as any).ns.get('n/3', 'sender7') === 'new');
  assert.equal(heard.get('sender7 n/3')!.retained, false);
  assert.equal(await page.evaluate(() => (globalThis as any).heard.get('sender7 n/3')), false);
  await page.close();
  await hub.kill();
});

test('a hub that holds nothing says so, and each link begins anew', async () => {
  let hub = await Hub.start();
  const client = app('a', hub.url);
  let told = 0;
  const end = client.onSynced(() => told++);
  await Promise.all([synced(client), synced(client)]);
  assert.deepEqual([told, client.isSynced], [1, true]);
  await synced(client);
  await hub.kill();
  await until(() => client.link.state === 'connecting', 'the end of the link');
  assert.equal(client.isSynced, false);
  await assert.rejects(client.synced({ timeout: 20 }), { code: 'NS_ERR_TIMEOUT', message: /127\.0\.0\.1/ });
  const waiting = synced(client);
  hub = await Hub.start(...hub.urls);
  await waiting;
  assert.equal(told, 2);
  end();
  const again = new Promise<void>((resolve) => client.onSynced(resolve));
  hub = await hub.restart();
  await within(again, 'all that the hub holds once more');
  assert.equal(told, 2);
  await hub.kill();
});

test('a state that was held for one program is new for another, in functions, loops and get alike', async () => {
  const hub = await Hub.start();
  const early = app('early', hub.url);
  early.on('x', () => {});
  await synced(early);
  const sender = app('sender', hub.url);
  sender.send('x', 1);
  await until(() => early.state('x'), 'a state');
  assert.equal(early.state('x')!.retained, false);
  const late = app('late', hub.url);
  const loop = late.states('x');
  const { value } = await within(loop.next(), 'a state');
  const heard: boolean[] = [];
  late.on('x', ({ retained }) => heard.push(retained));
  await synced(late);
  assert.deepEqual([value!.retained, heard, late.state('x')!.retained], [true, [true], true]);
  assert.equal(sender.state('x')!.retained, false, "one's own value");
  await hub.kill();
});

test('a wait ends when the client is closed, and when the hub refuses it', async () => {
  const hub = await Hub.start();
  const first = app('a', hub.url);
  await synced(first);
  const second = app('a', hub.url);
  await assert.rejects(synced(second), { code: 'NS_ERR_IDENTITY_TAKEN' });
  await hub.kill();
  await until(() => first.link.state === 'connecting', 'the end of the link');
  const waiting = assert.rejects(synced(first), { code: 'NS_ERR_CLOSED' });
  await first.close();
  await waiting;
  await assert.rejects(first.synced(), { code: 'NS_ERR_CLOSED' });
});

test('a hub that does not tell is named, and one of the original holds nothing', async () => {
  // A welcome without features, behind the opening of version 1.
  const writer = new Writer();
  writeHead(writer, '$ns', '$ns/welcome');
  writer.map(2);
  for (const value of [0, new Uint8Array(16).fill(7), 1, 1 << 20]) writer.value(value);
  writer.map(0);
  const body = writer.copy();
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write(Buffer.from('0053500000704e01', 'hex'));
    const head = Buffer.alloc(8);
    head.writeBigUInt64BE(BigInt(body.length));
    socket.write(Buffer.concat([head, body]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = app('a', `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, { linger: 0 });
  await assert.rejects(synced(client), { code: 'NS_ERR_UNSUPPORTED', message: /does not say/ });
  assert.deepEqual([client.link.state, client.isSynced], ['connected', false]);
  await client.close();
  server.close();

  const url = `ipc://${folder}/nn.sock`;
  const old = new Program(compile(folder, 'tests/peers/nn_hub.c', '-lnanomsg'), [url]);
  await old.line();
  const other = app('b', url);
  await synced(other);
  assert.deepEqual([other.link.state, other.isSynced], ['connected', true]);
  await other.close();
  await old.kill();
});
