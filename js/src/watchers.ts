// Those who want to hear of states: functions, and loops that take them one by one.

import { keyOf, type State } from './engine/received.js';

/** An error of the program's own function is the program's: it is told as that of an event listener is. */
export function report(error: unknown) {
  if (typeof reportError === 'function') {
    reportError(error);
  } else {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Calls a function of the program. */
export function call<T>(fn: (argument: T) => unknown, argument: T) {
  try {
    fn(argument);
  } catch (error) {
    report(error);
  }
}

/** The use of a pattern. */
export interface Use {
  /** Whether a name matches. */
  readonly fits: (name: string) => boolean;
  /** To be called once. */
  end(): void;
}

/** One who wants to hear of states. */
export interface Watcher {
  /** Gives the newest state of each name that matches, and then every new one. */
  begin(): void;
  end(): void;
}

export class Watchers {
  readonly #all = new Set<(state: State) => void>();
  readonly #loops = new Set<Loop>();
  #isClosed = false;

  constructor(
    /** The newest value of each key that was received, in a new array. */
    readonly known: () => readonly State[],
    /** A pattern is in use. Throws for what is none, and for one too many. */
    readonly use: (pattern: string) => Use,
  ) {}

  /** One who has not begun, but for whom states come already. Throws as `use`. */
  add(pattern: string, take: (state: State) => void): Watcher {
    const { fits, end } = this.use(pattern);
    let isOver = false;
    const watcher = (state: State) => {
      if (!isOver && fits(state.name)) {
        take(state);
      }
    };
    return {
      begin: () => {
        if (!isOver && !this.#isClosed) {
          this.#all.add(watcher);
          this.known().forEach(watcher);
        }
      },
      end: () => {
        if (!isOver) {
          isOver = true;
          this.#all.delete(watcher);
          end();
        }
      },
    };
  }

  tell(state: State) {
    this.#all.forEach((watcher) => watcher(state));
  }

  /** The same as a loop, which begins when it is first asked. */
  loop(pattern: string): Loop {
    const watcher = this.add(pattern, (state) => loop.take(state));
    const loop: Loop = new Loop({
      begin: () => {
        this.#loops.add(loop);
        watcher.begin();
        if (this.#isClosed) {
          loop.close();
        }
      },
      end: () => {
        this.#loops.delete(loop);
        watcher.end();
      },
    });
    return loop;
  }

  /** Nothing more comes. */
  close() {
    this.#isClosed = true;
    this.#all.clear();
    this.#loops.forEach((loop) => loop.close());
  }
}

/** A loop that has as many states before it as this gets only the newest of each key. */
const MOST = 1_000;

/** States for `for await`. */
export class Loop implements AsyncIterableIterator<State> {
  #queue: State[] = [];
  /** If the queue was full: each key in the place of its oldest value. Then the queue is empty, until this is. */
  readonly #owed = new Map<string, State>();
  #waiting: ((result: IteratorResult<State, undefined>) => void)[] = [];
  #hasBegun = false;
  #isOver = false;

  constructor(readonly watcher: Watcher) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<State, undefined>> {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.watcher.begin();
    }
    const state = this.#queue.shift() ?? this.#oldestOwed();
    if (state) {
      return Promise.resolve({ done: false, value: state });
    }
    return new Promise((resolve) => {
      if (this.#isOver) {
        resolve({ done: true, value: undefined });
      } else {
        this.#waiting.push(resolve);
      }
    });
  }

  return(): Promise<IteratorResult<State, undefined>> {
    this.#queue = [];
    this.#owed.clear();
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Nothing more comes; what is there can still be taken. */
  close() {
    this.#isOver = true;
    this.watcher.end();
    for (const resolve of this.#waiting.splice(0)) {
      resolve({ done: true, value: undefined });
    }
  }

  #oldestOwed(): State | undefined {
    for (const [key, state] of this.#owed) {
      this.#owed.delete(key);
      return state;
    }
    return undefined;
  }

  take(state: State) {
    const resolve = this.#waiting.shift();
    if (resolve) {
      return resolve({ done: false, value: state });
    }
    if (this.#owed.size === 0 && this.#queue.length < MOST) {
      this.#queue.push(state);
      return;
    }
    for (const earlier of this.#queue.splice(0)) {
      this.#owed.set(keyOf(earlier), earlier);
    }
    this.#owed.set(keyOf(state), state);
  }
}
