// Random numbers of one mutation: a fixed function of its seed, so that a survivor can be made again.

export class Draw {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 0;
  }

  /** A whole number of 32 bits (mulberry32). */
  next(): number {
    this.state = (this.state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** From 0 to `count` - 1. */
  below(count: number): number {
    return this.next() % count;
  }

  /** undefined where there is nothing to pick from. */
  pick<T>(of: readonly T[]): T | undefined {
    return of[this.below(Math.max(of.length, 1))];
  }
}
