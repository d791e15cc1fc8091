// An app: keeps its own newest values, announces them to the hub on every new link, and takes what the hub sends.
//
// It has no sockets, timers or clocks of its own: bytes and a time go in, bytes, events and a deadline come out. It
// follows src/engine/app, and tests/vectors/session holds both to the same bytes.

import { ALL_FEATURES, FLAGS, ask, hello, readBody, word, type Control } from '../control.js';
import { Malformed, type Value } from '../msgpack.js';
import { NanostateError, codeOf, refusal } from '../status.js';
import { RETAINED, acceptedBy, checkIdentity, clockOf, expired, toBytes, type Body } from '../wire.js';
import { Acks } from './acks.js';
import { toMillis, type Now } from './clock.js';
import type { MakeCodec } from './codec.js';
import { DEFAULTS, HANDSHAKE, META_ROOM, type Config } from './config.js';
import { Connection } from './connection.js';
import { Dialler } from './dialler.js';
import { Others } from './others.js';
import { Pings, type Ping } from './pings.js';
import { Publisher } from './publisher.js';
import { Questions, type Question, type QuestionName } from './questions.js';
import { Received, type State } from './received.js';
import { Reports, type Event, type Link } from './reports.js';
import { Stale } from './stale.js';
import { Subscribed } from './subscribed.js';

type Phase = 'idle' | 'waiting' | 'dialling' | 'handshake' | 'hello' | 'up';

