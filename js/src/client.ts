// The API: one object for each identity on a hub.

import { Driver, type Told } from './driver.js';
import type { Now } from './engine/clock.js';
import type { Config } from './engine/config.js';
import type { Peer } from './engine/others.js';
import type { Ping } from './engine/pings.js';
import { notForgotten, type Answer, type Question, type QuestionName } from './engine/questions.js';
import type { State, ValueState } from './engine/received.js';
import type { Link } from './engine/reports.js';
import { Session } from './engine/session.js';
import { KINDS, type Kind, type Sendable, type Value } from './msgpack.js';
import { NanostateError } from './status.js';
import { Store } from './store.js';
import type { Environment, WebSocketClass } from './transport.js';
import { Watchers, call, type Use } from './watchers.js';
import { checkIdentity, checkName, checkToken } from './wire.js';

export interface Options {
  /** The kinds of values to receive; by default all. */
  accept?: readonly Kind[];
  /** Whether the hub sends this program's own states back to it. */
  echo?: boolean;
  /** Take the identity over from a live holder. */
  takeOver?: boolean;
  /** Share the identity with other programs that set this, too. */
  shared?: boolean;
  /** The largest message in both directions, in bytes: 16 MiB. */
  maxMessage?: number;
  /** Limit of own values that are kept, sent or not, in bytes: 64 MiB. */
  sendQueue?: number;
  /** The shortest and the longest wait before a reconnect, in milliseconds: 50 and 5000. */
  backoffMin?: number;
  backoffMax?: number;
  /**
   * A hub of which nothing is heard for so long is given up, and looked for anew, in milliseconds: 20,000; 0: never. A page
   * that is hidden does not judge.
   */
  silence?: number;
  /** How long `close` waits for values that the hub has not got, in milliseconds: 1000. */
  linger?: number;
  /** The access token, if the hub asks for one; in Node by default `$NANOSTATE_TOKEN`. */
  token?: string;
  /** Let the token go unencrypted to another machine. */
  clearToken?: boolean;
  /** In Node, for `tls+tcp://` and `wss://`: a file of certificates, PEM; by default `$NANOSTATE_TLS_CA`. */
  ca?: string;
  /** In Node: the SHA-256 of the hub's public key, or several with commas; by default `$NANOSTATE_TLS_PIN`. */
  pin?: string;
  /** The WebSocket to use, where there is none, or another one is wanted. */
  WebSocket?: WebSocketClass;
  /** Takes what the operator should know; by default `console.warn`. */
  log?: (text: string) => void;
}

export interface ValueOptions {
  /** `double`: Numbers go as doubles, also integral ones, which otherwise go as integers. */
  type?: 'double' | undefined;
}

export interface SendOptions extends ValueOptions {
  /**
   * The old values of the name mean nothing, as those of a mouse or a camera: each is sent to those that are there, and
   * whoever comes later is not sent it.
   */
  transient?: boolean | undefined;
  /**
   * The value is withdrawn, as if it had been cleared, unless it is sent again within this time: whole milliseconds, at most
   * 1000 days. 0, the default: it stays.
   */
  ttl?: number | undefined;
}

export interface WaitOptions {
  /** How long to wait, in milliseconds; by default indefinitely. */
  timeout?: number;
}

/** A name that was checked once, and how its values are sent. */
export interface Key {
  readonly name: string;
  send(value: Sendable): void;
  /** Withdraws the own value. */
  clear(): void;
  /** The newest value, whoever sent it. */
  get(): Value | undefined;
}

/** The longest life of a value, in milliseconds. */
export const MOST_TTL = 86_400_000_000;

/** The key of the method of {@link Client} that asks the hub a question, for the modules of this package. */
export const ASK = Symbol();

/** How a call that waits has ended: with an error or without one (`null`); `undefined` if it goes on. */
type Outcome = NanostateError | null | undefined;

export class Client {
  readonly #session: Session;
  readonly #driver: Driver;
  readonly #watchers: Watchers;
  readonly #stores = new Map<string, Store<any>>();
  readonly #onLink = new Set<(link: Link) => void>();
  readonly #onRejected = new Set<(rejected: Rejected) => void>();
  readonly #onSynced = new Set<() => void>();
  readonly #onPresence = new Set<(peer: Peer) => void>();
  readonly #onStale = new Set<(sender: string | undefined) => void>();
  /** Calls that wait: what ends them, and what they wait for. */
  readonly #waiters = new Map<(outcome: Outcome) => void, () => Outcome>();
  readonly #options: Options;
  #link: Link = { state: 'idle', code: undefined, text: '' };
  #closed: Promise<void> | undefined;
  /** Whether stores may show outdated values: a value has come, or own values no longer have this version. */
  #isStale = false;
  #version = 0;

