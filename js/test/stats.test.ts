// What a hub counts: the names of all counters, and what real hubs answer.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { test } from 'node:test';
import { hubStats, OF_HUB, OF_PEER } from '../src/stats.js';
import { app } from './apps.js';
import { Hub, Program, ROOT, until, within } from './support.js';

const source = (name: string) => readFileSync(new URL(name, ROOT), 'utf8');
/** Where a server listens from now on. */
async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await until(() => server.address() !== null, 'the address');
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

test('the counters are those of the library and of the list in the docs, each by its number', () => {
  const numbers = source('src/wire/stats.rs');
  const docs = source('docs/counters.md');
  for (const [of, struct, chapter, others] of [
    [OF_HUB, 'HubStats', 'Of a hub', ['malformedBy']],
    [OF_PEER, 'PeerStats', 'Of a peer of a hub', ['identity', 'from', 'old', 'live', 'suspect']],
  ] as const) {
    const declared = new RegExp(`pub struct ${struct} \\{([^}]*)\\}`).exec(numbers)![1]!;
    const expected = Array.from(declared.matchAll(/^ +(\d+) = (\w+),$/gm), ([, key, name]) => [camel(name!), Number(key)]);
    assert.deepEqual(Object.fromEntries(expected), { ...of });
    const table = docs.slice(docs.indexOf(`\n## ${chapter}\n`)).split('\n## ')[1]!;
    const documented = Array.from(table.matchAll(/^\| `(\w+)` \|/gm), ([, name]) => camel(name!));
    assert.deepEqual(documented.filter((name) => !(others as readonly string[]).includes(name)).sort(), Object.keys(of).sort());
    assert.ok(others.every((name) => documented.includes(name)));
  }
});

test('a hub tells what it counts, of itself and of each peer', async () => {
  const hub = await Hub.start('tcp://127.0.0.1:0', 'ws://127.0.0.1:0/ws');
  const [a, b] = [app('a', hub.urls[0]!), app('b', hub.urls[1]!)];
  b.on('**', () => {});
  await within(b.synced(), 'what the hub holds');
  for (let i = 0; i < 10; i++) a.send(`n${i}`, i);
  await a.flush();
  await until(() => b.get('n9') === 9, 'the last');
  const stats = await within(hubStats(b), 'the answer');
  assert.deepEqual([stats.peers, stats.oldPeers, stats.states, stats.messagesIn, stats.messagesOut, stats.storeFailed], [2, 0, 10, 10, 10, 0]);
  assert.ok(stats.uptimeMs > 0 && stats.maxStates === 1_000_000 && stats.memoryBytes >= stats.tableBytes && stats.tableBytes > 0);
  assert.deepEqual(Object.keys(stats).sort(), [...Object.keys(OF_HUB), 'ofPeers'].sort());
  const [first, second] = [...stats.ofPeers].sort((a, b) => (a.identity < b.identity ? -1 : 1));
  assert.deepEqual([first!.identity, first!.messagesIn, first!.messagesOut, first!.live, first!.old, first!.suspect], ['a', 10, 0, true, false, false]);
  assert.deepEqual([second!.identity, second!.messagesIn, second!.messagesOut], ['b', 0, 10]);
  assert.ok(first!.from.startsWith('tcp://127.0.0.1:') && first!.connection !== second!.connection && second!.connectedMs > 0);
  assert.deepEqual(Object.keys(first!).sort(), [...Object.keys(OF_PEER), 'identity', 'from', 'old', 'live', 'suspect'].sort());
  // Asked anew, it has gone on, and no question counts as a state.
  a.send('n0', 1);
  await a.flush();
  const [later, beside] = await within(Promise.all([hubStats(a), hubStats(a)]), 'two answers');
  assert.deepEqual([later.messagesIn, beside.messagesIn, later.ofPeers.length], [11, 11, 2]);
  await hub.kill();
});