export class Session {
  readonly config: Config;
  readonly #dialler: Dialler;
  /** What is published, and what the hub says of it. */
  readonly publisher: Publisher;
  readonly received: Received;
  readonly subscribed: Subscribed;
  readonly #acks = new Acks();
  readonly #pings = new Pings();
  readonly #questions = new Questions();
  #phase: Phase = 'idle';
  #dialled = 0;
  #link: Connection | undefined;
  /** When the next attempt is due, and when the hub's answer is, or a look whether it lives. */
  #backoff = Infinity;
  #answer = Infinity;
  /** When something was heard of the hub, and the ping by which it was asked because of its silence. */
  #heard = 0;
  #asked: Ping | undefined;
  /** How many times as long as the silence it may be silent. */
  #patience = 1;
  readonly #reports = new Reports();
  readonly others = new Others(this.#reports);
  readonly stale: Stale;

  constructor(
    readonly identity: string,
    /** Random, and made for this app: 16 bytes each. */
    instance: Uint8Array,
    readonly secret: Uint8Array,
    config: Partial<Config> = {},
  ) {
    checkIdentity(identity);
    this.config = { ...DEFAULTS, ...config };
    this.received = new Received(this.config.received);
    this.publisher = new Publisher(identity, instance, this.config, this.received, this.#reports);
    this.stale = new Stale(this.publisher, this.others, this.#reports);
    this.subscribed = new Subscribed(identity, this.received);
    this.#dialler = new Dialler(new DataView(instance.slice().buffer).getBigUint64(0, true));
  }

  get link(): Link['state'] {
    if (this.#phase === 'up') return 'connected';
    return this.#dialler.isRefused ? 'refused' : this.#phase === 'idle' ? 'idle' : 'connecting';
  }

  /** What is to be done or told, in this order; none is given twice. */
  takeEvents(): Event[] {
    return this.#reports.take();
  }

  /** The last failure to connect, for calls that wait for the link. */
  get lastFailure(): NanostateError | undefined {
    return this.#reports.lastFailure;
  }

  /** When {@link tick} is to be called. */
  get deadline(): number {
    const { own, received } = this.publisher;
    return Math.min(this.#backoff, this.#answer, own.ends.first, received.ends.first);
  }

  // Calls of the program.

  /** Starts connecting to one of `urls`, which are addresses of one hub. */
  connect(urls: readonly string[]) {
    this.#hangUp();
    this.#dialler.setUrls(urls);
    this.#reports.forgetFailures();
    this.received.clear();
    this.publisher.hub.limit = Infinity;
    this.#acks.forget();
    this.#dial();
    this.#tellLink();
  }

  /** Says goodbye: to others it has left, and is not lost. To be written before it disconnects. */
  farewell() {
    this.#say('bye');
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
    } else if (this.#phase === 'up' && this.#link!.feed.isDrained && this.#answer !== Infinity && !this.#isAsked) {
      // The machine may have slept, or be in another network: the link shows whether it still is one.
      this.#ask(now);
    }
  }

  /** The hub had no fair chance to answer in time, since this program did not run: it gets that time again. */
  excuse(now: Now) {
    this.#heard = now.mono;
    if (this.#phase !== 'up' && this.#answer !== Infinity) {
      this.#answer = now.mono + HANDSHAKE;
    }
  }

  /** Asks for an acknowledgement of all that was published so far; {@link isAcked} takes what is returned. */
  requestAck(): number {
    const { version } = this.publisher.own;
    this.#acks.request(version);
    return version;
  }

  /** Pings the hub, which is not an old one. None without a link. */
  ping(now: Now): Ping | undefined {
    if (this.#phase !== 'up') {
      return undefined;
    }
    const [ping, token] = this.#pings.send(now.mono, this.#acks.asked);
    this.#link!.ping(token);
    return ping;
  }

  /** Asks the hub, which has to have the feature. Undefined without a link, and while an earlier question has to be answered. */
  ask(name: QuestionName, ...fields: (Value | undefined)[]): Question | undefined {
    const question = this.#phase === 'up' ? this.#questions.ask(name) : undefined;
    question && this.#link!.feed.message(ask(this.identity, name, [question.token, ...fields]));
    return question;
  }

  /** The hub is to tell from now on which other apps are there. */
  watchOthers() {
    if (!this.others.isWanted) {
      this.others.isWanted = true;
      this.#say('watch');
    }
  }

  /** Whether the hub has dealt with all that was published up to then. */
  isAcked(version: number): boolean {
    return this.#acks.has(version);
  }

  /** Why one of these was not taken, if it still is the newest of its name. To be asked once they are acknowledged. */
  notTaken(version: number): NanostateError | undefined {
    const { own, wills, limit } = this.publisher;
    return own.failure(version, this.isOld ? Infinity : limit) ?? wills.failure(version);
  }

  // What the driver tells.

  /** An attempt has led to a connection. False: nobody waits for it any more, and it is to be closed. */
  opened(now: Now, conn: number, makeCodec: MakeCodec, dialled: number): boolean {
    if (this.#phase !== 'dialling' || dialled !== this.#dialled) {
      return false;
    }
    const codec = makeCodec(this.#dialler.opened(now), this.config.maxMessage + META_ROOM);
    this.#link = new Connection(conn, codec, this.identity, this.config.outbox);
    if (codec.greeting) {
      this.#link.feed.raw(codec.greeting);
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
    this.#heard = now.mono;
    try {
      for (const incoming of link.codec.decode(input)) {
        if ('body' in incoming) {
          this.#body(now, incoming.body);
        } else if ('agreed' in incoming) {
          this.#agreed(now, incoming.agreed);
        } else {
          this.#reports.warnOnce('too large', `message of ${incoming.tooLarge} bytes dropped: over the limit`);
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
    const told = this.#dialler.withUrl(error);
    this.#reports.failed(told);
    this.#tellLink(told);
  }

  /** The next bytes to send, of one frame; none if there are none. To be asked while the transport takes more. */
  next({ mono }: Now): Uint8Array | undefined {
    const link = this.#link;
    if (!link) {
      return undefined;
    }
    const { feed } = link;
    link.answer();
    if (this.#phase === 'up') {
      const { own } = this.publisher;
      feed.fill(own, mono, (entry) => {
        const wanted = this.publisher.isWanted(entry);
        if (!wanted && !feed.cameWhileBehind(entry)) {
          this.#reports.withheld(entry);
        }
        return wanted;
      });
      const through = feed.through(own);
      if (feed.isOld && feed.isDrained) {
        this.#acks.writtenToOld(through);
      } else if (!feed.isOld && this.#acks.ask(through)) {
        // Behind all that is to be acknowledged.
        link.ping(through);
      }
    }
    return feed.next();
  }

  /** The deadline has passed. */
  tick(now: Now) {
    this.publisher.expire(now);
    if (this.#backoff <= now.mono) {
      this.#dial();
    }
    if (this.#answer <= now.mono) {
      this.#phase === 'up' ? this.#look(now) : this.#tooSlow(now);
    }
  }

  /** Half of the time that the hub may be silent: then it is asked, and has as long again to answer. */
  get #half(): number {
    return (this.config.silence / 2) * this.#patience;
  }

  /** Whether the hub was asked because of its silence, and nothing has come since. */
  get #isAsked(): boolean {
    return !!this.#asked && this.#heard < this.#asked.sentAt;
  }

  /** It is time to look whether the hub lives. */
  #look(now: Now) {
    const isAsked = this.#isAsked;
    const due = (isAsked ? this.#asked!.sentAt : this.#heard) + this.#half;
    if (now.mono < due) {
      this.#answer = Math.max(due, now.mono + this.#half / 2);
    } else if (isAsked) {
      if (this.#link!.codec.isWhole) {
        // Perhaps a long message was on its way. It comes again, and may take as long as it needs some time.
        this.#patience *= 2;
      }
      this.#tooSlow(now);
    } else {
      this.#ask(now);
    }
  }

  #ask(now: Now) {
    if (this.#asked?.took! < this.config.silence / 2) {
      this.#patience = 1;
    }
    this.#asked = this.ping(now);
    this.#answer = now.mono + this.#half;
  }

  #tooSlow(now: Now) {
    this.#drop(now, new NanostateError('NS_ERR_TIMEOUT', 'the hub did not answer in time'));
  }

  /** Says this to a hub that heeds it. */
  #say(what: 'watch' | 'bye') {
    const { hub } = this.publisher;
    if (this.#phase === 'up' && (hub.can('presence') || (what === 'bye' && hub.can('will')))) {
      this.#link!.feed.message(word(this.identity, what));
    }
  }

  // The way to a link and from it.

  #dial() {
    this.#backoff = Infinity;
    this.#phase = 'dialling';
    this.#dialled = this.#dialler.nextToken();
    this.#reports.add({ is: 'dial', token: this.#dialled, url: this.#dialler.url });
  }

  /** The address did not lead to a link: the next one, after a wait once all were tried. */
  #failed(now: Now, error: NanostateError) {
    if (this.#dialler.nextAddress()) {
      this.#reports.lastFailure = error;
      return this.#dial();
    }
    this.#wait(now);
    if (this.#reports.failed(error)) {
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
      this.#reports.add({ is: 'close', conn: this.#link.conn });
    }
    this.#unlink();
  }

  #unlink() {
    this.#link = undefined;
    this.#backoff = this.#answer = Infinity;
    this.#acks.unlink();
    this.#pings.unlink();
    this.#questions.unlink();
    this.publisher.unlink();
    this.subscribed.unlink();
    this.stale.keep();
    this.others.isComplete = false;
  }

  /** The connection ended, or is ended here. */
  #lost(now: Now, error: NanostateError) {
    const wasUp = this.#phase === 'up';
    this.#unlink();
    const told = this.#dialler.withUrl(error);
    if (!wasUp) {
      return this.#failed(now, told);
    }
    this.#dialler.resetWaits();
    this.#wait(now);
    this.#reports.failed(told);
    this.#tellLink(told);
  }

