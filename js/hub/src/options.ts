// What a hub is started with: the flags of `nanostate hub`, in the spelling of JavaScript.

/** A number of bytes, or a text as on the command line: `64MiB`. */
export type Size = number | string;
/** A text as on the command line: `30s`. */
export type Duration = string;

/** The flags of `nanostate hub`; its `--help` says what each means. A test compares the two. */
export interface Flags {
  listen?: string | readonly string[] | undefined;
  noWs?: boolean | undefined;
  log?: 'off' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | undefined;
  ipcMode?: string | undefined;
  echo?: boolean | undefined;
  allowOrigin?: string | readonly string[] | undefined;
  allowLocalPages?: boolean | undefined;
  maxWebsockets?: number | undefined;
  httpRate?: number | undefined;
  www?: string | undefined;
  maxMessage?: Size | undefined;
  maxPeers?: number | undefined;
  outbox?: Size | undefined;
  unfinished?: Size | undefined;
  stalledFrame?: Duration | undefined;
  handshake?: Duration | undefined;
  progress?: Size | undefined;
  memory?: Size | undefined;
  legacyMax?: Size | undefined;
  legacyStructured?: boolean | undefined;
  legacySnapshot?: boolean | undefined;
  tableStates?: number | undefined;
  tableBytes?: Size | undefined;
  departed?: Duration | undefined;
  suspect?: Duration | undefined;
  lost?: Duration | undefined;
  store?: string | undefined;
  tokenFile?: string | undefined;
  readWithoutToken?: boolean | undefined;
  clearTokens?: boolean | undefined;
  tlsCert?: string | undefined;
  tlsKey?: string | undefined;
}

export interface HubOptions extends Flags {
  /** More of the command line, as it is. */
  args?: readonly string[] | undefined;
  /** Takes each line of the hub's log; without it they go to standard error. */
  onLog?: ((line: string) => void) | undefined;
}

/** The options as flags. Which flags there are, and what they take, is up to the command. */
export function commandLine(flags: Flags): string[] {
  return Object.entries(flags).flatMap(([name, value]: [string, unknown]) => {
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return (Array.isArray(value) ? value : [value]).flatMap((one) => argument(name, flag, one));
  });
}

function argument(name: string, flag: string, value: unknown): string[] {
  switch (typeof value) {
    case 'undefined':
      return [];
    case 'boolean':
      return value ? [flag] : [];
    case 'string':
    case 'number':
    case 'bigint':
      return [`${flag}=${value}`];
    default:
      throw new TypeError(`startHub: ${name} is ${value === null ? 'null' : `of type ${typeof value}`}: expected a text, a number or a boolean`);
  }
}
