// What came of a stream and was not taken yet.

export class Pieces {
  /** Of the first piece, `#at` bytes were taken. */
  #pieces: Uint8Array[] = [];
  #at = 0;
  length = 0;

  push(input: Uint8Array) {
    if (input.length > 0) {
      this.#pieces.push(input);
      this.length += input.length;
    }
  }

  /** The next byte, which stays. */
  get first(): number | undefined {
    return this.#pieces[0]?.[this.#at];
  }

  /** So many bytes, once they are there. */
  take(count: number): Uint8Array | undefined {
    if (count > this.length) {
      return undefined;
    }
    this.length -= count;
    const first = this.#pieces[0];
    if (first && first.length - this.#at >= count) {
      const bytes = first.subarray(this.#at, this.#at + count);
      this.#advance(count);
      return bytes;
    }
    const bytes = new Uint8Array(count);
    for (let have = 0; have < count; ) {
      const piece = this.#pieces[0]!.subarray(this.#at, this.#at + count - have);
      bytes.set(piece, have);
      have += piece.length;
      this.#advance(piece.length);
    }
    return bytes;
  }

  #advance(count: number) {
    this.#at += count;
    if (this.#at === this.#pieces[0]?.length) {
      this.#pieces.shift();
      this.#at = 0;
    }
  }
}
