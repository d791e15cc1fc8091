// `tcp://` and `ipc://`, in Node, Bun and Deno.

import { connect, type NetConnectOpts } from 'node:net';
import { SpCodec } from './sp.js';
import { NanostateError, type Code } from './status.js';
import type { Handlers, Transport } from './transport.js';

/** How long the other side has to close a connection that this side has ended, in milliseconds. */
const LINGER = 1_000;

const CODES: Record<string, Code> = {
  ECONNREFUSED: 'NS_ERR_REFUSED',
  ENOENT: 'NS_ERR_NOT_FOUND',
  EACCES: 'NS_ERR_PERMISSION',
  EPERM: 'NS_ERR_PERMISSION',
  ETIMEDOUT: 'NS_ERR_TIMEOUT',
  ENOTFOUND: 'NS_ERR_RESOLVE',
  EAI_AGAIN: 'NS_ERR_RESOLVE',
};

/** Where an address leads to. Throws a NanostateError if it is not one of these two. */
export function target(url: string): NetConnectOpts {
  const path = /^ipc:\/\/(.+)$/.exec(url)?.[1];
  if (path !== undefined) {
    if (path.startsWith('@')) {
      // An abstract socket of Linux. Older ones fill the name up with zeros, which is another name.
      if (parseInt(process.versions.node) < 22) {
        throw new NanostateError('NS_ERR_UNSUPPORTED', `this Node cannot dial ${url}: use a path, or Node 22`);
      }
      return { path: `\0${path.slice(1)}` };
    }
    return { path };
  }
  const [, host, port] = /^tcp:\/\/(\[[^\]]+\]|[^:/[\]]+):(\d+)$/.exec(url) ?? [];
  if (host === undefined || !(Number(port) > 0 && Number(port) < 65536)) {
    throw new NanostateError('NS_ERR_URL', `malformed URL: ${url}`);
  }
  return { host: host.replace(/[[\]]/g, ''), port: Number(port) };
}

export function dialSocket(url: string, handlers: Handlers): Transport {
  const isIpc = url.startsWith('ipc:');
  const socket = connect({ ...target(url), noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 });
  let error = new NanostateError('NS_ERR_CLOSED', 'the hub closed the connection');
  socket.on('connect', () => handlers.opened((old, max) => new SpCodec(isIpc, old, max)));
  // A Buffer behaves differently from the Uint8Array that it is.
  socket.on('data', (data) => handlers.received(new Uint8Array(data.buffer, data.byteOffset, data.length)));
  socket.on('drain', () => handlers.drained());
  socket.on('error', (cause: NodeJS.ErrnoException) => {
    const code = CODES[cause.code ?? ''] ?? 'NS_ERR_IO';
    const hint = code === 'NS_ERR_REFUSED' || code === 'NS_ERR_NOT_FOUND' ? ' (is "nanostate hub" running?)' : '';
    error = new NanostateError(code, `${cause.message}${hint}`);
  });
  socket.on('close', () => handlers.ended(error));
  let isCorked = false;
  return {
    send(bytes) {
      if (!isCorked) {
        // All that is sent in one turn goes in one system call.
        isCorked = true;
        socket.cork();
        process.nextTick(() => {
          isCorked = false;
          socket.uncork();
        });
      }
      socket.write(bytes);
    },
    get buffered() {
      return socket.writableLength;
    },
    close() {
      if (socket.connecting) {
        socket.destroy();
      } else {
        socket.end();
        setTimeout(() => socket.destroy(), LINGER).unref();
      }
    },
    ref: (keeps) => (keeps ? socket.ref() : socket.unref()),
  };
}
