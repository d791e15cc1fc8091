// An app's own newest values: when each was sent, and what the hub said of it.

import { Writer, decode, encode, numberOf, type Kind, type Value } from '../msgpack.js';
import { NanostateError, words, type Code } from '../status.js';
import {
  CLEAR, FLAGS_KEY, LIFETIME_KEY, STAMP_HEAD, TRANSIENT, clockOf, expired, join, stampOf, toBytes, writeHead, type LogicalTime, type Stamp,
} from '../wire.js';
import { fromMillis, next, toMillis, type Now } from './clock.js';
import { ANNOUNCED, CLEARED, RESTAMPS } from './config.js';
import { Expiring, type Mortal } from './expiring.js';
import type { State } from './received.js';

/** An own value, or that a name has none any more. */
export class Entry implements Mortal {
  /** The version of the table at its last change. */
  version = 0;
  /** When it was sent, by the boot clock, and the version then: a new stamp does not change that. */
  sentAt = 0;
  sentVersion = 0;
  /** Whether the hub of this link is still to be sent it. */
  isDue = false;
  /** How often it was stamped anew on this link. */
  retries = 0;
  /** The stamp that the hub of this link did not take, and why. */
  refused: { stamp: Stamp; why: Code } | undefined;
  /** When it was cleared, if it was. */
  clearedAt = 0;
  end = Infinity;
  #state: State | undefined;

  /** A v1 body, whose meta has a stamp and nothing else. Never changed: it may wait to be sent. */
  body!: Uint8Array;
  /** Where in the body the value begins, and where it ends. */
  dataAt = 0;
  metaAt = 0;
  kind!: Kind | 'cleared';
  stamp!: Stamp;
  /** `CLEAR`, `TRANSIENT` or none. */
  flags = 0;

  constructor(
    readonly sender: string,
    readonly name: string,
    /** Where it stands in the table. */
    readonly slot: number,
  ) {}

  /** The value as others see it. Always the same object, until there is another value or stamp. */
  state(): State {
    const { sender, name, kind } = this;
    return (this.#state ??= Object.freeze({
      sender,
      name,
      value: kind === 'cleared' ? undefined : this.#data(),
      kind,
      time: toMillis(clockOf(this.stamp)),
      retained: false,
    } as State));
  }

  #data(): Value {
    return decode(this.body.subarray(this.dataAt, this.metaAt));
  }

  /** The number of the kind of its value; if that is cleared, of the one that it had. 0: it is not known. */
  get kindNumber(): number {
    return this.kind === 'cleared' ? Number(this.#data()) : numberOf(this.kind);
  }

  replace(head: Uint8Array, data: Uint8Array, kind: Kind | 'cleared', stamp: Stamp, flags: number) {
    this.dataAt = head.length;
    this.metaAt = head.length + data.length;
    this.body = join(head, data, STAMP_HEAD, toBytes(stamp));
    this.kind = kind;
    this.flags = flags;
    this.stamp = stamp;
    this.#state = undefined;
  }

  /** Its body with these flags and this rest of its life in milliseconds, each unless it is 0. */
  bodyWith(flags: number, left: number): Uint8Array {
    if (!flags && !left) {
      return this.body;
    }
    const body = join(this.body, flags ? [FLAGS_KEY, flags] : [], left ? [LIFETIME_KEY, ...encode(left)] : []);
    body[this.metaAt]! += flags && left ? 2 : 1;
    return body;
  }

  restamp(stamp: Stamp) {
    this.body = join(this.body.subarray(0, this.metaAt), STAMP_HEAD, toBytes(stamp));
    this.stamp = stamp;
    this.#state &&= Object.freeze({ ...this.#state, time: toMillis(clockOf(stamp)) });
  }
}

/** How a value is sent. */
export interface Policy {
  isTransient?: boolean | undefined;
  /** After how many milliseconds it expires. */
  lifetime?: number | undefined;
}

/** The hub did not take a value of this name. */
export function notTaken(name: string, why: Code): NanostateError {
  // The hub lets it in all the same: as a page of another server, for one.
  const hint = why === 'NS_ERR_PERMISSION' ? ' (only reading is allowed)' : '';
  return new NanostateError(why, `"${name}" was not taken by the hub: ${words(why)}${hint}`);
}

/** The length of the meta of an entry. */
const META = STAMP_HEAD.length + 24;
/** What an entry takes beside its body, in bytes. */
const OVERHEAD = 200;

export class Own {
  readonly #byName = new Map<string, Entry>();
  /** In the order in which a hub is sent them. */
  readonly slots: (Entry | undefined)[] = [];
  readonly #free: number[] = [];
  /** Those that are cleared, the oldest first. */
  readonly #cleared = new Set<Entry>();
  #bytes = 0;
  /** The number of changes so far. */
  version = 0;
  /** The version of the last value that was stamped anew on this link. */
  restamped = 0;
  /** Those whose value expires. */
  readonly ends = new Expiring<Entry>();

  constructor(
    readonly identity: string,
    readonly limit: number,
  ) {}

  find(name: string): Entry | undefined {
    return this.#byName.get(name);
  }

  values(): Iterable<Entry> {
    return this.#byName.values();
  }

  /** The beginning of a body of this name, up to its data. */
  head(name: string): Uint8Array {
    const entry = this.#byName.get(name);
    if (entry) {
      return entry.body.subarray(0, entry.dataAt);
    }
    const writer = new Writer();
    writeHead(writer, this.identity, name);
    return writer.copy();
  }

