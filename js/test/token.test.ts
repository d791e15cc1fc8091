// The access token: it goes in the hello, and nowhere else.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { inspect } from 'node:util';
import { WebSocketServer, type WebSocket } from 'ws';
import { Nanostate as Page, type Options } from '../src/index.js';
import { Writer, decode } from '../src/msgpack.js';
import { Nanostate } from '../src/node.js';
import { SUBPROTOCOL } from '../src/websocket.js';
import { MAX_TOKEN, writeHead } from '../src/wire.js';
import { Hub, Program, ROOT, until } from './support.js';

const TOKEN = 'a-secret-of-the-test';
const open: { close(): unknown }[] = [];
function keep<T extends { close(): unknown }>(one: T): T {
  open.push(one);
  return one;
}
afterEach(() => Promise.all(open.splice(0).map((one) => one.close())));

/** A hub that refuses everybody, and keeps what they say. */
async function refusing() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => SUBPROTOCOL });
  const hellos: any[] = [];
  server.on('connection', (link: WebSocket) => {
    link.on('message', (data: Buffer) => {
      hellos.push(decode(new Uint8Array(data)));
      const writer = new Writer();
      writeHead(writer, '$ns', '$ns/refuse');
      writer.map(2);
      [0, -21, 1, 'the token is not one of this hub'].forEach((part) => writer.value(part));
      writer.map(0);
      link.send(writer.copy());
      link.close(1000);
    });
  });
  await new Promise((resolve) => server.once('listening', resolve));
  keep(server);
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, hellos };
}

test('a token goes in the hello and nowhere else', async () => {
  const { url, hellos } = await refusing();
  const told: string[] = [];
  const options: Options = { token: TOKEN, log: (text) => told.push(text), backoffMin: 1, backoffMax: 1 };
  const client = keep(new Nanostate('a', `${url}/ws`, options));
  client.send('x', 1);
  await assert.rejects(client.flush(), { code: 'NS_ERR_PERMISSION', message: /^the token is not one of this hub: ws:/ });
  await until(() => hellos.length > 1, 'another attempt');
  for (const [, name, data] of hellos) assert.deepEqual([name, data.get(6)], ['$ns/hello', TOKEN]);
  assert.equal(client.link.code, 'NS_ERR_PERMISSION');
  const shown = [inspect(client, { depth: 20, showHidden: true }), JSON.stringify(client), inspect(client.link), ...told];
  assert.ok(told.length > 0 && !shown.join().includes(TOKEN), shown.join());
});

test('without a token there is none, and in Node that of the environment', async () => {
  const { url, hellos } = await refusing();
  keep(new Nanostate('a', url, { log: () => {} }));
  await until(() => hellos.length > 0, 'a hello');
  assert.ok(!hellos[0][2].has(6));
  const text = `
    import { Nanostate } from ${JSON.stringify(new URL('js/build/src/node.js', ROOT).href)};
    new Nanostate('b', '${url}', { log: console.log, backoffMin: 1, backoffMax: 1 });`;
  const program = new Program(process.execPath, ['--input-type=module', '--eval', text], { NANOSTATE_TOKEN: TOKEN });
  const tokens = () => hellos.filter(([identity]) => identity === 'b').map(([, , data]) => data.get(6));
  await until(() => tokens().length > 0, 'its hello');
  assert.equal(tokens()[0], TOKEN);
  assert.match(await program.line(), /refused: the token is not one of this hub/);
  await program.kill();
});

test('a token does not go unencrypted to another machine, unless it is told to', () => {
  const quiet = { log: () => {}, token: TOKEN };
  const webSocket = class {
    onopen = null;
    close() {}
  } as any;
  for (const url of ['tcp://10.0.0.1:1', 'ws://hub.example/ws', 'tcp://localhost.evil.example:1', 'tcp://127.0.0.1.example:1', 'ws://[::2]:1/']) {
    const hint = 'use tls+tcp:// or wss://, or set clearToken';
    const error = { code: 'NS_ERR_INVALID', message: `the token would pass unencrypted to ${url}: ${hint}` };
    assert.throws(() => new Nanostate('a', ['tcp://127.0.0.1:1', url], quiet), error);
    if (url.startsWith('ws')) assert.throws(() => new Page('a', url, { ...quiet, WebSocket: webSocket }), error);
    void keep(new Nanostate('a', url, { ...quiet, clearToken: true })).close();
    void keep(new Nanostate('a', url, { log: () => {} })).close();
  }
  const pin = '00'.repeat(32);
  const inside = ['tcp://localhost:1', 'tcp://127.1.2.3:1', 'ws://[::1]:1/', 'ipc:///nowhere', 'tls+tcp://10.0.0.1:1', 'wss://10.0.0.1:1'];
  for (const url of inside) void keep(new Nanostate('a', url, { ...quiet, pin })).close();
});

test('what is no token is an error that does not show it', () => {
  const cases = [['', 'empty'], ['a\0b', 'contains NUL'], ['é'.repeat(128), `256 bytes, at most ${MAX_TOKEN}`], ['\ud800', 'contains half of a surrogate pair'], ['secret\n', 'contains a blank or the end of a line']];
  for (const [token, fault] of cases as [string, string][]) {
    assert.throws(() => new Nanostate('a', 'tcp://127.0.0.1:1', { token }), { code: 'NS_ERR_INVALID', message: `token not allowed: ${fault}` });
  }
  assert.throws(() => new Nanostate('a', 'tcp://127.0.0.1:1', { token: 7 as any }), { name: 'TypeError', message: 'token is not a string' });
  void keep(new Nanostate('a', 'tcp://127.0.0.1:1', { token: 'x'.repeat(MAX_TOKEN), log: () => {} })).close();
});

test('a hub that asks for tokens admits programs that have one, and tells the others why they are refused', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nanostate-token-'));
  after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'tokens');
  writeFileSync(file, `robot read-write ${TOKEN}\npanel read another-secret-of-the-test\n`, { mode: 0o600 });
  const hub = await Hub.startWith(['--token-file', file], 'tcp://127.0.0.1:0', 'ws://127.0.0.1:0/ws');
  const quiet = { log: () => {}, backoffMax: 200 };
  for (const [n, url] of hub.urls.entries()) {
    const [robot, panel] = [keep(new Nanostate(`robot${n}`, url, { ...quiet, token: TOKEN })), keep(new Nanostate(`panel${n}`, url, { ...quiet, token: 'another-secret-of-the-test' }))];
    robot.send(`x${n}`, n);
    await robot.flush();
    await until(() => panel.get(`x${n}`) === n, 'a value');
    panel.send('y', 1);
    await assert.rejects(panel.flush(), { code: 'NS_ERR_PERMISSION' });
    for (const options of [quiet, { ...quiet, token: 'a-token-of-another-hub' }]) {
      const stranger = keep(new Nanostate(`stranger${n}`, url, options));
      stranger.send('z', 1);
      await assert.rejects(stranger.flush(), (error: any) => error.code === 'NS_ERR_PERMISSION' && /token/.test(error.message) && !/another-hub/.test(inspect(error)));
      assert.equal(stranger.link.state, 'refused');
      await stranger.close();
    }
  }
  await Promise.all(open.splice(0).map((one) => one.close()));
  await hub.kill();
});
