// What can go wrong, with the numbers and names of nanostate.h.

/** The errors that a hub or this package can tell, with the names and numbers of `nanostate.h`. */
export const STATUS = {
  NS_ERR_INVALID: -1,
  NS_ERR_NO_MEMORY: -2,
  NS_ERR_STATE: -4,
  NS_ERR_TIMEOUT: -5,
  NS_ERR_CLOSED: -6,
  NS_ERR_UNSUPPORTED: -8,
  NS_ERR_URL: -9,
  NS_ERR_NAME: -10,
  NS_ERR_IDENTITY: -11,
  NS_ERR_TOO_LARGE: -16,
  NS_ERR_FULL: -17,
  NS_ERR_REFUSED: -19,
  NS_ERR_RESOLVE: -20,
  NS_ERR_PERMISSION: -21,
  NS_ERR_IDENTITY_TAKEN: -22,
  NS_ERR_NOT_FOUND: -23,
  NS_ERR_IO: -25,
  NS_ERR_TLS: -26,
} as const;

/** The name of an error. */
export type Code = keyof typeof STATUS;

/** Errors with which a hub refuses an app or a request. The others mean something else to the calls that return them. */
const REFUSALS: readonly Code[] = [
  'NS_ERR_INVALID', 'NS_ERR_STATE', 'NS_ERR_UNSUPPORTED', 'NS_ERR_IDENTITY', 'NS_ERR_TOO_LARGE', 'NS_ERR_FULL', 'NS_ERR_REFUSED',
  'NS_ERR_PERMISSION', 'NS_ERR_IDENTITY_TAKEN', 'NS_ERR_NOT_FOUND',
];

/** Where the name says too little. */
const WORDS: Partial<Record<Code, string>> = {
  NS_ERR_FULL: 'no room left',
  NS_ERR_PERMISSION: 'permission denied',
};

/** An error in words: of NS_ERR_NOT_FOUND, "not found". */
export function words(code: Code): string {
  return WORDS[code] ?? code.slice(7).toLowerCase().replaceAll('_', ' ');
}

/** The error with this number. */
export function codeOf(number: number): Code | undefined {
  return (Object.keys(STATUS) as Code[]).find((code) => STATUS[code] === number);
}

/** A failure, with the name that `nanostate.h` gives it. */
export class NanostateError extends Error {
  constructor(
    readonly code: Code,
    message = words(code),
  ) {
    super(message);
    this.name = 'NanostateError';
  }
}

/** The error of a refusal with this number and text. */
export function refusal(number: number, text: string): NanostateError {
  const named = codeOf(number);
  const code = named && REFUSALS.includes(named) ? named : 'NS_ERR_REFUSED';
  return new NanostateError(code, text || words(code));
}
