// Clients of a test that are closed with it.

import { afterEach } from 'node:test';
import type { Options } from '../src/index.js';
import { Nanostate } from '../src/node.js';

const clients: Nanostate[] = [];
/** A client that is closed with the test. */
export function app(identity: string, url: string, options: Options = {}): Nanostate {
  const client = new Nanostate(identity, url, { log() {}, backoffMax: 200, ...options });
  clients.push(client);
  return client;
}
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));
