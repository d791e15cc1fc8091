import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../src/pattern.js';
import { RUNS, Random, readJson } from './support.js';

test('every pattern vector matches what it says', () => {
  for (const { pattern, matches, differs, refused } of readJson('tests/vectors/patterns.json').vectors) {
    if (refused) {
      assert.throws(() => compile(pattern), { code: 'NS_ERR_NAME' });
      continue;
    }
    const fits = compile(pattern);
    for (const name of matches) assert.ok(fits(name), `${pattern} and ${name}`);
    for (const name of differs) assert.ok(!fits(name), `${pattern} and ${name}`);
  }
});

/** The definition, without regard to time. */
function naive([want, ...behind]: string[], name: string[]): boolean {
  if (want === undefined) return name.length === 0;
  if (want === '**') return Array.from({ length: name.length + 1 }).some((_, taken) => naive(behind, name.slice(taken)));
  const fits = name.length > 0 && new RegExp(`^${want.replaceAll('*', '.*')}$`).test(name[0]!);
  return fits && naive(behind, name.slice(1));
}

test('matching agrees with the definition', () => {
  const random = new Random();
  const segment = (letters: string, most: number) => Array.from({ length: random.below(most) }, () => random.of([...letters])).join('');
  const row = (most: number, segment: () => string) => Array.from({ length: 1 + random.below(most) }, segment).join('/');
  for (let i = 0; i < RUNS; i++) {
    const pattern = row(5, () => (random.below(3) === 0 ? '**' : segment('ab*', 6)));
    const name = row(6, () => segment('ab', 4));
    if (pattern !== '') {
      assert.equal(compile(pattern)(name), naive(pattern.split('/'), name.split('/')), `${pattern} and ${name}`);
    }
  }
});

test('patterns made to be slow are not', () => {
  const slow: [string, string][] = [
    ['*a'.repeat(511) + '*b', 'a'.repeat(1024)],
    [`**/${'a/'.repeat(7)}c/**`, 'a/'.repeat(512)],
    [`**/*${'b'.repeat(1016)}*/**`, 'b/'.repeat(512)],
    [`**/${`a${'*'.repeat(120)}b/`.repeat(8)}**`, 'a/'.repeat(512)],
  ];
  // Where each takes the product of both lengths in steps, this takes minutes.
  for (const [pattern, name] of slow) {
    const fits = compile(pattern);
    for (let i = 0; i < 500; i++) assert.ok(!fits(name));
  }
});
