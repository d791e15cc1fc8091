// Message bodies, `[sender, name, data]` and on v1 links `[sender, name, data, meta]`: see docs/protocol.md.

import { next } from './engine/clock.js';
import { KINDS, Malformed, Reader, Writer, kindOf, numberOf, type Kind, type Value } from './msgpack.js';
import { NanostateError, type Code } from './status.js';

const encoder = new TextEncoder();

/** The longest identity and the longest name, in bytes. */
export const MAX_SENDER = 255;
export const MAX_NAME = 1024;
/** The longest access token, in bytes. */
export const MAX_TOKEN = 255;
/** Addresses that others on the network can read along, if they are not of this machine. */
const UNENCRYPTED = /^(ws|tcp):/;
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;
/** The prefix of names between an app and its hub. */
export const RESERVED = '$ns/';
/** The sender of the hub's own messages. */
export const HUB = '$ns';

/** When and by which instance a value was made: 24 bytes, as the characters 0 to 255 of a string. Later ones are greater. */
export type Stamp = string;
/** The time of a logical clock: milliseconds since 1970 << 16, plus a counter. */
export type LogicalTime = bigint;

/** The first byte of a body of three elements. */
export const OLD_BODY = 0x93;

/** The value was held by the hub, and is handed out to a newcomer. */
export const RETAINED = 1;
/** There is no value any more. The data is the number of the kind that it was of, or nil. */
export const CLEAR = 2;
/** Newcomers are not sent it, and it ends with its sender. */
export const TRANSIENT = 8;

export interface Body {
  sender: string;
  name: string;
  /** If it is cleared, the number of the kind that the value was of, or null. */
  value: Value;
  kind: Kind | 'cleared';
  /** The encoded value. */
  data: Uint8Array;
  stamp: Stamp | undefined;
  flags: number;
  /** Where `meta` begins; the end of a body of three elements. */
  metaAt: number;
  sequence?: number | bigint;
  request?: number | bigint;
  target?: string;
  /** After how many milliseconds it expires. */
  lifetime?: number;
}

/** The stamp of a time, by the instance in this form. */
export function stampOf(clock: LogicalTime, instance: string): Stamp {
  const word = (bits: bigint) => {
    const number = Number(bits & 0xffff_ffffn);
    return String.fromCharCode(number >>> 24, (number >>> 16) & 0xff, (number >>> 8) & 0xff, number & 0xff);
  };
  return word(clock >> 32n) + word(clock) + instance;
}

/**
 * The stamp of the tombstone of a value that expires, the same wherever that happens: later than that of the value, and earlier
 * than that of every later value.
 */
export function expired(stamp: Stamp): Stamp {
  return stampOf(next(clockOf(stamp)), '\0'.repeat(16));
}

export function clockOf(stamp: Stamp): LogicalTime {
  const word = (at: number) => {
    let number = 0;
    for (let i = at; i < at + 4; i++) {
      number = number * 256 + stamp.charCodeAt(i);
    }
    return BigInt(number);
  };
  return (word(0) << 32n) | word(4);
}

/** Bytes as a string that orders and compares as they do. */
export function fromBytes(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

export function toBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    bytes[i] = text.charCodeAt(i);
  }
  return bytes;
}

