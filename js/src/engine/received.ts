// What an app received: the newest value of each key.

import type { Kind, Value } from '../msgpack.js';
import type { Stamp } from '../wire.js';
import { Expiring, type Mortal } from './expiring.js';

interface About {
  readonly sender: string;
  readonly name: string;
  /** When it was sent, in milliseconds since 1970, by the clock that all on the hub agree on; 0 from an old hub. */
  readonly time: number;
  /** Whether the hub held it already when this program asked for it. */
  readonly retained: boolean;
}

/** A value of a name, as some program sent it. It is the same object wherever it is shown. */
export interface ValueState extends About {
  readonly value: Value;
  /** What it was sent as: `int` 22 and `double` 22 are both the number 22. */
  readonly kind: Kind;
}

/** Its sender has withdrawn the value of a name. */
export interface ClearedState extends About {
  readonly value: undefined;
  readonly kind: 'cleared';
}

/** What a program is told of a name: a value, or that there is none any more. */
export type State = ValueState | ClearedState;

interface Known extends Mortal {
  state: State;
  stamp: Stamp;
  size: number;
}

/** What a value takes beside its body, in bytes. */
const OVERHEAD = 200;
/** Of so many keys it is remembered that their value was cleared. */
export const MOST_CLEARED = 10_000;

export class Received {
  /** By name, then by sender. */
  readonly #names = new Map<string, Map<string, Known>>();
  /** The keys that have a value, in the order in which each first arrived. */
  readonly #values = new Map<string, Known>();
  /** Those whose value was cleared, in the order in which they were. */
  readonly #cleared = new Map<string, Known>();
  #bytes = 0;
  /** Those whose value expires. */
  readonly ends = new Expiring<Known>();

  constructor(readonly limit: number) {}

  /** What is known of a key, also that it was cleared. */
  find(sender: string, name: string): Known | undefined {
    return this.#names.get(name)?.get(sender);
  }

  /** The newest value of a name, of any sender that has one. */
  newest(name: string): Known | undefined {
    let newest: Known | undefined;
    for (const known of this.#names.get(name)?.values() ?? []) {
      if (known.state.kind !== 'cleared' && (!newest || known.stamp > newest.stamp)) {
        newest = known;
      }
    }
    return newest;
  }

  /** Every key that has a value, those known longest first. */
  values(): Iterable<Known> {
    return this.#values.values();
  }

  /** Makes it the newest value of its key until `end`, or its key one without a value. `size` is that of its body. */
  insert(state: State, stamp: Stamp, size: number, end = Infinity) {
    const { sender, name } = state;
    const key = keyOf(state);
    let known = this.find(sender, name);
    if (known) {
      this.#bytes += size - known.size;
      Object.assign(known, { state, stamp, size });
    } else {
      known = { state, stamp, size, end: Infinity };
      this.#bytes += size + OVERHEAD;
      let senders = this.#names.get(name);
      if (!senders) {
        this.#names.set(name, (senders = new Map<string, Known>()));
      }
      senders.set(sender, known);
    }
    const isCleared = state.kind === 'cleared';
    this.ends.set(known, isCleared ? Infinity : end);
    (isCleared ? this.#values : this.#cleared).delete(key);
    (isCleared ? this.#cleared : this.#values).set(key, known);
    for (const all of [this.#cleared, this.#values]) {
      for (const oldest of all.values()) {
        if (this.#bytes <= this.limit && this.#cleared.size <= MOST_CLEARED) {
          break;
        }
        if (oldest !== known) {
          this.#forget(oldest);
        }
      }
    }
  }

  #forget(known: Known) {
    const { state, size } = known;
    this.ends.set(known, Infinity);
    this.#bytes -= size + OVERHEAD;
    this.#values.delete(keyOf(state));
    this.#cleared.delete(keyOf(state));
    const senders = this.#names.get(state.name)!;
    senders.delete(state.sender);
    if (senders.size === 0) {
      this.#names.delete(state.name);
    }
  }

  /** Forgets a key. */
  forgetKey(sender: string, name: string) {
    const known = this.find(sender, name);
    if (known) {
      this.#forget(known);
    }
  }

  /** Forgets the keys of which this is true. */
  forgetIf(isOut: (known: Known) => boolean) {
    for (const known of [...this.#cleared.values(), ...this.#values.values()]) {
      if (isOut(known)) {
        this.#forget(known);
      }
    }
  }

  clear() {
    this.forgetIf(() => true);
  }
}

/** A key in one string: neither sender nor name contains NUL. */
export function keyOf({ sender, name }: State): string {
  return `${sender}\0${name}`;
}