  /**
   * Takes an encoded value that is sent now, whatever the stamp of the one before it. `head` is that of its name. Names
   * that are cleared make room, those cleared longest ago first. Throws if that is not enough.
   */
  put(
    now: Now, name: string, head: Uint8Array, data: Uint8Array, kind: Kind | 'cleared', stamp: Stamp,
    { isTransient, lifetime = Infinity }: Policy = {},
  ): Entry {
    let entry = this.#byName.get(name);
    const size = head.length + data.length + META;
    const more = size + (entry ? -entry.body.length : OVERHEAD);
    for (const cleared of this.#cleared) {
      if (this.#bytes + more <= this.limit) {
        break;
      }
      if (cleared !== entry) {
        this.forget(cleared);
      }
    }
    if (this.#bytes + more > this.limit) {
      const text = `"${name}" (${size} bytes) does not fit: ${this.#bytes} of ${this.limit} bytes are in use`;
      throw new NanostateError('NS_ERR_FULL', text);
    }
    this.#bytes += more;
    if (!entry) {
      const slot = this.#free.pop() ?? this.slots.length;
      entry = this.slots[slot] = new Entry(this.identity, name, slot);
      this.#byName.set(name, entry);
    }
    const isCleared = kind === 'cleared';
    entry.replace(head, data, kind, stamp, isCleared ? CLEAR : isTransient ? TRANSIENT : 0);
    entry.version = entry.sentVersion = ++this.version;
    entry.sentAt = now.boot;
    this.ends.set(entry, isCleared ? Infinity : now.mono + lifetime);
    this.#cleared.delete(entry);
    if (isCleared) {
      this.#cleared.add(entry);
      entry.clearedAt = now.mono;
    }
    return entry;
  }

  /** Withdraws the values that have expired, and returns their entries. */
  takeExpired({ mono, wall }: Now): Entry[] {
    const due = this.ends.takeDue(mono);
    for (const entry of due) {
      const { name, kindNumber, stamp, sentAt, sentVersion } = entry;
      // It takes no more room than the value did. A flush that waits for the value waits for this.
      this.put({ mono, wall, boot: sentAt }, name, this.head(name), encode(kindNumber), 'cleared', expired(stamp));
      entry.sentVersion = sentVersion;
    }
    return due;
  }

  /** The entry of this name, if it has this stamp: anything that is said of another one is out of date. */
  current(name: string, stamp: Stamp): Entry | undefined {
    const entry = this.#byName.get(name);
    return entry?.stamp === stamp ? entry : undefined;
  }

  #restamp(entry: Entry, stamp: Stamp) {
    entry.restamp(stamp);
    entry.version = ++this.version;
  }

  /** Stamps a value anew. False: that was done too often on this link. */
  restamp(entry: Entry, stamp: Stamp): boolean {
    if (entry.retries === RESTAMPS) {
      return false;
    }
    entry.retries++;
    this.#restamp(entry, stamp);
    this.restamped = this.version;
    return true;
  }

  /**
   * Stamps values by their age, in the order in which they were sent: all of them, or those with a stamp after `time`,
   * which is what it is at `boot`. Returns those that got another, and the latest clock of all.
   */
  rebase(boot: number, instance: string, time: LogicalTime, all: boolean): [Entry[], LogicalTime] {
    let last = 0n;
    const changed = [];
    for (const entry of [...this.#byName.values()].sort((a, b) => a.version - b.version)) {
      const before = clockOf(entry.stamp);
      if (!all && before <= time) {
        last = before > last ? before : last;
        continue;
      }
      // A millisecond less: a value that was sent before this one may have a counter in the same millisecond.
      const age = fromMillis(boot - entry.sentAt - 1);
      const clock = time > age ? time - age : 0n;
      last = clock > last ? clock : next(last);
      this.#restamp(entry, stampOf(last, instance));
      changed.push(entry);
    }
    this.restamped = this.version;
    return [changed, last];
  }

  /** Forgets a value: another program's value of its key is newer. */
  forget(entry: Entry) {
    this.#byName.delete(entry.name);
    this.ends.set(entry, Infinity);
    this.#cleared.delete(entry);
    this.slots[entry.slot] = undefined;
    this.#free.push(entry.slot);
    this.#bytes -= entry.body.length + OVERHEAD;
  }

  /** Forgets what was cleared too long ago. */
  expire(mono: number) {
    for (const entry of this.#cleared) {
      if (entry.clearedAt + CLEARED > mono) {
        break;
      }
      this.forget(entry);
    }
  }

  /**
   * Forgets the transient values that mean nothing any more, before all are announced on a new link: those that were sent
   * too long ago, unless the program waits for their acknowledgement: `isWaitedFor`, for what was sent up to a version.
   */
  forgetTransient(boot: number, isWaitedFor: (version: number) => boolean) {
    for (const entry of this.#byName.values()) {
      if (entry.flags === TRANSIENT && boot - entry.sentAt > ANNOUNCED && !isWaitedFor(entry.sentVersion)) {
        this.forget(entry);
      }
    }
  }

  /** Why a value of those sent up to `version` was not taken, or cannot be sent; each counts while it is the newest. */
  failure(version: number, limit: number): NanostateError | undefined {
    for (const entry of this.#byName.values()) {
      if (entry.sentVersion > version) {
        continue;
      }
      if (entry.refused?.stamp === entry.stamp) {
        return notTaken(entry.name, entry.refused.why);
      }
      if (entry.metaAt > limit) {
        const text = `"${entry.name}" was not sent: a message of ${entry.metaAt} bytes; the limit is ${limit}`;
        return new NanostateError('NS_ERR_TOO_LARGE', text);
      }
    }
    return undefined;
  }

  /** On another link all is offered again. */
  unlink() {
    for (const entry of this.#byName.values()) {
      entry.retries = 0;
      entry.refused = undefined;
    }
    this.restamped = 0;
  }
}
