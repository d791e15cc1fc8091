// Which values are stale: those of programs that are gone. On real hubs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { State } from '../src/index.js';
import { app } from './apps.js';
import { Hub, until, within } from './support.js';

const of = (sender: string, name = 'x') => ({ sender, name });

test('a value is stale when its program is gone, and fresh when it has set it again', async () => {
  const hub = await Hub.start();
  const [first, second, shows] = [app('first', hub.url), app('second', hub.url), app('shows', hub.url)];
  const told: (string | undefined)[] = [];
  const seen: State[] = [];
  shows.on('x', (state) => seen.push(state));
  const end = shows.onStale((sender) => told.push(sender));
  first.send('x', 1);
  second.send('x', 2);
  await until(() => seen.length >= 2 && told.includes('first') && told.includes('second'), 'both values');
  assert.ok(!shows.isStale(of('first')) && !shows.isStale(seen[0]!) && !shows.isStale(of('nobody')));
  told.length = 0;
  await first.close();
  await until(() => told.includes('first'), 'the word that it is gone');
  assert.ok(shows.isStale(of('first')) && !shows.isStale(of('second')));
  told.length = 0;
  const again = app('first', hub.url);
  await until(() => told.includes('first'), 'another run of it');
  assert.ok(shows.isStale(of('first')), 'which has not set the value');
  again.send('x', 1);
  await until(() => !shows.isStale(of('first')), 'the value of this run');
  end();
  told.length = 0;
  await second.close();
  await until(() => shows.isStale(of('second')), 'the end of the other');
  assert.deepEqual(told, []);
  shows.send('x', 3);
  assert.ok(!shows.isStale(of('shows')));
  shows.clear('x');
  assert.ok(!shows.isStale(of('shows')));
  await hub.kill();
});

test('who comes late is told which values are stale once the hub is not young', async () => {
  const hub = await Hub.start();
  const [leaves, stays] = [app('leaves', hub.url), app('stays', hub.url)];
  leaves.send('x', 1);
  stays.send('x', 1);
  await Promise.all([leaves.flush(), stays.flush()]);
  await leaves.close();
  const late = app('late', hub.url);
  const told: (string | undefined)[] = [];
  late.on('x', () => {});
  late.onStale((sender) => told.push(sender));
  await within(late.synced(), 'what the hub held');
  await until(() => told.includes(undefined), 'the word of all');
  assert.ok(late.isStale(of('leaves')) && !late.isStale(of('stays')));
  const again: (string | undefined)[] = [];
  late.onStale((sender) => again.push(sender));
  await until(() => again.length > 0, 'a function that comes later');
  assert.deepEqual(again, [undefined]);
  await hub.program.kill();
  await until(() => late.link.state === 'connecting', 'the loss of the hub');
  assert.ok(late.isStale(of('leaves')) && !late.isStale(of('stays')), 'nothing has changed');
  await hub.kill();
});
