// @nanostate/hub and the package of this platform as they are published, installed beside the client in an empty folder.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BINARY, BOUND, Program, ROOT, readJson, until, within } from './support.js';

const js = fileURLToPath(new URL('js', ROOT));
const folder = mkdtempSync(join(tmpdir(), 'nanostate-hub-package-'));
const archives = process.env['NANOSTATE_PACKAGES'] ?? join(folder, 'archives');
const consumer = join(folder, 'consumer');
const bin = join(consumer, 'node_modules/.bin/nanostate-hub');
after(() => rmSync(folder, { recursive: true }));
// The node and the npx of PATH may be programs that start others and keep signals from them, as those of PyPI do. So node is
// this one, and npx what it would run.
const path = join(folder, 'path');
process.env['PATH'] = `${path}:${process.env['PATH']}`;
let npxScript: string;
// npm may have something to say of its own settings.
process.env['npm_config_loglevel'] = 'error';
delete process.env['NANOSTATE_COMMAND'];
delete process.env['NANOSTATE_URL'];

function run(command: string, args: string[], cwd: string): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs a program in the folder to its end. */
function outcome(command: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: consumer, encoding: 'utf8', timeout: BOUND });
  return { status, stdout, stderr };
}

/** What Node runs for `npx @nanostate/hub`. */
const npx = (...args: string[]) => [npxScript, '--offline', '@nanostate/hub', ...args];
const archive = (name: string) => join(archives, `nanostate-${name}-${readJson('js/package.json').version}.tgz`);
const tool = (name: string) => join(js, 'node_modules/.bin', name);
const LISTENING = /^listening on (.*)$/;
const ws = 'ws://127.0.0.1:0/ws';
const tcp = 'tcp://127.0.0.1:0';

async function url(program: Program): Promise<string> {
  return LISTENING.exec(await program.line())![1]!;
}

before(() => {
  if (process.env['NANOSTATE_PACKAGES'] === undefined) {
    // Without what only a debugger reads, which is most of it.
    run('strip', ['-o', join(folder, 'nanostate'), BINARY], folder);
    run(process.execPath, ['scripts/pack.mjs', archives, join(folder, 'nanostate'), 'x86_64-unknown-linux-gnu'], js);
  }
  run('mkdir', [consumer, path], folder);
  symlinkSync(process.execPath, join(path, 'node'));
  const npm = run('npm', ['exec', '--offline', '-c', 'echo "$npm_execpath"'], consumer).trim();
  npxScript = join(dirname(npm), 'npx-cli.js');
  writeFileSync(join(consumer, 'package.json'), '{}');
  const names = ['client', 'hub', 'hub-linux-x64'].map(archive);
  run('npm', ['install', '--silent', '--no-audit', '--no-fund', '--offline', ...names], consumer);
});

test('nothing but the packages is installed, and they are of one version', () => {
  assert.deepEqual(readdirSync(join(consumer, 'node_modules')).filter((name) => !name.startsWith('.')), ['@nanostate']);
  const { version } = readJson('js/package.json');
  const hub = readJson('js/hub/package.json');
  const platforms = readdirSync(join(js, 'hub/platforms'));
  assert.deepEqual(hub.optionalDependencies, Object.fromEntries(platforms.map((name) => [`@nanostate/hub-${name}`, version])));
  for (const one of [hub, ...platforms.map((name) => readJson(`js/hub/platforms/${name}/package.json`))]) {
    assert.equal(one.version, version, one.name);
  }
});

