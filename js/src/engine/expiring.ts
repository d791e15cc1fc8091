// What lives for a limited time: which is over next.

/** Something that may expire. */
export interface Mortal {
  /** When it expires, by the monotonic clock; Infinity: never. */
  end: number;
}

export class Expiring<T extends Mortal> {
  /** Those that expire, in the order in which they do. */
  readonly #queue: T[] = [];

  /** It expires then, and at no other time. */
  set(one: T, end: number) {
    if (one.end < Infinity) {
      // Those with the same end stand behind each other.
      this.#queue.splice(this.#queue.indexOf(one, this.#behind(one.end - 1)), 1);
    }
    one.end = end;
    if (end < Infinity) {
      this.#queue.splice(this.#behind(end), 0, one);
    }
  }

  /** How many expire before this time or at it. */
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

  /** Takes those that have expired by then. */
  takeDue(mono: number): T[] {
    const due = this.#queue.splice(0, this.#behind(mono));
    due.forEach((one) => (one.end = Infinity));
    return due;
  }
}
