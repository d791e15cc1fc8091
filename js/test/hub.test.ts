// Hubs that a program starts: @nanostate/hub, with the command that the tests of the library use.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { HubError, startHub, type Hub, type HubOptions } from '../hub/src/index.js';
import { Nanostate } from '../src/node.js';
import { BINARY, Program, ROOT, until, within } from './support.js';

const COMMAND = { NANOSTATE_COMMAND: BINARY };
Object.assign(process.env, COMMAND);
delete process.env['NANOSTATE_LOG'];

const folder = mkdtempSync(join(tmpdir(), 'nanostate-hub-'));
after(() => rmSync(folder, { recursive: true }));
let sockets = 0;
/** An address of its own. A hub that ends removes the file. */
const socket = () => `ipc://${join(folder, `hub${++sockets}`)}`;
const file = (url: string) => url.slice('ipc://'.length);

const hubs: Hub[] = [];
/** A hub that ends with the test. */
async function start(options: HubOptions): Promise<Hub> {
  const hub = await startHub(options);
  hubs.push(hub);
  return hub;
}
afterEach(() => Promise.all(hubs.splice(0).map(end)));

/** Closes a hub, by force if it does not end. */
async function end(hub: Hub): Promise<void> {
  try {
    await within(hub.close(), 'the end of the hub');
  } catch (error) {
    process.kill(hub.pid, 'SIGKILL');
    throw error;
  }
}

/** A program that has started a hub at `url`, and goes on with `text`. */
function program(url: string, text: string, options?: { detached?: boolean }): Program {
  const modules = ['hub/src/index.js', 'src/node.js'].map((name) => JSON.stringify(new URL(`js/build/${name}`, ROOT).href));
  const code = `
    import { startHub } from ${modules[0]};
    import { Nanostate } from ${modules[1]};
    const hub = await startHub({ listen: ${JSON.stringify(url)} });
    ${text}`;
  return new Program(process.execPath, ['--input-type=module', '--eval', code], COMMAND, options);
}

test('a hub listens where it is told to, and ends when it is closed', async () => {
  const listen = ['tcp://127.0.0.1:0', 'ws://127.0.0.1:0/ws', socket(), 'pub+tcp://127.0.0.1:0'];
  const hub = await start({ listen });
  assert.equal(hub.urls.length, listen.length);
  hub.urls.forEach((url, i) => assert.ok(!/:0\b/.test(url) && url.replace(/:\d+/, ':0') === listen[i], url));
  assert.equal(hub.url, hub.urls[0]);
  const [a, b] = [new Nanostate('a', hub.url), new Nanostate('b', hub.urls[2])];
  a.send('x', { from: 'a' });
  await until(() => b.get('x') !== undefined, 'x');
  await Promise.all([a.close(), b.close()]);

  await Promise.all([end(hub), end(hub)]);
  await hub.close();
  await hub[Symbol.asyncDispose]();
  assert.deepEqual(await hub.ended, { code: 0, signal: null });
  assert.ok(!existsSync(file(hub.urls[2]!)));
  assert.throws(() => process.kill(hub.pid, 0), /ESRCH/);
});

test('what keeps a hub from listening is said in the words of the command', async () => {
  const { url } = await start({ listen: 'tcp://127.0.0.1:0' });
  const wrong: [HubOptions, number, RegExp][] = [
    [{ listen: url }, 1, new RegExp(`^address in use: ${url}$`)],
    [{ listen: ['tcp://127.0.0.1:0', url] }, 1, new RegExp(`^address in use: ${url}$`)],
    [{ listen: 'nowhere' }, 2, /^malformed URL: nowhere: /],
    [{ maxMessage: '64MB' }, 2, /^invalid value '64MB' for '--max-message <SIZE>': expected a size, like /],
    [{ maxPeers: NaN }, 2, /^invalid value 'NaN' for '--max-peers <NUMBER>'/],
    [{ maxLetter: 5 } as HubOptions, 2, /^unexpected argument '--max-letter' found/],
    [{ args: ['--listen', url, '--no-ws'] }, 2, /^the argument '--listen <URL>' cannot be used with '--no-ws'/],
    [{ args: ['--help'] }, 0, /^nanostate hub did not listen, and ended with exit code 0$/],
  ];
  for (const [options, exitCode, message] of wrong) {
    await assert.rejects(start(options), (error) => {
      assert.ok(error instanceof HubError && message.test(error.message), `${error}`);
      return error.exitCode === exitCode;
    });
  }
  await assert.rejects(start({ www: null } as unknown as HubOptions), /^TypeError: startHub: www is null: expected /);
  await assert.rejects(start({ outbox: {} } as HubOptions), /^TypeError: startHub: outbox is of type object: expected /);
});

test('a command that cannot run is named', async () => {
  try {
    process.env['NANOSTATE_COMMAND'] = '/nowhere/nanostate';
    await assert.rejects(start({}), { name: 'HubError', message: /^\/nowhere\/nanostate: .*ENOENT/, exitCode: null });
  } finally {
    Object.assign(process.env, COMMAND);
  }
});

