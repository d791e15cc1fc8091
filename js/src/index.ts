// The package in a browser, or wherever else there is a WebSocket.

import { Client, type Options } from './client.js';
import { NanostateError } from './status.js';
import type { Environment } from './transport.js';
import { dialWebSocket } from './websocket.js';

const browser: Environment = {
  defaultUrl: () => 'ws://127.0.0.1:15001/ws',
  checkUrl(text, webSocket) {
    const { location } = globalThis;
    let url: URL;
    try {
      url = new URL(text, location?.href);
    } catch {
      throw new NanostateError('NS_ERR_URL', `malformed URL: ${text}`);
    }
    // A path is one of the page's own server.
    url.protocol = url.protocol.replace(/^http/, 'ws');
    if (!/^wss?:$/.test(url.protocol)) {
      throw new NanostateError('NS_ERR_URL', `a page connects to ws:// and wss:// only: ${text}`);
    }
    if (!webSocket) {
      throw new NanostateError('NS_ERR_UNSUPPORTED', 'there is no WebSocket here: pass one as the option WebSocket');
    }
    return url.href;
  },
  dial: (webSocket) => (url, handlers) => dialWebSocket(webSocket!, url, handlers),
};

/** An app of nanostate: it shares states with all others on its hub. */
export class Nanostate extends Client {
  /** Connects by itself, and again whenever the link is lost. `url`: an address, or several of the same hub. */
  constructor(identity: string, url?: string | readonly string[], options?: Options) {
    super(browser, identity, url, options);
  }
}

export type { FlushOptions, Key, Options, Rejected, SendOptions } from './client.js';
export type { State } from './engine/received.js';
export type { Link } from './engine/reports.js';
export { Ext, type Kind, type Sendable, type Value } from './msgpack.js';
export { NanostateError, type Code } from './status.js';
export type { Store } from './store.js';
export type { WebSocketClass, WebSocketLike } from './transport.js';
