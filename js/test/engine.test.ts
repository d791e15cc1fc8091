// The parts of the engine, where the traces do not reach.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { LogicalClock, Moments, fromMillis } from '../src/engine/clock.js';
import { messages } from '../src/engine/codec.js';
import { CLEARED, DEFAULTS } from '../src/engine/config.js';
import { MOST_OTHERS, Others } from '../src/engine/others.js';
import { MOST_CLEARED, Received } from '../src/engine/received.js';
import { Reports } from '../src/engine/reports.js';
import { Session } from '../src/engine/session.js';
import { KINDS } from '../src/msgpack.js';
import { STATUS, type NanostateError } from '../src/status.js';
import { MAX_TOKEN } from '../src/wire.js';
import { ROOT, RUNS, Random, fromHex, readJson } from './support.js';

const NOW = { mono: 0, wall: 1.8e12, boot: 0 };
const at = (millis: number) => ({ mono: millis, wall: NOW.wall + millis, boot: millis });
const session = (config = {}) => new Session('a', new Uint8Array(16).fill(1), new Uint8Array(16), config);

test('statuses, kinds and limits are those of the library', () => {
  const header = readFileSync(new URL('include/nanostate.h', ROOT), 'utf8');
  for (const [name, number] of Object.entries(STATUS)) {
    assert.match(header, new RegExp(`\\b${name} = ${number}\\b`));
  }
  KINDS.forEach((kind, i) => assert.match(header, new RegExp(`NS_KIND_${kind.toUpperCase()} = ${i + 1}\\b`)));
  const limits = readFileSync(new URL('src/limits.rs', ROOT), 'utf8');
  assert.match(limits, new RegExp(`MAX_TOKEN: usize = ${MAX_TOKEN};`));
  assert.match(limits, /MAX_MESSAGE: usize = 16 << 20;/);
  assert.match(limits, /SEND_QUEUE: usize = 64 << 20;/);
  assert.match(limits, /RECEIVED: usize = 64 << 20;/);
  assert.match(limits, /BACKOFF_MIN: Duration = Duration::from_millis\(50\)/);
  assert.match(limits, /BACKOFF_MAX: Duration = Duration::from_secs\(5\)/);
  assert.match(limits, new RegExp(`CLEARED: Duration = Duration::from_secs\\(${CLEARED / 3600_000} \\* 3600\\)`));
  assert.match(limits.replaceAll('_', ''), new RegExp(`RECEIVEDCLEARED: usize = ${MOST_CLEARED};`));
  assert.match(limits.replaceAll('_', ''), new RegExp(`OTHERS: usize = ${MOST_OTHERS};`));
  assert.match(limits, new RegExp(`LOST: Duration = Duration::from_secs\\(${DEFAULTS.silence / 1_000}\\)`));
  assert.match(header, /NS_KIND_CLEARED = 11\b/);
  assert.deepEqual([DEFAULTS.maxMessage, DEFAULTS.sendQueue, DEFAULTS.received], [16 << 20, 64 << 20, 64 << 20]);
  assert.deepEqual([DEFAULTS.backoffMin, DEFAULTS.backoffMax], [50, 5_000]);
});

test('a forward jump of the wall clock counts as time in which the machine was suspended', () => {
  const moments = new Moments();
  assert.equal(moments.now(100, 5_000).boot, 100);
  assert.equal(moments.now(200, 7_100).boot, 200, 'a small one does not');
  assert.equal(moments.now(300, 17_200).boot, 10_300);
  assert.equal(moments.now(400, 3_000).boot, 10_400, 'nor does one back');
  assert.equal(moments.now(500, 3_100).boot, 10_500);
});

test('a clock saturates, and a rebase brings it back', () => {
  const clock = new LogicalClock();
  clock.observe(NOW, 2n ** 64n - 1n);
  assert.equal(clock.tick(at(1e15)), 2n ** 64n - 1n);
  clock.rebase(NOW, fromMillis(5));
  assert.equal(clock.tick(NOW), fromMillis(5) + 1n);
});