  #drop(now: Now, error: NanostateError) {
    if (this.#link) {
      this.#reports.add({ is: 'close', conn: this.#link.conn });
      this.#lost(now, error);
    }
  }

  #agreed(now: Now, agreed: 'v1' | 'old' | 'not-v1') {
    if (agreed === 'v1') {
      this.#sayHello(now);
    } else if (agreed === 'old') {
      this.#link!.feed.isOld = true;
      this.#up(now, undefined, 0);
      this.subscribed.gotAll();
      this.#reports.add({ is: 'synced' });
    } else {
      // Nothing that is sent here is sure to arrive.
      this.#dialler.rememberOld(now);
      this.#hangUp();
      this.#dial();
    }
  }

  #sayHello(now: Now) {
    const { stamper } = this.publisher;
    this.#phase = 'hello';
    this.#answer = now.mono + HANDSHAKE;
    this.#link!.feed.message(
      hello(this.identity, {
        instance: toBytes(stamper.instance),
        epoch: this.#dialler.epoch,
        accept: this.config.accept,
        flags: this.#dialler.flags(this.config) | (this.subscribed.isList ? FLAGS.listed : 0),
        time: stamper.sayHello(now),
        secret: this.secret,
        token: this.config.token,
        features: ALL_FEATURES,
      }),
    );
  }

  /** The link is there, to the hub of this instance, which has these features, or to an old one. */
  #up(now: Now, instance: string | undefined, features: number) {
    this.#phase = 'up';
    this.#answer = Infinity;
    const { hub, own } = this.publisher;
    const { feed, codec } = this.#link!;
    hub.features = features;
    own.expire(now.mono);
    own.forgetTransient(now.boot, (version) => this.#acks.isWaitedFor(version));
    if (hub.instance !== instance) {
      this.#acks.forget();
      if (hub.instance === undefined) {
        // What came through an old hub has this app's stamps, which say nothing beside those of the senders.
        this.received.clear();
      }
      hub.instance = instance;
    }
    this.publisher.feed = feed;
    this.#dialler.welcomed();
    this.#reports.forgetFailures();
    this.#reports.forgetWarning('withheld');
    feed.features = features;
    feed.walkAll(own);
    this.publisher.wills.begin(feed, this.publisher.limit);
    if (this.others.isWanted) {
      this.#say('watch');
    }
    if (!feed.isOld && !codec.isLocal && this.config.silence > 0) {
      this.#answer = now.mono + this.#half;
    }
    this.#tellLink();
    this.subscribed.begin(this.#link!, hub);
  }

  #refusedByHub(now: Now, status: number, text: string) {
    const error = this.#dialler.withUrl(refusal(status, text));
    this.#hangUp();
    this.#wait(now);
    const wasRefused = this.#dialler.refused(error.code);
    if (this.#reports.failed(error) || !wasRefused) {
      this.#reports.warn(`refused: ${error.message}`);
      this.#tellLink(error);
    }
  }

  #tellLink(why?: NanostateError) {
    const text = why?.message ?? (this.#phase === 'up' ? this.#dialler.url : '');
    this.#reports.add({ is: 'link', link: { state: this.link, code: why?.code, text } });
  }

  /** Whether the hub of the link is an old one. */
  get isOld(): boolean {
    return this.#link?.feed.isOld ?? false;
  }

  // What the hub sends.

  #body(now: Now, bytes: Uint8Array) {
    try {
      const body = readBody(bytes, this.isOld, this.publisher.hub.features);
      'is' in body ? this.#hear(now, body) : this.#receive(now, body);
    } catch (error) {
      if (!(error instanceof Malformed)) {
        throw error;
      }
      this.#reports.warnOnce('malformed', error.message);
    }
  }

  #receive(now: Now, body: Body) {
    const { sender, name, kind } = body;
    const { publisher } = this;
    const isOwn = sender === this.identity;
    if (this.#phase !== 'up' || (isOwn && this.isOld && !this.config.echo)) {
      return;
    }
    if (body.stamp !== undefined) {
      publisher.observe(now, clockOf(body.stamp));
    }
    const stamp = body.stamp ?? publisher.stamper.next(now);
    const time = body.stamp === undefined ? 0 : toMillis(clockOf(stamp));
    const own = isOwn ? publisher.own.find(name) : undefined;
    const { shared, echo } = this.config;
    // It has expired at the hub, and is about to here.
    const isExpiry = own && stamp === expired(own.stamp);
    if (own && !shared && !isExpiry && !publisher.stamper.isMine(stamp)) {
      if (stamp > own.stamp) {
        // An earlier run under this identity: what this run says counts.
        publisher.restamp(now, own);
      }
      return;
    }
    const before = own?.stamp;
    if (before !== undefined && stamp > before) {
      publisher.adoptState(now, body, stamp);
      if (isExpiry && !shared && !echo) {
        return;
      }
    }
    const known = this.received.find(sender, name);
    // A hub that sends all names does not send them again when they are used: what it sends is kept.
    const isUsed = known || !publisher.hub.can('subscribe') || this.subscribed.takes(name);
    if (!isUsed || (this.config.accept & acceptedBy(body)) === 0) {
      return;
    }
    // One's own value comes back with its own stamp, if that was asked for.
    const isOlder = before !== undefined && (stamp < before || (stamp === before && !echo));
    // An older value than before is what the hub knows: one that was killed took the newer one with it.
    // Nor does one come back that has expired here: it was on its way then.
    if (isOlder || known?.stamp === stamp || (known?.state.kind === 'cleared' && known.stamp === expired(stamp))) {
      return;
    }
    const value = kind === 'cleared' ? undefined : body.value;
    const state = { sender, name, value, kind, time, retained: (body.flags & RETAINED) !== 0 } as State;
    publisher.take(state, stamp, body.metaAt, now.mono + (body.lifetime ?? Infinity));
  }

  #hear(now: Now, control: Control) {
    const { publisher } = this;
    const { own, stamper } = publisher;
    switch (control.is) {
      case 'welcome':
        if (this.#phase === 'hello') {
          publisher.hub.limit = control.maxMessage;
          publisher.welcomed(now, control.time, stamper.isFirst());
          this.#up(now, control.instance, control.features);
        }
        return;
      case 'refuse':
        return this.#refusedByHub(now, control.status, control.text);
      case 'ping':
        return this.#link!.pinged(control.token);
      case 'pong':
        if (control.time !== undefined) {
          publisher.observe(now, control.time);
        }
        return this.#acks.answered(this.#pings.answered(now.mono, control.token), own.version, own.restamped);
      case 'rejected':
        return publisher.notTaken(control.name, own.find(control.name), codeOf(control.status) ?? 'NS_ERR_FULL');
      case 'will-rejected':
        return publisher.wills.rejected(control.status, control.name, control.nth);
      case 'synced':
        if (this.#phase === 'up' && this.subscribed.answered(control.asks)) {
          this.#reports.add({ is: 'synced' });
        }
        return;
      case 'presence': {
        const isOwn = control.instance === stamper.instance && control.identity === this.identity;
        return isOwn || !this.others.isWanted ? undefined : this.stale.heard(control);
      }
      case 'answer':
        return this.#questions.answered(control.token, control.fields);
      case 'stale':
        if (this.#phase === 'up') {
          publisher.wasStale(now, control.name, control.offered, control.held, control.time);
        }
    }
  }
}
