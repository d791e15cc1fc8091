// One connection to a hub, as a session sees it.

import { token } from '../control.js';
import type { Codec } from './codec.js';
import { Feed } from './feed.js';

export class Connection {
  readonly feed: Feed;
  /** The token of the newest ping that there was no room to answer. */
  #pong: bigint | undefined;

  constructor(
    readonly conn: number,
    readonly codec: Codec,
    readonly identity: string,
    readonly outbox: number,
  ) {
    this.feed = new Feed((body) => codec.frame(body), outbox);
  }

  ping(number: number | bigint) {
    this.feed.message(token(this.identity, 'ping', number));
  }

  /** The hub sent a ping. It takes the place of any before it that waits for room. */
  pinged(number: bigint) {
    this.#pong = number;
    this.answer();
  }

  /** Answers a ping, if there is room: a hub that asks and does not read must not fill memory. */
  answer() {
    if (this.#pong !== undefined && this.feed.waiting <= this.outbox) {
      this.feed.message(token(this.identity, 'pong', this.#pong));
      this.#pong = undefined;
    }
  }
}
