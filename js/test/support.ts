// What several tests use.

import { readFileSync } from 'node:fs';

/** The root of the repository, seen from build/test. */
export const ROOT = new URL('../../../', import.meta.url);

export function readJson(path: string): any {
  return JSON.parse(readFileSync(new URL(path, ROOT), 'utf8'));
}

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** How many inputs a fuzz test tries. */
export const RUNS = Number(process.env['NANOSTATE_FUZZ_RUNS'] ?? 20_000);

/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Random {
  constructor(private seed = Number(process.env['NANOSTATE_FUZZ_SEED'] ?? Date.now()) >>> 0) {
    console.log(`NANOSTATE_FUZZ_SEED=${this.seed}`);
  }

  below(bound: number): number {
    this.seed = (this.seed + 0x6d2b79f5) >>> 0;
    let z = this.seed;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return Math.floor((((z ^ (z >>> 14)) >>> 0) / 2 ** 32) * bound);
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
