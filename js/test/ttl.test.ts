// Values that expire: who is told, and what is left of them. Node programs and pages, on real hubs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MOST_TTL } from '../src/client.js';
import type { State } from '../src/index.js';
import type { Nanostate } from '../src/node.js';
import { app } from './apps.js';
import { eventually, inPage, join_, open } from './chromium.js';
import { Hub, Program, ROOT, until, within } from './support.js';
import { Tap } from './tap.js';

const DAY = 24 * 3600_000;

/** Hears what a client is told, in words. */
function hear(client: Nanostate, pattern = '**'): string[] {
  const heard: string[] = [];
  client.on(pattern, ({ sender, name, kind, value }) => heard.push(`${sender} ${name} ${kind} ${value}`));
  return heard;
}

test('a value that is not sent again is gone for its sender, those who know it, a page and whoever comes later', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const [ws, tcp] = hub.urls as [string, string];
  const [a, b] = [app('a', tcp), app('b', tcp)];
  const heard = hear(b, 'x');
  await within(b.synced(), 'what the hub holds');
  a.send('x', 1, { ttl: DAY });
  await until(() => heard.length >= 1, 'the value');
  // Late, and in time.
  const late = app('late', tcp);
  const lateHeard = hear(late);
  const page = await open(`http://${new URL(ws).host}`);
  await join_(page, 'page', ws);
  await page.evaluate(() => {
    const { ns } = globalThis as any;
    const heard = ((globalThis as any).heard = [] as unknown[]);
    ns.on('x', ({ kind, value }: State) => heard.push([kind, value ?? null]));
  });
  await eventually(() => inPage(page, 'x'), 'a int 1');
  await until(() => late.get('x') === 1, 'the value');
  a.send('x', 2, { ttl: 300 });
  assert.equal(a.get('x'), 2);
  await until(() => heard.length === 3 && lateHeard.length === 3, 'the end of the value');
  await eventually(() => inPage(page, 'x'), 'nothing');
  await until(() => a.get('x') === undefined, 'the end at its sender');
  assert.deepEqual(heard, ['a x int 1', 'a x int 2', 'a x cleared undefined']);
  assert.deepEqual(lateHeard, heard);
  assert.deepEqual(await page.evaluate(() => (globalThis as any).heard), [['int', 1], ['int', 2], ['cleared', null]]);
  const later = app('later', tcp);
  const laterHeard = hear(later);
  await within(later.synced(), 'what the hub holds');
  assert.deepEqual(laterHeard, []);
  // What a page sends lives as long as it says.
  await page.evaluate(() => (globalThis as any).ns.key('of/page', { ttl: 300 }).send('here'));
  await until(() => laterHeard.length === 2, 'the life of the value of the page');
  assert.deepEqual(laterHeard, ['page of/page text here', 'page of/page cleared undefined']);
  await eventually(() => inPage(page, 'of/page'), 'nothing');
  await page.close();
  await hub.kill();
});

test('a value that is sent again in time stays, and each sending has its own time', async () => {
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  const heard = hear(b);
  await within(b.synced(), 'what the hub holds');
  a.send('longer', 1, { ttl: 200 });
  a.send('for ever', 1, { ttl: 200 });
  a.send('same', 1, { ttl: 200 });
  a.store('longer', { ttl: DAY }).set(2);
  a.key('for ever').send(2);
  a.send('same', 2, { ttl: 200, transient: true });
  a.send('witness', 1, { ttl: 200 });
  await until(() => heard.includes('a witness cleared undefined') && a.get('witness') === undefined, 'the end of one that was not');
  for (const client of [a, b]) {
    assert.deepEqual(['longer', 'for ever', 'same'].map((name) => client.get(name)), [2, 2, undefined]);
  }
  const gone = heard.filter((line) => line.includes('cleared'));
  assert.deepEqual(gone, ['a same cleared undefined', 'a witness cleared undefined']);
  await hub.kill();
});

test('a reconnect carries the rest of the life only, and nothing of what has expired meanwhile', async () => {
  const hub = await Hub.start();
  const tap = await Tap.before(hub);
  const a = app('a', tap.url, { backoffMin: 300, backoffMax: 400 });
  a.send('x', 1, { ttl: DAY });
  a.send('short', 1, { ttl: 100 });
  a.send('for ever', 1);
  await a.flush();
  assert.deepEqual(tap.states.splice(0).slice(0, 3).map(({ name, lifetime }) => [name, lifetime! > DAY - 60_000 && lifetime! <= DAY]),
    [['x', true], ['short', false], ['for ever', false]]);
  tap.cut();
  await until(() => a.link.state === 'connecting', 'the end of the link');
  const [from] = [performance.now()];
  await a.flush();
  a.send('end', true);
  await a.flush();
  const [x, short, forEver] = tap.states;
  assert.deepEqual([x!.name, short!.name, forEver!.name], ['x', 'short', 'for ever']);
  assert.ok(x!.lifetime! < DAY - 100 && x!.lifetime! > DAY - 60_000, `${x!.lifetime}, ${performance.now() - from} ms later`);
  assert.deepEqual([short!.kind, short!.lifetime, forEver!.kind, forEver!.lifetime], ['cleared', undefined, 'int', undefined]);
  await hub.kill();
});

