// The framing of `tcp://` and `ipc://`: the SP header, then a length before each body. See docs/protocol.md.

import type { Codec, Incoming } from './engine/codec.js';
import { Pieces } from './pieces.js';
import { NanostateError } from './status.js';

const HEADER = 8;
/** `00 53 50 00 00 70`: BUS, version 0. */
const MAGIC = [0x00, 0x53, 0x50, 0x00, 0x00, 0x70];
/** The first of the two reserved bytes, in a header of nanostate. */
const OURS = 0x4e;
/** The byte before a length on `ipc://`. */
const IPC_MARK = 1;
/** The first byte of an alert of TLS, with which a hub at `tls+tcp://` answers a header. */
const TLS_ALERT = 0x15;
/** A length beyond this is not that of a frame. */
const ABSURD = 2 ** 40;

export function header(old: boolean): Uint8Array {
  return Uint8Array.from([...MAGIC, ...(old ? [0, 0] : [OURS, 1])]);
}

/** Whether a header is that of an old program. Throws if it is none. */
export function parseHeader(bytes: Uint8Array): boolean {
  const [first, second] = bytes.subarray(MAGIC.length);
  if (MAGIC.some((byte, at) => bytes[at] !== byte) || (first === OURS ? second === 0 : first !== 0 || second !== 0)) {
    throw new NanostateError('NS_ERR_INVALID', `not an SP header of BUS: ${shown(bytes)}`);
  }
  return first === 0;
}

function shown(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** The codec of one connection that this side has dialled. */
export class SpCodec implements Codec {
  readonly greeting: Uint8Array;
  readonly #decoder: Decoder;
  #greeted = false;

  constructor(
    /** Whether it is `ipc://`. */
    readonly isLocal: boolean,
    readonly isOld: boolean,
    max: number,
  ) {
    this.greeting = header(isOld);
    this.#decoder = new Decoder(isLocal, max);
  }

  frame(body: Uint8Array): Uint8Array {
    const head = this.isLocal ? 9 : 8;
    const frame = new Uint8Array(head + body.length);
    frame[0] = IPC_MARK;
    new DataView(frame.buffer).setBigUint64(head - 8, BigInt(body.length));
    frame.set(body, head);
    return frame;
  }

  *decode(input: Uint8Array): Iterable<Incoming> {
    this.#decoder.push(input);
    if (!this.#greeted) {
      const theirs = this.#decoder.header();
      if (!theirs) {
        return;
      }
      this.#greeted = true;
      yield { agreed: parseHeader(theirs) || this.isOld ? (this.isOld ? 'old' : 'not-v1') : 'v1' };
    }
    yield* this.#decoder.frames();
  }
}

/** Cuts bodies out of a stream. What it holds follows the bytes that came, not the length that is claimed. */
export class Decoder {
  readonly #pieces = new Pieces();
  /** The length of the body that is awaited. */
  #body: number | undefined;
  /** Bytes of a frame over the limit that are still to come. */
  #skip = 0;

  constructor(
    readonly isIpc: boolean,
    readonly max: number,
  ) {}

  push(input: Uint8Array) {
    const skipped = Math.min(this.#skip, input.length);
    this.#skip -= skipped;
    this.#pieces.push(input.subarray(skipped));
  }

  /** Whether a frame, or its head, is unfinished. */
  get isUnfinished(): boolean {
    return this.#pieces.length > 0 || this.#body !== undefined || this.#skip > 0;
  }

  /** The header of the other side, once it is there. */
  header(): Uint8Array | undefined {
    if (this.#pieces.first === TLS_ALERT) {
      throw new NanostateError('NS_ERR_INVALID', 'the other side speaks TLS, and this one does not at this address');
    }
    return this.#pieces.take(HEADER);
  }

  /** The frames that have come as a whole. Throws a NanostateError if what came is none. */
  *frames(): Iterable<{ body: Uint8Array } | { tooLarge: number }> {
    for (;;) {
      if (this.#body === undefined) {
        if (this.isIpc && this.#pieces.length > 0 && this.#pieces.first !== IPC_MARK) {
          throw new NanostateError('NS_ERR_INVALID', 'an ipc frame begins with another byte than 1');
        }
        const head = this.#pieces.take(this.isIpc ? 9 : 8);
        if (!head) {
          return;
        }
        const length = Number(new DataView(head.buffer, head.byteOffset + head.length - 8).getBigUint64(0));
        if (length > ABSURD) {
          throw new NanostateError('NS_ERR_INVALID', `not a frame: its length would be ${length}`);
        }
        if (length > this.max) {
          const here = Math.min(length, this.#pieces.length);
          this.#skip = length - here;
          this.#pieces.take(here);
          yield { tooLarge: length };
          continue;
        }
        this.#body = length;
      }
      const body = this.#pieces.take(this.#body);
      if (!body) {
        return;
      }
      this.#body = undefined;
      yield { body };
    }
  }
}
