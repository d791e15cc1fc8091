// An app: keeps its own newest values, announces them to the hub on every new link, and takes what the hub sends.
//
// It has no sockets, timers or clocks of its own: bytes and a time go in, bytes, events and a deadline come out. It
// follows src/engine/app, and tests/vectors/session holds both to the same bytes.

import { hello, readControl, token, type Control } from '../control.js';
import { Malformed, KINDS, Writer, encode, kindOf, type Kind, type Sendable } from '../msgpack.js';
import { NanostateError, STATUS, codeOf, type Code } from '../status.js';
import {
  RESERVED, checkIdentity, checkName, clockOf, decodeBody, fromBytes, stampOf, strLength, usesFeatures, writeHead, writeStamp,
  type Body, type LogicalTime, type Stamp,
} from '../wire.js';
import { Acks } from './acks.js';
import { LogicalClock, isBeyond, toMillis, type Now } from './clock.js';
import type { MakeCodec, Codec } from './codec.js';
import { DEFAULTS, HANDSHAKE, META_ROOM, OLD_MAX, PROBE, REBASES, type Config } from './config.js';
import { Dialler } from './dialler.js';
import { Feed } from './feed.js';
import { Own, type Entry } from './own.js';
import { Received, type State } from './received.js';

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
  | { is: 'rejected'; name: string; error: NanostateError }
  | { is: 'warning'; text: string };

/** Why a hub may refuse an app. The other errors mean something else to the calls that return them. */
const REFUSALS: readonly Code[] = [
  'NS_ERR_INVALID', 'NS_ERR_UNSUPPORTED', 'NS_ERR_IDENTITY', 'NS_ERR_TOO_LARGE', 'NS_ERR_FULL', 'NS_ERR_REFUSED',
  'NS_ERR_PERMISSION', 'NS_ERR_IDENTITY_TAKEN', 'NS_ERR_NOT_FOUND',
];

type Phase = 'idle' | 'waiting' | 'dialling' | 'handshake' | 'hello' | 'up';

/** One connection to a hub. */
interface Connection {
  readonly conn: number;
  readonly codec: Codec;
  readonly feed: Feed;
  /** The token of the newest ping that there was no room to answer. */
  pong: bigint | undefined;
}

export class Session {
  readonly config: Config;
  readonly #clock = new LogicalClock();
  readonly #dialler: Dialler;
  readonly own: Own;
  readonly received: Received;
  readonly #acks = new Acks();
  /** The instance, as stamps end with it. */
  readonly #mine: string;
  #phase: Phase = 'idle';
  #dialled = 0;
  #link: Connection | undefined;
  /** What is known of the hub of the last link: its instance, unless it is an old one, and the largest body it takes. */
  #hub: { instance: string | undefined; limit: number } = { instance: undefined, limit: Infinity };
  /** When the next attempt is due, and when the hub's answer is. */
  #backoff = Infinity;
  #answer = Infinity;
  /** Whether a v1 hub told the time: until then own values have a stamp for now, and get theirs then. */
  #hasHubTime = false;
  #rebases = 0;
  #helloAt = 0;
  #events: Event[] = [];
  /** Why there is no link, as far as the program was told. */
  #toldFailure = '';
  #warned = new Set<string>();
  /** The last failure to connect, for calls that wait for the link. */
  lastFailure: NanostateError | undefined;

  constructor(
    readonly identity: string,
    /** Random, and made for this app: 16 bytes each. */
    readonly instance: Uint8Array,
    readonly secret: Uint8Array,
    config: Partial<Config> = {},
  ) {
    checkIdentity(identity);
    this.config = { ...DEFAULTS, ...config };
    this.own = new Own(this.config.sendQueue);
    this.received = new Received(this.config.received);
    this.#mine = fromBytes(instance);
    this.#dialler = new Dialler(new DataView(instance.slice().buffer).getBigUint64(0, true));
  }

