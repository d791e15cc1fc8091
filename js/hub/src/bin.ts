#!/usr/bin/env node
// nanostate-hub: runs `nanostate hub`, or the command of nanostate that the first argument names, and is to others what
// that is: its signals, its exit code.

import { spawn, type ChildProcess } from 'node:child_process';
import { command } from './command.js';
import { LIFELINE, untilEof } from './lifeline.js';

const PASSED_ON = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const;
/** npm passes on the Ctrl-C that this process has got from the terminal, too; a second one would not let the hub end cleanly. */
const ONCE: readonly string[] = ['SIGINT', 'SIGTERM'];

const shell = process.ppid;

function run(file: string, args: string[]): void {
  let passOn = (_: NodeJS.Signals): unknown => undefined;
  // Before there is a hub that somebody may want to end.
  for (const signal of PASSED_ON) {
    process[ONCE.includes(signal) ? 'once' : 'on'](signal, () => passOn(signal));
    // A listener has to stay, or the next one would end this process.
    process.on(signal, () => {});
  }
  const child = spawn(file, [...untilEof, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    // In a session of its own, where only what is passed on here reaches it.
    detached: true,
  });
  passOn = (signal) => child.kill(signal);
  if (process.env['npm_command'] === 'exec') {
    endWithShell(child);
  }
  child.stdio[LIFELINE]?.on('error', () => {});
  child.once('error', (error) => fail(`${file}: ${error.message}`));
  child.once('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code!;
    } else {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    }
  });
}

/** npx has a shell run this process. A signal to npx ends npx and the shell, and nobody tells this process, so it looks. */
function endWithShell(child: ChildProcess): void {
  const timer = setInterval(() => {
    if (process.ppid !== shell) {
      clearInterval(timer);
      child.kill('SIGTERM');
    }
  }, 250).unref();
}

function fail(text: string): void {
  process.stderr.write(`nanostate-hub: ${text}\n`);
  process.exitCode = 1;
}

const args = process.argv.slice(2);
// Flags are those of the hub. It takes nothing else, so a word is a command.
const isWhole = args[0] !== undefined && (!args[0].startsWith('-') || ['-V', '--version'].includes(args[0]));
let file: string | undefined;
try {
  file = command();
} catch (error) {
  fail((error as Error).message);
}
if (file !== undefined) {
  run(file, isWhole ? args : ['hub', ...args]);
}
