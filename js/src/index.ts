// The package in a browser, or wherever else there is a WebSocket.

import { Client, type Options } from './client.js';
import { NanostateError } from './status.js';
import type { Environment, WebSocketClass } from './transport.js';
import { dialWebSocket } from './websocket.js';

const browser: Environment = {
  defaultUrl: () => 'ws://127.0.0.1:15001/ws',
  defaultToken: () => undefined,
  prepare(urls, { WebSocket = globalThis.WebSocket as WebSocketClass | undefined, ca, pin }) {
    if (ca ?? pin) {
      throw new NanostateError('NS_ERR_UNSUPPORTED', 'ca and pin are for Node: a browser decides itself which hub it trusts');
    }
    if (!WebSocket) {
      throw new NanostateError('NS_ERR_UNSUPPORTED', 'there is no WebSocket here: pass one as the option WebSocket');
    }
    return { urls: urls.map(checkUrl), dial: (url, handlers) => dialWebSocket(WebSocket, url, handlers) };
  },
};

function checkUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text, globalThis.location?.href);
  } catch {
    throw new NanostateError('NS_ERR_URL', `malformed URL: ${text}`);
  }
  // A path is one of the page's own server.
  url.protocol = url.protocol.replace(/^http/, 'ws');
  if (!/^wss?:$/.test(url.protocol)) {
    throw new NanostateError('NS_ERR_URL', `a page connects to ws:// and wss:// only: ${text}`);
  }
  return url.href;
}

/** An app of nanostate: it shares states with all others on its hub. */
export class Nanostate extends Client {
  /** Connects by itself, and again whenever the link is lost. `url`: an address, or several of the same hub. */
  constructor(identity: string, url?: string | readonly string[], options?: Options) {
    super(browser, identity, url, options);
  }
}

export type { Key, Options, Rejected, SendOptions, ValueOptions, WaitOptions } from './client.js';
export type { Peer } from './engine/others.js';
export type { ClearedState, State, ValueState } from './engine/received.js';
export type { Link } from './engine/reports.js';
export { Ext, type Kind, type Sendable, type Value } from './msgpack.js';
export { NanostateError, type Code } from './status.js';
export type { Store } from './store.js';
export type { WebSocketClass, WebSocketLike } from './transport.js';
