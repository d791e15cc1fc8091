// MessagePack, strictly: what is read is well-formed in every bit, and what cannot be carried is a TypeError.

/** What a value can be, in the order of the numbers of `ns_kind`, which begin at 1. */
export const KINDS = ['text', 'bytes', 'nil', 'bool', 'int', 'uint', 'double', 'array', 'map', 'ext'] as const;

/** What a value was sent as. */
export type Kind = (typeof KINDS)[number];

/** The number of a kind, as in `nanostate.h`; 0 for what is none. */
export function numberOf(kind: string | undefined): number {
  return KINDS.indexOf(kind as Kind) + 1;
}

/** An extension of MessagePack, but for timestamps, which are `Date`. */
export class Ext {
  constructor(
    /** -128 to 127. */
    readonly type: number,
    readonly data: Uint8Array,
  ) {}
}

/** What can be sent. */
export type Sendable =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | ArrayBuffer
  | Date
  | Ext
  | readonly Sendable[]
  | { readonly [key: string]: Sendable };

/** What is received. A map is an object if its keys are text, and none of them is `__proto__`; otherwise it is a `Map`. */
export type Value =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | Date
  | Ext
  | Value[]
  | { [key: string]: Value }
  | Map<Value, Value>;

/** The nesting depth of a value; a scalar has depth 0. */
export const MAX_DEPTH = 32;

/** Bytes that are not what they should be; `reason` is one of the words of docs/protocol.md. */
export class Malformed extends Error {
  constructor(readonly reason: string) {
    super(`malformed message: ${reason}`);
  }
}

const TIMESTAMP = -1;
const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Reads from the front of bytes. A length is compared with the bytes at hand before it is used. */
export class Reader {
  at = 0;
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Goes over so many bytes. Returns where they begin. */
  #skip(length: number): number {
    const at = this.at;
    if (length > this.bytes.length - at) {
      throw new Malformed('truncated');
    }
    this.at = at + length;
    return at;
  }

  byte(): number {
    const byte = this.bytes[this.#skip(1)]!;
    if (byte === 0xc1) {
      // Asked for heads only, and no head is this byte.
      throw new Malformed('reserved');
    }
    return byte;
  }

  /** An unsigned integer of 1, 2 or 4 bytes. */
  uint(size: number): number {
    const at = this.#skip(size);
    return size === 1 ? this.#view.getUint8(at) : size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  take(length: number): Uint8Array {
    const at = this.#skip(length);
    return this.bytes.subarray(at, at + length);
  }

  text(length: number): string {
    const bytes = this.take(length);
    if (length < 32) {
      // Short and ASCII, as most names are: faster than the decoder.
      let text = '';
      for (let i = 0; i < length && bytes[i]! < 0x80; i++) {
        text += String.fromCharCode(bytes[i]!);
      }
      if (text.length === length) {
        return text;
      }
    }
    try {
      return utf8.decode(bytes);
    } catch {
      throw new Malformed('utf8');
    }
  }

  /** The next value, all of it checked. */
  value(depth = 0): Value {
    const head = this.byte();
    if (head < 0x80) return head;
    if (head < 0x90) return this.#map(head & 0x0f, depth);
    if (head < 0xa0) return this.#array(head & 0x0f, depth);
    if (head < 0xc0) return this.text(head & 0x1f);
    if (head >= 0xe0) return head - 0x100;
    if (head === 0xc0) return null;
    if (head < 0xc4) return head === 0xc3;
    if (head < 0xc7) return this.take(this.uint(1 << (head - 0xc4))).slice();
    if (head < 0xca) return this.#ext(this.uint(1 << (head - 0xc7)));
    if (head === 0xca) return this.#view.getFloat32(this.#skip(4));
    if (head === 0xcb) return this.#view.getFloat64(this.#skip(8));
    if (head < 0xcf) return this.uint(1 << (head - 0xcc));
    if (head === 0xcf) return narrow(this.#view.getBigUint64(this.#skip(8)));
    if (head === 0xd0) return this.#view.getInt8(this.#skip(1));
    if (head === 0xd1) return this.#view.getInt16(this.#skip(2));
    if (head === 0xd2) return this.#view.getInt32(this.#skip(4));
    if (head === 0xd3) return narrow(this.#view.getBigInt64(this.#skip(8)));
    if (head < 0xd9) return this.#ext(1 << (head - 0xd4));
    if (head < 0xdc) return this.text(this.uint(1 << (head - 0xd9)));
    if (head < 0xde) return this.#array(this.uint(2 << (head - 0xdc)), depth);
    return this.#map(this.uint(2 << (head - 0xde)), depth);
  }

  #array(count: number, depth: number): Value[] {
    checkDepth(depth);
    const array: Value[] = [];
    for (let i = 0; i < count; i++) {
      array.push(this.value(depth + 1));
    }
    return array;
  }

  #map(count: number, depth: number): Value {
    checkDepth(depth);
    const object: { [key: string]: Value } = {};
    let map: Map<Value, Value> | undefined;
    for (let i = 0; i < count; i++) {
      const key = this.value(depth + 1);
      const value = this.value(depth + 1);
      if (!map && typeof key === 'string' && key !== '__proto__') {
        object[key] = value;
      } else {
        map ??= new Map(Object.entries(object));
        map.set(key, value);
      }
    }
    return map ?? object;
  }

  #ext(length: number): Date | Ext {
    const type = (this.#view.getUint8(this.#skip(1)) << 24) >> 24;
    const data = this.take(length).slice();
    return (type === TIMESTAMP && timeOf(data)) || new Ext(type, data);
  }
}

