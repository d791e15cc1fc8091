// What the hub has acknowledged of the own values. A value is named by the version that the table had with it.

export class Acks {
  /** Up to which version the program waits. */
  #wanted = 0;
  /** Up to which version the hub of this link was asked. */
  asked = 0;
  /** Up to which version the hub has dealt with everything. */
  #acked = 0;

  /** The program waits for the values up to `version`. Whether they are acknowledged already. */
  request(version: number): boolean {
    this.#wanted = Math.max(this.#wanted, version);
    return this.has(version);
  }

  has(version: number): boolean {
    return this.#acked >= version;
  }

  /** Everything up to `through` is written, or waits to be. Whether the hub is to be asked about it now. */
  ask(through: number): boolean {
    const asks = this.#wanted > this.asked && through > this.asked;
    if (asks) {
      this.asked = through;
    }
    return asks;
  }

  /**
   * The hub has answered for what it got up to `asked`; the newest version is `version`, and values up to `restamped`
   * were stamped anew. Such a value has another stamp than the one that the hub answers for.
   */
  answered(asked: number, version: number, restamped: number) {
    if (asked >= restamped) {
      this.#acked = Math.max(this.#acked, Math.min(asked, version));
    } else if (this.#wanted > this.#acked) {
      this.#wanted = Math.max(this.#wanted, restamped);
    }
  }

  /** An old hub, which does not answer, was sent everything up to `version`. */
  writtenToOld(version: number) {
    this.#acked = version;
  }

  /** The link is gone: what was asked on it is not answered any more. */
  unlink() {
    this.asked = this.#acked;
  }

  /** Whether the program waits for what was sent up to a version. */
  isWaitedFor(version: number): boolean {
    return version <= this.#wanted && !this.has(version);
  }

  /** What one hub has acknowledged another need not have. */
  forget() {
    this.#acked = this.asked = 0;
  }
}
