// The package as it is published: what is in it, how it is imported, and what it weighs.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Nanostate } from '../src/node.js';
import { Hub, Program, ROOT, path, readJson, until } from './support.js';

/** The most that a page loads of each file, minified and compressed, in bytes. */
const MOST = { 'nanostate.js': 17.85 * 1024, 'nanostate-compat.js': 3.6 * 1024 };

const js = path('js');
const folder = mkdtempSync(join(tmpdir(), 'nanostate-package-'));
const consumer = join(folder, 'consumer');
after(() => rmSync(folder, { recursive: true }));

function run(command: string, args: string[], cwd: string): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const tool = (name: string) => join(js, 'node_modules/.bin', name);
let archive: string;

before(() => {
  archive = run(process.execPath, ['scripts/pack.mjs', folder], js).trim();
  run('mkdir', [consumer], folder);
  writeFileSync(join(consumer, 'package.json'), '{}');
  run('npm', ['install', '--silent', '--no-audit', '--no-fund', '--offline', archive], consumer);
});

for (const [name, most] of Object.entries(MOST)) {
  test(`${name} is the file that the source gives, and is small`, () => {
    const text = readFileSync(join(consumer, 'node_modules/@nanostate/client/dist', name), 'utf8');
    assert.equal(text, readFileSync(join(js, 'dist', name), 'utf8'), 'npm run build');
    const size = gzipSync(text, { level: 9 }).length;
    console.log(`${name}: ${size} bytes, minified and compressed`);
    assert.ok(size <= most, `${size} bytes`);
  });
}

test('version and licence are those of the library', () => {
  const licences = ['LICENSE', 'js/LICENSE'].map((name) => readFileSync(new URL(name, ROOT), 'utf8'));
  assert.equal(licences[0], licences[1]);
  const { version } = readJson('js/package.json');
  assert.match(readFileSync(new URL('Cargo.toml', ROOT), 'utf8'), new RegExp(`^version = "${version}"`, 'm'));
});

test('no file of the source is longer than 600 lines', () => {
  for (const name of readdirSync(join(js, 'src'), { recursive: true }) as string[]) {
    if (name.endsWith('.ts')) {
      assert.ok(readFileSync(join(js, 'src', name), 'utf8').split('\n').length <= 601, name);
    }
  }
});

test('Node imports and requires it, and nothing else is installed', () => {
  assert.deepEqual(readdirSync(join(consumer, 'node_modules')).filter((name) => !name.startsWith('.')), ['@nanostate']);
  const compat = `console.log(recv_state_update(new Uint8Array([0x93, 0xa1, 97, 0xa1, 98, 7])).data, typeof hubStats);`;
  const use = `new Nanostate('a', 'tcp://127.0.0.1:1').unref(); console.log(typeof Nanostate, new Ext(1, new Uint8Array()).type);`;
  writeFileSync(join(consumer, 'a.mjs'), `import { Nanostate, Ext } from '@nanostate/client'; import { recv_state_update } from '@nanostate/client/compat'; import { hubStats } from '@nanostate/client/stats'; ${use} ${compat}`);
  writeFileSync(join(consumer, 'a.cjs'), `const { Nanostate, Ext } = require('@nanostate/client'); const { recv_state_update } = require('@nanostate/client/compat'); const { hubStats } = require('@nanostate/client/stats'); ${use} ${compat}`);
  for (const name of ['a.mjs', 'a.cjs']) {
    assert.equal(run(process.execPath, ['--no-warnings', name], consumer), 'function 1\n7 function\n');
  }
});

test('a bundler for browsers finds nothing of Node in it', () => {
  writeFileSync(join(consumer, 'page.js'), `import { Nanostate } from '@nanostate/client'; import { hubStats } from '@nanostate/client/stats'; Object.assign(globalThis, { Nanostate, hubStats });`);
  const bundle = run(tool('esbuild'), ['page.js', '--bundle', '--format=esm', '--platform=browser'], consumer);
  assert.ok(bundle.includes('WebSocket') && bundle.includes('uptimeMs') && !bundle.includes('node:') && !bundle.includes('process.'));
});