function checkDepth(depth: number) {
  if (depth === MAX_DEPTH) {
    throw new Malformed('depth');
  }
}

/** A Number where that is exact. */
function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The time in a timestamp, to the millisecond; none if it is not one, or beyond what a Date can be. */
function timeOf(data: Uint8Array): Date | undefined {
  const view = new DataView(data.buffer);
  let seconds: number;
  let nanos = 0;
  if (data.length === 4) {
    seconds = view.getUint32(0);
  } else if (data.length === 8) {
    const both = view.getBigUint64(0);
    seconds = Number(both & 0x3_ffff_ffffn);
    nanos = Number(both >> 34n);
  } else if (data.length === 12) {
    nanos = view.getUint32(0);
    seconds = Number(view.getBigInt64(4));
  } else {
    return undefined;
  }
  const time = new Date(seconds * 1000 + Math.floor(nanos / 1e6));
  return nanos < 1e9 && !Number.isNaN(time.getTime()) ? time : undefined;
}

/** The kind of the value that begins with this byte. */
export function kindOf(head: number, value: unknown): Kind {
  if (head < 0x80 || head >= 0xe0) return 'int';
  if (head < 0x90 || head >= 0xde) return 'map';
  if (head < 0xa0 || head >= 0xdc) return 'array';
  if (head < 0xc0 || head >= 0xd9) return 'text';
  if (head === 0xc0) return 'nil';
  if (head < 0xc4) return 'bool';
  if (head < 0xc7) return 'bytes';
  if (head < 0xca || head >= 0xd4) return 'ext';
  if (head < 0xcc) return 'double';
  return typeof value === 'bigint' && value >= 2n ** 63n ? 'uint' : 'int';
}

/** Exactly one value. */
export function decode(bytes: Uint8Array): Value {
  const reader = new Reader(bytes);
  const value = reader.value();
  if (reader.at < bytes.length) {
    throw new Malformed('trailing');
  }
  return value;
}

