// Pings by which a program measures how far away its hub is.

/** From here on are the tokens of these pings. Those that ask for acknowledgements are versions, which do not get there. */
const FIRST = 1n << 63n;

export interface Ping {
  readonly sentAt: number;
  /** Up to which version of the own values the hub was asked before it. */
  readonly asked: number;
  /** How long the answer took, in milliseconds, once it has come. */
  took: number | undefined;
  /** Its link is gone: no answer comes. */
  isLost: boolean;
}

export class Pings {
  #next = FIRST;
  /** Those that were sent on this link and are not answered, by token. */
  readonly #waiting = new Map<bigint, Ping>();

  /** One is sent at this time, behind the question for all values up to `asked`. It and its token. */
  send(sentAt: number, asked: number): [Ping, bigint] {
    const ping: Ping = { sentAt, asked, took: undefined, isLost: false };
    this.#waiting.set(this.#next, ping);
    return [ping, this.#next++];
  }

  /**
   * A pong came. Returns the version up to which it answers for the own values: a hub that has no room answers only the
   * newest ping, whichever that is.
   */
  answered(mono: number, token: bigint): number {
    if (token < FIRST || token >= this.#next) {
      return Number(token);
    }
    const ping = this.#waiting.get(token);
    this.#waiting.delete(token);
    if (!ping) {
      return 0;
    }
    ping.took = mono - ping.sentAt;
    return ping.asked;
  }

  /** The link is gone. */
  unlink() {
    this.#waiting.forEach((ping) => (ping.isLost = true));
    this.#waiting.clear();
  }
}