test('stores show that an own value has expired, and functions are told once, with the option echo', async () => {
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url, { echo: true })];
  const shown: unknown[] = [];
  a.store('x', { ttl: 200 }).subscribe((value) => shown.push(value));
  const heard = hear(b);
  await within(b.synced(), 'what the hub holds');
  a.store('x', { ttl: 200 }).set(1);
  b.send('own', 1, { ttl: 200 });
  await until(() => shown.length === 3 && heard.length === 4, 'the ends of both');
  assert.deepEqual(shown, [undefined, 1, undefined]);
  a.send('last', 1);
  await until(() => heard.length > 4, 'what is sent then');
  assert.deepEqual(heard.filter((line) => line.startsWith('b')), ['b own int 1', 'b own cleared undefined']);
  assert.deepEqual(heard.at(-1), 'a last int 1');
  await hub.kill();
});

test('a value ends also where there is no hub, and is told of no more when there is one again', async () => {
  let hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  const heard = hear(b);
  a.send('x', 1, { ttl: 2_000 });
  await until(() => heard.length >= 1, 'the value');
  await hub.kill();
  await until(() => heard.length === 2 && a.get('x') === undefined, 'its end');
  assert.deepEqual([heard, b.get('x'), b.link.state], [['a x int 1', 'a x cleared undefined'], undefined, 'connecting']);
  // One that is set without a hub, and ends before there is one.
  a.send('y', 1, { ttl: 1 });
  await until(() => a.get('y') === undefined, 'its end');
  hub = await Hub.start(...hub.urls);
  const late = app('late', hub.url);
  const lateHeard = hear(late);
  a.send('z', 1);
  await until(() => late.get('z') === 1 && b.get('z') === 1, 'what is sent then');
  assert.deepEqual(lateHeard.filter((line) => !line.endsWith('cleared undefined')), ['a z int 1']);
  assert.deepEqual(heard.filter((line) => line.includes(' x ')).length, 2, heard.join());
  await hub.kill();
});

test('what has expired is not found either by a program whose timers are late', async () => {
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  const heard = hear(b);
  const store = b.store('x');
  const shown: unknown[] = [];
  store.subscribe((value) => shown.push(value));
  a.send('x', 1, { ttl: 2_000 });
  await until(() => b.get('x') === 1, 'the value');
  const end = performance.now() + 2_100;
  while (performance.now() < end);
  assert.deepEqual([b.get('x'), b.state('x', 'a'), a.get('x')], [undefined, undefined, undefined]);
  await until(() => heard.length === 2 && shown.length === 3, 'what functions and stores are told');
  assert.deepEqual([heard, shown], [['a x int 1', 'a x cleared undefined'], [undefined, 1, undefined]]);
  await hub.kill();
});

test('functions and loops that begin while timers are late are not given what has expired', async () => {
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  hear(b);
  a.send('x', 1, { ttl: 2_000 });
  a.send('stays', 1);
  await until(() => b.get('x') === 1 && b.get('stays') === 1, 'the values');
  const loop = b.states('**');
  const end = performance.now() + 2_100;
  while (performance.now() < end);
  const heard = hear(b);
  const { value } = await loop.next();
  await Promise.resolve();
  assert.deepEqual([value?.name, heard], ['stays', ['a stays int 1']]);
  a.send('last', 1);
  await until(() => heard.at(-1) === 'a last int 1', 'what is sent then');
  assert.deepEqual(heard.filter((line) => line.includes(' x int')), []);
  await hub.kill();
});

test('a life of years keeps no timer busy', async () => {
  const warnings: string[] = [];
  const note = ({ name }: Error) => warnings.push(name);
  process.on('warning', note);
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  hear(b);
  a.send('x', 1, { ttl: MOST_TTL });
  await until(() => b.get('x') === 1, 'the value');
  await b.flush();
  assert.deepEqual(warnings, []);
  process.off('warning', note);
  await hub.kill();
});

test('a program that has closed its client ends at once, whatever would expire later', async () => {
  const hub = await Hub.start();
  const text = `
    const { Nanostate } = await import(${JSON.stringify(new URL('../src/node.js', import.meta.url).href)});
    const [a, b] = ['a', 'b'].map((identity) => new Nanostate(identity, ${JSON.stringify(hub.url)}));
    b.on('x', async ({ value }) => {
      await Promise.all([a.close(), b.close()]);
      console.log(value);
    });
    a.send('x', 1, { ttl: ${DAY} });`;
  const program = new Program(process.execPath, ['--input-type=module', '--eval', text]);
  assert.equal(await program.line(), '1');
  assert.equal(await program.ended(), 0);
  await hub.kill();
});

test('a time to live is a whole number of milliseconds, as long as in the other languages', async () => {
  const days = /how long a value lives[\s\S]*?0 to\s[\s*]*(\d+)d, default 0\. \*\/\s+NS_OPT_KEY_TTL_MS/i;
  assert.equal(Number(days.exec(readFileSync(new URL('include/nanostate.h', ROOT), 'utf8'))![1]) * DAY, MOST_TTL);
  const a = app('a', 'tcp://127.0.0.1:1');
  for (const ttl of [-1, 0.5, NaN, Infinity, MOST_TTL + 1, '5' as unknown as number, null as unknown as number]) {
    assert.throws(() => a.send('x', 1, { ttl }), { code: 'NS_ERR_INVALID', message: new RegExp(`^ttl not allowed: ${ttl}:`) });
    assert.throws(() => a.key('x', { ttl }), { code: 'NS_ERR_INVALID' });
    assert.throws(() => a.store('x', { ttl }), { code: 'NS_ERR_INVALID' });
  }
  assert.equal(a.get('x'), undefined);
  a.send('x', 1, { ttl: 0 });
  assert.equal(a.get('x'), 1);
});
