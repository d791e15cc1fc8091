// Moves the bytes of a session, tells it the time, and runs its timers.

import { Moments, type Now } from './engine/clock.js';
import type { Event } from './engine/reports.js';
import type { Session } from './engine/session.js';
import { isHidden, watchPage } from './page.js';
import { NanostateError } from './status.js';
import type { Dial, Transport } from './transport.js';

/** While more bytes than this wait in the transport, the session keeps what it has, and its newest values. */
const CONGESTED = 256 << 10;
/** How often a transport is asked whether it has room again that does not tell, in milliseconds. */
const ASK = 20;
/** How long a connection may take to be made, and to be closed before another is made, in milliseconds. */
const CONNECT = 10_000;
const CLOSE = 3_000;
/** A timer that is later than this, in milliseconds, tells that the program did not run. */
const LATE = 1_000;
/** The longest time for which a timer can be set, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** What the program is told. */
export type Told = Exclude<Event, { is: 'dial' | 'close' }>;

/** An attempt to connect, and the connection that it led to. There is one at a time. */
interface Attempt {
  readonly token: number;
  readonly conn: number;
  transport: Transport | undefined;
  isOpen: boolean;
  timer: ReturnType<typeof setTimeout>;
}

export class Driver {
  readonly #moments = new Moments();
  #attempt: Attempt | undefined;
  #conns = 0;
  /** What is to be dialled once the attempt before is over. */
  #next: { token: number; url: string } | undefined;
  /** Bytes that waited in the transport when it was last looked at, and how many were given to it since. */
  #waited = 0;
  #given = 0;
  #isPumping = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asks: ReturnType<typeof setTimeout> | undefined;
  /** The page is put away, or all is over: there is no connection, and none is needed. */
  #isAway = false;
  #keepsRunning = true;
  #unwatch: () => void;
  #onEnded: (() => void) | undefined;

