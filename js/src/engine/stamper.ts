// The stamps that an app makes, and what it knows of its hub's time.

import { fromBytes, stampOf, type LogicalTime, type Stamp } from '../wire.js';
import { LogicalClock, type Now } from './clock.js';
import { REBASES } from './config.js';

export class Stamper {
  readonly clock = new LogicalClock();
  /** The instance, as stamps end with it. */
  readonly instance: string;
  /** Whether a v1 hub has welcomed the app: until then own values have a stamp for now, and get theirs then. */
  #hasHubTime = false;
  /** How often the hub of this link set the clock back. */
  #rebases = 0;
  /** When hello was said, by the boot clock. */
  helloAt = 0;

  constructor(instance: Uint8Array) {
    this.instance = fromBytes(instance);
  }

  /** A stamp that is later than all that is known. */
  next(now: Now): Stamp {
    return stampOf(this.clock.tick(now), this.instance);
  }

  isMine(stamp: Stamp): boolean {
    return stamp.endsWith(this.instance);
  }

  /** Hello is said now. Returns the time that it tells. */
  sayHello(now: Now): LogicalTime {
    this.helloAt = now.boot;
    return this.clock.read(now);
  }

  /** A welcome came. Whether it is the first. */
  isFirst(): boolean {
    const isFirst = !this.#hasHubTime;
    this.#hasHubTime = true;
    return isFirst;
  }

  /** The hub finds a stamp too far in the future. Whether its time is to be gone by once more on this link. */
  mayRebase(): boolean {
    return this.#rebases++ < REBASES;
  }

  /** The link is gone. */
  unlink() {
    this.#rebases = 0;
  }
}
