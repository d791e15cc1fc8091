// What an app knows of the hub of its last link.

import { FEATURES } from '../control.js';
import type { Entry } from './own.js';

export class Hub {
  /** Its instance; undefined of an old one. */
  instance: string | undefined;
  /** The largest body that it takes, as far as it is known. */
  limit = Infinity;
  /** What it can do, as bits of `FEATURES`. */
  features = 0;

  can(feature: keyof typeof FEATURES): boolean {
    return (this.features & FEATURES[feature]) !== 0;
  }

  /** Whether it takes values of this kind. */
  knows({ kind }: Entry, isOld: boolean): boolean {
    return isOld ? kind === 'text' || kind === 'bytes' : kind !== 'cleared' || this.can('clear');
  }
}
