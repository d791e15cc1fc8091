// What several tests use.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The root of the repository, seen from build/test. */
export const ROOT = new URL('../../../', import.meta.url);

export function readJson(path: string): any {
  return JSON.parse(readFileSync(new URL(path, ROOT), 'utf8'));
}

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** How many inputs a fuzz test tries. */
export const RUNS = Number(process.env['NANOSTATE_FUZZ_RUNS'] ?? 20_000);

/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Random {
  constructor(private seed = Number(process.env['NANOSTATE_FUZZ_SEED'] ?? Date.now()) >>> 0) {
    console.log(`NANOSTATE_FUZZ_SEED=${this.seed}`);
  }

  below(bound: number): number {
    this.seed = (this.seed + 0x6d2b79f5) >>> 0;
    let z = this.seed;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return Math.floor((((z ^ (z >>> 14)) >>> 0) / 2 ** 32) * bound);
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}

/** The file of this repository. */
export const path = (name: string) => fileURLToPath(new URL(name, ROOT));
/** The command, beside which the library is: that of a build by CMake, or of cargo. */
export const BINARY = process.env['NANOSTATE_COMMAND'] ?? path(`${process.env['CARGO_TARGET_DIR'] ?? 'target'}/debug/nanostate`);
/** As long as anything may take on the slowest machine, in milliseconds. */
export const BOUND = 60_000;

/** A program that is ended with the test. */
export class Program {
  readonly process: ChildProcess;
  readonly lines: string[] = [];
  /** What it says on standard error, if that was asked for. */
  readonly errors: string[] = [];
  #changed = () => {};

  constructor(
    command: string,
    args: string[],
    env: NodeJS.ProcessEnv = {},
    { error = 'inherit', ...options }: { error?: 'inherit' | 'pipe'; cwd?: string; detached?: boolean } = {},
  ) {
    this.process = spawn(command, args, { stdio: ['pipe', 'pipe', error], env: { ...process.env, ...env }, ...options });
    programs.add(this.process);
    this.process.on('exit', () => {
      programs.delete(this.process);
      this.#changed();
    });
    createInterface(this.process.stdout!).on('line', (line) => {
      this.lines.push(line);
      this.#changed();
    });
    if (this.process.stderr) {
      createInterface(this.process.stderr).on('line', (line) => {
        this.errors.push(line);
        if (/ error /.test(line)) console.error(line);
      });
    }
  }

  /** Gives it a line of input. */
  write(line: string) {
    this.process.stdin!.write(`${line}\n`);
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    const timer = setTimeout(() => this.process.kill('SIGKILL'), BOUND);
    while (this.lines.length === 0) {
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        throw new Error(`${this.process.spawnfile} has ended and said nothing`);
      }
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
    clearTimeout(timer);
    return this.lines.shift()!;
  }

  /** Waits until it has ended. Its exit code. */
  async ended(): Promise<number | null> {
    const timer = setTimeout(() => this.process.kill('SIGKILL'), BOUND);
    if (this.process.exitCode === null && this.process.signalCode === null) {
      await once(this.process, 'exit');
    }
    clearTimeout(timer);
    return this.process.exitCode;
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended();
  }
}

const programs = new Set<ChildProcess>();
process.on('exit', () => programs.forEach((program) => program.kill('SIGKILL')));

/** A program in C of this repository, which is compiled into `folder`; `libraries` beside that of nanostate. */
export function compile(folder: string, source: string, ...libraries: string[]): string {
  const binary = join(folder, basename(source, '.c'));
  if (existsSync(binary)) return binary;
  const library = join(dirname(BINARY), 'libnanostate.so');
  const link = join(folder, 'libnanostate.so.0');
  if (!existsSync(link)) symlinkSync(library, link);
  execFileSync('cc', ['-o', binary, path(source), `-I${path('include')}`, library, `-Wl,-rpath,${folder}`, ...libraries]);
  return binary;
}

/** The command line of nanostate. */
export function nanostate(...args: string[]): Program {
  return new Program(BINARY, args);
}

export class Hub {
  private constructor(
    readonly program: Program,
    /** Where it listens, in the order of what was asked for. */
    readonly urls: string[],
  ) {}

  static async start(...listen: string[]): Promise<Hub> {
    return Hub.startWith([], ...listen);
  }

  static async startWith(flags: string[], ...listen: string[]): Promise<Hub> {
    const urls = listen.length > 0 ? listen : ['tcp://127.0.0.1:0'];
    const args = ['hub', '--log', 'info', ...flags, ...urls.flatMap((url) => ['--listen', url])];
    const program = new Program(BINARY, args, {}, { error: 'pipe' });
    const found = [];
    for (let i = 0; i < urls.length; i++) {
      found.push((await program.line()).replace(/^listening on /, ''));
    }
    return new Hub(program, found);
  }

  get url(): string {
    return this.urls[0]!;
  }

  /** Stops it: it neither reads nor answers from here on. */
  async stop(): Promise<void> {
    const tasks = `/proc/${this.program.process.pid}/task`;
    this.program.process.kill('SIGSTOP');
    const isStopped = (task: string) => /\) T /.test(readFileSync(`${tasks}/${task}/stat`, 'utf8'));
    await until(() => readdirSync(tasks).every(isStopped), 'that all its threads stop');
  }

  /** Ends it by force, and starts it again at the same addresses. */
  async restart(): Promise<Hub> {
    await this.program.kill();
    return Hub.start(...this.urls);
  }

  kill(): Promise<void> {
    return this.program.kill();
  }

  /** The identities of its peers, those of the original as `an old program`, and how many there are in all. */
  async peers(): Promise<{ total: string; identities: string[] }> {
    const { errors } = this.program;
    const at = errors.length;
    this.program.process.kill('SIGUSR1');
    const find = (pattern: RegExp) => errors.slice(at).flatMap((line) => pattern.exec(line)?.[1] ?? []);
    const total = () => find(/ SIGUSR1: (\d+ peers, \d+ of them old);/)[0];
    const identities = () => find(/ peer (.*?) \(/);
    await until(() => total() !== undefined && identities().length === parseInt(total()!), 'the list of peers');
    return { total: total()!, identities: identities().sort() };
  }
}

/** Waits until this holds. */
export async function until(condition: () => unknown, what: string): Promise<void> {
  const end = Date.now() + BOUND;
  while (!condition()) {
    if (Date.now() > end) {
      throw new Error(`in vain: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Waits for an event. */
export async function within<T>(event: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(`in vain: ${what}`)), BOUND)));
  return Promise.race([event, late]).finally(() => clearTimeout(timer));
}
