import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ext, Malformed, decode, encode, type Sendable, type Value } from '../src/msgpack.js';
import { decodeBody, fromBytes, toBytes } from '../src/wire.js';
import { RUNS, Random, fromHex, readJson, toHex } from './support.js';

const vectors = readJson('tests/vectors/bodies.json').vectors;

/** A value in the form in which the vectors show it, as far as JSON has one. */
function shown(value: Value): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Date) return value.getTime();
  if (value instanceof Uint8Array) return base64(value);
  if (value instanceof Ext) return { ext: value.type, data: base64(value.data) };
  if (Array.isArray(value)) return value.map(shown);
  if (value instanceof Map) {
    const key = (key: Value) =>
      typeof key === 'object' && key !== null && !(key instanceof Uint8Array) ? base64(encode(key as Sendable)) : String(shown(key));
    return Object.fromEntries([...value].map(([k, v]) => [key(k), shown(v)]));
  }
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, shown(v)]));
  return value;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

test('every body vector gets its verdict', () => {
  assert.ok(vectors.length >= 60);
  for (const row of vectors) {
    const old = row.form === 'old';
    let body;
    try {
      body = decodeBody(fromHex(row.hex), old);
    } catch (error) {
      assert.ok(error instanceof Malformed, row.case);
      assert.equal(error.reason, row.verdict, row.case);
      continue;
    }
    assert.equal(row.verdict, 'ok', row.case);
    assert.deepEqual([body.sender, body.name, body.kind], [row.sender, row.name, row.kind], row.case);
    let json = JSON.parse(row.json);
    if (body.value instanceof Date) {
      json = Date.parse(json);
    }
    assert.deepEqual(shown(body.value), json, row.case);
    if (!old) {
      const { stamp, ...meta } = row.meta;
      assert.equal(body.stamp && toHex(toBytes(body.stamp)), stamp, row.case);
      const keys = ['sequence', 'request', 'target', 'lifetime'] as const;
      for (const key of keys) {
        assert.deepEqual(body[key], meta[key], row.case);
      }
      assert.equal(body.flags, meta.flags ?? 0, row.case);
    }
  }
});

test('the data of every valid vector is the same after another round', () => {
  let same = 0;
  for (const row of vectors.filter((row: any) => row.verdict === 'ok')) {
    const { value, data, kind } = decodeBody(fromHex(row.hex), row.form === 'old');
    let again: Uint8Array;
    try {
      again = encode(value as Sendable, kind === 'double');
    } catch (error) {
      assert.ok(error instanceof TypeError && containsMap(value), row.case);
      continue;
    }
    assert.deepEqual(decode(again), value, row.case);
    same += Number(toHex(again) === toHex(data));
  }
  assert.ok(same >= 60, `${same} are in their shortest form`);
});

function containsMap(value: unknown): boolean {
  return value instanceof Map || (value !== null && typeof value === 'object' && Object.values(value).some(containsMap));
}

test('each kind has its type in JavaScript, and its shortest form', () => {
  const forms: [Sendable, string][] = [
    [0, '00'], [127, '7f'], [128, 'cc80'], [255, 'ccff'], [256, 'cd0100'], [65535, 'cdffff'], [65536, 'ce00010000'],
    [2 ** 32 - 1, 'ceffffffff'], [2 ** 32, 'cf0000000100000000'], [Number.MAX_SAFE_INTEGER, 'cf001fffffffffffff'],
    [2n ** 53n, 'cf0020000000000000'], [2n ** 64n - 1n, 'cfffffffffffffffff'],
    [-1, 'ff'], [-32, 'e0'], [-33, 'd0df'], [-128, 'd080'], [-129, 'd1ff7f'], [-32768, 'd18000'], [-32769, 'd2ffff7fff'],
    [-(2 ** 31), 'd280000000'], [-(2 ** 31) - 1, 'd3ffffffff7fffffff'], [-(2n ** 63n), 'd38000000000000000'],
    [1.5, 'cb3ff8000000000000'], [2 ** 53, 'cb4340000000000000'], [-0, 'cb8000000000000000'],
    [null, 'c0'], [true, 'c3'], [false, 'c2'], ['é', 'a2c3a9'], ['\u{feff}x', 'a4efbbbf78'],
    [new Uint8Array([1, 2]), 'c4020102'], [[1, [2]], '920191' + '02'], [{ a: 1, b: [] }, '82a16101a16290'],
    [new Date(0), 'd6ff00000000'], [new Date(1500), 'd7ff7735940000000001'], [new Date(-1), 'c70cff3b8b87c0ffffffffffffffff'],
    [new Ext(5, new Uint8Array(3)), 'c70305000000'], [new Ext(-128, new Uint8Array(16)), 'd880' + '00'.repeat(16)],
  ];
  for (const [value, hex] of forms) {
    assert.equal(toHex(encode(value)), hex);
    assert.deepEqual(decode(fromHex(hex)), value);
  }
  assert.equal(toHex(encode(new Uint8Array([7]).buffer)), 'c40107');
  assert.equal(toHex(encode([22, { a: 1 }], true)), '92cb4036000000000000' + '81a161cb3ff0000000000000');
  assert.equal(toHex(encode(22n, true)), '16', 'a BigInt stays an integer');
});

