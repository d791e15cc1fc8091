// What can be set of an app's engine, with the defaults of nanostate.h.

export interface Config {
  /** The kinds that are taken: bit 1 << kind, with the numbers of `ns_kind`. */
  accept: number;
  /** The largest body without its meta, in bytes. */
  maxMessage: number;
  /** The shortest and the longest wait before a reconnect, in milliseconds. */
  backoffMin: number;
  backoffMax: number;
  /** Whether own states come back. */
  echo: boolean;
  /** Whether the identity is taken from a live holder. */
  takeOver: boolean;
  /** Whether the identity is held together with others that say the same. */
  shared: boolean;
  /** The access token. */
  token: string | undefined;
  /** Bytes that own values may take. */
  sendQueue: number;
  /** Bytes of received newest values that are kept. */
  received: number;
  /** While more bytes than this wait to be sent, the hub gets newest values only. */
  outbox: number;
  /** How long nothing may be heard of a hub over a network, in milliseconds; 0: any time. */
  silence: number;
}

export const DEFAULTS: Config = {
  accept: 0xffff_ffff,
  maxMessage: 16 << 20,
  backoffMin: 50,
  backoffMax: 5_000,
  echo: false,
  takeOver: false,
  shared: false,
  token: undefined,
  sendQueue: 64 << 20,
  received: 64 << 20,
  // A page's buffer is a second one, and no value should be old when it has passed both.
  outbox: 1 << 20,
  silence: 20_000,
};

/** How long a handshake may take, in milliseconds. */
export const HANDSHAKE = 5_000;
/** How long an address is remembered as an old hub's. */
export const OLD_HUB_REMEMBERED = 60_000;
/** The largest body towards an old hub. */
export const OLD_MAX = 1 << 20;
/** How long an own value is remembered as cleared, in milliseconds. */
export const CLEARED = 24 * 3600_000;
/** How long after it was sent a transient value is announced on a new link, in milliseconds. */
export const ANNOUNCED = 30_000;
/** How often a value is stamped anew on one link because the hub holds a later one. */
export const RESTAMPS = 3;
/** How often the hub of one link may set the clock back. */
export const REBASES = 3;
/** The most that meta adds to a body. */
export const META_ROOM = 1024 + 64;
