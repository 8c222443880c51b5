// Which requests are in flight, counted by user data, for the three things that hang on a completion:
// scratch blocks, descriptors that OPENAT brings and CLOSE takes. User data may repeat, so requests of
// one value are told apart only where it matters: an OPENAT or CLOSE shares its value with its own kind
// alone. Limits: requests with IOSQE_CQE_SKIP_SUCCESS are not counted; requests that a failed one of
// those cancels in silence (rule R101) stay counted until the driver closes.
import type { Fd } from "../kernel.ts";
import { ECANCELED, EINVAL, EOPNOTSUPP } from "../spec/constants.gen.ts";
import type { Block, Scratch } from "./scratch.ts";
import type { SubmissionQueue } from "./sq.ts";
import { joinU64 } from "./user-data.ts";

export const PLAIN = 0;
export const OPENAT = 1;
export const CLOSE = 2;
export type Kind = typeof PLAIN | typeof OPENAT | typeof CLOSE;

const KIND_NAMES = ["another operation", "an OPENAT", "a CLOSE"] as const;

/** Results of a CLOSE that never got as far as the descriptor. */
const NOT_CLOSED: readonly number[] = [-ECANCELED, -EINVAL, -EOPNOTSUPP];

/** What hangs on the requests of one user data, oldest first. */
interface Attached {
  readonly blocks: Block[];
  readonly closing: Fd[];
}

/** What a completion means for descriptors. */
export interface Descriptors {
  opened(fd: Fd): void;
  /** CLOSE failed before it closed anything. */
  stillOpen(fd: Fd): void;
}

/** Open addressing with linear probing over u64 keys; removal shifts back, so there are no tombstones. */
export class InFlight {
  #low = new Uint32Array(64);
  #high = new Uint32Array(64);
  /** Requests in flight of this key; 0: the place is free. */
  #count = new Uint32Array(64);
  #kind = new Uint8Array(64);
  #attached: (Attached | undefined)[] = new Array<Attached | undefined>(64).fill(undefined);
  #mask = 63;
  #used = 0;
  readonly #scratch: Scratch;

  constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  #home(low: number, high: number): number {
    const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & this.#mask;
  }

  /** The place of this key, or the free place where it belongs. */
  #find(low: number, high: number): number {
    let at = this.#home(low, high);
    while (this.#count[at] !== 0 && (this.#low[at] !== low || this.#high[at] !== high)) at = (at + 1) & this.#mask;
    return at;
  }

  /**
   * Enters a request; `counted` false: only checks. Throws where it could not be told from those in flight
   * with the same user data.
   */
  add(low: number, high: number, kind: Kind, counted: boolean): void {
    const at = this.#find(low, high);
    const count = this.#count[at] ?? 0;
    if (count !== 0 && this.#kind[at] !== kind) refuseShared(low, high, kind, (this.#kind[at] ?? PLAIN) as Kind);
    if (!counted) return;
    this.#count[at] = count + 1;
    if (count !== 0) return;
    this.#low[at] = low;
    this.#high[at] = high;
    this.#kind[at] = kind;
    if (++this.#used * 2 > this.#mask) this.#grow();
  }

  attachBlock(low: number, high: number, block: Block): void {
    this.#attachedAt(this.#find(low, high)).blocks.push(block);
  }

  attachClosing(low: number, high: number, fd: Fd): void {
    this.#attachedAt(this.#find(low, high)).closing.push(fd);
  }

  #attachedAt(at: number): Attached {
    const attached = this.#attached[at] ?? { blocks: [], closing: [] };
    this.#attached[at] = attached;
    return attached;
  }

  /** A completion came that is the last of its request. */
  complete(low: number, high: number, res: number, sq: SubmissionQueue, descriptors: Descriptors): void {
    const at = this.#find(low, high);
    const before = this.#count[at] ?? 0;
    if (before === 0) return; // of a request that was not counted
    const count = before - 1;
    this.#count[at] = count;
    const kind = this.#kind[at];
    const attached = this.#attached[at];
    if (kind === OPENAT && res >= 0) descriptors.opened(res);
    if (attached !== undefined) this.#detach(attached, count, res, sq.taken, descriptors);
    if (count !== 0) return;
    for (const block of attached?.blocks ?? []) this.#scratch.park(block);
    this.#remove(at);
  }

  #detach(attached: Attached, count: number, res: number, taken: number, descriptors: Descriptors): void {
    if (attached.closing.length > 0) {
      // With several of one user data nobody knows which one failed: none is claimed back.
      const fd = attached.closing.length === 1 ? attached.closing[0] : undefined;
      attached.closing.shift();
      if (NOT_CLOSED.includes(res) && fd !== undefined) descriptors.stillOpen(fd);
    }
    // At most `count` requests are left, so the oldest blocks beyond that are done with. They were all
    // taken, and a stable kernel copied them then, even where it was a younger request that completed.
    const { blocks } = attached;
    while (blocks.length > count) {
      const oldest = blocks[0];
      if (oldest === undefined || (this.#scratch.stable ? oldest.serial >= taken : count > 0)) return;
      blocks.shift();
      this.#scratch.give(oldest);
    }
  }

  #remove(place: number): void {
    let hole = place;
    let at = place;
    this.#attached[hole] = undefined;
    for (;;) {
      at = (at + 1) & this.#mask;
      if (this.#count[at] === 0) break;
      const home = this.#home(this.#low[at] ?? 0, this.#high[at] ?? 0);
      if (((at - home) & this.#mask) < ((at - hole) & this.#mask)) continue;
      this.#low[hole] = this.#low[at] ?? 0;
      this.#high[hole] = this.#high[at] ?? 0;
      this.#count[hole] = this.#count[at] ?? 0;
      this.#kind[hole] = this.#kind[at] ?? PLAIN;
      this.#attached[hole] = this.#attached[at];
      this.#attached[at] = undefined;
      hole = at;
    }
    this.#count[hole] = 0;
    this.#used--;
  }

  #grow(): void {
    const old = { low: this.#low, high: this.#high, count: this.#count, kind: this.#kind, attached: this.#attached };
    const size = old.low.length * 2;
    this.#low = new Uint32Array(size);
    this.#high = new Uint32Array(size);
    this.#count = new Uint32Array(size);
    this.#kind = new Uint8Array(size);
    this.#attached = new Array<Attached | undefined>(size).fill(undefined);
    this.#mask = size - 1;
    for (let i = 0; i < old.low.length; i++) {
      const count = old.count[i] ?? 0;
      if (count === 0) continue;
      const at = this.#find(old.low[i] ?? 0, old.high[i] ?? 0);
      this.#low[at] = old.low[i] ?? 0;
      this.#high[at] = old.high[i] ?? 0;
      this.#count[at] = count;
      this.#kind[at] = old.kind[i] ?? PLAIN;
      this.#attached[at] = old.attached[i];
    }
  }

  /** Requests counted under one user data; for tests. */
  countOf(low: number, high: number): number {
    return this.#count[this.#find(low, high)] ?? 0;
  }
}

function refuseShared(low: number, high: number, kind: Kind, there: Kind): never {
  throw new Error(
    `userData 0x${joinU64(low, high).toString(16)} is in flight for ${KIND_NAMES[there]}, and this is ${KIND_NAMES[kind]}: OPENAT and CLOSE ` +
      "need user data that no other kind of operation has in flight, for their completions hand out and take away descriptors",
  );
}
