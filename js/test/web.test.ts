// The WebSockets of this package's own: requests, answers and frames.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { Incoming } from '../src/engine/codec.js';
import { WebCodec } from '../src/web.js';
import { RUNS, Random, fromHex, toHex } from './support.js';

const LIMIT = 200;

class Link {
  readonly answers: string[] = [];
  readonly came: Incoming[] = [];
  readonly codec: WebCodec;

  constructor(isOld = false, url = 'ws://hub.example:81/ws?x=1') {
    this.codec = new WebCodec(new URL(url), isOld, LIMIT, (frame) => this.answers.push(toHex(unmasked(frame))));
  }

  take(bytes: Uint8Array | string) {
    this.came.push(...this.codec.decode(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes));
  }

  get request(): string {
    return Buffer.from(this.codec.greeting).toString();
  }

  answer(protocol = 'Sec-WebSocket-Protocol: nanostate.v1\r\n', status = '101 Switching Protocols'): string {
    const key = /Sec-WebSocket-Key: (.*)\r/.exec(this.request)![1]!;
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    return `HTTP/1.1 ${status}\r\nUpgrade: websocket\r\nsec-websocket-accept:  ${accept} \r\n${protocol}\r\n`;
  }

  /** One that is open. */
  static open(): Link {
    const link = new Link();
    link.take(link.answer());
    assert.deepEqual(link.came.splice(0), [{ agreed: 'v1' }]);
    return link;
  }
}

/** The head of a frame of a client, without its mask, and its payload as it was. */
function unmasked(frame: Uint8Array): Uint8Array {
  assert.ok(frame[1]! & 0x80, 'a client masks');
  const head = 2 + ({ 126: 2, 127: 8 }[frame[1]! & 0x7f] ?? 0);
  const mask = frame.subarray(head, head + 4);
  return Uint8Array.from([...frame.subarray(0, head), ...frame.subarray(head + 4).map((byte, i) => byte ^ mask[i % 4]!)]);
}

/** A frame of a server. */
function frame(first: number, body: Uint8Array): Uint8Array {
  const { length } = body;
  const head = length < 126 ? [length] : length < 0x10000 ? [126, length >> 8, length & 0xff] : [127, 0, 0, 0, 0, ...new Uint8Array(new Uint32Array([length]).buffer).reverse()];
  return Uint8Array.from([first, ...head, ...body]);
}

const bodies = (came: Incoming[]) => came.map((one) => ('body' in one ? toHex(one.body) : 'tooLarge' in one ? one.tooLarge : one.agreed));

test('the request is for the path, the host and the subprotocol', () => {
  const { request } = new Link();
  assert.match(request, /^GET \/ws\?x=1 HTTP\/1\.1\r\nHost: hub\.example:81\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n/);
  assert.match(request, /\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: nanostate\.v1\r\n\r\n$/);
  assert.match(new Link(true, 'ws://[::1]').request, /^GET \/ HTTP\/1\.1\r\nHost: \[::1\]\r\n[^]*Protocol: bus\.sp\.nanomsg\.org\r\n\r\n$/);
  assert.notEqual(new Link().request, request, 'the key is random');
});

test('an answer opens it, names an old hub, or says why not', () => {
  for (const [isOld, protocol, agreed] of [
    [false, 'Sec-WebSocket-Protocol: nanostate.v1\r\n', 'v1'],
    [false, '', 'old'],
    [true, 'Sec-WebSocket-Protocol: bus.sp.nanomsg.org\r\n', 'old'],
  ] as const) {
    const link = new Link(isOld);
    // In pieces, and with the first frame behind it.
    for (const byte of Buffer.from(link.answer(protocol), 'latin1')) link.take(Uint8Array.of(byte));
    link.take(frame(0x82, fromHex('01')));
    assert.deepEqual(bodies(link.came), [agreed, '01']);
  }
  const nng = new Link();
  nng.take('HTTP/1.1 400 Unrecognized\r\n');
  assert.deepEqual(nng.came, [{ agreed: 'not-v1' }]);
  for (const [answer, code, message] of [
    ['HTTP/1.1 403 Forbidden\r\n\r\n', 'NS_ERR_PERMISSION', 'the WebSocket was refused: 403 Forbidden'],
    ['HTTP/1.1 503 Busy\r\n\r\n', 'NS_ERR_REFUSED', 'the WebSocket was refused: 503 Busy'],
    ['\0SP\0\0\x70\x4E\x01', 'NS_ERR_INVALID', 'no WebSocket is there'],
    ['HTTP/1.1 101 ' + 'x'.repeat(10_000), 'NS_ERR_INVALID', 'no WebSocket of a hub is there'],
    ['HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: no\r\nSec-WebSocket-Protocol: nanostate.v1\r\n\r\n', 'NS_ERR_INVALID', 'no WebSocket of a hub is there'],
    [new Link().answer('Sec-WebSocket-Protocol: echo\r\n'), 'NS_ERR_INVALID', 'no WebSocket of a hub is there'],
  ] as const) {
    assert.throws(() => new Link().take(answer), { code, message }, answer.slice(0, 60));
  }
  assert.throws(() => new Link(true).take('HTTP/1.1 400 Bad Request\r\n\r\n'), { code: 'NS_ERR_REFUSED' });
});