  /** Connects by itself, and again whenever the link is lost. `url`: an address, or several of the same hub. */
  constructor(environment: Environment, identity: string, url?: string | readonly string[], options: Options = {}) {
    const random = () => crypto.getRandomValues(new Uint8Array(16));
    const { accept, clearToken, ...rest } = (this.#options = options);
    const { urls, dial } = environment.prepare([url ?? environment.defaultUrl()].flat(), options);
    const config: Partial<Config> = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    config.token ??= environment.defaultToken();
    if (config.token !== undefined) {
      checkToken(config.token, clearToken ? [] : urls);
    }
    if (accept) {
      config.accept = maskOf(accept);
    }
    this.#session = new Session(identity, random(), random(), config);
    this.#session.subscribed.beginList();
    this.#watchers = new Watchers(
      () => Array.from(this.#alive().received.values(), ({ state }) => state),
      (pattern) => this.#use(pattern),
    );
    this.#driver = new Driver(this.#session, dial, (event) => this.#tell(event), () => this.#settle());
    this.#session.connect(urls);
    // After the program has had its turn, so that it hears of all.
    queueMicrotask(() => this.#driver.pump());
  }

  get identity(): string {
    return this.#session.identity;
  }

  /** Where the link to the hub stands, and why. */
  get link(): Link {
    return this.#link;
  }

  /** Publishes a value: it is sent as soon as there is a link, unless a newer one of its name takes its place. */
  send(name: string, value: Sendable, { type, transient: isTransient, ttl }: SendOptions = {}) {
    checkTtl(ttl);
    const policy = { isTransient, lifetime: ttl || undefined };
    this.#change((now) => this.#session.publisher.publish(now, name, value, type === 'double', policy));
  }

  /**
   * Withdraws the own value of a name: nobody finds it any more, until there is another one. Those who were given it hear
   * of a state that is `cleared`.
   */
  clear(name: string) {
    this.#change((now) => this.#session.publisher.clear(now, name));
  }

  /**
   * Leaves a value with the hub, which publishes it if this client is lost: if its process ends without `close` and is not back
   * within 5 s, or nothing is heard of it any more. A page that is closed or left is not lost.
   */
  will(name: string, value: Sendable, { type }: ValueOptions = {}) {
    this.#change(() => this.#session.publisher.leave(name, value, type === 'double'));
  }

  /** If this client is lost, the hub withdraws the own value of a name. */
  willClear(name: string) {
    this.#change(() => this.#session.publisher.leaveClear(name));
  }

  /** Takes back what was left with the hub for a name. */
  noWill(name: string) {
    this.#change(() => this.#session.publisher.wills.withdraw(name));
  }

  /** Changes own values. */
  #change(act: (now: Now) => void) {
    if (this.#closed) {
      throw new NanostateError('NS_ERR_CLOSED');
    }
    // Before it, what is in use: an answer may come at once.
    this.#session.subscribed.tell();
    act(this.#driver.now());
    this.#driver.pump();
  }

  /**
   * The newest value of a name, own ones included: that of a sender, or of whoever sent last. The first look at a name
   * that nothing else is for has the hub send it, and finds it only later: see {@link synced}. Throws if it cannot be a
   * name, and if too many patterns are in use.
   */
  get(name: string, sender?: string): Value | undefined {
    return this.state(name, sender)?.value;
  }

  /** As {@link get}, with sender, kind and time. */
  state(name: string, sender?: string): ValueState | undefined {
    const { received, subscribed, publisher } = this.#alive();
    if (!received.newest(name) && !subscribed.takes(name)) {
      this.#use(name);
    }
    return publisher.find(name, sender);
  }

  /** The session, in which nothing has expired by now: timers may be late. */
  #alive(): Session {
    this.#session.publisher.expire(this.#driver.now());
    return this.#session;
  }

  /** A pattern is in use: the hub sends what it holds of it, and what comes. */
  #use(pattern: string): Use {
    const { subscribed } = this.#session;
    const fits = subscribed.add(pattern);
    this.#tellUses();
    return {
      fits,
      end: () => {
        subscribed.remove(pattern);
        this.#tellUses();
      },
    };
  }

