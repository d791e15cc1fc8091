// Values of senders that are gone, which another program has withdrawn. Node programs and a page, on real hubs.

import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { app } from './apps.js';
import { join_, open } from './chromium.js';
import { Hub, until, within } from './support.js';

test('a value of a sender that is gone is withdrawn for all, and one that is not there or is spoken for is not', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const [ws, tcp] = hub.urls as [string, string];
  const [a, b, c] = [app('a', tcp), app('b', tcp), app('c', tcp)];
  const heard: string[] = [];
  c.on('**', ({ sender, name, kind }) => heard.push(`${sender} ${name} ${kind}`));
  a.send('x', 1);
  a.send('y', 1);
  await until(() => heard.length === 2, 'the values');
  await assert.rejects(b.forget('a', 'x'), { code: 'NS_ERR_STATE' });
  assert.equal(c.get('x'), 1);
  await a.close();
  await within(b.forget('a', 'x'), 'the answer');
  await until(() => heard.includes('a x cleared'), 'the end of the value');
  assert.deepEqual([c.get('x'), c.get('y')], [undefined, 1]);
  await assert.rejects(b.forget('a', 'x'), { code: 'NS_ERR_NOT_FOUND' });
  const page = await open(`http://${new URL(ws).host}`);
  await join_(page, 'page', ws);
  const inPage = () => page.evaluate(() => (globalThis as any).ns.forget('a', 'y', { timeout: 60_000 }).then(() => 'gone', ({ code }: any) => code));
  assert.deepEqual([await inPage(), await inPage()], ['gone', 'NS_ERR_NOT_FOUND']);
  await until(() => c.get('y') === undefined, 'the end of the other');
  await page.close();
  await hub.kill();
});

test('a request waits for a link and no longer than it is to, and names what is wrong', async () => {
  const hub = await Hub.start();
  const a = app('a', hub.url);
  a.send('x', 1);
  await a.flush();
  await a.close();
  await hub.kill();
  const b = app('b', hub.url);
  await assert.rejects(b.forget('a', 'x', { timeout: 20 }), { code: 'NS_ERR_TIMEOUT' });
  for (const [sender, name, code] of [['', 'x', 'NS_ERR_IDENTITY'], ['$ns', 'x', 'NS_ERR_IDENTITY'], ['a', '', 'NS_ERR_NAME'], ['a', '$ns/x', 'NS_ERR_NAME']] as const) {
    await assert.rejects(b.forget(sender, name), { code });
  }
  const answer = assert.rejects(b.forget('a', 'x'), { code: 'NS_ERR_NOT_FOUND' }, 'this hub never had it');
  const again = await Hub.start(...hub.urls);
  await within(answer, 'the answer of the hub that came later');
  await b.close();
  await assert.rejects(b.forget('a', 'x'), { code: 'NS_ERR_CLOSED' });
  await again.kill();
});

test('a hub that ends before it answers, and one that cannot, are named', async () => {
  const hub = await Hub.start();
  const b = app('b', hub.url);
  await b.ping();
  await hub.stop();
  const lost = assert.rejects(b.forget('a', 'x'), { code: 'NS_ERR_IO', message: /before the hub answered/ });
  await new Promise((resolve) => setTimeout(resolve, 20));
  await hub.kill();
  await within(lost, 'the end of the link');
  const old = createServer((socket) => {
    socket.on('data', () => {}).on('error', () => {}).write(Uint8Array.from([0, 0x53, 0x50, 0, 0, 0x70, 0, 0]));
  }).listen(0, '127.0.0.1');
  await until(() => old.address() !== null, 'the address');
  const c = app('c', `tcp://127.0.0.1:${(old.address() as AddressInfo).port}`);
  await assert.rejects(within(c.forget('a', 'x'), 'the answer'), { code: 'NS_ERR_UNSUPPORTED', message: /does not withdraw/ });
  await c.close();
  old.close();
});
