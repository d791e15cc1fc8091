// What an app received: the newest value of each key.

import type { Kind, Value } from '../msgpack.js';
import type { Stamp } from '../wire.js';

/** A value of a name, as some program sent it. It is the same object wherever it is shown. */
export interface State {
  readonly sender: string;
  readonly name: string;
  readonly value: Value;
  /** What it was sent as: `int` 22 and `double` 22 are both the number 22. */
  readonly kind: Kind;
  /** When it was sent, in milliseconds since 1970, by the clock that all on the hub agree on; 0 from an old hub. */
  readonly time: number;
  /** Whether the hub held it already when this program connected. */
  readonly retained: boolean;
}

interface Known {
  state: State;
  stamp: Stamp;
  size: number;
}

/** What a value takes beside its body, in bytes. */
const OVERHEAD = 200;

export class Received {
  /** By name, then by sender. */
  readonly #names = new Map<string, Map<string, Known>>();
  /** In the order in which each first arrived. */
  readonly #order = new Map<string, Known>();
  #bytes = 0;

  constructor(readonly limit: number) {}

  find(sender: string, name: string): Known | undefined {
    return this.#names.get(name)?.get(sender);
  }

  /** The newest value of a name, of any sender. */
  newest(name: string): Known | undefined {
    let newest: Known | undefined;
    for (const known of this.#names.get(name)?.values() ?? []) {
      if (!newest || known.stamp > newest.stamp) {
        newest = known;
      }
    }
    return newest;
  }

  /** Every value, those known longest first. */
  values(): Iterable<Known> {
    return this.#order.values();
  }

  /** Makes it the newest value of its key. `size` is that of its body. */
  insert(state: State, stamp: Stamp, size: number) {
    const { sender, name } = state;
    let known = this.find(sender, name);
    if (known) {
      this.#bytes += size - known.size;
      Object.assign(known, { state, stamp, size });
    } else {
      known = { state, stamp, size };
      this.#bytes += size + OVERHEAD;
      this.#order.set(keyOf(state), known);
      let senders = this.#names.get(name);
      if (!senders) {
        this.#names.set(name, (senders = new Map<string, Known>()));
      }
      senders.set(sender, known);
    }
    for (const oldest of this.#order.values()) {
      if (this.#bytes <= this.limit) {
        break;
      }
      if (oldest !== known) {
        this.#forget(oldest);
      }
    }
  }

  #forget({ state, size }: Known) {
    this.#bytes -= size + OVERHEAD;
    this.#order.delete(keyOf(state));
    const senders = this.#names.get(state.name)!;
    senders.delete(state.sender);
    if (senders.size === 0) {
      this.#names.delete(state.name);
    }
  }

  /** Forgets values whose stamp is not to be trusted. */
  forgetIf(astray: (stamp: Stamp) => boolean) {
    for (const known of this.#order.values()) {
      if (astray(known.stamp)) {
        this.#forget(known);
      }
    }
  }

  clear() {
    this.#names.clear();
    this.#order.clear();
    this.#bytes = 0;
  }
}

/** A key in one string: neither sender nor name contains NUL. */
export function keyOf({ sender, name }: State): string {
  return `${sender}\0${name}`;
}
