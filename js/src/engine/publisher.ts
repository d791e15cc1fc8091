// Own values: they are published and withdrawn, and announced, stamped anew or given up as the hub answers.

import { encode, kindOf, numberOf, type Kind, type Sendable } from '../msgpack.js';
import { NanostateError, type Code } from '../status.js';
import { TRANSIENT, checkName, clockOf, expired, type Body, type LogicalTime, type Stamp } from '../wire.js';
import { isBeyond, toMillis, type Now } from './clock.js';
import { OLD_MAX, type Config } from './config.js';
import type { Feed } from './feed.js';
import { Hub } from './hub.js';
import { Own, type Entry, type Policy } from './own.js';
import type { Received, State, ValueState } from './received.js';
import type { Reports } from './reports.js';
import { Stamper } from './stamper.js';
import { Wills } from './wills.js';

export class Publisher {
  readonly own: Own;
  readonly wills: Wills;
  readonly stamper: Stamper;
  readonly hub = new Hub();
  /** The way to the hub, while that has let this app in. */
  feed: Feed | undefined;

  constructor(
    readonly identity: string,
    instance: Uint8Array,
    readonly config: Config,
    readonly received: Received,
    readonly reports: Reports,
  ) {
    this.own = new Own(identity, config.sendQueue);
    this.wills = new Wills(identity, this.own, this.hub, reports);
    this.stamper = new Stamper(instance);
  }

  /** Publishes a value. Throws a TypeError or a {@link NanostateError}, and then no value has changed. */
  publish(now: Now, name: string, value: Sendable, doubles = false, policy?: Policy) {
    if (!this.own.find(name)) {
      checkName(name);
    }
    const data = encode(value, doubles);
    this.#put(now, name, data, kindOf(data[0]!, value), policy);
  }

  /** Withdraws the value of a name: there is none from now on, whether or not there was one. Throws as `publish`. */
  clear(now: Now, name: string) {
    checkName(name);
    this.own.expire(now.mono);
    // An earlier run under this identity may have left one.
    const kind = this.own.find(name)?.kindNumber ?? numberOf(this.received.find(this.identity, name)?.state.kind);
    this.#put(now, name, encode(kind || null), 'cleared');
    this.received.forgetKey(this.identity, name);
  }

  /** Leaves a value with the hub for the time when this app is lost. Throws as `publish`. */
  leave(name: string, value: Sendable, doubles = false) {
    this.wills.leave(name, encode(value, doubles), false, this.limit);
  }

  /** Leaves with the hub that the value of a name be withdrawn then. */
  leaveClear(name: string) {
    this.wills.leave(name, encode(null), true, this.limit);
  }