  get link(): Link['state'] {
    switch (this.#phase) {
      case 'idle': return this.#dialler.isRefused ? 'refused' : 'idle';
      case 'up': return 'connected';
      default: return this.#dialler.isRefused ? 'refused' : 'connecting';
    }
  }

  /** What is to be done or told, in this order; none is given twice. */
  takeEvents(): Event[] {
    return this.#events.splice(0);
  }

  /** When {@link tick} is to be called. */
  get deadline(): number {
    return Math.min(this.#backoff, this.#answer);
  }

  // Calls of the program.

  /** Starts connecting to one of `urls`, which are addresses of one hub. */
  connect(urls: readonly string[]) {
    this.#hangUp();
    this.#dialler.setUrls(urls);
    this.#forgetFailures();
    this.received.clear();
    this.#hub.limit = Infinity;
    this.#acks.forget();
    this.#dial();
    this.#tellLink();
  }

  /** Ends the link, or the attempts to get one. */
  disconnect() {
    if (this.#phase !== 'idle') {
      this.#hangUp();
      this.#phase = 'idle';
      this.#dialler.forgetRefusals();
      this.#tellLink();
    }
  }

  /** There is a reason to believe that the hub can be reached now: does not wait for the next attempt. */
  hurry(now: Now) {
    this.#dialler.resetWaits();
    if (this.#phase === 'waiting') {
      this.#dial();
    } else if (this.#phase === 'up' && !this.#link!.feed.isOld && this.#answer === Infinity) {
      // The machine may have slept, or be in another network: the link shows whether it still is one.
      this.#link!.feed.message(token(this.identity, 'ping', 0));
      this.#answer = now.mono + PROBE;
    }
  }

  /** The hub had no fair chance to answer in time, since this program did not run: it gets that time again. */
  excuse(now: Now) {
    if (this.#answer !== Infinity) {
      this.#answer = now.mono + HANDSHAKE;
    }
  }

  /** Publishes a value. Throws a TypeError or a {@link NanostateError}, and then nothing has changed. */
  publish(now: Now, name: string, value: Sendable, doubles = false) {
    checkName(name);
    const data = encode(value, doubles);
    const size = 1 + strLength(this.identity) + strLength(name) + data.length;
    if (size > this.#limit) {
      const text = `"${name}" would be a message of ${size} bytes; the limit is ${this.#limit}`;
      throw new NanostateError('NS_ERR_TOO_LARGE', text);
    }
    this.#change(this.#put(now, name, data, kindOf(data[0]!, value), this.#stamp(now)));
  }

  #put(now: Now, name: string, data: Uint8Array, kind: Kind, stamp: Stamp): Entry {
    const writer = new Writer();
    writeHead(writer, this.identity, name);
    const dataAt = writer.length;
    writer.raw(data);
    const metaAt = writer.length;
    writeStamp(writer, stamp);
    return this.own.put(now.boot, name, writer.copy(), metaAt, dataAt, kind, stamp);
  }

  /** Asks for an acknowledgement of all that was published so far; {@link isAcked} takes what is returned. */
  requestAck(): number {
    this.#acks.request(this.own.version);
    return this.own.version;
  }

  /** Whether the hub has dealt with all that was published up to then. */
  isAcked(version: number): boolean {
    return this.#acks.has(version);
  }

