// What carries bytes to a hub and back.

import type { Options } from './client.js';
import type { MakeCodec } from './engine/codec.js';
import type { NanostateError } from './status.js';

/** One attempt to connect, and the connection that it leads to. */
export interface Transport {
  /** Takes bytes, also more than can be sent now. They are not changed afterwards. */
  send(bytes: Uint8Array): void;
  /** Bytes that were taken and wait to be sent. */
  readonly buffered: number;
  /** Ends it, after what was taken. */
  close(): void;
  /** Whether it keeps the process running. */
  ref?(keeps: boolean): void;
}

/** What a transport tells, never while it is being made. */
export interface Handlers {
  opened(makeCodec: MakeCodec): void;
  received(bytes: Uint8Array): void;
  /** There is room again. A transport that does not tell is asked now and then. */
  drained(): void;
  /** It is over, told once, also after `close`. `isFinal`: the hub said that there is no sense in another attempt. */
  ended(error: NanostateError, isFinal?: boolean): void;
}

/** Begins to connect. Throws a NanostateError if that cannot even be tried. */
export type Dial = (url: string, handlers: Handlers) => Transport;

/** Where a program runs. */
export interface Environment {
  /** Where hubs are looked for unless told otherwise. */
  defaultUrl(): string;
  /** The access token unless told otherwise. */
  defaultToken(): string | undefined;
  /** Returns the addresses in the form that `dial` takes, and that. Throws a NanostateError for what cannot be dialled. */
  prepare(urls: string[], options: Options): { urls: string[]; dial: Dial };
}

/** What is used of a WebSocket: that of browsers, of Node from 22 on, or of the package `ws`. */
export interface WebSocketLike {
  binaryType: string;
  readonly protocol: string;
  readonly bufferedAmount: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: any): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketClass = new (url: string, protocols: string) => WebSocketLike;