test('own values beyond their limit are refused, and nothing changes', () => {
  const app = session({ sendQueue: 1_000 });
  app.publisher.publish(NOW, 'x', 'y'.repeat(500));
  const before = app.publisher.own.version;
  assert.throws(() => app.publisher.publish(NOW, 'z', 'y'.repeat(500)), { code: 'NS_ERR_FULL' });
  assert.throws(() => app.publisher.publish(NOW, 'x', 'y'.repeat(900)), { code: 'NS_ERR_FULL' });
  assert.deepEqual([app.publisher.own.version, app.publisher.find('x')?.value], [before, 'y'.repeat(500)]);
  app.publisher.publish(NOW, 'x', 1);
  app.publisher.publish(NOW, 'z', 'y'.repeat(300));
});

test('own values that are cleared make room, those cleared longest ago first, and are forgotten after a day', () => {
  const { publisher } = session({ sendQueue: 20_000 });
  const large = 'y'.repeat(1_000);
  let count = 0;
  assert.throws(() => {
    for (; ; count++) publisher.publish(NOW, `n${count}`, large);
  }, { code: 'NS_ERR_FULL' });
  for (let i = 0; i < count; i++) publisher.clear(at(i), `n${i}`);
  assert.deepEqual([count > 10, publisher.find('n0'), publisher.find('n0', 'a')], [true, undefined, undefined]);
  assert.equal([...publisher.own.values()].length, count, 'each is remembered');
  for (let i = 0; i < count - 1; i++) publisher.publish(NOW, `other${i}`, large);
  const left = [...publisher.own.values()].map(({ name }) => name).filter((name) => name.startsWith('n'));
  assert.ok(left.length < count && left.at(-1) === `n${count - 1}`, left.join());
  assert.deepEqual(left, Array.from({ length: left.length }, (_, i) => `n${count - left.length + i}`));
  publisher.own.expire(24 * 3600_000 + count - 2);
  const after = () => [...publisher.own.values()].map(({ name }) => name).filter((name) => name.startsWith('n'));
  assert.deepEqual(after(), [`n${count - 1}`]);
  publisher.own.expire(24 * 3600_000 + count - 1);
  assert.deepEqual(after(), []);
});

test('names, identities and sizes are checked', () => {
  const app = session({ maxMessage: 100 });
  for (const name of ['', 'a\0b', 'x'.repeat(1025), '$ns/hello', '\ud800']) {
    assert.throws(() => app.publisher.publish(NOW, name, 1), { code: 'NS_ERR_NAME' });
    assert.throws(() => new Session(name && '$ns', app.secret, app.secret), { code: 'NS_ERR_IDENTITY' });
  }
  assert.throws(() => app.publisher.publish(NOW, 7 as unknown as string, 1), TypeError);
  assert.throws(() => app.publisher.publish(NOW, 'x', new Uint8Array(100)), { code: 'NS_ERR_TOO_LARGE' });
  assert.throws(() => app.publisher.publish(NOW, 'x', undefined as unknown as null), TypeError);
  assert.equal(app.publisher.own.version, 0);
});

test('received values beyond the limit are forgotten, those known longest first', () => {
  const received = new Received(10_000);
  for (let i = 0; i < 100; i++) {
    const state = { sender: 's', name: `n${i}`, value: i, kind: 'int', time: 0, retained: false } as const;
    received.insert(state, String(i).padStart(24), 300);
  }
  assert.deepEqual([received.newest('n79'), received.newest('n80')?.state.value, received.newest('n99')?.state.value], [undefined, 80, 99]);
});