  #put(now: Now, name: string, data: Uint8Array, kind: Kind | 'cleared', policy?: Policy) {
    const head = this.own.head(name);
    const size = head.length + data.length;
    if (size > this.limit) {
      const text = `"${name}" would be a message of ${size} bytes; the limit is ${this.limit}`;
      throw new NanostateError('NS_ERR_TOO_LARGE', text);
    }
    this.#change(now, this.own.put(now, name, head, data, kind, this.stamper.next(now), policy));
  }

  /** The value of a key, or with no sender the newest of any sender, own values included. */
  find(name: string, sender?: string): ValueState | undefined {
    let own = sender === undefined || sender === this.identity ? this.own.find(name) : undefined;
    if (sender === undefined && own?.kind === 'cleared') {
      // Others may have one.
      own = undefined;
    }
    const known = sender === undefined ? this.received.newest(name) : this.received.find(sender, name);
    const state = own && (!known || own.stamp >= known.stamp) ? own.state() : known?.state;
    return state?.kind === 'cleared' ? undefined : state;
  }

  /** The largest body that the hub takes, as far as it is known. */
  get limit(): number {
    return this.feed?.isOld ? OLD_MAX : Math.min(this.config.maxMessage, this.hub.limit);
  }

  /** Whether the hub is sent this. */
  isWanted(entry: Entry): boolean {
    return entry.metaAt <= this.limit && this.hub.knows(entry, !!this.feed?.isOld);
  }

  /** Sends an own value that changed, if there is a link. */
  #change({ mono }: Now, entry: Entry) {
    if (!this.feed) {
      return;
    }
    if (this.isWanted(entry)) {
      this.feed.change(this.own, entry, mono);
    } else {
      this.reports.withheld(entry);
    }
  }

  /** Learns another clock's reading. */
  observe(now: Now, reading: LogicalTime) {
    const { clock } = this.stamper;
    if (clock.observe(now, reading)) {
      this.reports.warn(clock.aheadOfWall(now));
    }
  }

  /** The hub tells its time as it lets this app in. */
  welcomed(now: Now, time: LogicalTime | undefined, isFirst: boolean) {
    if (time !== undefined) {
      const { clock } = this.stamper;
      const isAhead = isBeyond(clock.read(now), time);
      isFirst || isAhead ? this.#rebase(now, time, isFirst) : this.observe(now, time);
      this.reports.warn(clock.aheadOfWall(now));
    }
  }

  /** Gives an own value a stamp that is newer than all that is known, and sends it again. */
  restamp(now: Now, entry: Entry) {
    if (this.own.restamp(entry, this.stamper.next(now))) {
      this.#change(now, entry);
    } else {
      this.notTaken(entry.name, entry, 'NS_ERR_IDENTITY_TAKEN');
    }
  }

  /** Goes by the hub's time from now on. Own values with a later stamp, or all, are stamped by their age. */
  #rebase(now: Now, time: LogicalTime, all: boolean) {
    const { clock, helloAt, instance } = this.stamper;
    clock.rebase(now, time);
    // The hub told the time after it had heard the hello, or the value that it did not take.
    const at = this.feed ? now.boot : helloAt;
    const [changed, last] = this.own.rebase(at, instance, time, all);
    clock.observe(now, last);
    changed.forEach((entry) => this.#change(now, entry));
    this.received.forgetIf(({ stamp }) => isBeyond(clockOf(stamp), time));
  }

  /** The hub did not take an own value. */
  notTaken(name: string, entry: Entry | undefined, why: Code) {
    if (entry) {
      entry.refused = { stamp: entry.stamp, why };
    }
    this.reports.notTaken(name, why);
  }

  /** The hub holds a later value of this name, or finds the stamp, `offered`, too far in the future. */
  wasStale(now: Now, name: string, offered: Stamp, held: Stamp | undefined, time: LogicalTime) {
    const current = this.own.current(name, offered);
    if (!current) {
      // It was replaced since, and another answer is on its way.
      return this.observe(now, time);
    }
    if (held === undefined) {
      if (this.stamper.mayRebase()) {
        return this.#rebase(now, time, false);
      }
      return this.notTaken(name, current, 'NS_ERR_REFUSED');
    }
    if (this.config.shared && !this.stamper.isMine(held)) {
      // Nobody's word is the last but by its stamp.
      this.observe(now, time);
      return this.own.forget(current);
    }
    if (held === expired(offered)) {
      // It has expired at the hub, and is about to here.
      this.observe(now, time);
      this.own.ends.set(current, now.mono);
      return this.expire(now);
    }
    const later = clockOf(held);
    this.observe(now, later > time ? later : time);
    this.restamp(now, current);
  }

  /**
   * Another app that shares the identity has sent a newer value of a name of this one: it is announced in its place, so
   * that a hub that is killed gets it back also without that app.
   */
  adoptState(now: Now, { name, data, kind, flags, lifetime }: Body, stamp: Stamp) {
    try {
      this.own.put(now, name, this.own.head(name), data, kind, stamp, { isTransient: !!(flags & TRANSIENT), lifetime });
    } catch {
      this.own.forget(this.own.find(name)!);
    }
  }

  /** Withdraws values that have expired, own ones also at the hub: it may be one that does not do so by itself. */
  expire(now: Now) {
    this.own.takeExpired(now).forEach((entry) => this.#change(now, entry));
    for (const known of this.received.ends.takeDue(now.mono)) {
      const { sender, name } = known.state;
      const stamp = expired(known.stamp);
      const time = toMillis(clockOf(stamp));
      this.take({ sender, name, value: undefined, kind: 'cleared', time, retained: false }, stamp, sender.length + name.length);
    }
  }

  /** The program is given what came or has expired, which is the newest of its key until `end`. `size` is that of its body. */
  take(state: State, stamp: Stamp, size: number, end?: number) {
    Object.freeze(state);
    this.received.insert(state, stamp, size, end);
    this.reports.add({ is: 'state', state });
  }

  /** The link is gone. */
  unlink() {
    this.feed = undefined;
    this.stamper.unlink();
    this.own.unlink();
    this.wills.unlink();
  }
}