  /** Why one of these was not taken, if it still is the newest of its name. To be asked once they are acknowledged. */
  notTaken(version: number): NanostateError | undefined {
    return this.own.failure(version, this.#isOld ? Infinity : this.#limit);
  }

  // What the driver tells.

  /** An attempt has led to a connection. False: nobody waits for it any more, and it is to be closed. */
  opened(now: Now, conn: number, makeCodec: MakeCodec, dialled: number): boolean {
    if (this.#phase !== 'dialling' || dialled !== this.#dialled) {
      return false;
    }
    const codec = makeCodec(this.#dialler.opened(now), this.config.maxMessage + META_ROOM);
    const feed = new Feed((body) => codec.frame(body), this.config.outbox);
    this.#link = { conn, codec, feed, pong: undefined };
    if (codec.greeting) {
      feed.raw(codec.greeting);
      this.#phase = 'handshake';
      this.#answer = now.mono + HANDSHAKE;
    } else {
      this.#sayHello(now);
    }
    return true;
  }

  dialFailed(now: Now, dialled: number, error: NanostateError) {
    if (this.#phase === 'dialling' && dialled === this.#dialled) {
      this.#failed(now, error);
    }
  }

  /** Bytes arrived. */
  bytes(now: Now, conn: number, input: Uint8Array) {
    const link = this.#link;
    if (link?.conn !== conn) {
      return;
    }
    if (this.#phase === 'up') {
      this.#answer = Infinity;
    }
    try {
      for (const incoming of link.codec.decode(input)) {
        if ('body' in incoming) {
          this.#body(now, incoming.body);
        } else if ('agreed' in incoming) {
          this.#agreed(now, incoming.agreed);
        } else {
          this.#warnOnce('too large', `message of ${incoming.tooLarge} bytes dropped: over the limit`);
        }
        if (this.#link !== link) {
          return;
        }
      }
    } catch (error) {
      if (!(error instanceof NanostateError)) {
        throw error;
      }
      this.#drop(now, error);
    }
  }

  /** The connection ended. `isFinal`: the hub said that there is no sense in another attempt. */
  closed(now: Now, conn: number, error: NanostateError, isFinal = false) {
    if (this.#link?.conn !== conn) {
      return;
    }
    if (!isFinal) {
      return this.#lost(now, error);
    }
    this.#unlink();
    this.#phase = 'idle';
    this.#dialler.refused(error.code);
    this.lastFailure = new NanostateError(error.code, `${error.message}: ${this.#dialler.url}`);
    this.#tellLink(this.lastFailure);
  }

  /** The next bytes to send, of one frame; none if there are none. To be asked while the transport takes more. */
  next(): Uint8Array | undefined {
    const link = this.#link;
    if (!link) {
      return undefined;
    }
    const { feed } = link;
    this.#answerPing(link);
    if (this.#phase === 'up') {
      feed.fill(this.own, (entry) => {
        const wanted = this.#isWanted(entry);
        if (!wanted && !feed.cameWhileBehind(entry)) {
          this.#withheld(entry);
        }
        return wanted;
      });
      const through = feed.through(this.own);
      if (feed.isOld && feed.isDrained) {
        this.#acks.writtenToOld(through);
      } else if (!feed.isOld && this.#acks.ask(through)) {
        // Behind all that is to be acknowledged.
        feed.message(token(this.identity, 'ping', through));
      }
    }
    return feed.next();
  }

  /** The deadline has passed. */
  tick(now: Now) {
    if (this.#backoff <= now.mono) {
      this.#dial();
    }
    if (this.#answer <= now.mono) {
      this.#drop(now, new NanostateError('NS_ERR_TIMEOUT', 'the hub did not answer in time'));
    }
  }

  // The way to a link and from it.

  #dial() {
    this.#backoff = Infinity;
    this.#phase = 'dialling';
    this.#dialled = this.#dialler.nextToken();
    this.#events.push({ is: 'dial', token: this.#dialled, url: this.#dialler.url });
  }

  /** The address did not lead to a link: the next one, after a wait once all were tried. */
  #failed(now: Now, error: NanostateError) {
    this.lastFailure = error;
    if (this.#dialler.nextAddress()) {
      return this.#dial();
    }
    this.#wait(now);
    if (this.#isNews(error.message)) {
      this.#tellLink(error);
    }
  }

