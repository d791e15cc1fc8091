// Which other apps are there, as far as the hub tells.

import { LEFT, LIST_BEGINS, LIST_COMPLETE, LIST_COMPLETE_YOUNG, SUSPECT, type Heard } from '../control.js';
import { toBytes } from '../wire.js';
import type { Reports } from './reports.js';

/** Another app. */
export interface Peer {
  readonly identity: string;
  /** 32 hexadecimal digits, its own as long as it lives: tells apps apart that share an identity. */
  readonly instance: string;
  /**
   * `here`: it was there before. `joined`: it has come. `suspect`: nothing is heard of it, or its connection has broken.
   * `recovered`: it is not suspect any more. `left`: it has ended on purpose, or was gone when there was a hub again.
   * `lost`: it was suspect for too long.
   */
  readonly presence: 'here' | 'joined' | 'suspect' | 'recovered' | 'left' | 'lost';
}

/** The most that are known. */
export const MOST_OTHERS = 65_536;

export class Others {
  /** Those who are there: `here` or `suspect`. */
  readonly known = new Map<string, Peer>();
  /** Whether the hub is to tell. */
  isWanted = false;
  /** Whether the list of this link has come. */
  isComplete = false;
  /** Whether a list of a hub that is not young was ever complete. */
  #wasComplete = false;
  /** Whether that of this link was. */
  isOld = false;
  /** Whether the present list has more apps than may be known. */
  #isOver = false;
  /** Those whom the present list has. */
  readonly #listed = new Set<string>();

  constructor(readonly reports: Reports) {}

  /** Whether an app that is not known is not there: the hub of this link has told all, and is not young. */
  get areCertain(): boolean {
    return this.isOld && !this.#isOver;
  }

  /** The hub says this. */
  heard({ what, identity, instance }: Heard) {
    if (what === LIST_BEGINS) {
      this.isComplete = this.#isOver = false;
      this.#listed.clear();
    } else if (what < LIST_COMPLETE) {
      this.#is(what, instance + identity, identity, instance);
    } else if (what <= LIST_COMPLETE_YOUNG) {
      this.isComplete = true;
      if (what === LIST_COMPLETE) {
        this.#wasComplete = this.isOld = true;
        this.known.forEach((_, key) => this.#listed.has(key) || this.#is(LEFT, key));
      }
    }
  }

  #is(what: number, key: string, identity = '', instance = '') {
    const known = this.known.get(key);
    const tell = (peer: Peer, presence: Peer['presence']) => this.reports.add({ is: 'presence', peer: { ...peer, presence } });
    if (what >= LEFT) {
      if (known) {
        this.known.delete(key);
        tell(known, what === LEFT ? 'left' : 'lost');
      }
    } else if (known || this.known.size < MOST_OTHERS) {
      const presence = what === SUSPECT ? 'suspect' : 'here';
      const hex = Array.from(toBytes(instance), (byte) => byte.toString(16).padStart(2, '0')).join('');
      const peer: Peer = { identity, instance: hex, presence };
      this.known.set(key, peer);
      this.#listed.add(key);
      if (!known) {
        tell(peer, this.#wasComplete ? 'joined' : 'here');
      }
      if (presence !== (known?.presence ?? 'here')) {
        tell(peer, presence === 'here' ? 'recovered' : presence);
      }
    } else {
      this.#isOver = true;
    }
  }
}
