// WebSockets of this package's own, for Node: the request, and the frames of RFC 6455. They know which hub to trust, and
// say why there is no connection, which no WebSocket of others does. See docs/protocol.md.

import { createHash } from 'node:crypto';
import type { Codec, Incoming } from './engine/codec.js';
import { Pieces } from './pieces.js';
import { NanostateError } from './status.js';
import { SUBPROTOCOL } from './websocket.js';

/** What an old hub of nanomsg or NNG is asked for. */
const BUS = 'bus.sp.nanomsg.org';
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** The longest head of an answer. */
const MAX_HEAD = 8 << 10;
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];
const NORMAL = 1000;

interface Frame {
  isLast: boolean;
  opcode: number;
  /** Bytes of it that are still to come. */
  left: number;
}

/** A message that grows. */
interface Message {
  isText: boolean;
  parts: Uint8Array[];
  length: number;
}

/** The codec of one WebSocket that this side has dialled. */
export class WebCodec implements Codec {
  readonly greeting: Uint8Array;
  readonly #key = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64');
  /** The answer, while it is not complete. */
  #head: Uint8Array | undefined = new Uint8Array();
  readonly #pieces = new Pieces();
  /** The first two bytes of a frame whose length is not there yet. */
  #opening: Uint8Array | undefined;
  #frame: Frame | undefined;
  #message: Message | undefined;

  constructor(
    { host, pathname, search }: URL,
    readonly isOld: boolean,
    readonly max: number,
    /** Sends an answer to the hub that is no body. */
    readonly answer: (frame: Uint8Array) => void,
  ) {
    this.greeting = Buffer.from(
      `GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${this.#key}\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Protocol: ${isOld ? BUS : SUBPROTOCOL}\r\n\r\n`,
    );
  }

  frame(body: Uint8Array): Uint8Array {
    return frame(BINARY, body);
  }

  /** What is said before the connection is ended. */
  farewell(): Uint8Array {
    return frame(CLOSE, Uint8Array.of(NORMAL >> 8, NORMAL & 0xff));
  }

