import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decoder, SpCodec, header, parseHeader } from '../src/sp.js';
import { NanostateError } from '../src/status.js';
import { RUNS, Random, fromHex, readJson, toHex } from './support.js';

test('every header vector gets its verdict', () => {
  for (const { hex, verdict, gateway } of readJson('tests/vectors/headers.json').vectors) {
    if (gateway) continue;
    if (verdict === 'old' || verdict === 'v1') {
      assert.equal(parseHeader(fromHex(hex)), verdict === 'old', hex);
    } else {
      assert.throws(() => parseHeader(fromHex(hex)), { code: 'NS_ERR_INVALID' }, hex);
    }
  }
  assert.deepEqual([parseHeader(header(true)), parseHeader(header(false))], [true, false]);
});

/** What comes out of a stream that is fed in these pieces. */
function cut(isIpc: boolean, max: number, pieces: Iterable<Uint8Array>): [string[], boolean, boolean] {
  const decoder = new Decoder(isIpc, max);
  const frames: string[] = [];
  try {
    for (const piece of pieces) {
      decoder.push(piece);
      for (const frame of decoder.frames()) {
        frames.push('body' in frame ? toHex(frame.body) : `too-large ${frame.tooLarge}`);
      }
    }
  } catch (error) {
    assert.ok(error instanceof NanostateError);
    return [frames, false, true];
  }
  return [frames, decoder.isUnfinished, false];
}

test('every frame vector is cut as it says, however it comes', () => {
  let cases = 0;
  for (const { case: what, framing, max, hex, frames, unfinished, error } of readJson('tests/vectors/frames.json').vectors) {
    if (framing === 'inproc') continue;
    const stream = fromHex(hex);
    const expected = [frames, unfinished ?? false, error !== undefined];
    for (let size = 1; size <= Math.max(stream.length, 1); size++) {
      const pieces = Array.from({ length: Math.ceil(stream.length / size) }, (_, i) => stream.subarray(i * size, (i + 1) * size));
      assert.deepEqual(cut(framing === 'ipc', max, pieces), expected, `${what}, in pieces of ${size}`);
    }
    cases++;
  }
  assert.ok(cases >= 10);
});

test('random bytes in a stream give frames or an error, and nothing else', () => {
  const random = new Random();
  for (let i = 0; i < RUNS / 10; i++) {
    const codec = new SpCodec(random.below(2) === 0, random.below(2) === 0, 100);
    const stream = [...(random.below(4) ? header(random.below(2) === 0) : []), ...random.bytes(random.below(60))];
    for (let at = 0; at < 40; at += 9) stream[random.below(40)] = 0;
    try {
      for (const byte of stream) {
        for (const incoming of codec.decode(Uint8Array.of(byte ?? 0))) assert.ok(incoming);
      }
    } catch (error) {
      assert.ok(error instanceof NanostateError, `${error}`);
    }
  }
});

test('memory follows what came and not what is claimed', () => {
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 1000; i++) {
    cut(false, 2 ** 30, [fromHex('000000003fffffff00')]);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 << 20);
});
