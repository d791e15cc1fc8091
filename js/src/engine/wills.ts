// What the app leaves with its hub for the time when it is lost.

import { will } from '../control.js';
import { Writer } from '../msgpack.js';
import { NanostateError, codeOf, words, type Code } from '../status.js';
import { CLEAR_META, NO_META, checkName, join, writeHead } from '../wire.js';
import type { Feed } from './feed.js';
import type { Hub } from './hub.js';
import type { Own } from './own.js';
import type { Reports } from './reports.js';

/** Wills of an app, and all of them in bytes of their messages. */
export const WILLS = 1000;
export const WILL_BYTES = 1 << 20;

interface Left {
  body: Uint8Array;
  metaAt: number;
  /** The version of the table of own values when it was left. */
  version: number;
  /** The number with which it was told on this link. */
  nth: number;
  /** Why the hub of this link does not have it. */
  refused: Code | undefined;
}

export class Wills {
  readonly #left = new Map<string, Left>();
  #bytes = 0;
  /** How many were told on this link. */
  #told = 0;
  /** Whether there ever was one: a hub may know of it. */
  #ever = false;
  /** The way to the hub, while that has let this app in. */
  #feed: Feed | undefined;

  constructor(
    readonly identity: string,
    readonly own: Own,
    readonly hub: Hub,
    readonly reports: Reports,
  ) {}

  /** Leaves an encoded value, or nil and that the name be withdrawn, in a body of at most `limit` bytes. */
  leave(name: string, data: Uint8Array, isClear: boolean, limit: number) {
    checkName(name);
    const writer = new Writer();
    writeHead(writer, this.identity, name);
    const head = writer.copy();
    const meta = isClear ? CLEAR_META : NO_META;
    const metaAt = head.length + data.length;
    if (metaAt > limit) {
      const text = `the will for "${name}" would be a message of ${metaAt} bytes; the limit is ${limit}`;
      throw new NanostateError('NS_ERR_TOO_LARGE', text);
    }
    const before = this.#left.get(name);
    const bytes = this.#bytes + metaAt + meta.length - (before?.body.length ?? 0);
    if (!before && this.#left.size === WILLS) {
      throw new NanostateError('NS_ERR_FULL', `"${name}" would be one will too many: ${WILLS} are left`);
    }
    if (bytes > WILL_BYTES) {
      throw new NanostateError('NS_ERR_FULL', `the will for "${name}" does not fit: all may have ${WILL_BYTES} bytes`);
    }
    const body = join(head, data, meta);
    this.#bytes = bytes;
    this.#ever = true;
    this.#left.set(name, { body, metaAt, version: ++this.own.version, nth: 0, refused: undefined });
    this.#tell(name, limit);
  }

  /** Takes back what was left. */
  withdraw(name: string) {
    checkName(name);
    const left = this.#left.get(name);
    if (left) {
      this.#left.delete(name);
      this.#bytes -= left.body.length;
      this.own.version++;
      this.#say(name);
    }
  }

  #say(what: Uint8Array | string | null) {
    if (this.hub.can('will')) {
      this.#feed?.message(will(this.identity, what));
    }
  }

  /** Tells the hub of one, if it can have it. */
  #tell(name: string, limit: number) {
    if (!this.#feed) {
      return;
    }
    if (!this.hub.can('will')) {
      return this.reports.warnOnce('no wills', 'the hub keeps no wills: nothing is published when this app is lost');
    }
    const left = this.#left.get(name)!;
    if (left.metaAt > limit) {
      left.refused = 'NS_ERR_TOO_LARGE';
      return this.#warn(name, left.refused);
    }
    left.nth = ++this.#told;
    this.#say(left.body);
  }

  #warn(name: string, why: Code) {
    this.reports.warnOnce('will', refusal(name, why).message);
  }

  /** There is a link, whose hub is told all wills before the first value. */
  begin(feed: Feed, limit: number) {
    this.#feed = feed;
    this.reports.forgetWarning('no wills');
    if (this.#ever) {
      [...this.#left.keys()].sort().forEach((name) => this.#tell(name, limit));
      this.#say(null);
    }
  }

  /** The hub has not taken the will of this number, or one that has replaced it. */
  rejected(status: number, name: string, nth: number) {
    const why = codeOf(status) ?? 'NS_ERR_FULL';
    const left = this.#left.get(name);
    if (left?.nth === nth) {
      left.refused = why;
    }
    this.#warn(name, why);
  }

  /** Why the hub of this link does not have one of those left up to `version`. */
  failure(version: number): NanostateError | undefined {
    for (const [name, left] of this.#left) {
      if (left.version <= version && left.refused) {
        return refusal(name, left.refused);
      }
    }
    return undefined;
  }

  /** The link is gone. */
  unlink() {
    this.#feed = undefined;
    this.#told = 0;
    this.#left.forEach((left) => (left.refused = undefined));
  }
}

function refusal(name: string, why: Code): NanostateError {
  return new NanostateError(why, `the will for "${name}" was not taken by the hub: ${words(why)}`);
}
