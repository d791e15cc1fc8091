// The traces of the Rust app engine: this one does the same, byte for byte.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { decode, encode, kindOf, type Sendable } from '../src/msgpack.js';
import type { Now } from '../src/engine/clock.js';
import type { Ping } from '../src/engine/pings.js';
import { notForgotten, type Question } from '../src/engine/questions.js';
import { Session } from '../src/engine/session.js';
import { SpCodec } from '../src/sp.js';
import { NanostateError } from '../src/status.js';
import { ROOT, fromHex, readJson, toHex } from './support.js';

/** Bytes in the form of the traces. */
function parse(text: string): Uint8Array {
  const parts = text.match(/\(..x\d+\)|[0-9a-f]+/g) ?? [];
  return Buffer.concat(parts.map((part) => (part[0] === '(' ? new Uint8Array(Number(part.slice(4, -1))).fill(parseInt(part.slice(1, 3), 16)) : fromHex(part))));
}

function show(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    let end = at + 1;
    while (end < bytes.length && bytes[end] === bytes[at]) end++;
    const byte = toHex(bytes.subarray(at, at + 1));
    text += end - at > 64 ? `(${byte}x${end - at})` : byte.repeat(end - at);
    at = end;
  }
  return text;
}

class Replay {
  session!: Session;
  conn = 0;
  dialled = 0;
  isCongested = false;
  pings: Ping[] = [];
  forgets: Question[] = [];
  /** A new function is told of all senders. */
  tellsAll = false;
  /** What was written while it said goodbye. */
  writes: Uint8Array[] = [];
  now!: Now;

  constructor(readonly trace: any) {
    this.make({});
  }

  make(config: object) {
    const { identity, instance, secret } = this.trace;
    this.session = new Session(identity, fromHex(instance), fromHex(secret), { outbox: 4 << 20, silence: 0, ...config });
  }

  step(step: any) {
    const { session, now } = this;
    if (step.config) this.make(step.config);
    if (step.connect) session.connect(step.connect);
    if (step.disconnect) {
      session.farewell();
      this.write();
      session.disconnect();
    }
    if (step.watch) session.watchOthers();
    if (step.watch_stale || step.asks_stale) {
      session.stale.isAsked = true;
      session.watchOthers();
    }
    if (step.watch_stale) {
      session.stale.tells = true;
      this.tellsAll = session.others.areCertain;
    }
    if (step.asks_stale) {
      const [sender, name] = step.asks_stale;
      assert.equal(session.stale.isStale({ sender, name }), step.is_stale);
    }
    if (step.publish !== undefined) {
      const data = parse(step.data);
      const value = decode(data) as Sendable;
      session.publisher.publish(now, step.publish, value, kindOf(data[0]!, value) === 'double', { isTransient: step.transient, lifetime: step.ttl });
    }
    if (step.clear !== undefined) session.publisher.clear(now, step.clear);
    if (step.will !== undefined) {
      const data = parse(step.data);
      const value = decode(data) as Sendable;
      session.publisher.leave(step.will, value, kindOf(data[0]!, value) === 'double');
    }
    if (step.will_clear !== undefined) session.publisher.leaveClear(step.will_clear);
    if (step.no_will !== undefined) session.publisher.wills.withdraw(step.no_will);
    if (step.subscribe === null) session.subscribed.beginList();
    else if (step.subscribe !== undefined) session.subscribed.add(step.subscribe);
    if (step.unsubscribe !== undefined) session.subscribed.remove(step.unsubscribe);
    session.subscribed.tell();
    if (step.forget) this.forgets.push(session.ask('forget', ...(step.forget as [string, string]))!);
    if (step.ping) this.pings.push(session.ping(now)!);
    if (step.flush) session.requestAck();
    if (step.open) {
      this.conn = step.open;
      session.opened(now, this.conn, (old, max) => new SpCodec(false, old, max), this.dialled);
    }
    if (step.dial_failed) session.dialFailed(now, this.dialled, new NanostateError(step.dial_failed));
    if (step.in !== undefined) session.bytes(now, this.conn, parse(step.in));
    if (step.closed) session.closed(now, this.conn, new NanostateError('NS_ERR_CLOSED'));
    if (step.congested !== undefined) this.isCongested = step.congested;
    // A deadline is rounded otherwise there than here.
    if (step.tick) session.tick({ ...now, mono: Math.max(now.mono, Math.min(session.deadline, now.mono + 1e-6)) });
  }

  write() {
    let bytes;
    while (!this.isCongested && (bytes = this.session.next(this.now))) this.writes.push(bytes);
  }

  outcome(): object {
    const { session } = this;
    const out: any = {};
    const add = (key: string, what: unknown) => (out[key] ??= []).push(what);
    this.write();
    if (this.tellsAll) add('may_be_stale', null);
    this.tellsAll = false;
    const writes = this.writes.splice(0);
    for (const event of session.takeEvents()) {
      if (event.is === 'dial') {
        this.dialled = event.token;
        add('dial', event.url);
      } else if (event.is === 'close') add('close', event.conn);
      else if (event.is === 'link') add('links', [event.link.state, event.link.code ?? null]);
      else if (event.is === 'state') {
        const { sender, name, kind, value, time, retained } = event.state;
        add('states', [sender, name, kind, show(encode((value ?? null) as Sendable, kind === 'double')), time, ...(retained ? ['retained'] : [])]);
      } else if (event.is === 'presence') add('others', [event.peer.presence, event.peer.identity, show(fromHex(event.peer.instance))]);
      else if (event.is === 'stale') add('may_be_stale', event.sender ?? null);
      else if (event.is === 'synced') add('synced', out.states?.length ?? 0);
    }
    if (writes.length > 0) out.write = show(Buffer.concat(writes));
    for (const { took } of this.pings.filter(({ took }) => took !== undefined)) add('pinged', Math.round(took! * 1e6));
    this.pings = this.pings.filter(({ took }) => took === undefined);
    for (const { answer, isLost } of this.forgets) {
      if (answer) add('forgot', notForgotten(answer)?.code ?? 'NS_OK');
      else if (isLost) add('forgot', 'NS_ERR_IO');
    }
    this.forgets = this.forgets.filter(({ answer, isLost }) => !answer && !isLost);
    let ack = 999;
    while (!session.isAcked(ack)) ack--;
    if (ack > 0) out.ack = ack;
    out.deadline = session.deadline === Infinity ? null : Math.round(session.deadline * 1e6);
    return out;
  }
}

const names = readdirSync(new URL('tests/vectors/session', ROOT));

test('there are traces', () => assert.ok(names.length >= 10));

for (const name of names) {
  test(`the trace ${name} is replayed byte for byte`, () => {
    const trace = readJson(`tests/vectors/session/${name}`);
    const replay = new Replay(trace);
    trace.steps.forEach((step: any, number: number) => {
      const [mono, wall, boot] = step.at;
      replay.now = { mono, wall, boot };
      replay.step(step);
      const { at, out, ...what } = step;
      assert.deepEqual(replay.outcome(), out, `step ${number}: ${JSON.stringify(what).slice(0, 200)} at ${at}`);
    });
  });
}
