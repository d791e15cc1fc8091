// Which other apps are there: Node programs and pages, on real hubs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Peer } from '../src/index.js';
import type { Nanostate } from '../src/node.js';
import { app } from './apps.js';
import { open } from './chromium.js';
import { BINARY, Hub, Program, until, within } from './support.js';

/** What a client is told, as `IDENTITY PRESENCE`. */
function told(client: Nanostate): { lines: string[]; peers: Peer[]; end: () => void } {
  const [lines, peers]: [string[], Peer[]] = [[], []];
  const end = client.onPresence((peer) => {
    peers.push(peer);
    lines.push(`${peer.identity} ${peer.presence}`);
  });
  return { lines, peers, end };
}

/** At a hub that was just started, one that comes may have come back: then it was here. */
const came = (identity: string) => (line: string) => line === `${identity} here` || line === `${identity} joined`;

test('a program is told which apps are there, join, leave and are lost', async () => {
  const hub = await Hub.start();
  const first = app('first', hub.url);
  await within(first.flush(), 'a link');
  const watcher = app('watcher', hub.url);
  const { lines, peers } = told(watcher);
  await until(() => lines.includes('first here'), 'who was there before');
  const second = app('second', hub.url);
  await until(() => lines.some(came('second')), 'the second app');
  assert.deepEqual((await watcher.peers()).map(({ identity, presence }) => [identity, presence]), [['first', 'here'], ['second', 'here']]);
  const late = told(watcher);
  await second.close();
  await until(() => lines.includes('second left') && late.lines.includes('second left'), 'who leaves');
  assert.deepEqual(late.lines, ['first here', 'second here', 'second left'], 'a function that comes later');
  const killed = new Program(BINARY, ['send', '--stdin', '--as', 'killed', '--connect', hub.url]);
  await until(() => lines.some(came('killed')), 'a program that will be killed');
  late.end();
  await killed.kill();
  await until(() => lines.includes('killed suspect'), 'a link that has ended without a word');
  await until(() => lines.includes('killed lost'), 'an app that did not come back');
  assert.ok(!late.lines.some((line) => line.startsWith('killed suspect')) && !lines.some((line) => line.startsWith('watcher')));
  assert.ok(peers.every(({ instance }) => /^[0-9a-f]{32}$/.test(instance)));
  assert.equal(new Set(peers.map(({ instance }) => instance)).size, 3);
  assert.deepEqual((await watcher.peers()).map(({ identity }) => identity), ['first']);
  await hub.kill();
});

test('a hub that is killed is nothing that happened to others, and another one tells the difference', async () => {
  let hub = await Hub.start();
  const stays = app('stays', hub.url);
  const leaves = app('leaves', hub.url);
  await Promise.all([stays.flush(), leaves.flush()]);
  const watcher = app('watcher', hub.url);
  const { lines } = told(watcher);
  await until(() => lines.length === 2, 'both');
  await hub.program.kill();
  await until(() => watcher.link.state === 'connecting', 'the loss of the hub');
  await leaves.close();
  hub = await hub.restart();
  await until(() => lines.includes('leaves left'), 'the end of the time in which it may come back');
  assert.deepEqual(lines.sort(), ['leaves here', 'leaves left', 'stays here']);
  await hub.kill();
});

test('a page that is left has left, and comes back as another link of it', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const [ws, tcp] = hub.urls as [string, string];
  const watcher = app('watcher', tcp);
  const { lines } = told(watcher);
  const page = await open('http://127.0.0.1:8999');
  await page.waitForFunction(() => 'Nanostate' in globalThis);
  const peers = await page.evaluate(async (url) => {
    const global = globalThis as any;
    const ns = (global.ns = new global.Nanostate('page', url));
    global.heard = [];
    ns.onPresence(({ identity, presence }: Peer) => global.heard.push(`${identity} ${presence}`));
    return (await ns.peers()).map(({ identity }: Peer) => identity);
  }, ws);
  assert.deepEqual(peers, ['watcher']);
  await until(() => lines.some(came('page')), 'the page');
  await page.goto('about:blank');
  await until(() => lines.includes('page left'), 'a page that was left');
  lines.length = 0;
  await page.goBack({ waitUntil: 'commit' });
  await until(() => lines.some(came('page')), 'the page once more');
  await page.close();
  await until(() => lines.includes('page left'), 'a page that was closed');
  assert.ok(!lines.some((line) => /suspect|lost/.test(line)), lines.join());
  await hub.kill();
});

test('a hub that is silent is given up, and one that goes on is found again', async () => {
  const hub = await Hub.start('tcp://127.0.0.1:0', 'ws://127.0.0.1:0/ws');
  const apps = hub.urls.map((url, i) => app(`app${i}`, url, { silence: 500 }));
  await Promise.all(apps.map((app) => app.flush()));
  const losses: string[] = [];
  apps.forEach((app) => app.onLink(({ state, code }) => state === 'connecting' && losses.push(`${app.identity} ${code}`)));
  hub.program.process.kill('SIGSTOP');
  await until(() => losses.length >= 2, 'the end of both links');
  hub.program.process.kill('SIGCONT');
  assert.deepEqual(losses.slice(0, 2).sort(), ['app0 NS_ERR_TIMEOUT', 'app1 NS_ERR_TIMEOUT']);
  await Promise.all(apps.map((app) => within(app.flush(), 'a link again')));
  await hub.kill();
});

test('a hub that does not tell is named as the reason, and a client that is closed tells nothing', async () => {
  const { createServer } = await import('node:net');
  const server = createServer((socket) => socket.on('data', () => {}).on('error', () => {}).write(Uint8Array.from([0, 0x53, 0x50, 0, 0, 0x70, 0, 0])));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const old = app('old', `tcp://127.0.0.1:${(server.address() as { port: number }).port}`);
  await assert.rejects(within(old.peers(), 'an answer'), { code: 'NS_ERR_UNSUPPORTED', message: /does not say which apps are there/ });
  const { lines } = told(old);
  await old.close();
  await assert.rejects(old.peers(), { code: 'NS_ERR_CLOSED' });
  assert.deepEqual(lines, []);
  server.close();
});