test('of a hub with many peers each is told once, in parts between which states go on', async () => {
  const hub = await Hub.start();
  const count = 300;
  const peers = Array.from({ length: count }, (_, i) => app(`${String(i).padStart(3, '0')}${'x'.repeat(200)}`, hub.url));
  await within(Promise.all(peers.map((peer) => peer.ping())), 'all links');
  // A message holds no more than a few of them.
  const small = app('small', hub.url, { maxMessage: 2_000 });
  await small.ping();
  let isOver = false;
  const [first, last] = [peers[0]!, peers.at(-1)!];
  first.on('n', () => {});
  const going = (async () => {
    for (let i = 0; !isOver; i++) {
      last.send('n', i);
      await last.flush();
    }
  })();
  for (const one of [first, small]) {
    const stats = await within(hubStats(one), 'all parts');
    const identities = stats.ofPeers.map(({ identity }) => identity);
    assert.deepEqual([new Set(identities).size, identities.length, stats.peers], [count + 1, count + 1, count + 1]);
    assert.ok(stats.uptimeMs > 0);
  }
  isOver = true;
  await going;
  await hub.kill();
});

test('a question waits for a link, is asked again on the next, and no longer than it is to', async () => {
  let hub = await Hub.start();
  const a = app('a', hub.url);
  await a.ping();
  await hub.stop();
  const answer = hubStats(a);
  await assert.rejects(hubStats(a, { timeout: 50 }), { code: 'NS_ERR_TIMEOUT' });
  await hub.kill();
  await until(() => a.link.state === 'connecting', 'the end of the link');
  await assert.rejects(hubStats(a, { timeout: 50 }), { code: 'NS_ERR_TIMEOUT' });
  hub = await Hub.start(...hub.urls);
  assert.equal((await within(answer, 'the answer of the next hub')).peers, 1);
  await a.close();
  await assert.rejects(hubStats(a), { code: 'NS_ERR_CLOSED' });
  await hub.kill();
  const old = createServer((socket) => {
    socket.on('data', () => {}).on('error', () => {}).write(Uint8Array.from([0, 0x53, 0x50, 0, 0, 0x70, 0, 0]));
  });
  const b = app('b', await listen(old));
  await assert.rejects(within(hubStats(b), 'the answer'), { code: 'NS_ERR_UNSUPPORTED', message: /does not say what it counts/ });
  await b.close();
  old.close();
});

test('a question of a program that was refused is rejected for the reason why there is no link, and does not block the program', async () => {
  const hub = await Hub.start();
  await app('a', hub.url).ping();
  const { hostname, port } = new URL(hub.url);
  // Of two connections the first leads to the hub, where the identity is taken, and the second is reset.
  let isHub = false;
  const first = createServer((socket) => {
    socket.on('error', () => {});
    isHub = !isHub;
    isHub ? socket.pipe(connect(Number(port), hostname).on('error', () => {})).pipe(socket) : socket.resetAndDestroy();
  });
  // The next address is dialled for long: nobody says anything there.
  const second = createServer((socket) => socket.on('error', () => {}));
  const modules = ['node.js', 'stats.js'].map((name) => JSON.stringify(new URL(`../src/${name}`, import.meta.url).href));
  const text = `
    const [{ Nanostate }, { hubStats }] = [await import(${modules[0]}), await import(${modules[1]})];
    const a = new Nanostate('a', ${JSON.stringify([await listen(first), await listen(second)])}, { log() {} });
    const seen = new Set();
    while (seen.size < 2) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      await hubStats(a, { timeout: 1 }).catch(({ code }) => code === 'NS_ERR_TIMEOUT' || seen.add(code));
    }
    console.log(a.link.state, ...seen);
    await a.close();`;
  const program = new Program(process.execPath, ['--input-type=module', '--eval', text]);
  assert.equal(await program.line(), 'refused NS_ERR_IDENTITY_TAKEN NS_ERR_IO');
  assert.equal(await program.ended(), 0);
  first.close();
  second.close();
  await hub.kill();
});