  #wait(now: Now) {
    this.#phase = 'waiting';
    this.#backoff = now.mono + this.#dialler.nextWait(this.config);
  }

  /** Closes the connection, and forgets it. */
  #hangUp() {
    if (this.#link) {
      this.#events.push({ is: 'close', conn: this.#link.conn });
    }
    this.#unlink();
  }

  #unlink() {
    this.#link = undefined;
    this.#backoff = this.#answer = Infinity;
    this.#acks.unlink();
    this.#rebases = 0;
    this.own.unlink();
  }

  /** The connection ended, or is ended here. */
  #lost(now: Now, error: NanostateError) {
    const wasUp = this.#phase === 'up';
    this.#unlink();
    const told = new NanostateError(error.code, `${error.message}: ${this.#dialler.url}`);
    if (!wasUp) {
      return this.#failed(now, told);
    }
    this.#dialler.resetWaits();
    this.lastFailure = told;
    this.#wait(now);
    this.#isNews(told.message);
    this.#tellLink(told);
  }

  #drop(now: Now, error: NanostateError) {
    if (this.#link) {
      this.#events.push({ is: 'close', conn: this.#link.conn });
      this.#lost(now, error);
    }
  }

  #agreed(now: Now, agreed: 'v1' | 'old' | 'not-v1') {
    if (agreed === 'v1') {
      this.#sayHello(now);
    } else if (agreed === 'old') {
      this.#link!.feed.isOld = true;
      this.#up(undefined);
    } else {
      // Nothing that is sent here is sure to arrive.
      this.#dialler.rememberOld(now);
      this.#hangUp();
      this.#dial();
    }
  }

  #sayHello(now: Now) {
    this.#helloAt = now.boot;
    this.#phase = 'hello';
    this.#answer = now.mono + HANDSHAKE;
    this.#link!.feed.message(
      hello(this.identity, {
        instance: this.instance,
        epoch: this.#dialler.epoch,
        accept: this.config.accept,
        flags: this.#dialler.flags(this.config),
        time: this.#clock.read(now),
        secret: this.secret,
      }),
    );
  }

  /** The link is there, to the hub of this instance or to an old one. */
  #up(hub: string | undefined) {
    this.#phase = 'up';
    this.#answer = Infinity;
    if (this.#hub.instance !== hub) {
      this.#acks.forget();
      if (this.#hub.instance === undefined) {
        // What came through an old hub has this app's stamps, which say nothing beside those of the senders.
        this.received.clear();
      }
      this.#hub.instance = hub;
    }
    this.#dialler.welcomed();
    this.#forgetFailures();
    this.#warned.delete('withheld');
    this.#link!.feed.walkAll(this.own);
    this.#tellLink();
  }

  #refusedByHub(now: Now, status: number, text: string) {
    const named = codeOf(status);
    const code = named && REFUSALS.includes(named) ? named : 'NS_ERR_REFUSED';
    const error = new NanostateError(code, `${text || STATUS[code][1]}: ${this.#dialler.url}`);
    this.#hangUp();
    this.#wait(now);
    const wasRefused = this.#dialler.refused(code);
    this.lastFailure = error;
    if (this.#isNews(error.message) || !wasRefused) {
      this.#events.push({ is: 'warning', text: `refused: ${error.message}` });
      this.#tellLink(error);
    }
  }

  #tellLink(why?: NanostateError) {
    const text = why?.message ?? (this.#phase === 'up' ? this.#dialler.url : '');
    this.#events.push({ is: 'link', link: { state: this.link, code: why?.code, text } });
  }

  /** Whether this reason why there is no link is a new one. Each is told once, and not with every attempt. */
  #isNews(reason: string): boolean {
    const isNews = reason !== this.#toldFailure;
    this.#toldFailure = reason;
    return isNews;
  }

  #forgetFailures() {
    this.lastFailure = undefined;
    this.#toldFailure = '';
  }

  // Own values.

  get #isOld(): boolean {
    return this.#link?.feed.isOld ?? false;
  }

  /** The largest body that the hub takes, as far as it is known. */
  get #limit(): number {
    return this.#isOld ? OLD_MAX : Math.min(this.config.maxMessage, this.#hub.limit);
  }

  #isWanted(entry: Entry): boolean {
    return entry.metaAt <= this.#limit && (!this.#isOld || entry.kind === 'text' || entry.kind === 'bytes');
  }

  /** Sends an own value that changed, if there is a link. */
  #change(entry: Entry) {
    if (this.#phase !== 'up') {
      return;
    }
    if (this.#isWanted(entry)) {
      this.#link!.feed.change(this.own, entry);
    } else {
      this.#withheld(entry);
    }
  }

  #withheld({ name, kind, metaAt }: Entry) {
    this.#warnOnce('withheld', `"${name}" (${kind}, ${metaAt} bytes) withheld: the hub does not accept it`);
  }

  /** A stamp that is later than all that is known. */
  #stamp(now: Now): Stamp {
    return stampOf(this.#clock.tick(now), this.instance);
  }

  /** Learns another clock's reading. */
  #observe(now: Now, reading: LogicalTime) {
    if (this.#clock.observe(now, reading)) {
      this.#warnAhead(now);
    }
  }

  #warnAhead(now: Now) {
    const text = this.#clock.aheadOfWall(now);
    if (text) {
      this.#events.push({ is: 'warning', text });
    }
  }

  /** Gives an own value a stamp that is newer than all that is known, and sends it again. */
  #restamp(now: Now, entry: Entry) {
    if (this.own.restamp(entry, this.#stamp(now))) {
      this.#change(entry);
    } else {
      this.#notTaken(entry.name, entry, 'NS_ERR_IDENTITY_TAKEN');
    }
  }

  /** Goes by the hub's time from now on. Own values with a later stamp, or all, are stamped by their age. */
  #rebase(now: Now, time: LogicalTime, all: boolean) {
    this.#clock.rebase(now, time);
    // The hub told the time after it had heard the hello, or the value that it did not take.
    const at = this.#phase === 'hello' ? this.#helloAt : now.boot;
    const [changed, last] = this.own.rebase(at, this.instance, time, all);
    this.#clock.observe(now, last);
    changed.forEach((entry) => this.#change(entry));
    this.received.forgetIf((stamp) => isBeyond(clockOf(stamp), time));
  }

  /** The hub did not take an own value. */
  #notTaken(name: string, entry: Entry | undefined, why: Code) {
    if (entry) {
      entry.refused = { stamp: entry.stamp, why };
    }
    const error = new NanostateError(why, `"${name}" was not taken by the hub: ${STATUS[why][1]}`);
    this.#events.push({ is: 'rejected', name, error });
    this.#warnOnce('not taken', error.message);
  }

  #warnOnce(what: string, text: string) {
    if (!this.#warned.has(what)) {
      this.#warned.add(what);
      this.#events.push({ is: 'warning', text });
    }
  }

  // What the hub sends.

  #body(now: Now, bytes: Uint8Array) {
    try {
      const body = decodeBody(bytes, this.#isOld);
      if (!body.name.startsWith(RESERVED)) {
        if (usesFeatures(body)) {
          throw new Malformed('feature');
        }
        this.#receive(now, body);
      } else if (this.#isOld) {
        throw new Malformed('name');
      } else {
        this.#hear(now, readControl(body));
      }
    } catch (error) {
      if (!(error instanceof Malformed)) {
        throw error;
      }
      this.#warnOnce('malformed', error.message);
    }
  }

  #receive(now: Now, body: Body) {
    const { sender, name, kind } = body;
    const isOwn = sender === this.identity;
    if (this.#phase !== 'up' || (isOwn && this.#isOld && !this.config.echo)) {
      return;
    }
    if (body.stamp !== undefined) {
      this.#observe(now, clockOf(body.stamp));
    }
    const stamp = body.stamp ?? this.#stamp(now);
    const time = body.stamp === undefined ? 0 : toMillis(clockOf(stamp));
    const own = isOwn ? this.own.find(name) : undefined;
    if (own && !this.config.shared && !this.#isMine(stamp)) {
      if (stamp > own.stamp) {
        // An earlier run under this identity: what this run says counts.
        this.#restamp(now, own);
      }
      return;
    }
    const before = own?.stamp;
    if (before !== undefined && stamp > before) {
      this.#adopt(now, body, stamp);
    }
    if ((this.config.accept & (2 << KINDS.indexOf(kind))) === 0) {
      return;
    }
    // One's own value comes back with its own stamp, if that was asked for.
    const isOlder = before !== undefined && (stamp < before || (stamp === before && !this.config.echo));
    // An older value than before is what the hub knows: one that was killed took the newer one with it.
    if (isOlder || this.received.find(sender, name)?.stamp === stamp) {
      return;
    }
    const state: State = Object.freeze({ sender, name, value: body.value, kind, time, retained: (body.flags & 1) !== 0 });
    this.received.insert(state, stamp, body.metaAt);
    this.#events.push({ is: 'state', state });
  }

  #isMine(stamp: Stamp): boolean {
    return stamp.endsWith(this.#mine);
  }

  /**
   * Another app that shares the identity has sent a newer value of a name of this one: it is announced in the own one's
   * place, so that a hub that is killed gets it back also without that app.
   */
  #adopt(now: Now, body: Body, stamp: Stamp) {
    try {
      this.#put(now, body.name, body.data, body.kind, stamp);
    } catch {
      this.own.forget(this.own.find(body.name)!);
    }
  }

  #hear(now: Now, control: Control) {
    switch (control.is) {
      case 'welcome':
        if (this.#phase === 'hello') {
          this.#hub.limit = control.maxMessage;
          this.#welcomed(now, control.time);
          this.#up(control.instance);
        }
        return;
      case 'refuse':
        return this.#refusedByHub(now, control.status, control.text);
      case 'ping':
        this.#link!.pong = control.token;
        return this.#answerPing(this.#link!);
      case 'pong':
        if (control.time !== undefined) {
          this.#observe(now, control.time);
        }
        return this.#acks.answered(Number(control.token), this.own.version, this.own.restamped);
      case 'rejected':
        return this.#notTaken(control.name, this.own.find(control.name), codeOf(control.status) ?? 'NS_ERR_FULL');
      case 'stale':
        if (this.#phase === 'up') {
          this.#wasStale(now, control.name, control.offered, control.held, control.time);
        }
    }
  }

  /** Answers a ping, if there is room: one that asks and does not read must not fill memory. */
  #answerPing(link: Connection) {
    if (link.pong !== undefined && link.feed.waiting <= this.config.outbox) {
      link.feed.message(token(this.identity, 'pong', link.pong));
      link.pong = undefined;
    }
  }

  #welcomed(now: Now, time: LogicalTime | undefined) {
    const all = !this.#hasHubTime;
    this.#hasHubTime = true;
    if (time === undefined) {
      return;
    }
    if (all || isBeyond(this.#clock.read(now), time)) {
      this.#rebase(now, time, all);
    } else {
      this.#observe(now, time);
    }
    this.#warnAhead(now);
  }

  /** The hub holds a later value of this name, or finds the stamp, `offered`, too far in the future. */
  #wasStale(now: Now, name: string, offered: Stamp, held: Stamp | undefined, time: LogicalTime) {
    const current = this.own.current(name, offered);
    if (!current) {
      // It was replaced since, and another answer is on its way.
      return this.#observe(now, time);
    }
    if (held === undefined) {
      if (this.#rebases < REBASES) {
        this.#rebases++;
        return this.#rebase(now, time, false);
      }
      return this.#notTaken(name, current, 'NS_ERR_REFUSED');
    }
    if (this.config.shared && !this.#isMine(held)) {
      // Nobody's word is the last but by its stamp.
      this.#observe(now, time);
      return this.own.forget(current);
    }
    const later = clockOf(held);
    this.#observe(now, later > time ? later : time);
    this.#restamp(now, current);
  }
}
