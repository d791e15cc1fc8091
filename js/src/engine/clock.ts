// The clocks of an app: the logical one, which orders values, and the one that goes on while a machine is suspended.

import type { LogicalTime } from '../wire.js';

/** A moment, in milliseconds of three clocks. */
export interface Now {
  /** The monotonic clock, for deadlines. */
  mono: number;
  /** Since 1970, by the wall clock, which may jump. */
  wall: number;
  /** A monotonic clock that goes on while the machine is suspended, for the age of values. */
  boot: number;
}

/** 2200-01-01 in milliseconds since 1970. A stamp beyond it can be a fault of the clock that made it. */
const YEAR_2200 = 7_258_118_400_000;
/** How far a stamp may be ahead then, and how far a clock may be ahead of the wall clock before that is told. */
const AHEAD = 60_000;
const LAST = 2n ** 64n - 1n;
const LAST_MILLIS = 2 ** 48 - 1;

export function fromMillis(millis: number): LogicalTime {
  return BigInt(Math.min(Math.max(Math.floor(millis), 0), LAST_MILLIS)) << 16n;
}

export function toMillis(time: LogicalTime): number {
  return Number(time >> 16n);
}

/** The next time after it, of which the last has none. */
export function next(time: LogicalTime): LogicalTime {
  return time < LAST ? time + 1n : LAST;
}

/** Whether a reading is beyond the year 2200, and more than a minute ahead of a clock that reads `time`. */
export function isBeyond(reading: LogicalTime, time: LogicalTime): boolean {
  return toMillis(reading) > Math.max(YEAR_2200, toMillis(time) + AHEAD);
}

/** It begins at the wall clock and runs with the boot clock. Readings of others raise it; only a rebase lowers it. */
export class LogicalClock {
  /** At `boot`, it read `millis`. */
  #base: { boot: number; millis: number } | undefined;
  /** The latest reading that was given out or observed. */
  #last: LogicalTime = 0n;
  #toldAhead = false;

  /** The time, not before anything that was given out or observed. */
  read(now: Now): LogicalTime {
    const running = this.#running(now);
    return running > this.#last ? running : this.#last;
  }

  /** A reading that is later than every earlier one and than everything observed, unless the clock is at its end. */
  tick(now: Now): LogicalTime {
    const running = this.#running(now);
    const later = next(this.#last);
    this.#last = running > later ? running : later;
    return this.#last;
  }

  /** Learns another clock's reading. Whether that raised this one. */
  observe(now: Now, reading: LogicalTime): boolean {
    if (reading <= this.#last) {
      return false;
    }
    this.#last = reading;
    const observed = toMillis(reading);
    const raised = observed > toMillis(this.#running(now));
    if (raised) {
      this.#base = { boot: now.boot, millis: observed };
    }
    return raised;
  }

  /** Sets the clock to the reading of another, which may be earlier. */
  rebase(now: Now, reading: LogicalTime) {
    this.#last = reading;
    this.#base = { boot: now.boot, millis: toMillis(reading) };
  }

  /** Says once that it is more than a minute ahead of the wall clock. */
  aheadOfWall(now: Now): string | undefined {
    const ahead = toMillis(this.read(now)) - now.wall;
    if (this.#toldAhead || ahead <= AHEAD) {
      return undefined;
    }
    this.#toldAhead = true;
    return `states are stamped ${Math.floor(ahead / 1000)} s ahead of this machine's clock`;
  }

  #running(now: Now): LogicalTime {
    this.#base ??= { boot: now.boot, millis: Math.floor(Math.min(Math.max(now.wall, 0), LAST_MILLIS)) };
    return fromMillis(Math.floor(now.boot - this.#base.boot) + this.#base.millis);
  }
}

/** A jump of the wall clock beyond this, in milliseconds, counts as time for which the machine was suspended. */
const JUMP = 2_000;

/** Tells the moment where there is no boot clock: a forward jump of the wall clock is added to the monotonic one. */
export class Moments {
  #last: { mono: number; wall: number } | undefined;
  #suspended = 0;

  now(mono: number, wall: number): Now {
    const last = this.#last ?? { mono, wall };
    const jump = wall - last.wall - (mono - last.mono);
    if (jump > JUMP) {
      this.#suspended += jump;
    }
    this.#last = { mono, wall };
    return { mono, wall, boot: mono + this.#suspended };
  }
}