test('options are flags of the command, all of them, and each takes what its flag takes', async () => {
  const help = execFileSync(BINARY, ['hub', '--help'], { encoding: 'utf8' });
  const flags = [...help.matchAll(/^ +(?:-\w, )?--([\w-]+)( <\w+>)?$/gm)].filter(([, name]) => name !== 'help');
  const camel = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  const told = flags.map(([, name, value]) => `${camel(name!)}: ${value ? 'a value' : 'a switch'}`);
  const source = readFileSync(new URL('js/hub/src/options.ts', ROOT), 'utf8');
  const [, body] = /export interface Flags \{(.*?)\n\}/s.exec(source)!;
  const typed = [...body!.matchAll(/^  (\w+)\?: (.*);$/gm)];
  assert.ok(typed.length > 20);
  assert.deepEqual(typed.map(([, name, type]) => `${name}: ${type!.startsWith('boolean') ? 'a switch' : 'a value'}`).sort(), told.sort());

  const lines: string[] = [];
  const hub = await start({ listen: socket(), maxPeers: 1, echo: true, legacySnapshot: false, www: undefined, log: 'info', onLog: (line) => lines.push(line) });
  const one = new Nanostate('one', hub.url, { echo: true, log: () => {} });
  one.send('x', 1);
  await until(() => one.get('x') === 1, 'the echo');
  // An own value is there at once; a connection that says nothing yet would make room.
  await until(() => one.link.state === 'connected', 'a link');
  const two = new Nanostate('two', hub.url, { log: () => {} });
  await until(() => two.link.state === 'refused', 'a refusal');
  await until(() => lines.some((line) => / info +one .*joined$/.test(line)), 'a line of the log');
  await Promise.all([one.close(), two.close()]);
});

test('of its log a hub tells warnings, unless the environment or a flag says otherwise', async () => {
  const logged = async (options: HubOptions) => {
    const lines: string[] = [];
    const hub = await start({ listen: 'tcp://127.0.0.1:0', onLog: (line) => lines.push(line), ...options });
    await end(hub);
    return lines;
  };
  const about = /--until-eof: descriptor 3 is at its end/;
  assert.deepEqual(await logged({}), []);
  assert.match((await logged({ args: ['--log', 'info'] })).join('\n'), about);
  try {
    process.env['NANOSTATE_LOG'] = 'info';
    assert.match((await logged({})).join('\n'), about);
    assert.deepEqual(await logged({ log: 'warn' }), []);
  } finally {
    delete process.env['NANOSTATE_LOG'];
  }
});

test('a hub that is killed is told, and its program goes on', async () => {
  const hub = await start({ listen: 'tcp://127.0.0.1:0' });
  process.kill(hub.pid, 'SIGKILL');
  assert.deepEqual(await within(hub.ended, 'its end'), { code: null, signal: 'SIGKILL' });
  await hub.close();
});

for (const [how, code, text] of [
  ['SIGKILL', null, 'console.log("started"); setInterval(() => {}, 1000)'],
  ['process.exit', 0, 'process.exit()'],
  ['an exception', 3, 'process.on("uncaughtException", () => process.exit(3)); setTimeout(() => { throw new Error("on purpose") })'],
  ['unref, with nothing else to do', 0, 'hub.unref()'],
] as const) {
  test(`a hub ends with its program: ${how}`, async () => {
    const url = socket();
    const parent = program(url, text);
    if (how === 'SIGKILL') {
      assert.equal(await parent.line(), 'started');
      assert.ok(existsSync(file(url)));
      parent.process.kill('SIGKILL');
    }
    assert.equal(await parent.ended(), code);
    await until(() => !existsSync(file(url)), 'the end of the hub');
  });
}

test('a hub keeps its program running, and one that was closed does not', async () => {
  const url = socket();
  const parent = program(url, 'hub.unref().ref(); process.stdin.once("data", () => hub.close()).unref(); console.log("started")');
  assert.equal(await parent.line(), 'started');
  await new Promise<void>((resolve, reject) => connect(file(url), resolve).on('error', reject).unref());
  parent.process.stdin!.write('end\n');
  assert.equal(await parent.ended(), 0);
});

test('Ctrl-C leaves it to the program when its hub ends', async () => {
  const url = socket();
  const parent = program(
    url,
    `const ns = new Nanostate('parent', hub.url);
    process.once('SIGINT', async () => {
      ns.send('last', 'word');
      await ns.flush({ timeout: 50_000 });
      await ns.close();
      await hub.close();
      console.log((await hub.ended).code);
    });
    console.log('ready');`,
    { detached: true },
  );
  assert.equal(await parent.line(), 'ready');
  process.kill(-parent.process.pid!, 'SIGINT');
  assert.equal(await parent.line(), '0');
  assert.equal(await parent.ended(), 0);
});
