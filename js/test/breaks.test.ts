// What all agree on in the end, whatever breaks: links and hubs that end, programs that stand still, values that expire, two
// programs under one identity. By chance, on a real hub; the seed is printed.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Value } from '../src/index.js';
import { app } from './apps.js';
import { Hub, Random, until, within } from './support.js';
import { Tap } from './tap.js';

const NAMES = ['n0', 'n1', 'n2', 'n3'];
const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis));

/** A program that notes what it is told. */
function listen(identity: string, url: string, shared = false) {
  const client = app(identity, url, { shared, backoffMax: 100 });
  const told = new Map<string, Value | undefined>();
  client.on('**', ({ sender, name, value }) => told.set(`${sender} ${name}`, value));
  return { client, told };
}

/** Plays with a hub that has these flags. */
async function play(flags: string[]) {
  const random = new Random();
  let hub = await Hub.startWith(flags, 'tcp://127.0.0.1:0');
  const taps: Tap[] = [];
  const start = async (identity: string) => {
    taps.push(await Tap.before(hub));
    return listen(identity, taps.at(-1)!.url, identity === 'both');
  };
  const [alone, first, second, reader] = [await start('alone'), await start('both'), await start('both'), await start('reader')];
  const both = () => random.of([first, second]).client;
  /** What was sent last under each name of one program, if it lives for ever. */
  const last = new Map<string, number | undefined>();
  const lasting = new Set<Value>();
  for (let step = 0; step < 200; step++) {
    const [name, ttl] = [random.of(NAMES), 1 + random.below(500)];
    const what = random.below(13);
    if (what < 4) {
      const options = random.below(4) ? { ttl } : {};
      alone.client.send(name, step, options);
      last.set(name, options.ttl ? undefined : step);
    } else if (what < 7) {
      both().send(name, step, { ttl });
    } else if (what === 7) {
      both().send('mixed', step);
      lasting.add(step);
      both().send('mixed', -step, { ttl });
    } else if (what === 8) {
      random.of(taps).cut();
    } else if (what === 9) {
      alone.client.clear(name);
      last.set(name, undefined);
    } else if (what === 10 && random.below(4) === 0) {
      await hub.kill();
      await pause(random.below(200));
      hub = await Hub.startWith(flags, ...hub.urls);
    } else if (what === 11 && random.below(4) === 0) {
      // All of them stand still, and their timers are late.
      for (const end = performance.now() + random.below(400); performance.now() < end; );
    } else {
      await pause(random.below(40));
    }
  }
  const all = [alone, first, second, reader];
  await within(Promise.all(all.map(({ client }) => client.ping())), 'links again');
  const late = listen('late', hub.url);
  const differences = () =>
    [...all, late].flatMap(({ client, told }) => {
      const found = (sender: string, name: string) => client.get(name, sender);
      const wrong: string[] = [];
      const check = (isRight: boolean, what: string) => isRight || wrong.push(`${client.identity}: ${what}`);
      for (const [name, value] of last) check(found('alone', name) === value, `${name} is ${found('alone', name)}, not ${value}`);
      for (const name of NAMES) check(found('both', name) === undefined, `${name} of both is there`);
      const mixed = found('both', 'mixed');
      check(mixed === undefined || lasting.has(mixed), `mixed is ${mixed}`);
      check(mixed === late.client.get('mixed', 'both'), `mixed is ${mixed}, for the late one ${late.client.get('mixed', 'both')}`);
      for (const [key, value] of told) {
        const [sender, name] = key.split(' ') as [string, string];
        // Of what it has sent itself a program is not told.
        check(sender === client.identity || found(sender, name) === value, `${key} is ${found(sender, name)}, and it was told ${value}`);
      }
      return wrong;
    });
  await within(late.client.synced(), 'what the hub holds');
  await until(() => differences().length === 0, 'that all agree').catch(() => assert.deepEqual(differences(), []));
  await hub.kill();
}

test('what has expired is gone for all and what was sent last is there, whatever breaks', () => play([]));

test('so it is with a hub that remembers', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nanostate-breaks-'));
  await play(['--store', folder]);
  rmSync(folder, { recursive: true });
});
