// Where an app dials, when, and as what: addresses, waits, epochs, and what is left of refusals.

import { FLAGS } from '../control.js';
import { NanostateError, type Code } from '../status.js';
import type { Now } from './clock.js';
import { OLD_HUB_REMEMBERED, type Config } from './config.js';

const MASK = 2n ** 64n - 1n;

export class Dialler {
  #targets: { url: string; oldUntil: number }[] = [];
  /** Which of them is dialled, or was last. */
  #target = 0;
  /** Waits since the last link. */
  #attempt = 0;
  /** Connections that were opened, counted from 1. */
  epoch = 0;
  #token = 0;
  #random: bigint;
  /** The last attempt was refused. This holds while it is tried again, too. */
  isRefused = false;
  /** The identity was taken when the hub was last asked: the next attempt leaves it to a holder that is not lost. */
  #retries = false;
  /** Another app had or got the identity: it is not taken over any more. */
  #displaced = false;

  /** `seed` is random, for jitter. */
  constructor(seed: bigint) {
    this.#random = seed | 1n;
  }

  /** The program asks to connect to one of these addresses, of which there is at least one. */
  setUrls(urls: readonly string[]) {
    this.#targets = urls.map((url) => ({ url, oldUntil: 0 }));
    this.#target = 0;
    this.#attempt = 0;
    this.forgetRefusals();
    this.#displaced = false;
  }

  get url(): string {
    return this.#targets[this.#target]!.url;
  }

  /** The error of an attempt, which names the address. */
  withUrl({ code, message }: NanostateError): NanostateError {
    return new NanostateError(code, `${message}: ${this.url}`);
  }

  /** A number that names the next attempt. */
  nextToken(): number {
    return ++this.#token;
  }

  /** A connection was opened. Whether it is dialled as an old hub's. */
  opened(now: Now): boolean {
    this.epoch++;
    return this.#targets[this.#target]!.oldUntil > now.mono;
  }

  /** The hub at this address is an old one: it is dialled as such for a while. */
  rememberOld(now: Now) {
    this.#targets[this.#target]!.oldUntil = now.mono + OLD_HUB_REMEMBERED;
  }

  /** The address did not lead to a link. True: the next one is to be dialled at once. False: all of them were tried. */
  nextAddress(): boolean {
    this.#target = (this.#target + 1) % this.#targets.length;
    if (this.#target === 0) {
      this.isRefused = false;
    }
    return this.#target !== 0;
  }

  /** How long to wait before the next attempt, in milliseconds: longer each time, with jitter. */
  nextWait({ backoffMin, backoffMax }: Config): number {
    const half = Math.min(backoffMin * 2 ** Math.min(this.#attempt++, 20), backoffMax) / 2;
    // xorshift64: spreads reconnects, hides nothing.
    let random = this.#random;
    random ^= (random << 13n) & MASK;
    random ^= random >> 7n;
    random ^= (random << 17n) & MASK;
    this.#random = random;
    return half + Number(random % (BigInt(Math.floor(half * 1e6)) + 1n)) / 1e6;
  }

  /** There is a link, or there was one until now, or a reason to try at once: the next wait is a short one. */
  resetWaits() {
    this.#attempt = 0;
  }

  /** The hub has welcomed the app. */
  welcomed() {
    this.resetWaits();
    this.forgetRefusals();
  }

  /** The hub has refused the app. Whether the attempt before was refused, too. */
  refused(why: Code): boolean {
    const before = this.isRefused;
    this.isRefused = true;
    this.#retries = why === 'NS_ERR_IDENTITY_TAKEN';
    this.#displaced ||= this.#retries;
    return before;
  }

  forgetRefusals() {
    this.isRefused = this.#retries = false;
  }

  /** What the next hello says. */
  flags({ takeOver, shared, echo }: Config): number {
    return (
      (takeOver && !this.#displaced ? FLAGS.takeOver : 0) |
      (shared ? FLAGS.shared : 0) |
      (echo ? FLAGS.echo : 0) |
      (this.#retries ? FLAGS.retry : 0)
    );
  }
}
