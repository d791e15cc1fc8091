// The three functions of the original's JavaScript. They know nothing of sessions: a WebSocket without a subprotocol, and
// bodies of three elements.

import { Writer, type Sendable, type Value } from './msgpack.js';
import { NanostateError } from './status.js';
import type { WebSocketLike } from './transport.js';
import { checkIdentity, checkName, decodeBody, writeHead } from './wire.js';

/** A state, as the original has it. */
export interface StateUpdate {
  sender: string;
  name: string;
  data: any;
}

/** A WebSocket that {@link start_websocket} has made. */
export type IdentifiedWebSocket = WebSocketLike & { identity: string };

/** Bytes that are a text wherever one is asked for: the original's programs send their texts so. */
class Bytes extends Uint8Array {
  override toString(): string {
    return new TextDecoder().decode(this);
  }
}

/** A value as the original gives it: all integers are numbers, all maps are objects. */
function original(value: Value): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return new Bytes(value);
  if (Array.isArray(value)) return value.map(original);
  if (value instanceof Map || Object.getPrototypeOf(value ?? 0) === Object.prototype) {
    const entries = value instanceof Map ? [...value] : Object.entries(value as object);
    return Object.fromEntries(entries.map(([key, value]) => [key, original(value)]));
  }
  return value;
}

/** Sends a state. Throws a TypeError for what cannot be carried, and then nothing is sent. */
export function send_state_update(ws: { send(data: any): void }, identity: string, name: string, data: Sendable): void {
  checkIdentity(identity);
  checkName(name);
  const writer = new Writer();
  writeHead(writer, identity, name, true);
  writer.value(data);
  ws.send(writer.copy());
}

/** Reads what a message event has as its data. Throws if that is not a state. */
export function recv_state_update(buf: ArrayBuffer | Uint8Array): StateUpdate {
  if (!(buf instanceof ArrayBuffer || buf instanceof Uint8Array)) {
    throw new TypeError("a state is an ArrayBuffer: set the WebSocket's binaryType to 'arraybuffer'");
  }
  const { sender, name, value } = decodeBody(new Uint8Array(buf), true);
  return { sender, name, data: original(value) };
}

/** Opens `ws://HOST:PORT` and the path, which begins with a slash. */
export function start_websocket(
  identity: string,
  ws_host: string,
  ws_port: number | string,
  ws_path: string,
  onmessage_callback?: ((event: any) => void) | null,
  onopen_callback?: ((event: any) => void) | null,
  onclose_callback?: ((event: any) => void) | null,
): IdentifiedWebSocket {
  const { WebSocket } = globalThis;
  if (!WebSocket) {
    throw new NanostateError('NS_ERR_UNSUPPORTED', 'there is no WebSocket here: set globalThis.WebSocket, or use Node 22');
  }
  const ws = Object.assign(new WebSocket(`ws://${ws_host}:${ws_port}${ws_path}`), { identity });
  ws.binaryType = 'arraybuffer';
  if (onmessage_callback != null) ws.onmessage = onmessage_callback;
  if (onopen_callback != null) ws.onopen = onopen_callback;
  if (onclose_callback != null) ws.onclose = onclose_callback;
  return ws;
}