test('npx runs a hub, and programs with the client talk over it', async () => {
  const hub = new Program(process.execPath, npx('--listen', tcp, '-l', ws, '--log', 'error'), {}, { cwd: consumer, detached: true });
  const urls = [await url(hub), await url(hub)];
  const text = `
    import { Nanostate } from '@nanostate/client';
    const [a, b] = process.argv.slice(2).map((url, i) => new Nanostate('app' + i, url));
    a.send('x', { from: 'a' });
    for await (const { sender, name, value } of b.states('*')) {
      console.log(sender, name, JSON.stringify(value));
      break;
    }
    await Promise.all([a.close(), b.close()]);`;
  writeFileSync(join(consumer, 'talk.mjs'), text);
  // Node 20 has no WebSocket.
  const through = typeof WebSocket === 'undefined' ? [urls[0]!, urls[0]!] : urls;
  assert.equal(outcome(process.execPath, 'talk.mjs', ...through).stdout, 'app0 x {"from":"a"}\n');
  assert.equal(outcome(process.execPath, ...npx('send', 'y', '1', '--connect', urls[0]!)).status, 0);
  const watched = outcome(process.execPath, ...npx('watch', 'y', '--count', '1', '--connect', urls[0]!));
  assert.deepEqual({ ...watched, stderr: '' }, { status: 0, stdout: 'nanostate y 1\n', stderr: '' });

  // Its output ends with the hub, and with all that npx has started.
  const end = once(hub.process.stdout!, 'close');
  hub.process.kill('SIGTERM');
  await hub.ended();
  await within(end, 'the end of all processes');
});

test('Ctrl-C ends what npx runs, in order', async () => {
  const socket = join(folder, 'terminal');
  const hub = new Program('sh', ['-c', 'exec node "$@" 2>&1', 'npx', ...npx('--listen', `ipc://${socket}`)], {}, { cwd: consumer, detached: true });
  await url(hub);
  const end = once(hub.process.stdout!, 'close');
  // npx, its shell and Node get it from the terminal, and npx passes it on.
  process.kill(-hub.process.pid!, 'SIGINT');
  await within(end, 'the end of all processes');
  const log = hub.lines.map((line) => line.slice(line.indexOf(' ') + 1));
  assert.equal(log.filter((line) => /^info +stopping on signal 2$/.test(line)).length, 1, log.join('\n'));
  assert.ok(log.every((line) => line.startsWith('info ')), log.join('\n'));
  assert.ok(!existsSync(socket));
});

test('what npx ends with is what the command ends with', async () => {
  const wrong = outcome(process.execPath, ...npx('--no-such-flag'));
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /^nanostate: unexpected argument '--no-such-flag' found/);
  const { version } = readJson('js/package.json');
  assert.deepEqual(outcome(process.execPath, ...npx('--version')), { status: 0, stdout: `nanostate ${version}\n`, stderr: '' });
  assert.match(outcome(process.execPath, ...npx('--help')).stdout, /^Run a hub until SIGINT or SIGTERM/);
  const hub = new Program(bin, ['--listen', tcp, '--log', 'error']);
  const busy = outcome(bin, '--listen', await url(hub));
  assert.equal(busy.status, 1);
  assert.match(busy.stderr, /^nanostate: address in use: tcp:/);
  await hub.kill();
});

test('signals reach the hub, and those that end it end the program with it', async () => {
  const socket = `ipc://${join(folder, 'signals')}`;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const hub = new Program(bin, ['--listen', socket, '--log', 'error']);
    assert.equal(await url(hub), socket);
    hub.process.kill(signal);
    assert.equal(await hub.ended(), 0);
    assert.ok(!existsSync(join(folder, 'signals')));
  }
  const hub = new Program('sh', ['-c', 'exec "$0" "$@" 2>&1', bin, '--listen', socket]);
  assert.equal(await url(hub), socket);
  for (const [signal, words] of [
    ['SIGUSR1', /SIGUSR1: 0 peers/],
    ['SIGHUP', /SIGHUP: nothing to reload/],
    ['SIGUSR1', /SIGUSR1: 0 peers/],
  ] as const) {
    hub.process.kill(signal);
    for (let line = ''; !words.test(line); line = await hub.line());
  }
  hub.process.kill('SIGQUIT');
  await hub.ended();
  assert.equal(hub.process.signalCode, 'SIGQUIT');
});

