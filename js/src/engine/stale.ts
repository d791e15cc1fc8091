// Whether values are stale: whether the apps that set them are gone, as far as the hub tells.

import { LIST_BEGINS, LIST_COMPLETE, type Heard } from '../control.js';
import { MOST_OTHERS, type Others } from './others.js';
import type { Publisher } from './publisher.js';
import type { State } from './received.js';
import type { Reports } from './reports.js';

/** The instance in a stamp. */
const INSTANCE_AT = 8;

export class Stale {
  /** Whether the program has ever asked. */
  isAsked = false;
  /** Whether the program hears of changes. */
  tells = false;
  /**
   * While it is not known of all who is there: the apps that are gone, since the hub has said so, or since they were when
   * it was known.
   */
  #kept = new Set<string>();

  constructor(
    readonly publisher: Publisher,
    readonly others: Others,
    readonly reports: Reports,
  ) {}

  /** Whether the app that set the newest value of a key is known to be gone. */
  isStale({ sender, name }: Pick<State, 'sender' | 'name'>): boolean {
    const { identity, own, received } = this.publisher;
    const mine = sender === identity ? own.find(name) : undefined;
    const known = received.find(sender, name);
    const isMine = mine && !(known && known.stamp > mine.stamp);
    const newest = isMine ? mine : known;
    if (!newest || (isMine ? mine : known!.state).kind === 'cleared') {
      return false;
    }
    const key = this.#left(sender, newest.stamp);
    return key !== undefined && (this.others.areCertain || this.#kept.has(key));
  }

  /** The app that set a value, if nobody vouches for it: neither is the app there, nor has this hub stamped it. */
  #left(sender: string, stamp: string): string | undefined {
    const { identity, stamper, hub } = this.publisher;
    const instance = stamp.slice(INSTANCE_AT);
    const key = instance + sender;
    const isVouched = instance === hub.instance || key === stamper.instance + identity || this.others.known.has(key);
    return isVouched ? undefined : key;
  }

  /** The link is gone, or the hub begins another list: what is stale stays so until it is known who is there. */
  keep() {
    if (this.isAsked && this.others.areCertain) {
      this.#kept = new Set();
      for (const { state, stamp } of this.publisher.received.values()) {
        const key = this.#left(state.sender, stamp);
        key !== undefined && this.#kept.add(key);
      }
    }
    this.others.isOld = false;
  }

  /** The hub says this of other apps. */
  heard(heard: Heard) {
    const { what, identity, instance } = heard;
    const { others } = this;
    const key = instance + identity;
    const wasThere = others.known.has(key);
    what === LIST_BEGINS && this.keep();
    others.heard(heard);
    if (what === LIST_COMPLETE && others.areCertain) {
      this.#kept.clear();
      this.#tell(undefined);
    } else if (others.known.has(key) !== wasThere) {
      if (wasThere && this.isAsked && !others.areCertain && this.#kept.size < MOST_OTHERS) {
        this.#kept.add(key);
      }
      this.#tell(identity);
    }
  }

  #tell(sender: string | undefined) {
    this.tells && this.reports.add({ is: 'stale', sender });
  }
}