  constructor(
    readonly session: Session,
    readonly dial: Dial,
    /** Tells the program. Must not throw. */
    readonly tell: (event: Told) => void,
    /** Whatever happened, it has been dealt with. Must not throw. */
    readonly settled: () => void,
  ) {
    this.#unwatch = watchPage({
      hurry: () => this.hurry(),
      leave: () => this.#leave(),
      enter: () => {
        this.#isAway = false;
        this.#beginNext();
        this.hurry();
      },
    });
  }

  now(): Now {
    return this.#moments.now(performance.now(), Date.now());
  }

  /** There is a reason to believe that the hub can be reached now. */
  hurry() {
    // While something is on its way, the hub may well take long to answer.
    if (!this.#attempt?.transport?.buffered) {
      this.session.hurry(this.now());
      this.pump();
    }
  }

  /** Does what the session asks for, tells the program what it tells, and writes. To be called after each change. */
  pump() {
    if (this.#isPumping) {
      // Called by the program from within: the turn goes on anyway.
      return;
    }
    this.#isPumping = true;
    try {
      for (let goesOn = true; goesOn; ) {
        const events = this.session.takeEvents();
        for (const event of events) {
          if (event.is === 'dial') this.#begin(event.token, event.url);
          else if (event.is === 'close') this.#end(event.conn);
          else this.tell(event);
        }
        goesOn = this.#write() || events.length > 0;
      }
      this.settled();
    } finally {
      this.#isPumping = false;
      this.#arm();
    }
  }

  /** Ends the connection. Resolves when it is closed. */
  async close() {
    this.#unwatch();
    this.#sayFarewell();
    this.session.disconnect();
    this.pump();
    this.#next = undefined;
    // No timer from here on: one for values that expire would keep the process running.
    this.#isAway = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#asks);
    if (this.#attempt) {
      this.#close(this.#attempt);
      await new Promise<void>((resolve) => (this.#onEnded = resolve));
    }
  }

  /** Whether timers and connection keep the process running. */
  keepRunning(keeps: boolean) {
    this.#keepsRunning = keeps;
    this.#attempt?.transport?.ref?.(keeps);
    this.#arm();
  }

  #begin(token: number, url: string) {
    if (this.#attempt || this.#isAway) {
      this.#next = { token, url };
      return;
    }
    const timer = this.#after(CONNECT, () => this.#tooSlow(attempt));
    const attempt: Attempt = { token, conn: ++this.#conns, transport: undefined, isOpen: false, timer };
    this.#attempt = attempt;
    try {
      attempt.transport = this.dial(url, {
        opened: (makeCodec) => {
          if (this.#attempt !== attempt) return;
          clearTimeout(attempt.timer);
          attempt.isOpen = this.session.opened(this.now(), attempt.conn, makeCodec, token);
          if (!attempt.isOpen) {
            this.#close(attempt);
          }
          this.pump();
        },
        received: (bytes) => {
          this.session.bytes(this.now(), attempt.conn, bytes);
          this.pump();
        },
        drained: () => this.pump(),
        ended: (error, isFinal) => this.#ended(attempt, error, isFinal),
      });
      attempt.transport.ref?.(this.#keepsRunning);
    } catch (error) {
      this.#ended(attempt, error as NanostateError);
    }
  }

  #ended(attempt: Attempt, error: NanostateError, isFinal = false) {
    if (this.#attempt !== attempt) {
      return;
    }
    clearTimeout(attempt.timer);
    this.#attempt = undefined;
    this.#tellEnd(attempt, error, isFinal);
    this.#beginNext();
    this.#onEnded?.();
    this.pump();
  }

  /** Tells the session, which heeds it only once. */
  #tellEnd(attempt: Attempt, error: NanostateError, isFinal = false) {
    if (attempt.isOpen) {
      this.session.closed(this.now(), attempt.conn, error, isFinal);
    } else {
      this.session.dialFailed(this.now(), attempt.token, error);
    }
  }

  #beginNext() {
    const next = this.#next;
    this.#next = undefined;
    if (next) {
      this.#begin(next.token, next.url);
    }
  }

  #tooSlow(attempt: Attempt) {
    if (isHidden()) {
      // Timers of a hidden page tell nothing about the hub.
      attempt.timer = this.#after(CONNECT, () => this.#tooSlow(attempt));
      return;
    }
    attempt.transport?.close();
    this.#ended(attempt, new NanostateError('NS_ERR_TIMEOUT', 'no connection in time'));
  }

  #end(conn: number) {
    if (this.#attempt?.conn === conn) {
      this.#close(this.#attempt);
    }
  }

  /** Closes a connection. The next is made when it is over, or if that takes too long. */
  #close(attempt: Attempt) {
    attempt.transport?.close();
    clearTimeout(attempt.timer);
    attempt.timer = this.#after(CLOSE, () => this.#ended(attempt, new NanostateError('NS_ERR_CLOSED')));
  }

  /** The page is put away, perhaps to come back: a page with a connection would not be kept. */
  #leave() {
    this.#isAway = true;
    const attempt = this.#attempt;
    if (attempt) {
      this.#sayFarewell();
      this.#tellEnd(attempt, new NanostateError('NS_ERR_CLOSED', 'the page was left'));
      this.#close(attempt);
      this.pump();
    }
    clearTimeout(this.#timer);
  }

  #sayFarewell() {
    this.session.farewell();
    this.#write();
  }

  /** Sends what there is room for. Whether there was something. */
  #write(): boolean {
    const transport = this.#attempt?.isOpen ? this.#attempt.transport : undefined;
    const now = this.now();
    for (let wrote = false; transport; wrote = true) {
      if (transport.buffered > CONGESTED) {
        clearTimeout(this.#asks);
        this.#asks = this.#after(ASK, () => this.pump());
        return wrote;
      }
      const bytes = this.session.next(now);
      if (!bytes) {
        return wrote;
      }
      transport.send(bytes);
      this.#given += bytes.length;
    }
    return false;
  }

  #arm() {
    clearTimeout(this.#timer);
    const { deadline } = this.session;
    if (deadline === Infinity || this.#isAway) {
      return;
    }
    this.#timer = this.#after(Math.min(Math.max(0, deadline - performance.now()), LONGEST), () => {
      const now = this.now();
      if (isHidden() || now.mono > deadline + LATE || this.#isTaken()) {
        this.session.excuse(now);
      }
      this.session.tick(now);
      this.pump();
    });
  }

  /** Whether the other side has taken, since the last look, some of what had to wait: it lives. */
  #isTaken(): boolean {
    const { buffered = 0 } = this.#attempt?.transport ?? {};
    const isTaken = this.#waited > 0 && buffered < this.#waited + this.#given;
    this.#waited = buffered;
    this.#given = 0;
    return isTaken;
  }

  #after(millis: number, act: () => void): ReturnType<typeof setTimeout> {
    const timer = setTimeout(act, millis);
    if (!this.#keepsRunning) {
      // Only Node's timers have this.
      (timer as { unref?(): void }).unref?.();
    }
    return timer;
  }
}