  *decode(input: Uint8Array): Iterable<Incoming> {
    if (this.#head) {
      this.#head = concat([this.#head, input]);
      const text = String.fromCharCode(...this.#head.subarray(0, MAX_HEAD));
      const end = text.indexOf('\r\n\r\n');
      // nanomsg leaves out the end of a refusal.
      const isRefused = /^HTTP\/1\.1 (?!101)\d{3}.*\r\n/.test(text);
      if (end < 0 && !isRefused && text.length < MAX_HEAD && 'HTTP/1.1 '.startsWith(text.slice(0, 9))) {
        return;
      }
      input = this.#head.subarray(end + 4);
      this.#head = undefined;
      const agreed = this.#agree((end < 0 ? text : text.slice(0, end)).split('\r\n'));
      yield { agreed };
      if (agreed === 'not-v1') {
        return;
      }
    }
    this.#pieces.push(input);
    while (this.#hasFrame()) {
      yield* this.#payload(this.#frame!);
      if (this.#frame) {
        return;
      }
    }
  }

  /** Reads the head of the answer. */
  #agree([first = '', ...fields]: string[]): 'v1' | 'old' | 'not-v1' {
    const status = /^HTTP\/1\.1 (\d{3}.*)$/.exec(first)?.[1];
    if (status === undefined) {
      throw new NanostateError('NS_ERR_INVALID', 'no WebSocket is there');
    }
    if (!status.startsWith('101')) {
      if (status.startsWith('400') && !this.isOld) {
        // So NNG refuses a subprotocol that is not its own.
        return 'not-v1';
      }
      const code = /^40[13]/.test(status) ? 'NS_ERR_PERMISSION' : 'NS_ERR_REFUSED';
      throw new NanostateError(code, `the WebSocket was refused: ${status}`);
    }
    const field = (name: string) =>
      fields.find((line) => line.toLowerCase().startsWith(`${name}:`))?.slice(name.length + 1).trim() ?? '';
    const accept = createHash('sha1').update(this.#key + GUID).digest('base64');
    const protocol = field('sec-websocket-protocol');
    if (field('sec-websocket-accept') !== accept || !(protocol === '' || protocol === (this.isOld ? BUS : SUBPROTOCOL))) {
      throw new NanostateError('NS_ERR_INVALID', 'no WebSocket of a hub is there');
    }
    return protocol === SUBPROTOCOL ? 'v1' : 'old';
  }

  /** Whether the head of a frame is there, or was. */
  #hasFrame(): boolean {
    if (this.#frame) {
      return true;
    }
    const opening = (this.#opening ??= this.#pieces.take(2));
    if (!opening) {
      return false;
    }
    const [first, second] = opening as unknown as [number, number];
    const opcode = first & 0x0f;
    const isControl = opcode >= CLOSE;
    const isKnown = [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG].includes(opcode);
    const isInPlace = isControl || (opcode === CONTINUATION) === (this.#message !== undefined);
    if (first & 0x70 || second & 0x80 || !isKnown || !isInPlace || (isControl && (second > 125 || first < 0x80))) {
      throw new NanostateError('NS_ERR_INVALID', 'not a frame of a WebSocket');
    }
    const size = second === 127 ? 8 : second === 126 ? 2 : 0;
    const bytes = this.#pieces.take(size);
    if (!bytes) {
      return false;
    }
    this.#opening = undefined;
    this.#frame = { isLast: first >= 0x80, opcode, left: size === 0 ? second : Number(`0x${Buffer.from(bytes).toString('hex')}`) };
    return true;
  }

  /** Takes what is there of a frame. It is over once there is none. */
  *#payload(frame: Frame): Iterable<Incoming> {
    const { opcode, isLast } = frame;
    if (opcode >= CLOSE) {
      const bytes = this.#pieces.take(frame.left);
      if (bytes) {
        this.#frame = undefined;
        this.#control(opcode, bytes);
      }
      return;
    }
    const message = (this.#message ??= { isText: opcode === TEXT, parts: [], length: 0 });
    const part = this.#pieces.take(Math.min(frame.left, this.#pieces.length))!;
    frame.left -= part.length;
    message.length += part.length;
    // What is too long is gone over, and not kept. A text is no body, and is told as one that is malformed.
    if (message.isText || message.length + frame.left > this.max) {
      message.parts = [];
    } else {
      message.parts.push(part);
    }
    if (frame.left > 0) {
      return;
    }
    this.#frame = undefined;
    if (isLast) {
      this.#message = undefined;
      const { isText, parts, length } = message;
      yield !isText && length > this.max ? { tooLarge: length } : { body: parts.length === 1 ? parts[0]! : concat(parts) };
    }
  }

  #control(opcode: number, bytes: Uint8Array) {
    if (opcode === PING) {
      this.answer(frame(PONG, bytes));
    } else if (opcode === CLOSE) {
      const code = bytes.length < 2 ? [] : [(bytes[0]! << 8) | bytes[1]!];
      const why = [...code, new TextDecoder().decode(bytes.subarray(2))].filter(Boolean).join(', ');
      throw new NanostateError('NS_ERR_CLOSED', `the hub closed the connection${why && ` (${why})`}`);
    }
  }
}

function concat(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A frame that is a whole message. What a client sends is masked. */
function frame(opcode: number, body: Uint8Array): Uint8Array {
  const { length } = body;
  const size = length < 126 ? 0 : length < 0x10000 ? 2 : 8;
  const head = 6 + size;
  const bytes = new Uint8Array(head + length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x80 | opcode;
  bytes[1] = 0x80 | (size === 0 ? length : size === 2 ? 126 : 127);
  if (size === 2) view.setUint16(2, length);
  if (size === 8) view.setBigUint64(2, BigInt(length));
  const mask = crypto.getRandomValues(bytes.subarray(head - 4, head));
  for (let i = 0; i < length; i++) {
    bytes[head + i] = body[i]! ^ mask[i & 3]!;
  }
  return bytes;
}
