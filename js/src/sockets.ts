// `tcp://`, `tls+tcp://`, `ipc://`, `ws://` and `wss://`, in Node, Bun and Deno.

import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { MakeCodec } from './engine/codec.js';
import { SpCodec } from './sp.js';
import { NanostateError } from './status.js';
import { codeOfSystem } from './system.js';
import type { Trust } from './tls.js';
import type { Handlers, Transport } from './transport.js';
import { WebCodec } from './web.js';

/** How long the other side has to close a connection that this side has ended, in milliseconds. */
const LINGER = 1_000;

export function usesTls(url: string): boolean {
  return /^(wss|tls\+tcp):/.test(url);
}

/** Where an address leads to. Throws a NanostateError if it is none of these. */
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
  if (/^wss?:/.test(url)) {
    const web = URL.canParse(url) ? new URL(url) : undefined;
    if (web && web.port !== '0' && !web.username && !web.password && !web.hash) {
      return { host: bare(web.hostname), port: Number(web.port || (usesTls(url) ? 443 : 80)) };
    }
  }
  const [, host, port] = /^(?:tls\+)?tcp:\/\/(\[[^\]]+\]|[^:/[\]]+):(\d+)$/.exec(url) ?? [];
  if (host === undefined || !(Number(port) > 0 && Number(port) < 65536)) {
    throw new NanostateError('NS_ERR_URL', `malformed URL: ${url}`);
  }
  return { host: bare(host), port: Number(port) };
}

/** A host without the brackets of an IPv6 address. */
function bare(host: string): string {
  return host.replace(/[[\]]/g, '');
}

/** `trust`: which hub to trust, for addresses with TLS. */
export function dialSocket(url: string, handlers: Handlers, trust: Trust | undefined): Transport {
  const to = target(url);
  const host = 'host' in to ? to.host! : '';
  const secures = usesTls(url) ? trust : undefined;
  const socket: Socket = secures ? connectTls({ ...to, ...secures.options(host) }) : connect(to);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 10_000);
  let error = new NanostateError('NS_ERR_CLOSED', 'the hub closed the connection');
  const notTrusted = (why: string) => new NanostateError('NS_ERR_TLS', `${why}: ${url}`);
  let isOpen = false;
  let isConnected = false;
  let web: WebCodec | undefined;
  let isCorked = false;
  const send = (bytes: Uint8Array) => {
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
  };
  const makeCodec: MakeCodec = (old, max) => {
    if (!url.startsWith('ws')) {
      return new SpCodec(url.startsWith('ipc:'), old, max);
    }
    return (web = new WebCodec(new URL(url), old, max, send));
  };
  socket.on('connect', () => (isConnected = true));
  socket.on(secures ? 'secureConnect' : 'connect', () => {
    const fault = secures?.fault(socket as TLSSocket, host);
    if (fault !== undefined) {
      error = notTrusted(fault);
      socket.destroy();
    } else {
      isOpen = true;
      handlers.opened(makeCodec);
    }
  });
  // A Buffer behaves differently from the Uint8Array that it is.
  socket.on('data', (data) => isOpen && handlers.received(new Uint8Array(data.buffer, data.byteOffset, data.length)));
  socket.on('drain', () => handlers.drained());
  socket.on('error', (cause: NodeJS.ErrnoException) => {
    if (secures && isConnected && !isOpen) {
      error = notTrusted(secures.words(cause));
      return;
    }
    const code = codeOfSystem(cause);
    const hint = code === 'NS_ERR_REFUSED' || code === 'NS_ERR_NOT_FOUND' ? ' (is "nanostate hub" running?)' : '';
    error = new NanostateError(code, `${cause.message}${hint}`);
  });
  socket.on('close', () => handlers.ended(error));
  return {
    send,
    get buffered() {
      return socket.writableLength;
    },
    close() {
      if (!isOpen) {
        socket.destroy();
      } else {
        if (web) send(web.farewell());
        socket.end();
        setTimeout(() => socket.destroy(), LINGER).unref();
      }
    },
    ref: (keeps) => (keeps ? socket.ref() : socket.unref()),
  };
}