test('a second Ctrl-C, which npm may pass on, does not reach the hub', async () => {
  const fake = join(folder, 'fake');
  const text = `#!/usr/bin/env node
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => console.log(signal));
    process.on('SIGUSR1', () => process.exit(7));
    console.log(process.argv.slice(2).join(' '));
    setInterval(() => {}, 1000);`;
  writeFileSync(fake, text, { mode: 0o755 });
  const program = new Program(bin, ['--echo'], { NANOSTATE_COMMAND: fake });
  assert.equal(await program.line(), '--until-eof 3 hub --echo');
  program.process.kill('SIGINT');
  assert.equal(await program.line(), 'SIGINT');
  program.process.kill('SIGINT');
  program.process.kill('SIGTERM');
  assert.equal(await program.line(), 'SIGTERM');
  program.process.kill('SIGUSR1');
  assert.equal(await program.ended(), 7);
  assert.deepEqual(program.lines, []);
});

test('a hub ends with the program that npx runs, also when that is killed', async () => {
  const hub = new Program(bin, ['--listen', `ipc://${join(folder, 'killed')}`, '--log', 'error']);
  await url(hub);
  assert.ok(existsSync(join(folder, 'killed')));
  await hub.kill();
  await until(() => !existsSync(join(folder, 'killed')), 'the end of the hub');
});

test('Node imports and requires it', () => {
  const use = `startHub({ listen: '${tcp}' }).then(async (hub) => { console.log(hub.urls.length); await hub.close(); });`;
  writeFileSync(join(consumer, 'a.mjs'), `import { startHub } from '@nanostate/hub'; ${use}`);
  writeFileSync(join(consumer, 'a.cjs'), `const { startHub } = require('@nanostate/hub'); ${use}`);
  for (const name of ['a.mjs', 'a.cjs']) {
    assert.deepEqual(outcome(process.execPath, '--no-warnings', name), { status: 0, stdout: '1\n', stderr: '' });
  }
});

for (const [runtime, ...args] of [['bun'], ['deno', 'run', '-A']] as const) {
  const found = spawnSync(tool(runtime), ['--version']).status === 0;
  test(`${runtime} starts a hub`, { skip: !found && 'it is not installed' }, () => {
    const text = `
      import { startHub } from '@nanostate/hub';
      const hub = await startHub({ listen: ['${tcp}', '${ws}'] });
      const busy = await startHub({ listen: hub.url }).catch((error) => error);
      console.log(hub.urls.length, busy.name, busy.exitCode, busy.message.replace(hub.url, 'URL'));
      await hub.close();
      console.log(JSON.stringify(await hub.ended));`;
    writeFileSync(join(consumer, 'runtime.mjs'), text);
    const stdout = '2 HubError 1 address in use: URL\n{"code":0,"signal":null}\n';
    assert.deepEqual(outcome(tool(runtime), ...args, 'runtime.mjs'), { status: 0, stdout, stderr: '' });
  });
}

test('where there is no command for it, the platform is named, and what to do', () => {
  const platform = join(consumer, 'node_modules/@nanostate/hub-linux-x64');
  renameSync(platform, `${platform}-away`);
  try {
    const absent = outcome(bin);
    assert.equal(absent.status, 1);
    assert.match(absent.stderr, /^nanostate-hub: @nanostate\/hub-linux-x64 is not installed: .*NANOSTATE_COMMAND/);
    const other = `Object.defineProperty(process, 'platform', { value: 'darwin' }); Object.defineProperty(process, 'arch', { value: 'arm64' });`;
    const text = `${other} await import('@nanostate/hub').then(({ startHub }) => startHub()).catch((error) => console.log(error.name, error.message));`;
    writeFileSync(join(consumer, 'other.mjs'), text);
    assert.match(
      outcome(process.execPath, 'other.mjs').stdout,
      /^HubError there is no hub for darwin-arm64 in @nanostate\/hub, only for linux-x64; .*NANOSTATE_COMMAND/,
    );
  } finally {
    renameSync(`${platform}-away`, platform);
  }
});