test('what is cleared is no value of its name, and is forgotten before all values', () => {
  const received = new Received(10_000);
  const insert = (sender: string, name: string, stamp: number, isCleared = false) => {
    const about = { sender, name, time: 0, retained: false };
    const state = isCleared ? ({ ...about, kind: 'cleared', value: undefined } as const) : ({ ...about, kind: 'int', value: stamp } as const);
    received.insert(state, String(stamp).padStart(24), 300);
  };
  insert('b', 'x', 1);
  insert('c', 'x', 2);
  insert('c', 'x', 3, true);
  assert.deepEqual([received.newest('x')?.state.sender, received.find('c', 'x')?.state.kind], ['b', 'cleared']);
  assert.deepEqual(Array.from(received.values(), ({ state }) => state.sender), ['b']);
  for (let i = 0; i < 19; i++) insert('b', `n${i}`, i);
  assert.deepEqual([received.find('c', 'x'), received.newest('x')?.state.sender], [undefined, 'b']);
  insert('c', 'x', 4, true);
  insert('c', 'x', 5);
  assert.equal(received.newest('x')?.state.sender, 'c', 'there is one again');
  received.clear();
  for (let i = 0; i <= MOST_CLEARED; i++) insert('b', `n${i}`, i, true);
  assert.ok(!received.find('b', 'n0'), 'by bytes');
  const many = new Received(1e9);
  for (let i = 0; i <= MOST_CLEARED; i++) {
    many.insert({ sender: 'b', name: `n${i}`, time: 0, retained: false, kind: 'cleared', value: undefined }, String(i).padStart(24), 30);
  }
  assert.deepEqual([many.find('b', 'n0'), many.find('b', 'n1')?.state.name], [undefined, 'n1']);
});

test('a reason to hurry dials at once, and asks a hub that seems to be there whether it is', () => {
  const app = session();
  app.connect(['ws://hub']);
  const [dial] = app.takeEvents();
  assert.ok(dial?.is === 'dial');
  app.dialFailed(NOW, dial.token, new (class extends Error { code = 'NS_ERR_REFUSED' as const })('x'));
  assert.ok(app.deadline > 0 && app.deadline < Infinity);
  app.takeEvents();
  app.hurry(NOW);
  const again = app.takeEvents()[0];
  assert.ok(again?.is === 'dial' && app.deadline === Infinity);
  assert.ok(app.opened(NOW, 1, messages, again.token));
  assert.ok(app.next(NOW) && app.deadline === 5_000);
  app.excuse(at(4_000));
  assert.equal(app.deadline, 9_000, 'a page that slept gives the hub its time again');
});

/** The body of a welcome, of a hub without features. */
const WELCOME = fromHex('94a3246e73ab246e732f77656c636f6d658300c4101111111111111111111111111111111101ce010000000202' + '80');

/** An app with a link that was there at this time, and whose hub has written nothing since. */
function linked(now: ReturnType<typeof at>, app = session()): Session {
  app.connect(['ws://hub']);
  return link(now, app);
}

function link(now: ReturnType<typeof at>, app: Session): Session {
  const dial = app.takeEvents().find((event) => event.is === 'dial');
  assert.ok(dial?.is === 'dial' && app.opened(now, dial.token, messages, dial.token));
  app.bytes(now, dial.token, WELCOME);
  while (app.next(now));
  assert.equal(app.link, 'connected');
  return app;
}

test('a reason to hurry has a hub asked at once, which has half of the time to answer', () => {
  const app = linked(at(0));
  assert.deepEqual([app.deadline], [10_000]);
  app.hurry(at(1_000));
  app.hurry(at(2_000));
  assert.ok(app.next(NOW) && !app.next(NOW) && app.deadline === 11_000, 'it was asked once');
  app.tick(at(11_000));
  assert.equal(app.link, 'connecting');
  assert.match(app.lastFailure!.message, /the hub did not answer in time/);
});

test('a hub is not judged by a program that did not run', () => {
  const app = linked(at(0));
  app.tick(at(10_000));
  assert.ok(app.next(NOW) && app.deadline === 20_000);
  app.excuse(at(20_000));
  app.tick(at(20_000));
  assert.deepEqual([app.link, app.deadline, app.next(NOW)], ['connected', 30_000, undefined]);
  app.tick(at(30_000));
  app.next(NOW);
  app.tick(at(40_000));
  assert.equal(app.link, 'connecting');
});

