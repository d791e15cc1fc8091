// Things that live for a limited time, in the order in which they expire.

/** Something that may expire. */
export interface Mortal {
  /** When it expires, by the monotonic clock; Infinity: never. */
  end: number;
}

export class Expiring<T extends Mortal> {
  /** Those that expire, the next one first. */
  readonly #queue: T[] = [];

  /** Sets when it expires, instead of any time set before. */
  set(one: T, end: number) {
    if (one.end < Infinity) {
      // Those with the same end are next to each other.
      this.#queue.splice(this.#queue.indexOf(one, this.#behind(one.end - 1)), 1);
    }
    one.end = end;
    if (end < Infinity) {
      this.#queue.splice(this.#behind(end), 0, one);
    }
  }

  /** How many expire at this time or earlier. */
  #behind(end: number): number {
    let [from, to] = [0, this.#queue.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#queue[middle]!.end > end) {
        to = middle;
      } else {
        from = middle + 1;
      }
    }
    return from;
  }

  /** When the first expires. */
  get first(): number {
    return this.#queue[0]?.end ?? Infinity;
  }

  /** Removes and returns those that have expired by this time. */
  takeDue(mono: number): T[] {
    const due = this.#queue.splice(0, this.#behind(mono));
    due.forEach((one) => (one.end = Infinity));
    return due;
  }
}
