// The way from the own values to a connection.
//
// While the transport keeps up the feed is live: every change is queued behind the last. Once more than the limit waits,
// nothing is added, and when what waits is sent, a walk takes the newest values from the table until none is due.
// Joining and overflow are this one state.

import { FEATURES } from '../control.js';
import { OLD_BODY, TRANSIENT } from '../wire.js';
import type { Entry, Own } from './own.js';

/** A walk adds values while less than this waits. */
const FILL = 256 << 10;

export class Feed {
  /** Whether bodies have three elements. */
  isOld = false;
  /** What the hub can do, as bits of `FEATURES`. */
  features = 0;
  #queue: Uint8Array[] = [];
  /** Where in the queue the next message is: what was sent is removed now and then. */
  #head = 0;
  /** Bytes that wait. */
  waiting = 0;
  /** The slot that a walk looks at next; none while live. */
  #walk: number | undefined;
  /** The version up to which everything was sent when this pass began, and what that will be for the next. */
  #passed = 0;
  #passing = 0;
  /** The version of the table when the walk began. */
  #fellBehind = 0;

  constructor(
    /** Puts a body into a frame. */
    readonly frame: (body: Uint8Array) => Uint8Array,
    readonly limit: number,
  ) {}

  /** Whether there is nothing to send. */
  get isDrained(): boolean {
    return this.waiting === 0 && this.#walk === undefined;
  }

  /** The version of the table up to which every change, or a newer one of its name, is on its way. */
  through(own: Own): number {
    return this.#walk === undefined ? own.version : this.#passed;
  }

  /** Sends everything in the table, from the start. */
  walkAll(own: Own) {
    for (const entry of own.values()) {
      entry.isDue = true;
    }
    this.#begin(own, 0);
  }

  #begin(own: Own, passed: number) {
    this.#walk = 0;
    this.#passed = passed;
    this.#fellBehind = this.#passing = own.version;
  }

  /** Bytes that are no body: a header. */
  raw(bytes: Uint8Array) {
    this.#queue.push(bytes);
    this.waiting += bytes.length;
  }

  /** A body that is not in the table. */
  message(body: Uint8Array) {
    this.raw(this.frame(body));
  }

  /** An entry has changed. `mono` is the present time. */
  change(own: Own, entry: Entry, mono: number) {
    if (this.#walk !== undefined) {
      entry.isDue = true;
      return;
    }
    this.#write(entry, mono);
    if (this.waiting > this.limit) {
      this.#begin(own, own.version);
    }
  }

  #write(entry: Entry, mono: number) {
    entry.isDue = false;
    // Rounded up, except for rounding errors of the clocks.
    const left = Math.ceil(entry.end - mono - 1e-6);
    if (left <= 0) {
      // Its withdrawal follows.
      return;
    }
    if (this.isOld) {
      const old = entry.body.slice(0, entry.metaAt);
      old[0] = OLD_BODY;
      this.message(old);
    } else {
      const flags = this.features & FEATURES.transient ? entry.flags : entry.flags & ~TRANSIENT;
      this.message(entry.bodyWith(flags, this.features & FEATURES.lifetime && left < Infinity ? left : 0));
    }
  }

  /** Whether this entry was a change, or would have been, since the walk began. */
  cameWhileBehind(entry: Entry): boolean {
    return entry.version > this.#fellBehind;
  }

  /** During a walk, queues as many of the `wanted` entries as there is room for. `mono` is the present time. */
  fill(own: Own, mono: number, wanted: (entry: Entry) => boolean) {
    while (this.#walk !== undefined && this.waiting < FILL) {
      while (this.#walk < own.slots.length && !own.slots[this.#walk]?.isDue) {
        this.#walk++;
      }
      const entry = own.slots[this.#walk];
      if (entry) {
        this.#walk++;
        entry.isDue = false;
        if (wanted(entry)) {
          this.#write(entry, mono);
        }
      } else if (own.slots.some((entry) => entry?.isDue)) {
        this.#walk = 0;
        this.#passed = this.#passing;
        this.#passing = own.version;
      } else {
        this.#walk = undefined;
      }
    }
  }

  /** The next bytes to send. */
  next(): Uint8Array | undefined {
    const bytes = this.#queue[this.#head];
    if (!bytes) {
      this.#queue = [];
      this.#head = 0;
      return undefined;
    }
    this.#head++;
    this.waiting -= bytes.length;
    if (this.#head === 1024) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
    return bytes;
  }
}