test('a page that may have been sent a long message waits twice as long the next time, until an answer comes in time', () => {
  const app = linked(at(0));
  const silent = (from: number, half: number) => {
    assert.equal(app.deadline, from + half);
    app.tick(at(from + half));
    app.next(NOW);
    app.tick(at(from + 2 * half));
    assert.equal(app.link, 'connecting');
    app.tick(at(from + 2 * half + 10_000));
  };
  silent(0, 10_000);
  link(at(100_000), app);
  silent(100_000, 20_000);
  link(at(200_000), app);
  app.tick(at(240_000));
  const ping = app.next(NOW)!;
  const pong = Uint8Array.from([...fromHex('94a3246e73a8246e732f706f6e67'), ...ping.subarray(-10)]);
  app.bytes(at(241_000), 3, pong);
  app.tick(at(280_000));
  app.tick(at(app.deadline));
  assert.ok(app.next(NOW) && app.deadline > 290_000);
});

test('without a time for silence no hub is asked or given up', () => {
  const app = linked(at(0), session({ silence: 0 }));
  app.hurry(at(1_000));
  assert.deepEqual([app.deadline, app.next(NOW)], [Infinity, undefined]);
});

test('a hub that makes up apps fills no memory', () => {
  const reports = new Reports();
  const others = new Others(reports);
  const says = (what: number, identity: string) => others.heard({ what, identity, instance: '\x01'.repeat(16) });
  for (let n = 0; n < MOST_OTHERS + 10; n++) {
    says(1, String(n));
    says(3, `never ${n}`);
  }
  assert.deepEqual([others.known.size, reports.take().length], [MOST_OTHERS, MOST_OTHERS]);
});

test('a connection that came too late is not taken', () => {
  const app = session();
  app.connect(['ws://hub']);
  const [dial] = app.takeEvents();
  app.disconnect();
  assert.ok(dial?.is === 'dial' && !app.opened(NOW, 1, messages, dial.token));
  app.bytes(NOW, 1, new Uint8Array([0xc1]));
  assert.equal(app.link, 'idle');
});

test('a hub that says that there is no sense in another attempt is not dialled again', () => {
  const app = session();
  app.connect(['ws://hub']);
  const [dial] = app.takeEvents();
  assert.ok(dial?.is === 'dial');
  app.opened(NOW, 1, messages, dial.token);
  app.takeEvents();
  app.closed(NOW, 1, new (class extends Error { code = 'NS_ERR_PERMISSION' as const })('the origin is not allowed'), true);
  const events = app.takeEvents();
  assert.ok(events.length === 1 && events[0]?.is === 'link' && app.deadline === Infinity);
  assert.deepEqual(events[0].link, { state: 'refused', code: 'NS_ERR_PERMISSION', text: 'the origin is not allowed: ws://hub' });
});

test('whatever a hub sends, an app goes on, or drops the link and dials again', () => {
  const random = new Random();
  const bodies: Uint8Array[] = [];
  for (const name of readdirSync(new URL('tests/vectors/session', ROOT))) {
    for (const step of readJson(`tests/vectors/session/${name}`).steps) {
      // Whole frames without runs, and without their length.
      if (/^0{12}[0-9a-f]+$/.test(step.in ?? '')) bodies.push(fromHex(step.in.slice(16)));
    }
  }
  assert.ok(bodies.length > 50);
  const app = session({ shared: true });
  app.connect(['ws://hub']);
  let [conn, ups, now] = [0, 0, 0];
  for (let i = 0; i < RUNS; i++) {
    now += random.below(100);
    for (const event of app.takeEvents()) {
      if (event.is === 'dial') app.opened(at(now), ++conn, messages, event.token);
    }
    const body = random.of(bodies).slice();
    if (random.below(3) === 0) body[random.below(body.length)] = random.below(256);
    app.bytes(at(now), conn, random.below(9) ? body : body.subarray(0, random.below(body.length)));
    if (random.below(5) === 0) {
      try {
        app.publisher.publish(at(now), `n${random.below(5)}`, i);
      } catch (error) {
        // A welcome may name any limit.
        assert.equal((error as NanostateError).code, 'NS_ERR_TOO_LARGE');
      }
    }
    if (random.below(50) === 0) app.requestAck();
    while (random.below(3) && app.next(at(now)));
    if (app.deadline <= now) app.tick(at(now));
    ups += Number(app.link === 'connected');
  }
  assert.ok(ups > RUNS / 10, `${ups} of ${RUNS}`);
});
