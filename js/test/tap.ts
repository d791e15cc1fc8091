// Somebody who listens between a program and its hub.

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach } from 'node:test';
import { decodeBody, type Body } from '../src/wire.js';
import type { Hub } from './support.js';

const taps: Tap[] = [];
afterEach(() => taps.splice(0).forEach((tap) => tap.close()));

/** Cuts the bodies out of one direction of a connection. */
export class Bodies {
  #bytes = Buffer.alloc(0);
  #isOpen = false;

  constructor(readonly take: (body: Body) => void) {}

  push(bytes: Buffer) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    if (!this.#isOpen && this.#bytes.length >= 8) {
      this.#bytes = this.#bytes.subarray(8);
      this.#isOpen = true;
    }
    while (this.#isOpen && this.#bytes.length >= 8) {
      const end = 8 + Number(this.#bytes.readBigUInt64BE());
      if (this.#bytes.length < end) return;
      this.take(decodeBody(this.#bytes.subarray(8, end), false));
      this.#bytes = this.#bytes.subarray(end);
    }
  }
}

/** Stands between a program and its hub, and notes what they say. */
export class Tap {
  /** What the program asks for: `+` and the patterns of a message, `-` and a pattern; and the names that it sends. */
  asked: string[] = [];
  /** The names of the states that it is sent. */
  sent: string[] = [];
  /** The states that the program sends. */
  readonly states: Body[] = [];
  /** Whether it was let in, how often. */
  links = 0;
  readonly #sockets = new Set<Socket>();

  private constructor(readonly server: Server, hub: string) {
    const { hostname, port } = new URL(hub);
    server.on('connection', (socket) => {
      const other = connect(Number(port), hostname);
      const asked = new Bodies((body) => {
        const { name, value } = body;
        if (name === '$ns/subscribe') this.asked.push(`+${value}`);
        else if (name === '$ns/unsubscribe') this.asked.push(`-${value}`);
        else if (!name.startsWith('$ns/')) {
          this.asked.push(name);
          this.states.push(body);
        }
      });
      const sent = new Bodies(({ name }) => {
        this.links += Number(name === '$ns/welcome');
        if (!name.startsWith('$ns/')) this.sent.push(name);
      });
      for (const [from, to, bodies] of [[socket, other, asked], [other, socket, sent]] as const) {
        this.#sockets.add(from);
        from.on('data', (bytes: Buffer) => (bodies.push(bytes), to.write(bytes)));
        from.on('error', () => {});
        from.on('close', () => to.destroy());
      }
    });
  }

  static async before(hub: Hub): Promise<Tap> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const tap = new Tap(server, hub.url);
    taps.push(tap);
    return tap;
  }

  get url(): string {
    return `tcp://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The connections end. */
  cut() {
    this.#sockets.forEach((socket) => socket.destroy());
    this.#sockets.clear();
  }

  close() {
    this.cut();
    this.server.close();
  }

  /** What it noted since the last time. */
  take(): { asked: string[]; sent: string[] } {
    return { asked: this.asked.splice(0), sent: this.sent.splice(0) };
  }
}
