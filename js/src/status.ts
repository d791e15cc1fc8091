// What can go wrong, with the numbers and names of nanostate.h.

/** The errors that a hub or this package can tell, by the names of `nanostate.h`, and what they mean. */
export const STATUS = {
  NS_ERR_INVALID: [-1, 'invalid argument'],
  NS_ERR_NO_MEMORY: [-2, 'out of memory'],
  NS_ERR_STATE: [-4, 'not possible in this state'],
  NS_ERR_TIMEOUT: [-5, 'timed out'],
  NS_ERR_CLOSED: [-6, 'closed'],
  NS_ERR_UNSUPPORTED: [-8, 'not supported'],
  NS_ERR_URL: [-9, 'malformed URL'],
  NS_ERR_NAME: [-10, 'name not allowed'],
  NS_ERR_IDENTITY: [-11, 'identity not allowed'],
  NS_ERR_TOO_LARGE: [-16, 'too large'],
  NS_ERR_FULL: [-17, 'no room left'],
  NS_ERR_REFUSED: [-19, 'connection refused'],
  NS_ERR_RESOLVE: [-20, 'host name could not be resolved'],
  NS_ERR_PERMISSION: [-21, 'permission denied'],
  NS_ERR_IDENTITY_TAKEN: [-22, 'identity taken by another app'],
  NS_ERR_NOT_FOUND: [-23, 'not found'],
  NS_ERR_IO: [-25, 'input/output error'],
} as const;

/** The name of an error. */
export type Code = keyof typeof STATUS;

/** Why a hub may refuse an app. The other errors mean something else to the calls that return them. */
export const REFUSALS: readonly Code[] = [
  'NS_ERR_INVALID', 'NS_ERR_UNSUPPORTED', 'NS_ERR_IDENTITY', 'NS_ERR_TOO_LARGE', 'NS_ERR_FULL', 'NS_ERR_REFUSED',
  'NS_ERR_PERMISSION', 'NS_ERR_IDENTITY_TAKEN', 'NS_ERR_NOT_FOUND',
];

/** The error with this number. */
export function codeOf(number: number): Code | undefined {
  return (Object.keys(STATUS) as Code[]).find((code) => STATUS[code][0] === number);
}

/** A failure, with the name that `nanostate.h` gives it. */
export class NanostateError extends Error {
  constructor(
    readonly code: Code,
    message: string = STATUS[code][1],
  ) {
    super(message);
    this.name = 'NanostateError';
  }
}
