/** Why a hub did not start, in the words of the command. */
export class HubError extends Error {
  override name = 'HubError';
  /** That of the command: 2 if a flag or an address is wrong, 1 for other failures; null if it did not run or was killed. */
  readonly exitCode: number | null;

  constructor(message: string, exitCode: number | null) {
    super(message);
    this.exitCode = exitCode;
  }
}
