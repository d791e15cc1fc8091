// What an app and its hub say to each other, under names that begin with `$ns/`: see docs/protocol.md.

import type { Answer, QuestionName } from './engine/questions.js';
import { Malformed, Writer, type Value } from './msgpack.js';
import {
  CLEAR, RESERVED, RETAINED, TRANSIENT, decodeBody, fromBytes, usesFeatures, writeHead, type Body, type LogicalTime, type Stamp,
} from './wire.js';

/** What an app or a hub can do beyond the first version. */
export const FEATURES = {
  synced: 1, clear: 2, subscribe: 4, forget: 8, presence: 16, will: 32, lifetime: 64, transient: 128, stats: 256,
} as const;
/** All that an app of this package can do. */
export const ALL_FEATURES = Object.values(FEATURES).reduce<number>((all, one) => all | one, 0);

/** What an app asks for in its hello. */
export const FLAGS = { takeOver: 1, shared: 2, echo: 4, retry: 8, listed: 32 } as const;

export interface Hello {
  instance: Uint8Array;
  epoch: number;
  accept: number;
  flags: number;
  time: LogicalTime;
  secret: Uint8Array;
  token: string | undefined;
  features: number;
}

/** What a hub says of apps: that a list begins, of one how it is, or that the list is complete; of a young hub, so far. */
export const LIST_BEGINS = 0;
export const PRESENT = 1;
export const SUSPECT = 2;
export const LEFT = 3;
export const LOST = 4;
export const LIST_COMPLETE = 5;
export const LIST_COMPLETE_YOUNG = 6;

/** One of these, and of whom; other numbers are for later versions. */
export interface Heard {
  what: number;
  identity: string;
  instance: string;
}

/** What a hub says. */
export type Control =
  | { is: 'welcome'; instance: string; maxMessage: number; time: LogicalTime | undefined; features: number }
  | { is: 'refuse'; status: number; text: string }
  | { is: 'ping'; token: bigint }
  | { is: 'pong'; token: bigint; time: LogicalTime | undefined }
  | { is: 'rejected'; status: number; name: string }
  | { is: 'will-rejected'; status: number; name: string; nth: number }
  | { is: 'stale'; name: string; offered: Stamp; held: Stamp | undefined; time: LogicalTime }
  | { is: 'synced'; asks: number }
  | ({ is: 'presence' } & Heard)
  | { is: 'answer'; token: bigint; fields: Answer }
  | { is: 'unknown' };

function message(sender: string, name: string, data: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  writeHead(writer, sender, RESERVED + name);
  data(writer);
  writer.map(0);
  return writer.copy();
}

/** The body of `$ns/hello`. */
export function hello(sender: string, hello: Hello): Uint8Array {
  const { instance, epoch, accept, flags, time, secret, token, features } = hello;
  return ask(sender, 'hello', [instance, epoch, accept, flags, time, secret, token, features]);
}

/** The body of `$ns/hello`, `$ns/forget` or `$ns/stats`: a map of the fields by their index; undefined ones are left out. */
export function ask(sender: string, name: 'hello' | QuestionName, fields: (Value | undefined)[]): Uint8Array {
  return message(sender, name, (writer) => {
    writer.map(fields.filter((field) => field !== undefined).length);
    fields.forEach((field, key) => {
      if (field !== undefined) {
        writer.int(key);
        writer.value(field);
      }
    });
  });
}

/** The body of `$ns/ping` or `$ns/pong`. */
export function token(sender: string, name: 'ping' | 'pong', token: number | bigint): Uint8Array {
  return message(sender, name, (writer) => writer.int(token));
}

/** The body of `$ns/watch` or `$ns/bye`. */
export function word(sender: string, name: 'watch' | 'bye'): Uint8Array {
  return message(sender, name, (writer) => writer.value(null));
}

/** The body of `$ns/will`: a body, a name for which there is none any more, or null if all were told. */
export function will(sender: string, what: Uint8Array | string | null): Uint8Array {
  return message(sender, 'will', (writer) => writer.value(what));
}

/** The body of `$ns/subscribe`. */
export function subscribe(sender: string, patterns: string[]): Uint8Array {
  return message(sender, 'subscribe', (writer) => writer.value(patterns));
}

/** The body of `$ns/unsubscribe`. */
export function unsubscribe(sender: string, pattern: string): Uint8Array {
  return message(sender, 'unsubscribe', (writer) => writer.text(pattern));
}

/**
 * Reads a body from a hub with these features, an old one if `old`: a state, or what the hub itself says. Throws
 * {@link Malformed}.
 */
export function readBody(bytes: Uint8Array, old: boolean, features: number): Body | Control {
  const body = decodeBody(bytes, old);
  if (!body.name.startsWith(RESERVED)) {
    const clear = features & FEATURES.clear ? CLEAR : 0;
    const transient = features & FEATURES.transient ? TRANSIENT : 0;
    if (usesFeatures(body, RETAINED | clear | transient, (features & FEATURES.lifetime) !== 0)) {
      throw new Malformed('feature');
    }
    return body;
  }
  if (old) {
    throw new Malformed('name');
  }
  return readControl(body);
}

function readControl({ name, value }: Body): Control {
  const is = name.slice(RESERVED.length);
  const [first, second, third, fourth, fifth] = [0, 1, 2, 3, 4].map((key) => field(value, key)) as [Value, Value, Value, Value, Value];
  switch (is) {
    case 'welcome':
      return {
        is,
        instance: bin(first, 16),
        maxMessage: Number(uint(second)),
        time: optional(fourth, uint),
        features: optional(fifth, narrow) ?? 0,
      };
    case 'refuse':
      return { is, status: int(first), text: text(second) };
    case 'ping':
      return { is, token: uint(value) };
    case 'pong':
      return value instanceof Map ? { is, token: uint(first), time: optional(second, uint) } : { is, token: uint(value), time: undefined };
    case 'rejected':
      return { is, status: int(first), name: text(second) };
    case 'will-rejected':
      return { is, status: int(first), name: text(second), nth: Number(uint(third)) };
    case 'stale':
      return { is, name: text(first), offered: bin(second, 24), held: optional(third, (value) => bin(value, 24)), time: uint(fourth) };
    case 'synced':
      return { is, asks: Number(uint(value)) };
    case 'presence': {
      const what = Number(uint(first));
      const isPeer = what >= PRESENT && what <= LOST;
      return { is, what, identity: isPeer ? text(second) : '', instance: isPeer ? bin(third, 16) : '' };
    }
    case 'forgotten':
    case 'counted':
      return { is: 'answer', token: uint(first), fields: (key) => field(value, key) };
    default:
      return { is: 'unknown' };
  }
}

/** The value of this key; nil if there is none. */
function field(map: Value, key: number): Value {
  return (map instanceof Map ? map.get(key) : undefined) ?? null;
}

function optional<T>(value: Value, read: (value: Value) => T): T | undefined {
  return value === null ? undefined : read(value);
}

function check(condition: boolean): asserts condition {
  if (!condition) {
    throw new Malformed('control');
  }
}

function uint(value: Value): bigint {
  check((typeof value === 'bigint' || Number.isSafeInteger(value)) && (value as number | bigint) >= 0);
  return BigInt(value as number | bigint);
}

function narrow(value: Value): number {
  const number = Number(uint(value));
  check(number < 2 ** 32);
  return number;
}

function int(value: Value): number {
  check(typeof value === 'number' && value === (value | 0));
  return value;
}

function text(value: Value): string {
  check(typeof value === 'string');
  return value;
}

function bin(value: Value, length: number): string {
  check(value instanceof Uint8Array && value.length === length);
  return fromBytes(value);
}
