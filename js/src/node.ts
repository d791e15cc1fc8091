// The package in Node, Bun and Deno, which also have sockets.

import { Client, type Options } from './client.js';
import { dialSocket, target, usesTls } from './sockets.js';
import { NanostateError } from './status.js';
import { Trust } from './tls.js';
import type { Environment } from './transport.js';
import { dialWebSocket } from './websocket.js';

/** A variable of the environment that is not empty. */
const variable = (name: string) => process.env[name] || undefined;

const node: Environment = {
  defaultUrl: () => variable('NANOSTATE_URL') ?? 'tcp://127.0.0.1:15000',
  defaultToken: () => variable('NANOSTATE_TOKEN'),
  prepare(urls, { WebSocket, ca, pin }) {
    urls.forEach(target);
    const isTheirs = (url: string) => WebSocket !== undefined && /^wss?:/.test(url);
    if (ca ?? pin) {
      const url = urls.find(isTheirs);
      if (url !== undefined) {
        throw new NanostateError('NS_ERR_INVALID', `ca and pin are of no use to the option WebSocket: ${url}`);
      }
    }
    const secure = urls.find((url) => usesTls(url) && !isTheirs(url));
    const trust = secure === undefined ? undefined : trustOf(ca, pin, secure);
    return {
      urls,
      dial: (url, handlers) => (isTheirs(url) ? dialWebSocket(WebSocket!, url, handlers) : dialSocket(url, handlers, trust)),
    };
  },
};

function trustOf(ca = variable('NANOSTATE_TLS_CA'), pin = variable('NANOSTATE_TLS_PIN'), url: string): Trust {
  if (ca === undefined && pin === undefined) {
    const names = 'neither ca ($NANOSTATE_TLS_CA) nor pin ($NANOSTATE_TLS_PIN)';
    throw new NanostateError('NS_ERR_TLS', `${names} says which hub to trust: ${url}`);
  }
  return new Trust(ca, pin);
}

/** An app of nanostate: it shares states with all others on its hub. */
export class Nanostate extends Client {
  constructor(identity: string, url?: string | readonly string[], options?: Options) {
    super(node, identity, url, options);
  }
}

export { Ext } from './msgpack.js';
export { NanostateError } from './status.js';
