// Which names a program uses, and how much has come of what the hub was asked for.

import { subscribe, unsubscribe } from '../control.js';
import { compile } from '../pattern.js';
import { NanostateError } from '../status.js';
import { utf8Length } from '../wire.js';
import type { Connection } from './connection.js';
import type { Hub } from './hub.js';
import type { Received } from './received.js';

/** The most patterns that an app may have. */
export const MOST_PATTERNS = 1024;
/** As many bytes of patterns go into one message. */
const GROUP = 16 << 10;

interface Use {
  fits: (name: string) => boolean;
  /** How many use it. */
  count: number;
  /** Whether it is in the list that a hub is told. */
  isListed: boolean;
}

export class Subscribed {
  /** By pattern: the list. All names are taken as long as there is no list. */
  #uses: Map<string, Use> | undefined;
  /** Whether a use has begun or ended that the list does not show. */
  #isDirty = false;
  /** Whether the hub of the last link sends no other names. */
  #leavesOut = false;
  /** The link to such a hub. */
  #link: Connection | undefined;
  /** How often a hub was asked for more than before. */
  asked = 0;
  /** Up to which of these everything has come on this link, -1 for nothing; undefined: the hub does not tell. */
  #come: number | undefined = -1;
  /** How many messages had the list at the beginning of this link, and how often a hub had been asked by then. */
  #again = 0;
  #before = 0;

  constructor(
    readonly identity: string,
    readonly received: Received,
  ) {}

  /** Whether the app says which names it takes. */
  get isList(): boolean {
    return !!this.#uses;
  }

  /** Takes no names but those that are used from now on. To be called before there is a link. */
  beginList() {
    this.#uses = new Map();
  }

  /** Whether states of this name are taken. */
  takes(name: string): boolean {
    if (!this.#uses || this.#uses.get(name)?.count) {
      return true;
    }
    for (const { fits, count } of this.#uses.values()) {
      if (count && fits(name)) {
        return true;
      }
    }
    return false;
  }

  /** Somebody uses a pattern. Returns whether a name matches it. Throws if it is none, or one too many. */
  add(pattern: string): (name: string) => boolean {
    const uses = (this.#uses ??= new Map<string, Use>());
    let use = uses.get(pattern);
    if (!use) {
      const fits = compile(pattern);
      if (uses.size === MOST_PATTERNS) {
        // Some may be out of use.
        this.tell();
      }
      if (uses.size === MOST_PATTERNS) {
        throw new NanostateError('NS_ERR_FULL', `"${pattern}" would be one pattern too many: ${MOST_PATTERNS} are in use`);
      }
      uses.set(pattern, (use = { fits, count: 0, isListed: false }));
    }
    use.count++;
    this.#isDirty = true;
    return use.fits;
  }

  /** One of those who use it does so no longer. */
  remove(pattern: string) {
    this.#uses!.get(pattern)!.count--;
    this.#isDirty = true;
  }

  /** Tells the hub which patterns are new, and which are out of use. Whether there were any. */
  tell(): boolean {
    if (!this.#isDirty) {
      return false;
    }
    this.#isDirty = false;
    const [fresh, gone]: string[][] = [[], []];
    for (const [pattern, use] of this.#uses!) {
      if (!use.count) {
        this.#uses!.delete(pattern);
        use.isListed && gone!.push(pattern);
      } else if (!use.isListed) {
        use.isListed = true;
        fresh!.push(pattern);
      }
    }
    // What is new first, so that what it shares with the others goes on to come.
    if (this.#link && fresh!.length) {
      this.asked += this.#subscribe(this.#link, fresh!);
    }
    if (gone!.length) {
      this.#forgetOthers();
      gone!.forEach((pattern) => this.#link?.feed.message(unsubscribe(this.identity, pattern)));
    }
    return true;
  }

  /** Has the hub send these, too. Returns in how many messages it was asked. */
  #subscribe({ feed }: Connection, patterns: string[]): number {
    let [at, count] = [0, 0];
    do {
      let [end, bytes] = [at, 0];
      while (end < patterns.length && (bytes += utf8Length(patterns[end]!)) <= GROUP) {
        end++;
      }
      feed.message(subscribe(this.identity, patterns.slice(at, end)));
      at = end;
      count++;
    } while (at < patterns.length);
    return count;
  }

  /** What is known of names that are not taken is not kept up to date from here on. */
  #forgetOthers() {
    if (this.#leavesOut) {
      this.received.forgetIf(({ state }) => !this.takes(state.name));
    }
  }

  /** There is a link, whose hub is told the list if it leaves out other names. */
  begin(link: Connection, hub: Hub) {
    this.tell();
    this.#leavesOut = !!this.#uses && hub.can('subscribe');
    this.#again = 0;
    if (this.#leavesOut) {
      this.#link = link;
      this.#forgetOthers();
      this.#again = this.#subscribe(link, [...this.#uses!.keys()]);
    }
    this.#before = this.asked;
    this.#come = hub.can('synced') ? -1 : undefined;
  }

  /** The link is gone. */
  unlink() {
    this.#link = undefined;
    this.#come = -1;
  }

  /** Everything has come that the hub of this link was asked for, so often beside the hello. Whether that is all. */
  answered(asks: number): boolean {
    if (this.#come !== undefined) {
      this.#come = asks < this.#again ? -1 : Math.min(this.#before + asks - this.#again, this.asked);
    }
    return !!this.has(this.asked);
  }

  /** An old hub holds nothing: all of it has come. */
  gotAll() {
    this.#come = this.asked;
  }

  /** Whether everything has come that was asked for until {@link asked} was this; undefined: the hub does not tell. */
  has(asked: number): boolean | undefined {
    return this.#come === undefined ? undefined : this.#come >= asked;
  }
}