test('its types are right, for TypeScript with and without the types of Node', () => {
  const text = `
    import { startHub, HubError, type Ended, type Hub, type HubOptions } from '@nanostate/hub';
    const options: HubOptions = { listen: ['${tcp}'], maxMessage: '1MiB', maxPeers: 5, allowLocalPages: true, args: ['--echo'], onLog: (line: string) => void line };
    // @ts-expect-error: no such flag
    startHub({ maxLetter: 5 });
    // @ts-expect-error: a duration has a unit
    startHub({ handshake: 5000 });
    export async function use(): Promise<Ended> {
      await using hub: Hub = await startHub(options);
      const urls: readonly string[] = hub.urls;
      hub.unref().ref();
      return urls.length > 0 ? hub.ended : Promise.reject(new HubError(hub.url, null));
    }`;
  writeFileSync(join(consumer, 'types.mts'), text);
  for (const types of [[], ['--typeRoots', join(js, 'node_modules/@types')]]) {
    const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'ES2022'];
    run(tool('tsc'), [...flags, ...(types.length > 0 ? [...types, '--types', 'node'] : ['--types', '']), 'types.mts'], consumer);
  }
});

test('publint and attw have nothing to say', () => {
  run(tool('publint'), ['--strict', archive('hub')], consumer);
  run(tool('publint'), ['--strict', archive('hub-linux-x64')], consumer);
  run(tool('attw'), ['--profile', 'esm-only', '--no-color', archive('hub')], consumer);
});

test('the package of the platform has the command, and the notices of what is inside', () => {
  const inside = join(consumer, 'node_modules/@nanostate/hub-linux-x64');
  assert.deepEqual(readdirSync(inside).sort(), ['LICENSE', 'NOTICES.txt', 'README.md', 'bin', 'package.json']);
  for (const name of ['client', 'hub', 'hub-linux-x64']) {
    const licence = readFileSync(join(consumer, 'node_modules/@nanostate', name, 'LICENSE'), 'utf8');
    assert.equal(licence, readFileSync(new URL('LICENSE', ROOT), 'utf8'), name);
  }
  const notices = readFileSync(join(inside, 'NOTICES.txt'), 'utf8');
  for (const name of [/^clap \d/m, /^ring \d.*ISC/m, /^libc \d/m, /^Rust's standard library/m, /Permission is hereby granted/]) {
    assert.match(notices, name);
  }
  // Of the tests and of other systems.
  assert.doesNotMatch(notices, /^(proptest|cbindgen|windows-sys) /m);
});

test('a command that needs a newer glibc than it should is found out', () => {
  const check = (version: string, file: string) => outcome(fileURLToPath(new URL('scripts/glibc', ROOT)), version, file);
  const wrong = check('2.2.4', BINARY);
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /needs glibc 2\.\d+, newer than 2\.2\.4, for:\n  \w+@GLIBC_2/);
  assert.equal(check('99', BINARY).status, 0);
  assert.equal(check('99', fileURLToPath(new URL('scripts/glibc', ROOT))).status, 1);

  const [, least] = /^GLIBC = (.*)$/m.exec(readFileSync(new URL('Makefile', ROOT), 'utf8'))!;
  for (const page of ['js/hub/README.md', 'js/hub/platforms/linux-x64/README.md', 'docs/javascript.md']) {
    assert.ok(readFileSync(new URL(page, ROOT), 'utf8').replace(/\s+/g, ' ').includes(`glibc ${least} or newer`), page);
  }
  if (process.env['NANOSTATE_PACKAGES'] !== undefined) {
    assert.equal(check(least!, join(consumer, 'node_modules/@nanostate/hub-linux-x64/bin/nanostate')).status, 0);
  }
});