/** Concatenates them. */
export function join(...parts: ArrayLike<number>[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Reads a body, of three elements if `old`. Throws {@link Malformed}, for the first fault in the order of the bytes. */
export function decodeBody(bytes: Uint8Array, old: boolean): Body {
  if (bytes.length === 0) {
    throw new Malformed('empty');
  }
  const reader = new Reader(bytes);
  if (arrayHead(reader) !== (old ? 3 : 4)) {
    throw new Malformed('wrong-count');
  }
  const sender = key(reader, old, MAX_SENDER, 'sender');
  const name = key(reader, old, MAX_NAME, 'name');
  const at = reader.at;
  const value = reader.value();
  const metaAt = reader.at;
  const data = bytes.subarray(at, metaAt);
  const body: Body = { sender, name, value, kind: kindOf(bytes[at]!, value), data, stamp: undefined, flags: 0, metaAt };
  if (!old) {
    readMeta(reader, body);
  }
  if (reader.at < bytes.length) {
    throw new Malformed('trailing');
  }
  if (body.flags & CLEAR) {
    if (value !== null && !(body.kind === 'int' && typeof value === 'number' && KINDS[value - 1])) {
      throw new Malformed('clear');
    }
    body.kind = 'cleared';
  }
  return body;
}

/** The bits of an accept mask of which one is enough for it. */
export function acceptedBy({ kind, value }: Body): number {
  const number = kind === 'cleared' ? Number(value) : numberOf(kind);
  return number ? 1 << number : -1;
}

function arrayHead(reader: Reader): number {
  const head = reader.byte();
  if (head >= 0x90 && head < 0xa0) return head & 0x0f;
  if (head === 0xdc || head === 0xdd) return reader.uint(2 << (head - 0xdc));
  throw new Malformed('not-array');
}

/** A sender or a name. */
function key(reader: Reader, old: boolean, max: number, fault: string): string {
  const head = reader.byte();
  const isBin = head >= 0xc4 && head < 0xc7;
  const length =
    head >= 0xa0 && head < 0xc0 ? head & 0x1f
    : head >= 0xd9 && head < 0xdc ? reader.uint(1 << (head - 0xd9))
    : isBin ? reader.uint(1 << (head - 0xc4))
    : 0;
  if (length === 0 || length > max || (isBin && !old)) {
    throw new Malformed(fault);
  }
  const text = reader.text(length);
  if (text.includes('\0')) {
    throw new Malformed(fault);
  }
  return text;
}

function readMeta(reader: Reader, body: Body) {
  const head = reader.byte();
  if (!(head >= 0x80 && head < 0x90) && head !== 0xde && head !== 0xdf) {
    throw new Malformed('meta');
  }
  let pairs = head < 0x90 ? head & 0x0f : reader.uint(2 << (head - 0xde));
  const seen = new Set<number | bigint>();
  for (; pairs > 0; pairs--) {
    const key = uint(reader);
    if (key <= LIFETIME_KEY && seen.has(key)) {
      throw new Malformed('meta');
    }
    seen.add(key);
    if (key === 1) body.sequence = uint(reader);
    else if (key === 3) body.request = uint(reader);
    else if (key === LIFETIME_KEY) body.lifetime = Number(uint(reader));
    else if (key === FLAGS_KEY) {
      const flags = uint(reader);
      if (flags > 0xffff_ffff) {
        throw new Malformed('feature');
      }
      body.flags = Number(flags);
    } else {
      const at = reader.at;
      const value = reader.value();
      const kind = kindOf(reader.bytes[at]!, value);
      if (key === 0) {
        if (kind !== 'bytes' || (value as Uint8Array).length !== 24) {
          throw new Malformed('meta');
        }
        body.stamp = fromBytes(value as Uint8Array);
      } else if (key === 4) {
        if (kind !== 'text' || !isKey(value as string, MAX_SENDER)) {
          throw new Malformed('meta');
        }
        body.target = value as string;
      }
    }
  }
}

/** An integer of at least 0, within meta. */
function uint(reader: Reader): number | bigint {
  const head = reader.bytes[reader.at] ?? 0;
  const isInt = head < 0x80 || head >= 0xe0 || (head >= 0xcc && head < 0xd4);
  if (!isInt && head !== 0xc1) {
    throw new Malformed('meta');
  }
  const value = reader.value() as number | bigint;
  if (value < 0) {
    throw new Malformed('meta');
  }
  return value;
}

function isKey(text: string, max: number): boolean {
  return text !== '' && !text.includes('\0') && utf8Length(text) <= max;
}

/** The length of a text in UTF-8. */
export function utf8Length(text: string): number {
  return encoder.encode(text).length;
}

/** Whether a body uses a feature that was not announced: other flags than these, or a lifetime unless `mayExpire`. */
export function usesFeatures({ flags, request, target, lifetime }: Body, may: number, mayExpire: boolean): boolean {
  return (flags & ~may) !== 0 || (request ?? target ?? (mayExpire ? undefined : lifetime)) !== undefined;
}

/** Appends a body up to its data: one of v1, or of three elements. */
export function writeHead(writer: Writer, sender: string, name: string, old = false) {
  writer.byte(old ? OLD_BODY : 0x94);
  writer.text(sender);
  writer.text(name);
}

/** A `meta` that has a stamp and nothing else, up to the stamp: the heads of map and bin, and the key. */
export const STAMP_HEAD = [0x81, 0x00, 0xc4, 24];
/** The keys of other things in it. */
export const FLAGS_KEY = 2;
export const LIFETIME_KEY = 5;
/** The meta of a body that clears its name, and has no stamp yet. */
export const CLEAR_META = [0x81, FLAGS_KEY, CLEAR];
/** That of any other. */
export const NO_META = [0x80];

/** Throws unless it can be an identity. */
export function checkIdentity(identity: string) {
  checkText('identity', identity, MAX_SENDER, 'NS_ERR_IDENTITY');
  if (identity === HUB) {
    throw new NanostateError('NS_ERR_IDENTITY', `identity not allowed: "${HUB}": reserved for the hub`);
  }
}

/** Throws unless it can be the name of a state. */
export function checkName(name: string) {
  checkText('name', name, MAX_NAME, 'NS_ERR_NAME');
  if (name.startsWith(RESERVED)) {
    throw new NanostateError('NS_ERR_NAME', `name not allowed: "${name}": begins with ${RESERVED}`);
  }
}

/** Throws unless it can be an access token, which may go unencrypted to these addresses. No error shows it. */
export function checkToken(token: string, urls: readonly string[]) {
  checkText('token', token, MAX_TOKEN, 'NS_ERR_INVALID');
  // Left over from the file that it was read from.
  if (/\s/.test(token)) {
    throw new NanostateError('NS_ERR_INVALID', 'token not allowed: contains a blank or the end of a line');
  }
  const url = urls.find((url) => UNENCRYPTED.test(url) && !LOOPBACK.test(new URL(url).hostname));
  if (url !== undefined) {
    const hint = 'use tls+tcp:// or wss://, or set clearToken';
    throw new NanostateError('NS_ERR_INVALID', `the token would pass unencrypted to ${url}: ${hint}`);
  }
}

function checkText(what: string, text: string, max: number, code: Code) {
  if (typeof text !== 'string') {
    throw new TypeError(`${what} is not a string`);
  }
  const fault =
    text === '' ? 'empty'
    : text.includes('\0') ? 'contains NUL'
    : /\p{Surrogate}/u.test(text) ? 'contains half of a surrogate pair'
    : utf8Length(text) > max ? `${utf8Length(text)} bytes, at most ${max}`
    : undefined;
  if (fault) {
    const shown = what === 'token' ? '' : ` "${text.slice(0, 64)}":`;
    throw new NanostateError(code, `${what} not allowed:${shown} ${fault}`);
  }
}
