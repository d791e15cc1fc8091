// What a hub counts: an import of its own, so that pages that do not need it do not load it.

import { ASK, type Client, type WaitOptions } from './client.js';
import type { Value } from './msgpack.js';

/** The counters that a hub has of itself and of each peer, by their numbers on the wire. */
const OF_BOTH = {
  outboxBytes: 9, messagesIn: 11, bytesIn: 12, messagesOut: 13, bytesOut: 14, conflated: 15, withheld: 16,
  withheldUnaccepted: 17, withheldStructured: 18, withheldLarge: 19, withheldCleared: 20, refused: 21, refusedFull: 22,
  refusedMemory: 23, refusedRights: 24, stale: 25, ahead: 26, tooLarge: 27, foreignSender: 28, reserved: 29, malformed: 30,
} as const;

export const OF_HUB = {
  uptimeMs: 1, peers: 2, oldPeers: 3, joined: 4, refusedPeers: 5, states: 6, tableBytes: 7, unfinishedBytes: 8, memoryBytes: 10,
  ...OF_BOTH,
  stored: 31, storeFailed: 32, maxPeers: 33, maxStates: 34, maxTableBytes: 35, maxMemoryBytes: 36, departedSenders: 37,
} as const;

export const OF_PEER = { connectedMs: 1, ...OF_BOTH, connection: 40 } as const;

const [IDENTITY, FROM, FLAGS] = [41, 42, 43];
const [OLD, BEHIND, SUSPECT] = [1, 2, 4];
/** The most peers whose counters are taken. */
const MOST = 65_536;
/** How many bytes a hub puts into one answer, unless it is asked for fewer. */
const PART = 32 << 10;

/** Counters of one peer since it connected; docs/counters.md says what each is. */
export type PeerStats = Readonly<Record<keyof typeof OF_PEER, number>> & {
  /** Its identity; empty for an old peer. */
  readonly identity: string;
  /** Its address; empty if this client may not know it. */
  readonly from: string;
  /** Whether it is an old peer. */
  readonly old: boolean;
  /** Whether it keeps up; else it gets newest values only. */
  readonly live: boolean;
  /** Whether the hub has not heard of it for a while. */
  readonly suspect: boolean;
};

/** Counters of a hub since it was made, what it holds now, and what it may hold; docs/counters.md says what each is. */
export type HubStats = Readonly<Record<keyof typeof OF_HUB, number>> & {
  /** The counters of each peer, in no particular order. */
  readonly ofPeers: readonly PeerStats[];
};

/**
 * The counters of the hub and of each peer, old ones included. A hub with many peers sends them in several messages, while it goes
 * on counting. Only clients that may publish are told the addresses of peers. Waits for a link and the answer, by default
 * indefinitely, and asks again if the link is lost. Rejects as `flush` does, or with `NS_ERR_UNSUPPORTED` if the hub does not tell.
 */
export async function hubStats(client: Client, { timeout }: WaitOptions = {}): Promise<HubStats> {
  const end = performance.now() + (timeout ?? Infinity);
  for (;;) {
    const stats = await ask(client, () => (timeout === undefined ? {} : { timeout: Math.max(0, end - performance.now()) }));
    if (stats) {
      return stats;
    }
  }
}

/** Asks for all parts. None if the link was lost before the last. */
async function ask(client: Client, options: () => WaitOptions): Promise<HubStats | undefined> {
  const ofPeers: PeerStats[] = [];
  let stats: Record<keyof typeof OF_HUB, number> | undefined;
  for (let from: Value | undefined; ; ) {
    const answer = await client[ASK]('stats', 'say what it counts', options(), ({ maxMessage }) => [from, Math.min(maxMessage, PART)]);
    if (!answer) {
      return undefined;
    }
    const [next, totals, peers] = [answer(1), answer(2), answer(3)];
    stats ??= numbers(OF_HUB, totals);
    const before = ofPeers.length;
    ofPeers.push(...(Array.isArray(peers) ? peers : []).slice(0, MOST - before).map(peer));
    // A hub that tells nothing new is asked no more.
    if (next === null || ofPeers.length === before || ofPeers.length === MOST) {
      return { ...stats, ofPeers };
    }
    from = next;
  }
}

function field(map: Value, key: number): Value | undefined {
  return map instanceof Map ? map.get(key) : undefined;
}

/** The counters in a map; those that are absent are 0. */
function numbers<T extends string>(keys: Record<T, number>, map: Value): Record<T, number> {
  const counters = Object.entries<number>(keys).map(([name, key]) => [name, Number(uint(field(map, key)))]);
  return Object.fromEntries(counters) as Record<T, number>;
}

function uint(value: Value | undefined): number | bigint {
  return (typeof value === 'number' || typeof value === 'bigint') && value >= 0 ? value : 0;
}

function peer(map: Value): PeerStats {
  const flags = Number(uint(field(map, FLAGS)));
  const text = (key: number) => {
    const text = field(map, key);
    return typeof text === 'string' ? text : '';
  };
  return {
    identity: text(IDENTITY),
    from: text(FROM),
    old: (flags & OLD) !== 0,
    live: (flags & BEHIND) === 0,
    suspect: (flags & SUSPECT) !== 0,
    ...numbers(OF_PEER, map),
  };
}