/** Writes values, integers and lengths in their shortest form. */
export class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  /** How many bytes were written. */
  length = 0;

  /** A copy of what was written. */
  copy(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }

  /** Makes room for so many bytes at the end. */
  #grow(more: number): DataView {
    this.length += more;
    if (this.length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return this.#view;
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array) {
    this.#grow(bytes.length);
    this.#bytes.set(bytes, this.length - bytes.length);
  }

  byte(byte: number) {
    this.#grow(1);
    this.#bytes[this.length - 1] = byte;
  }

  /** A head, and behind it an integer of 1, 2 or 4 bytes: `heads` are those for each. */
  #sized(value: number, ...heads: [number | undefined, number, number]) {
    const [head8, head16, head32] = heads;
    if (head8 !== undefined && value < 0x100) {
      this.byte(head8);
      this.byte(value);
    } else if (value < 0x10000) {
      this.byte(head16);
      this.#grow(2).setUint16(this.length - 2, value);
    } else {
      this.byte(head32);
      this.#grow(4).setUint32(this.length - 4, value);
    }
  }

  text(text: string) {
    if (/\p{Surrogate}/u.test(text)) {
      throw new TypeError('text with half of a surrogate pair cannot be sent');
    }
    const bytes = encoder.encode(text);
    if (bytes.length < 32) {
      this.byte(0xa0 | bytes.length);
    } else {
      this.#sized(bytes.length, 0xd9, 0xda, 0xdb);
    }
    this.raw(bytes);
  }

  bin(bytes: Uint8Array) {
    this.#sized(bytes.length, 0xc4, 0xc5, 0xc6);
    this.raw(bytes);
  }

  /** An integer of up to 64 bits. */
  int(value: number | bigint) {
    if (value >= -0x80000000 && value < 0x100000000) {
      const small = Number(value);
      if (small >= -32 && small < 0x80) {
        this.byte(small & 0xff);
      } else if (small >= 0) {
        this.#sized(small, 0xcc, 0xcd, 0xce);
      } else if (small >= -0x80) {
        this.byte(0xd0);
        this.byte(small & 0xff);
      } else if (small >= -0x8000) {
        this.byte(0xd1);
        this.#grow(2).setInt16(this.length - 2, small);
      } else {
        this.byte(0xd2);
        this.#grow(4).setInt32(this.length - 4, small);
      }
      return;
    }
    this.byte(value < 0 ? 0xd3 : 0xcf);
    this.#grow(8).setBigInt64(this.length - 8, BigInt(value));
  }

  double(value: number) {
    this.byte(0xcb);
    this.#grow(8).setFloat64(this.length - 8, value);
  }

  array(count: number) {
    if (count < 16) {
      this.byte(0x90 | count);
    } else {
      this.#sized(count, undefined, 0xdc, 0xdd);
    }
  }

  map(count: number) {
    if (count < 16) {
      this.byte(0x80 | count);
    } else {
      this.#sized(count, undefined, 0xde, 0xdf);
    }
  }

  ext(type: number, data: Uint8Array) {
    const fixed = [1, 2, 4, 8, 16].indexOf(data.length);
    if (fixed >= 0) {
      this.byte(0xd4 + fixed);
    } else {
      this.#sized(data.length, 0xc7, 0xc8, 0xc9);
    }
    this.byte(type & 0xff);
    this.raw(data);
  }

  /** Any value. With `doubles`, every Number in it goes as a double. Throws a TypeError for what cannot be carried. */
  value(value: unknown, doubles = false, depth = 0) {
    switch (typeof value) {
      case 'string':
        return this.text(value);
      case 'boolean':
        return this.byte(value ? 0xc3 : 0xc2);
      case 'number':
        return doubles || !Number.isSafeInteger(value) || Object.is(value, -0) ? this.double(value) : this.int(value);
      case 'bigint':
        if (value < INT64_MIN || value > UINT64_MAX) {
          throw new TypeError(`a BigInt beyond 64 bits cannot be sent: ${value}`);
        }
        return this.int(value);
      case 'object':
        return value === null ? this.byte(0xc0) : this.#object(value, doubles, depth);
      default:
        throw new TypeError(`${typeof value} cannot be sent`);
    }
  }

  #object(value: object, doubles: boolean, depth: number) {
    if (value instanceof Uint8Array) return this.bin(value);
    if (value instanceof ArrayBuffer) return this.bin(new Uint8Array(value));
    if (value instanceof Date) return this.ext(TIMESTAMP, timestamp(value));
    if (value instanceof Ext) {
      if (!(value.type >= -128 && value.type < 128 && value.data instanceof Uint8Array)) {
        throw new TypeError('an Ext has a type from -128 to 127, and a Uint8Array');
      }
      return this.ext(value.type, value.data);
    }
    if (depth === MAX_DEPTH) {
      throw new TypeError(`a value that contains itself, or is nested deeper than ${MAX_DEPTH}, cannot be sent`);
    }
    if (Array.isArray(value)) {
      this.array(value.length);
      for (const element of value) {
        this.value(element, doubles, depth + 1);
      }
      return;
    }
    const prototype = Object.getPrototypeOf(value) as object | null;
    if (prototype && Object.getPrototypeOf(prototype)) {
      throw new TypeError(`${value.constructor?.name ?? 'an object of a class'} cannot be sent`);
    }
    const entries = Object.entries(value);
    this.map(entries.length);
    for (const [key, member] of entries) {
      if (key === '__proto__') {
        throw new TypeError('an object with the key __proto__ cannot be sent');
      }
      this.text(key);
      this.value(member, doubles, depth + 1);
    }
  }
}

/** The data of a timestamp, in its shortest form. */
function timestamp(time: Date): Uint8Array {
  const millis = time.getTime();
  if (Number.isNaN(millis)) {
    throw new TypeError('an invalid Date cannot be sent');
  }
  const seconds = Math.floor(millis / 1000);
  const nanos = (millis - seconds * 1000) * 1e6;
  const short = seconds >= 0 && seconds < 2 ** 34;
  const view = new DataView(new ArrayBuffer(!short ? 12 : nanos || seconds >= 2 ** 32 ? 8 : 4));
  if (!short) {
    view.setUint32(0, nanos);
    view.setBigInt64(4, BigInt(seconds));
  } else if (view.byteLength === 8) {
    view.setBigUint64(0, (BigInt(nanos) << 34n) | BigInt(seconds));
  } else {
    view.setUint32(0, seconds);
  }
  return new Uint8Array(view.buffer);
}

/** A writer that is used again; one at a time, since a value may have getters that send others. */
let spare: Writer | undefined;

/** One value as MessagePack. */
export function encode(value: Sendable, doubles = false): Uint8Array {
  const writer = spare ?? new Writer();
  spare = undefined;
  writer.length = 0;
  writer.value(value, doubles);
  const bytes = writer.copy();
  if (bytes.length < 0x10000) {
    spare = writer;
  }
  return bytes;
}
