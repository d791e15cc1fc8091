// The functions of the original's JavaScript, against a real hub; browser.test.ts has them in a page.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { WebSocket } from 'ws';
import { recv_state_update, send_state_update, start_websocket, type StateUpdate } from '../src/compat.js';
import { Ext } from '../src/index.js';
import { encode } from '../src/msgpack.js';
import { Nanostate } from '../src/node.js';
import { Hub, fromHex, toHex, until } from './support.js';

/** Puts it where a page has its own. */
function setWebSocket(WebSocket: unknown) {
  Object.defineProperty(globalThis, 'WebSocket', { value: WebSocket, configurable: true, writable: true });
}
const { WebSocket: own } = globalThis;
after(() => setWebSocket(own));

/** What goes over the WebSocket. */
function sent(...[identity, name, data]: [string, string, any]): string {
  let bytes: Uint8Array | undefined;
  send_state_update({ send: (data) => (bytes = data) }, identity, name, data);
  return toHex(bytes!);
}

const received = (hex: string) => recv_state_update(fromHex(hex).buffer as ArrayBuffer);

test('programs of the original and apps share states of every kind and size', async () => {
  setWebSocket(WebSocket);
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const app = new Nanostate('app', hub.urls[1]);
  const { hostname, port, pathname } = new URL(hub.url);
  const heard = new Map<string, StateUpdate>();
  const told: string[] = [];
  const start = (identity: string) =>
    start_websocket(
      identity, hostname, port, pathname,
      ({ data }) => {
        const state = recv_state_update(data);
        heard.set(`${identity} ${state.name}`, state);
      },
      () => told.push(`${identity} open`),
      () => told.push(`${identity} close`),
    );
  const [one, two] = [start('one'), start('two')];
  assert.equal(one.identity, 'one');
  await until(() => told.length === 2, 'both are open');

  const values = {
    text: 'für €😀', bytes: new Uint8Array([104, 105]), nil: null, bool: true, int: -5, double: 0.25, large: 'x'.repeat(2 << 20),
    object: { a: [1, { b: 'c' }], d: null }, time: new Date(5), ext: new Ext(3, new Uint8Array([1])),
  };
  for (const [name, value] of Object.entries(values)) {
    send_state_update(one, 'one', name, value);
    app.send(`app/${name}`, value);
    await until(() => app.get(name) !== undefined && heard.has(`two ${name}`) && heard.has(`one app/${name}`), name);
    assert.deepEqual(app.get(name), value, name);
    assert.equal(app.state(name)!.sender, 'one');
    for (const { sender, data } of [heard.get(`two ${name}`)!, heard.get(`one app/${name}`)!]) {
      assert.ok(sender === 'one' || sender === 'app');
      name === 'bytes' ? assert.equal(`${data}`, 'hi') : assert.deepEqual(data, value, name);
    }
  }
  send_state_update(two, 'two', 'end', 1);
  await until(() => heard.has('one end'), 'the end');
  assert.ok(!heard.has('one text'), 'own states do not come back');
  one.close();
  await until(() => told.includes('one close'), 'its end');
  two.close();
  await app.close();
  await hub.kill();
});

test('a body is that of the original, and what cannot be carried is an error', () => {
  assert.equal(sent('a', 'n', { x: [1, 'y'] }), '93a161a16e81a1789201a179');
  for (const data of [undefined, () => 0, new Map(), Symbol('x'), { x: undefined }, '\ud800', 2n ** 64n]) {
    assert.throws(() => sent('a', 'n', data), TypeError);
  }
  let deep: unknown = 1;
  for (let i = 0; i < 32; i++) deep = [deep];
  sent('a', 'n', deep);
  assert.throws(() => sent('a', 'n', [deep]), /nested deeper than 32/);
  assert.throws(() => sent('', 'n', 1), { code: 'NS_ERR_IDENTITY' });
  assert.throws(() => sent('a', '$ns/hello', 1), { code: 'NS_ERR_NAME' });
  assert.throws(() => sent('a', 7 as any, 1), /name is not a string/);
});

test('values arrive as the original gives them: numbers, objects, and bytes that are a text', () => {
  const data = (hex: string) => received(`93a161a16e${hex}`).data;
  assert.deepEqual(received('93c40161c4016e07'), { sender: 'a', name: 'n', data: 7 }, 'keys in bytes: Python 2');
  assert.equal(data('cf7fffffffffffffff'), 2 ** 63);
  assert.deepEqual(data('8201a178a1799102'), { 1: 'x', y: [2] });
  assert.equal('a,' + data('c403e282ac'), 'a,€');
  const [bytes] = data('91c403e282ac');
  assert.ok(bytes instanceof Uint8Array && `${bytes}` === '€');
  const trap = data('81a95f5f70726f746f5f5f81a17801');
  assert.ok(Object.hasOwn(trap, '__proto__') && trap.x === undefined, 'a key is no prototype');
  const view = encode(['a', 'n', 1]);
  assert.deepEqual(recv_state_update(Buffer.from(view)), recv_state_update(view));
});

test('what is no state is an error', () => {
  for (const hex of ['', '91a161', '93a161a16e', '93a161a16ec1', '93a161a16e0102', '94a161a16e0180']) {
    assert.throws(() => received(hex), /malformed message: /, hex);
  }
  assert.throws(() => recv_state_update('text' as any), { name: 'TypeError', message: /binaryType/ });
});

test('without a WebSocket there is an error that says what to do', () => {
  setWebSocket(undefined);
  assert.throws(() => start_websocket('a', 'localhost', 1, '/ws'), { code: 'NS_ERR_UNSUPPORTED', message: /globalThis\.WebSocket/ });
});