  /** Tells the hub what is in use once the program has had its turn, so that many are told together. */
  #tellUses() {
    queueMicrotask(() => {
      if (!this.#closed && this.#session.subscribed.tell()) {
        this.#driver.pump();
      }
    });
  }

  /**
   * Calls `fn` with the newest state of each name that matches, and then with every new one, until the function that is
   * returned is called. Own states come only with the option `echo`.
   */
  on(pattern: string, fn: (state: State) => void): () => void {
    const watcher = this.#watchers.add(pattern, (state) => call(fn, state));
    // What is known comes once the program has got the function that ends it.
    queueMicrotask(() => watcher.begin());
    return () => watcher.end();
  }

  /** The same for `for await`. A loop that is slow gets newest values only. It ends when the client is closed. */
  states(pattern: string): AsyncIterableIterator<State> {
    return this.#watchers.loop(pattern);
  }

  /** Calls `fn` whenever the link changes, until the function that is returned is called. */
  onLink(fn: (link: Link) => void): () => void {
    return add(this.#onLink, fn);
  }

  /** Calls `fn` for each own value that the hub did not take, until the function that is returned is called. */
  onRejected(fn: (rejected: Rejected) => void): () => void {
    return add(this.#onRejected, fn);
  }

  /**
   * Calls `fn` each time that everything has come that the hub held of the names in use, behind the functions for these
   * states, until the function that is returned is called.
   */
  onSynced(fn: () => void): () => void {
    return add(this.#onSynced, fn);
  }

  /**
   * Calls `fn` with each other app that is there, and then whenever one joins, is suspect, recovers, leaves or is lost, until
   * the function that is returned is called. After a reconnect only the differences are told. A hub that does not say which
   * apps are there tells nothing.
   */
  onPresence(fn: (peer: Peer) => void): () => void {
    const { others } = this.#session;
    const all = this.#onPresence;
    let isOver = false;
    this.#session.watchOthers();
    queueMicrotask(() => {
      if (!isOver && !this.#closed) {
        all.add(fn);
        others.known.forEach((peer) => {
          call(fn, { ...peer, presence: 'here' });
          peer.presence === 'suspect' && call(fn, peer);
        });
        this.#driver.pump();
      }
    });
    return () => {
      isOver = true;
      all.delete(fn);
    };
  }

  /**
   * The other apps that are there, each `here` or `suspect`. Rejects as `flush` does, and with `NS_ERR_UNSUPPORTED` if the
   * hub does not tell.
   */
  async peers(options?: WaitOptions): Promise<Peer[]> {
    const { others, publisher } = this.#session;
    this.#session.watchOthers();
    await this.#wait(options, () =>
      others.isComplete ? null
      : this.#session.link !== 'connected' || publisher.hub.can('presence') ? undefined
      : new NanostateError('NS_ERR_UNSUPPORTED', 'the hub does not say which apps are there'),
    );
    return [...others.known.values()];
  }

  /**
   * Whether a value is stale: the app that set it is gone, or was restarted and has not set it since. A suspect app is not
   * gone. Values that the hub itself has stamped are not stale while that hub runs: those of old programs and of clients of
   * gateways, and wills. The first call makes the client ask the hub which apps are there. Until the hub has told all of them,
   * a value becomes stale only if the hub says that its app is gone.
   */
  isStale(state: Pick<State, 'sender' | 'name'>): boolean {
    this.#asksStale();
    return this.#session.stale.isStale(state);
  }

  /**
   * Calls `fn` with a sender whose values may have become stale or fresh: first with `undefined`, for all senders, when the hub
   * has told which apps are there, and then with a sender when one of its apps comes or goes. Losing the hub makes no value
   * stale. The function that is returned ends it.
   */
  onStale(fn: (sender: string | undefined) => void): () => void {
    this.#asksStale();
    const { stale, others } = this.#session;
    stale.tells = true;
    others.areCertain && queueMicrotask(() => this.#onStale.has(fn) && call(fn, undefined));
    return add(this.#onStale, fn);
  }

  #asksStale() {
    if (!this.#closed && !this.#session.stale.isAsked) {
      this.#session.stale.isAsked = true;
      this.#session.watchOthers();
      queueMicrotask(() => this.#driver.pump());
    }
  }

  /** A name whose values are all sent in the same way. */
  key(name: string, options: SendOptions = {}): Key {
    checkName(name);
    checkTtl(options.ttl);
    return { name, send: (value) => this.send(name, value, options), clear: () => this.clear(name), get: () => this.get(name) };
  }

  /**
   * The newest value of a name, for `useSyncExternalStore` of React and as a store of Svelte. Its `set` sends as the
   * options say.
   */
  store<T extends Value = Value>(name: string, options: SendOptions = {}): Store<T> {
    const key = `${options.type} ${!!options.transient} ${options.ttl} ${name}`;
    let store = this.#stores.get(key);
    if (!store) {
      const { get, send } = this.key(name, options);
      store = new Store<T>(() => this.#use(name).end, get as () => T | undefined, send);
      this.#stores.set(key, store);
    }
    return store;
  }

  /**
   * Waits until the hub has all that was sent before. Rejects with a {@link NanostateError}: the time is up, the hub
   * refused the program or a value, or the client was closed.
   */
  flush(options?: WaitOptions): Promise<void> {
    const version = this.#session.requestAck();
    return this.#wait(options, () => (this.#session.isAcked(version) ? (this.#session.notTaken(version) ?? null) : undefined));
  }

  /** Whether everything has come that the hub held of the names in use: `get` finds it. */
  get isSynced(): boolean {
    const { subscribed } = this.#session;
    subscribed.tell();
    return !!subscribed.has(subscribed.asked);
  }

  /**
   * Waits until everything has come that the hub held of the names in use when this is called, and the functions for
   * these states were called. Rejects as `flush` does, and with `NS_ERR_UNSUPPORTED` if the hub does not tell.
   */
  synced(options?: WaitOptions): Promise<void> {
    const { subscribed } = this.#session;
    subscribed.tell();
    const { asked } = subscribed;
    return this.#wait(options, () => {
      const isSynced = subscribed.has(asked);
      return isSynced ? null
        : isSynced === false ? undefined
        : new NanostateError('NS_ERR_UNSUPPORTED', 'the hub does not say when it has sent what it held');
    });
  }

  /**
   * How long the hub takes to answer, in milliseconds, once it has dealt with everything that was sent before. Waits for a
   * link, and asks again if that is lost. Rejects as `flush` does, and with `NS_ERR_UNSUPPORTED` if the hub is one of the
   * original, which does not answer.
   */
  async ping(options?: WaitOptions): Promise<number> {
    let ping: Ping | undefined;
    await this.#wait(options, () => {
      if (ping?.took !== undefined) {
        return null;
      }
      if (this.#session.isOld) {
        return new NanostateError('NS_ERR_UNSUPPORTED', 'an old hub does not answer pings');
      }
      if (!ping || ping.isLost) {
        ping = this.#session.ping(this.#driver.now());
        ping && queueMicrotask(() => this.#driver.pump());
      }
      return undefined;
    });
    return ping!.took!;
  }

  /**
   * Has the hub withdraw the value of a sender that has departed, as if the sender had cleared it. Rejects as `flush` does, or
   * with: `NS_ERR_NOT_FOUND`: the hub holds no such value; `NS_ERR_STATE`: the sender is connected, and only it can clear the
   * value; `NS_ERR_PERMISSION`: this program may only read; `NS_ERR_UNSUPPORTED`: the hub cannot do this; `NS_ERR_IO`: the link
   * was lost before the answer came, and the value may be withdrawn or not.
   */
  async forget(sender: string, name: string, options?: WaitOptions): Promise<void> {
    checkIdentity(sender);
    checkName(name);
    const answer = await this[ASK]('forget', 'withdraw values of others', options, () => [sender, name]);
    const error = answer ? notForgotten(answer) : new NanostateError('NS_ERR_IO', 'the link was lost before the hub answered');
    if (error) {
      throw error;
    }
  }

  /**
   * Asks the hub, once there is a link, and waits for the answer: `undefined` if the link was lost before it came. For the
   * modules of this package.
   */
  async [ASK](
    name: QuestionName, words: string, options: WaitOptions | undefined, fields: (config: Config) => (Value | undefined)[],
  ): Promise<Answer | undefined> {
    let question: Question | undefined;
    await this.#wait(options, () => {
      if (question?.answer || question?.isLost) {
        return null;
      }
      if (this.#session.link === 'connected') {
        if (!this.#session.publisher.hub.can(name)) {
          return new NanostateError('NS_ERR_UNSUPPORTED', `the hub does not ${words}`);
        }
        if (!question) {
          question = this.#session.ask(name, ...fields(this.#session.config));
          question && queueMicrotask(() => this.#driver.pump());
        }
      }
      return undefined;
    });
    return question!.answer;
  }

  #wait({ timeout }: WaitOptions = {}, ask: () => Outcome): Promise<void> {
    if (this.#closed) {
      return Promise.reject(new NanostateError('NS_ERR_CLOSED'));
    }
    return new Promise((resolve, reject) => {
      const timer = timeout === undefined ? undefined : setTimeout(() => end(this.#timedOut()), timeout);
      const end = (outcome: Outcome) => {
        clearTimeout(timer);
        this.#waiters.delete(end);
        outcome ? reject(outcome) : resolve();
      };
      this.#waiters.set(end, ask);
      this.#driver.pump();
    });
  }

  #timedOut(): NanostateError {
    const why = this.#link.state === 'connected' ? undefined : this.#session.lastFailure;
    return new NanostateError('NS_ERR_TIMEOUT', why?.message ?? 'no answer from the hub yet');
  }

  /** Ends, after what was sent has reached the hub or `linger` is over. Nothing is told any more. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close() {
    const { linger = 1_000 } = this.#options;
    const wasAsked = !this.#session.isAcked(this.#session.publisher.own.version);
    // A failure here is one that was told already, or that nobody waits for.
    const flushed = wasAsked ? this.flush({ timeout: linger }).catch(() => {}) : undefined;
    this.#watchers.close();
    this.#onLink.clear();
    this.#onRejected.clear();
    this.#onSynced.clear();
    this.#onPresence.clear();
    this.#onStale.clear();
    this.#stores.clear();
    await flushed;
    if (this.#session.isOld && this.#session.publisher.own.version > 0) {
      // nanomsg and NNG forget what they have not handed on when a connection ends, and acknowledge nothing.
      await new Promise((resolve) => setTimeout(resolve, Math.min(100, linger)));
    }
    for (const end of this.#waiters.keys()) {
      end(new NanostateError('NS_ERR_CLOSED'));
    }
    await this.#driver.close();
  }

  /** In Node: the connection does not keep the process running. */
  unref(): this {
    this.#driver.keepRunning(false);
    return this;
  }

  /** In Node: the connection keeps the process running, as it does by default. */
  ref(): this {
    this.#driver.keepRunning(true);
    return this;
  }

  #tell(event: Told) {
    switch (event.is) {
      case 'state':
        this.#isStale = true;
        return this.#watchers.tell(event.state);
      case 'synced':
        return this.#onSynced.forEach((fn) => call(fn, undefined));
      case 'presence':
        return this.#onPresence.forEach((fn) => call(fn, event.peer));
      case 'stale':
        return this.#onStale.forEach((fn) => call(fn, event.sender));
      case 'link':
        this.#link = event.link;
        return this.#onLink.forEach((fn) => call(fn, event.link));
      case 'rejected':
        return this.#onRejected.forEach((fn) => call(fn, event));
      case 'warning':
        return call(this.#options.log ?? console.warn, `nanostate: ${this.identity}: ${event.text}`);
    }
  }

  /** The driver has dealt with whatever happened. */
  #settle() {
    const { version } = this.#session.publisher.own;
    if (this.#isStale || version !== this.#version) {
      this.#isStale = false;
      this.#version = version;
      this.#stores.forEach((store) => store.refresh());
    }
    for (const [end, ask] of this.#waiters) {
      let outcome = ask();
      if (outcome === undefined && this.#link.state === 'refused') {
        outcome = this.#session.lastFailure ?? new NanostateError('NS_ERR_REFUSED');
      }
      if (outcome !== undefined) {
        end(outcome);
      }
    }
  }
}

/** An own value that the hub did not take, and why. */
export interface Rejected {
  readonly name: string;
  readonly error: NanostateError;
}

function checkTtl(ttl = 0) {
  if (!(Number.isSafeInteger(ttl) && ttl >= 0 && ttl <= MOST_TTL)) {
    throw new NanostateError('NS_ERR_INVALID', `ttl not allowed: ${ttl}: 0 to ${MOST_TTL} ms`);
  }
}

function maskOf(kinds: readonly Kind[]): number {
  return kinds.reduce((mask, kind) => {
    const index = KINDS.indexOf(kind);
    if (index < 0) {
      throw new TypeError(`no such kind: ${kind}`);
    }
    return mask | (2 << index);
  }, 0);
}

function add<T>(all: Set<T>, one: T): () => void {
  all.add(one);
  return () => void all.delete(one);
}
