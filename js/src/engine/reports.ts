// What a session asks of its driver and tells its program, and what it has told already.

import type { Code, NanostateError } from '../status.js';
import { notTaken, type Entry } from './own.js';
import type { Peer } from './others.js';
import type { State } from './received.js';

/** Where the link to the hub stands. */
export interface Link {
  readonly state: 'idle' | 'connecting' | 'connected' | 'refused';
  /** Why it is not as asked. */
  readonly code: Code | undefined;
  /** Why in words; the address when connected. */
  readonly text: string;
}

/** What a session asks of its driver, or tells its program. */
export type Event =
  | { is: 'dial'; token: number; url: string }
  | { is: 'close'; conn: number }
  | { is: 'link'; link: Link }
  | { is: 'state'; state: State }
  | { is: 'synced' }
  | { is: 'presence'; peer: Peer }
  | { is: 'stale'; sender: string | undefined }
  | { is: 'rejected'; name: string; error: NanostateError }
  | { is: 'warning'; text: string };

export class Reports {
  #events: Event[] = [];
  /** Why there is no link, as far as the program was told. */
  #told = '';
  #warned = new Set<string>();
  /** The last failure to connect, for calls that wait for the link. */
  lastFailure: NanostateError | undefined;

  add(event: Event) {
    this.#events.push(event);
  }

  take(): Event[] {
    return this.#events.splice(0);
  }

  /** There is no link, for this reason. Whether it is a new one: each is told once, and not with every attempt. */
  failed(why: NanostateError): boolean {
    const isNews = why.message !== this.#told;
    this.#told = why.message;
    this.lastFailure = why;
    return isNews;
  }

  /** What failed before does not matter any more. */
  forgetFailures() {
    this.lastFailure = undefined;
    this.#told = '';
  }

  warn(text: string | undefined) {
    if (text) {
      this.add({ is: 'warning', text });
    }
  }

  /** The first of its kind is a warning. */
  warnOnce(kind: string, text: string) {
    if (!this.#warned.has(kind)) {
      this.#warned.add(kind);
      this.warn(text);
    }
  }

  /** An own value is not sent. */
  withheld({ name, kind, metaAt }: Entry) {
    this.warnOnce('withheld', `"${name}" (${kind}, ${metaAt} bytes) withheld: the hub does not accept it`);
  }

  /** The hub did not take an own value. */
  notTaken(name: string, why: Code) {
    const error = notTaken(name, why);
    this.add({ is: 'rejected', name, error });
    this.warnOnce('not taken', error.message);
  }

  /** The next of its kind is one again. */
  forgetWarning(kind: string) {
    this.#warned.delete(kind);
  }
}
