/// <reference lib="esnext.disposable" preserve="true" />
// Starts a hub from a program: the command, as a child that ends with its parent.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { command } from './command.js';
import { HubError } from './error.js';
import { LIFELINE, untilEof } from './lifeline.js';
import { commandLine, type HubOptions } from './options.js';

export { HubError } from './error.js';
export type { Duration, Flags, HubOptions, Size } from './options.js';

/** How a hub has ended. */
export interface Ended {
  /** Its exit code; null if a signal has killed it. */
  code: number | null;
  signal: string | null;
}

/** A hub that runs as a child of this process. */
export class Hub {
  /** Where it listens, in the order of `listen`, with the ports that were free. */
  readonly urls: readonly string[];
  /** The number of its process. */
  readonly pid: number;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, urls: string[], ended: Promise<Ended>) {
    this.#child = child;
    this.urls = urls;
    this.pid = child.pid!;
    this.ended = ended;
  }

  /** The first of its addresses. */
  get url(): string {
    return this.urls[0]!;
  }

  /** Ends it, and waits until it has ended. */
  async close(): Promise<void> {
    this.ref();
    this.#child.stdio[LIFELINE]!.destroy();
    await this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Keeps this process running until the hub has ended. It is so from the start. */
  ref(): this {
    return this.#each('ref');
  }

  /** Lets this process end, and the hub with it, when nothing else is to be done. */
  unref(): this {
    return this.#each('unref');
  }

  #each(method: 'ref' | 'unref'): this {
    for (const handle of [this.#child, ...this.#child.stdio]) {
      // Those of the pipes are sockets.
      (handle as Partial<ChildProcess> | null)?.[method]?.();
    }
    return this;
  }

  /** @internal */
  static async start(options: HubOptions): Promise<Hub> {
    const { args = [], onLog = print, ...flags } = options;
    const file = command();
    const child = spawn(file, [...untilEof, 'hub', ...commandLine(flags), ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      // A level in the environment yields to that of a flag.
      env: { NANOSTATE_LOG: 'warn', ...process.env },
      // In a session of its own, so that Ctrl-C leaves it to this program when its hub ends.
      detached: true,
    });
    if (child.pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error];
      throw new HubError(`${file}: ${error.message}`, null);
    }
    // It breaks when the hub ends first.
    child.stdio[LIFELINE]!.on('error', () => {});

    const said: string[] = [];
    let log = (line: string): unknown => said.push(line);
    createInterface(child.stderr!).on('line', (line) => log(line));
    const ended = new Promise<Ended>((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
    const urls = await addresses(child.stdout!);
    if (urls.length === 0) {
      const { code, signal } = await ended;
      throw new HubError(complaint(said) ?? `nanostate hub did not listen, and ended with ${signal ?? `exit code ${code}`}`, code);
    }
    said.forEach((line) => onLog(line));
    log = onLog;
    return new Hub(child, urls, ended);
  }
}

/** Starts a hub. Resolves when it listens; rejects with a `HubError` if it cannot. */
export function startHub(options: HubOptions = {}): Promise<Hub> {
  return Hub.start(options);
}

/** The addresses that a hub tells. It ends its output when it has told all of them, or because it cannot listen. */
async function addresses(output: Readable): Promise<string[]> {
  const urls = [];
  for await (const line of createInterface(output)) {
    const url = /^listening on (.*)$/.exec(line)?.[1];
    if (url !== undefined) {
      urls.push(url);
    }
  }
  return urls;
}

/** Why the command has failed, of what it said; before that may be lines of its log. */
function complaint(said: string[]): string | undefined {
  const from = said.findIndex((line) => line.startsWith('nanostate: '));
  return from < 0 ? undefined : said.slice(from).join('\n').replace('nanostate: ', '').trim();
}

function print(line: string): void {
  process.stderr.write(`${line}\n`);
}
