// Transient values, between Node programs on a real hub.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { app } from './apps.js';
import { Hub, until } from './support.js';

test('a transient value reaches those who are there, and nobody who comes later', async () => {
  const hub = await Hub.start();
  const [a, b] = [app('a', hub.url), app('b', hub.url)];
  const heard: unknown[] = [];
  b.on('**', ({ name, value }) => heard.push([name, value]));
  await b.synced();
  a.send('x', 1, { transient: true });
  await until(() => b.get('x') === 1, 'what is sent');
  const key = a.key('y', { transient: true });
  key.send([2]);
  a.store('z', { transient: true }).set(3);
  a.store('z').set(4);
  await until(() => b.get('z') === 4, 'what the last store has sent');
  assert.deepEqual(heard.at(-1), ['z', 4]);
  await a.flush();
  const late = app('late', hub.url);
  late.on('**', () => {});
  await late.synced();
  assert.deepEqual(['x', 'y', 'z'].map((name) => late.get(name)), [undefined, undefined, 4]);
  // What comes then, it is sent.
  key.send([5]);
  await until(() => late.get('y') !== undefined, 'the next one');
  await hub.kill();
});
