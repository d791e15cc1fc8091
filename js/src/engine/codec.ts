// How bodies are cut out of what a transport brings, and put into what it takes.

/** What came: how both sides agreed to go on, a body, or the length of one beyond the limit. */
export type Incoming = { agreed: 'v1' | 'old' | 'not-v1' } | { body: Uint8Array } | { tooLarge: number };

export interface Codec {
  /** What this side sends before anything else, if both sides greet each other first. */
  readonly greeting: Uint8Array | undefined;
  /** Whether the system tells when the other side is gone: it is on this machine. */
  readonly isLocal?: boolean;
  /** Whether a message comes only when all of it has arrived, so that a long one looks like silence. */
  readonly isWhole?: boolean;
  /** Puts a body into a frame. */
  frame(body: Uint8Array): Uint8Array;
  /** Takes what came. Throws a NanostateError if it cannot be cut any further. */
  decode(input: Uint8Array): Iterable<Incoming>;
}

/** Makes the codec of one connection: for an old hub or not, with bodies of so many bytes at most. */
export type MakeCodec = (old: boolean, max: number) => Codec;

/** Each message is a body, as on a WebSocket of the subprotocol `nanostate.v1`. */
export const messages: MakeCodec = (_old, max) => ({
  greeting: undefined,
  isWhole: true,
  frame: (body) => body,
  decode: (input) => [input.length > max ? { tooLarge: input.length } : { body: input }],
});