test('its types are right, for TypeScript with and without the DOM', () => {
  const text = `
    import { Nanostate, type ClearedState, type State, type Value, type ValueState, type WaitOptions } from '@nanostate/client';
    import { hubStats, type HubStats, type PeerStats } from '@nanostate/client/stats';
    import { recv_state_update, send_state_update, start_websocket } from '@nanostate/client/compat';
    declare const console: { log(text: string): void };
    const ns = new Nanostate('a', 'ws://127.0.0.1:1/ws', { accept: ['text'] });
    const end: () => void = ns.on('a/*', ({ name, value }: State) => ns.send(name, typeof value === 'string' ? value : null));
    const store = ns.store<number>('x');
    const x: number | undefined = store.getSnapshot();
    // @ts-expect-error: cannot be carried
    ns.send('x', new Map());
    const socket = start_websocket('a', 'localhost', 15001, '/ws', ({ data }) => console.log(recv_state_update(data).name), null);
    send_state_update(socket, socket.identity, 'x', [1]);
    ns.on('a', (state) => {
      if (state.kind === 'cleared') {
        state satisfies ClearedState;
        return state.value satisfies undefined;
      }
      return state satisfies ValueState, state.value satisfies Value;
    });
    // @ts-expect-error: it may be cleared
    ns.on('a', ({ value }) => value satisfies Value);
    ns.state('a') satisfies ValueState | undefined;
    ns.clear('a') satisfies void;
    ns.key('a').clear() satisfies void;
    ns.send('a', 1, { ttl: 5, transient: true });
    // @ts-expect-error: no kind of values
    new Nanostate('a', 'ws://x', { accept: ['cleared'] });
    // @ts-expect-error: no such kind
    new Nanostate('a', 'ws://x', { accept: ['number'] });
    export async function loop(): Promise<Value | undefined> {
      for await (const { value, retained } of ns.states('**')) if (retained satisfies boolean) return value;
      await ns.flush({ timeout: 5 });
      await ns.forget('a', 'b', { timeout: 5 }) satisfies void;
      const { messagesIn, ofPeers }: HubStats = await hubStats(ns, { timeout: 5 });
      ofPeers.every(({ live, connection }: PeerStats) => live satisfies boolean && connection === messagesIn satisfies number);
      // @ts-expect-error: no such counter
      (await hubStats(ns)).messages;
      await ns.synced({ timeout: 5 } satisfies WaitOptions);
      (await ns.ping({ timeout: 5 })) satisfies number;
      const off: () => void = ns.onSynced(() => console.log(String(ns.isSynced satisfies boolean)));
      off();
      await ns.close();
      return end() as undefined ?? x;
    }`;
  writeFileSync(join(consumer, 'types.mts'), text);
  for (const lib of ['ES2022,DOM', 'ES2022']) {
    const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', lib, '--types', ''];
    run(tool('tsc'), [...flags, 'types.mts'], consumer);
  }
});

test('the example in Node publishes, and shows what others publish', async () => {
  const hub = await Hub.start();
  run('cp', [path('examples-js/load.mjs'), consumer], folder);
  const program = new Program(process.execPath, [join(consumer, 'load.mjs'), hub.url]);
  const other = new Nanostate('other', hub.url);
  other.on('**', () => {});
  other.send('greeting', { to: 'all' });
  assert.equal(await program.line(), "other greeting { to: 'all' }");
  await until(() => other.get('cpu/load') !== undefined && other.get('mem/used') !== undefined, 'figures');
  assert.deepEqual(['cpu/load', 'cpu/count'].map((name) => other.state(name)!.kind), ['double', 'int']);
  program.process.kill('SIGINT');
  assert.equal(await program.ended(), 0);
  await other.close();
  await hub.kill();
});

test('publint and attw have nothing to say', () => {
  run(tool('publint'), ['--strict', archive], consumer);
  run(tool('attw'), ['--profile', 'esm-only', '--no-color', archive], consumer);
});
