// The package in Node, Bun and Deno, which also have sockets.

import { Client, type Options } from './client.js';
import { dialSocket, target } from './sockets.js';
import { NanostateError } from './status.js';
import type { Environment } from './transport.js';
import { dialWebSocket } from './websocket.js';

const node: Environment = {
  defaultUrl: () => process.env['NANOSTATE_URL'] ?? 'tcp://127.0.0.1:15000',
  checkUrl(url, webSocket) {
    if (!/^wss?:\/\/./.test(url)) {
      target(url);
    } else if (!webSocket) {
      throw new NanostateError(
        'NS_ERR_UNSUPPORTED',
        `this Node has no WebSocket for ${url}: use tcp:// or ipc://, or Node 22, or pass the option WebSocket (of the package ws)`,
      );
    }
    return url;
  },
  dial: (webSocket) => (url, handlers) =>
    url.startsWith('ws') ? dialWebSocket(webSocket!, url, handlers) : dialSocket(url, handlers),
};

/** An app of nanostate: it shares states with all others on its hub. */
export class Nanostate extends Client {
  constructor(identity: string, url?: string | readonly string[], options?: Options) {
    super(node, identity, url, options);
  }
}

export { Ext } from './msgpack.js';
export { NanostateError } from './status.js';
