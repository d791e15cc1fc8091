// The newest value of a name, in the forms that React and Svelte take.

import type { Sendable, Value } from './msgpack.js';
import { call } from './watchers.js';

/** The newest value of a name, whoever sent it; `undefined` while there is none. */
export class Store<T extends Value = Value> {
  readonly #subscribers = new Set<{ fn: (value: T | undefined) => void }>();
  #shown: T | undefined;
  /** Ends the use of the name, which lasts from the first look until the last subscriber has left. */
  #end: (() => void) | undefined;

  constructor(
    private readonly begin: () => () => void,
    private readonly known: () => T | undefined,
    readonly set: (value: Sendable) => void,
  ) {}

  /** The newest value: the same object as long as it is the same value. */
  readonly getSnapshot = (): T | undefined => {
    this.#end ??= this.begin();
    return this.known();
  };

  /** Calls `fn` with the value, now and whenever there is another, until what is returned is called. */
  readonly subscribe = (fn: (value: T | undefined) => void): (() => void) => {
    if (this.#subscribers.size === 0) {
      this.#shown = this.getSnapshot();
    }
    // Each subscription is one of its own, also of the same function.
    const subscriber = { fn };
    this.#subscribers.add(subscriber);
    call(fn, this.getSnapshot());
    return () => {
      if (this.#subscribers.delete(subscriber) && this.#subscribers.size === 0) {
        this.#end!();
        this.#end = undefined;
      }
    };
  };

  /** There may be another value. */
  refresh() {
    if (this.#subscribers.size === 0) {
      return;
    }
    const value = this.getSnapshot();
    if (value !== this.#shown) {
      this.#shown = value;
      for (const { fn } of this.#subscribers) {
        call(fn, value);
      }
    }
  }
}