test('what cannot be carried is a TypeError', () => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  let deep: unknown = 1;
  for (let i = 0; i < 33; i++) deep = [deep];
  const refused: unknown[] = [
    undefined, () => 1, Symbol('x'), new Map(), new Set(), /x/, new (class A {})(), new Int16Array(1), Promise.resolve(),
    '\ud800', 'x\udc00', { '\ud800': 1 }, [, 1], { a: undefined }, 2n ** 64n, -(2n ** 63n) - 1n, cycle, deep,
    new Date(NaN), new Ext(128, new Uint8Array()), JSON.parse('{"__proto__": 1}'), new String('x'),
  ];
  for (const value of refused) {
    assert.throws(() => encode(value as Sendable), TypeError);
  }
  assert.equal(toHex(encode(Object.assign(Object.create(null), { a: 1 }))), '81a16101');
});

test('maps that are no objects arrive as Map', () => {
  const map = decode(fromHex('8201a1610' + '2a162'));
  assert.deepEqual(map, new Map<Value, Value>([[1, 'a'], [2, 'b']]));
  const proto = decode(fromHex('82a16b01a95f5f70726f746f5f5f81a27878c3'));
  assert.deepEqual(proto, new Map<Value, Value>([['k', 1], ['__proto__', { xx: true }]]));
  assert.equal(({} as any).xx, undefined);
});

test('a claimed length allocates nothing', () => {
  const before = process.memoryUsage();
  for (const head of ['ddffffffff', 'dfffffffff', 'dbffffffff', 'c6ffffffff', 'c9ffffffff01']) {
    for (let i = 0; i < 1000; i++) {
      assert.throws(() => decode(fromHex(head + 'c0')), { reason: 'truncated' });
    }
  }
  const after = process.memoryUsage();
  assert.ok(after.arrayBuffers - before.arrayBuffers < 64 << 20);
});

/** Any value that can be sent. */
function anything(random: Random, depth: number): Sendable {
  const text = () => String.fromCodePoint(...Array.from({ length: random.below(40) }, () => random.of([0x41, 0xe9, 0x20ac, 0x1f600, 0])));
  switch (random.below(depth > 0 ? 11 : 9)) {
    case 0: return random.below(2) === 1;
    case 1: return null;
    case 2: return (random.below(2) ? 1 : -1) * Math.floor(2 ** (random.below(5400) / 100));
    case 3: return (BigInt(random.below(2 ** 32)) << 32n) - (2n ** 63n) + BigInt(random.below(100));
    case 4: return random.below(1e6) / 7;
    case 5: return text();
    case 6: return random.bytes(random.below(70_000) >> random.below(17));
    case 7: return new Date(random.below(2 ** 32) * 4000 - 4e12 + random.below(1000));
    case 8: return new Ext(random.below(127), random.bytes(random.below(20)));
    case 9: return Array.from({ length: random.below(20) }, () => anything(random, depth - 1));
    default: return Object.fromEntries(Array.from({ length: random.below(20) }, () => [text(), anything(random, depth - 1)]));
  }
}

/** The value that comes back: an integer is a Number while that is exact. */
function received(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(received);
  const plain = value && Object.getPrototypeOf(value) === Object.prototype;
  return plain ? Object.fromEntries(Object.entries(value!).map(([k, v]) => [k, received(v)])) : value;
}

test('random values come back', () => {
  const random = new Random();
  for (let i = 0; i < RUNS / 10; i++) {
    const value = anything(random, 3);
    assert.deepEqual(decode(encode(value)), received(value));
  }
});

test('random bytes give a value or a Malformed, and nothing else', () => {
  const random = new Random();
  const seeds = vectors.map((row: any) => fromHex(row.hex)) as Uint8Array[];
  const attempt = (bytes: Uint8Array) => {
    for (const read of [decode, (bytes: Uint8Array) => decodeBody(bytes, true), (bytes: Uint8Array) => decodeBody(bytes, false)]) {
      try {
        read(bytes);
      } catch (error) {
        assert.ok(error instanceof Malformed, `${error} of ${toHex(bytes)}`);
      }
    }
  };
  for (let i = 0; i < RUNS; i++) {
    attempt(random.bytes(random.below(40)));
    const damaged = random.of(seeds).slice();
    for (let changes = random.below(3); changes >= 0; changes--) {
      damaged[random.below(damaged.length)] = random.below(256);
    }
    attempt(damaged);
    attempt(damaged.subarray(0, random.below(damaged.length)));
  }
});

test('a stamp orders as its bytes do', () => {
  const stamps = ['00', '7f', '80', 'ff'].map((byte) => fromBytes(fromHex(byte.repeat(24))));
  assert.deepEqual([...stamps].reverse().sort(), stamps);
  assert.equal(toHex(toBytes(stamps[2]!)), '80'.repeat(24));
});
