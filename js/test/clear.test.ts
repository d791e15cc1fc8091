// Values that are withdrawn: who is told, and what is found then. Node programs and a page, on real hubs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { State } from '../src/index.js';
import type { Nanostate } from '../src/node.js';
import { app } from './apps.js';
import { eventually, inPage, join_, open } from './chromium.js';
import { Hub, nanostate, until, within } from './support.js';

/** Hears what a client is told, in words. */
function hear(client: Nanostate, pattern = '**'): string[] {
  const heard: string[] = [];
  client.on(pattern, ({ sender, name, kind, value }) => heard.push(`${sender} ${name} ${kind} ${value}`));
  return heard;
}

test('functions, loops, stores and get alike know that a value is withdrawn, and what other senders have of its name', async () => {
  const hub = await Hub.start();
  const [a, b, other] = [app('a', hub.url), app('b', hub.url), app('other', hub.url)];
  const heard = hear(b);
  const states = Array.from({ length: 3 }, ((loop) => () => loop.next())(b.states('x')));
  const store = b.store('x');
  const shown: unknown[] = [];
  store.subscribe((value) => shown.push(value));
  other.send('x', 1);
  await until(() => b.get('x') === 1, 'the value of the other');
  a.send('x', 2);
  await until(() => b.get('x') === 2, 'a value');
  a.clear('x');
  assert.deepEqual([a.get('x', 'a'), a.state('x', 'a')], [undefined, undefined]);
  await until(() => b.get('x') === 1, 'what the other has');
  assert.deepEqual([b.get('x', 'a'), b.state('x', 'a')], [undefined, undefined]);
  assert.deepEqual(heard, ['other x int 1', 'a x int 2', 'a x cleared undefined']);
  const last = (await within(states[2]!, 'the last state')).value!;
  assert.deepEqual([last.sender, last.kind, last.value, last.retained], ['a', 'cleared', undefined, false]);
  assert.ok(Math.abs(last.time - Date.now()) < 60_000);
  other.key('x').clear();
  await until(() => b.get('x') === undefined, 'none');
  assert.deepEqual(shown, [undefined, 1, 2, 1, undefined]);
  assert.equal(store.getSnapshot(), undefined);
  // Functions and loops that begin now begin with nothing.
  const late = hear(b, 'x');
  a.send('end', true);
  await until(() => b.get('end'), 'the end');
  assert.deepEqual(late, []);
  a.send('x', 3);
  await until(() => store.getSnapshot() === 3, 'a value again');
  assert.deepEqual(late, ['a x int 3']);
  await hub.kill();
});

test('whoever comes later is not told, and flush acknowledges it as a value', async () => {
  const hub = await Hub.start();
  const a = app('a', hub.url);
  a.send('x', 1);
  a.send('y', 1);
  a.clear('x');
  a.clear('never');
  await a.flush();
  const b = app('b', hub.url);
  const heard = hear(b);
  await within(b.synced(), 'what the hub holds');
  assert.deepEqual(heard, ['a y int 1']);
  a.clear('y');
  await until(() => heard.length === 2, 'the end of y');
  assert.equal(heard[1], 'a y cleared undefined');
  await hub.kill();
});

test('what is withdrawn while there is no hub is withdrawn for all once there is, and of two words the later counts', async () => {
  let hub = await Hub.start();
  const a = app('a', hub.url, { shared: true });
  const b = app('b', hub.url);
  const heard = hear(b);
  a.send('x', 1);
  a.send('y', 1);
  await until(() => heard.length === 2, 'the values');
  await hub.kill();
  await until(() => a.link.state === 'connecting' && b.link.state === 'connecting', 'the end of the link');
  a.clear('x');
  a.clear('y');
  a.send('y', 2);
  hub = await Hub.start(...hub.urls);
  await until(() => heard.includes('a x cleared undefined') && b.get('y') === 2, 'what was said meanwhile');
  assert.equal(b.get('x'), undefined);
  // A hub that is killed hears all of it again.
  hub = await hub.restart();
  const late = app('late', hub.url);
  const lateHeard = hear(late);
  await until(() => late.get('y') === 2, 'the value');
  await within(late.synced(), 'what the hub holds');
  assert.deepEqual(lateHeard.filter((line) => line.includes(' x ')).filter((line) => !line.endsWith('cleared undefined')), []);
  assert.equal(late.get('x'), undefined);
  await hub.kill();
});

test('a program hears of it if it takes the kind that was withdrawn', async () => {
  const hub = await Hub.start();
  const a = app('a', hub.url);
  const texts = app('texts', hub.url, { accept: ['text'] });
  const heard = hear(texts);
  await within(texts.synced(), 'what the hub holds');
  a.send('number', 1);
  a.send('text', 'x');
  a.clear('number');
  a.clear('text');
  a.send('end', 'x');
  await until(() => texts.get('end'), 'the end');
  assert.deepEqual(heard.slice(-2), ['a text cleared undefined', 'a end text x']);
  assert.ok(heard.every((line) => !line.includes('number')), heard.join());
  await hub.kill();
});

test("one's own withdrawal comes back with echo, and a closed client withdraws nothing", async () => {
  const hub = await Hub.start();
  const a = app('a', hub.url, { echo: true });
  const heard = hear(a);
  a.send('x', 'y');
  await until(() => heard.length === 1, 'the echo');
  a.clear('x');
  await until(() => heard.length === 2, 'the echo');
  assert.deepEqual([heard[1], a.get('x')], ['a x cleared undefined', undefined]);
  assert.throws(() => a.clear(''), { code: 'NS_ERR_NAME' });
  await a.close();
  assert.throws(() => a.clear('x'), { code: 'NS_ERR_CLOSED' });
  await hub.kill();
});

test('a page and the command line are told by a Node program, and a page tells them', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const [ws, tcp] = hub.urls as [string, string];
  const node = app('node', tcp);
  const heard = hear(node, 'of/page');
  const page = await open(`http://${new URL(ws).host}`);
  await join_(page, 'page', ws);
  await page.evaluate(() => {
    const { ns } = globalThis as any;
    const heard = ((globalThis as any).heard = [] as unknown[]);
    ns.on('of/node', ({ kind, value }: State) => heard.push([kind, value ?? null]));
    ns.send('of/page', 'x');
  });
  node.send('of/node', 1);
  await eventually(() => inPage(page, 'of/node'), 'node int 1');
  await until(() => heard.length === 1, 'the value of the page');
  const watch = nanostate('watch', '--json', 'of/*', '--connect', tcp);
  const watched = [JSON.parse(await watch.line()), JSON.parse(await watch.line())];
  assert.deepEqual(watched.map(({ name }) => name).sort(), ['of/node', 'of/page']);
  node.clear('of/node');
  await eventually(() => inPage(page, 'of/node'), 'nothing');
  assert.deepEqual(await page.evaluate(() => (globalThis as any).heard), [['int', 1], ['cleared', null]]);
  const { sender, name, kind } = JSON.parse(await watch.line());
  assert.deepEqual([sender, name, kind], ['node', 'of/node', 'cleared']);
  await page.evaluate(() => (globalThis as any).ns.key('of/page').clear());
  await until(() => heard.length === 2, 'the end of the value of the page');
  assert.deepEqual(heard, ['page of/page text x', 'page of/page cleared undefined']);
  assert.equal(JSON.parse(await watch.line()).kind, 'cleared');
  await watch.kill();
  await page.close();
  await hub.kill();
});