test('frames of each length are masked, and messages come whole, in whatever pieces', () => {
  const { codec } = new Link();
  for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
    const body = new Uint8Array(length).map((_, i) => i);
    assert.deepEqual(unmasked(codec.frame(body)).subarray(-length || Infinity), body);
  }
  assert.equal(toHex(unmasked(codec.frame(fromHex('ab')))), '8281ab');
  assert.equal(toHex(unmasked(codec.farewell())), '888203e8');
  const stream = [
    frame(0x82, fromHex('01')), frame(0x02, fromHex('0203')), frame(0x89, fromHex('aa')), frame(0x00, new Uint8Array()),
    frame(0x80, fromHex('04')), frame(0x8a, fromHex('bb')), frame(0x82, new Uint8Array(LIMIT).fill(7)), frame(0x81, Buffer.from('text')),
    frame(0x82, new Uint8Array(LIMIT + 1)), frame(0x02, new Uint8Array(LIMIT)), frame(0x80, new Uint8Array(1)), frame(0x82, new Uint8Array(70_000)),
    frame(0x82, fromHex('05')),
  ];
  const expected = ['01', '020304', '07'.repeat(LIMIT), '', LIMIT + 1, LIMIT + 1, 70_000, '05'];
  const whole = Buffer.concat(stream);
  const random = new Random();
  for (let run = 0; run < Math.min(RUNS, 300); run++) {
    const link = Link.open();
    for (let at = 0; at < whole.length; ) {
      const end = at + 1 + random.below(random.of([1, 10, 1_000, 100_000]));
      link.take(new Uint8Array(whole.subarray(at, end)));
      at = end;
    }
    assert.deepEqual(bodies(link.came), expected);
    assert.deepEqual(link.answers, ['8a81aa'], 'a ping is answered');
  }
});

test('what is too long is not kept', () => {
  const link = Link.open();
  const before = process.memoryUsage().arrayBuffers;
  link.take(fromHex('827f0000000020000000'));
  for (let i = 0; i < 512; i++) link.take(new Uint8Array(1 << 20));
  assert.deepEqual(bodies(link.came), [512 << 20]);
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 256 << 20, `${grown} bytes`);
});

test('the end has the reason of the hub, and what is no frame ends it', () => {
  const ends = (bytes: Uint8Array, message: string) => assert.throws(() => Link.open().take(bytes), { message });
  ends(frame(0x88, Buffer.concat([fromHex('03e8'), Buffer.from('it is full')])), 'the hub closed the connection (1000, it is full)');
  ends(frame(0x88, new Uint8Array()), 'the hub closed the connection');
  for (const hex of ['c20101', '8281000000000f', '8301', '00' + '01aa', '0900', '897e', '8b00']) {
    assert.throws(() => Link.open().take(fromHex(hex)), { code: 'NS_ERR_INVALID', message: 'not a frame of a WebSocket' }, hex);
  }
  const begun = Link.open();
  begun.take(frame(0x02, fromHex('01')));
  assert.throws(() => begun.take(frame(0x82, fromHex('01'))), /not a frame/, 'a message in a message');
});

test('whatever comes is a message, an answer or an error', () => {
  const random = new Random();
  for (let i = 0; i < RUNS / 10; i++) {
    const link = Link.open();
    try {
      for (let n = 0; n < 5; n++) link.take(random.bytes(random.below(60)));
    } catch (error) {
      assert.match((error as any).code, /^NS_ERR_(INVALID|CLOSED)$/, String(error));
    }
  }
});
