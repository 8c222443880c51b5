// The application's half of the completion queue over a Ring of the port: look at what the kernel
// posted, release it by moving the head. Indices are free-running u32s. What a completion means, and
// what to do about overflow, is not decided here.
import type { Ring } from "../kernel.ts";
import { CQE } from "../spec/codec.gen.ts";
import { IORING_CQE_F_32, IORING_SETUP_CQE32, IORING_SETUP_CQE_MIXED } from "../spec/constants.gen.ts";

/** 32-bit words of a slot: one CQE, or one with IORING_SETUP_CQE32. */
const CQE_WORDS = CQE.size / 4;

const USER_DATA = CQE.user_data >>> 2;
const RES = CQE.res >>> 2;
const FLAGS = CQE.flags >>> 2;

export class CompletionQueue {
  /** Slots, a power of two. */
  readonly entries: number;
  readonly #ring: Uint32Array;
  readonly #headAt: number;
  readonly #tailAt: number;
  readonly #overflowAt: number;
  readonly #cqesAt: number;
  readonly #mask: number;
  readonly #slotWords: number;
  /** With IORING_SETUP_CQE_MIXED a CQE that says IORING_CQE_F_32 takes two slots. */
  readonly #mixed: boolean;
  /** Ours alone: the kernel only reads it. Invariant: (tail - head) mod 2^32 <= entries. */
  #head: number;
  /** The kernel's tail as last read: CQEs before it are complete. */
  #tail: number;

  constructor(ring: Ring) {
    const { params } = ring;
    this.#slotWords = (params.flags & IORING_SETUP_CQE32) === 0 ? CQE_WORDS : 2 * CQE_WORDS;
    this.#mixed = (params.flags & IORING_SETUP_CQE_MIXED) !== 0;
    const { cqOff } = params;
    if (ring.cqRing.byteLength < cqOff.cqes + params.cqEntries * this.#slotWords * 4)
      throw new RangeError(`the CQ mapping holds ${ring.cqRing.byteLength} bytes, ${params.cqEntries} entries at ${cqOff.cqes} need more`);
    this.entries = params.cqEntries;
    this.#ring = new Uint32Array(ring.cqRing.buffer, ring.cqRing.byteOffset, ring.cqRing.byteLength >>> 2);
    this.#headAt = cqOff.head >>> 2;
    this.#tailAt = cqOff.tail >>> 2;
    this.#overflowAt = cqOff.overflow >>> 2;
    this.#cqesAt = cqOff.cqes >>> 2;
    this.#mask = this.entries - 1;
    this.#head = Atomics.load(this.#ring, this.#headAt);
    this.#tail = this.#head;
  }

  /** Completions that were posted and not released. Matches io_uring_cq_ready(). */
  get ready(): number {
    this.#tail = Atomics.load(this.#ring, this.#tailAt);
    return (this.#tail - this.#head) >>> 0;
  }

  /**
   * Where the `nth` unreleased completion (0: the oldest) stands, for userDataLow and its siblings; -1
   * where the kernel has not posted that many. Matches io_uring_peek_cqe(), without the flush. With
   * IORING_SETUP_CQE_MIXED `nth` counts slots.
   */
  peek(nth = 0): number {
    if (((this.#tail - this.#head) >>> 0) <= nth) {
      this.#tail = Atomics.load(this.#ring, this.#tailAt);
      if (((this.#tail - this.#head) >>> 0) <= nth) return -1;
    }
    return this.#cqesAt + ((this.#head + nth) & this.#mask) * this.#slotWords;
  }

  userDataLow(at: number): number {
    return this.#ring[at + USER_DATA] ?? 0;
  }
  userDataHigh(at: number): number {
    return this.#ring[at + USER_DATA + 1] ?? 0;
  }
  /** The result, signed. */
  res(at: number): number {
    return (this.#ring[at + RES] ?? 0) | 0;
  }
  flags(at: number): number {
    return this.#ring[at + FLAGS] ?? 0;
  }

  /** Gives the oldest completion's slot back to the kernel; only after peek() showed it. Matches io_uring_cqe_seen(). */
  advance(): void {
    const long = this.#mixed && (this.flags(this.#cqesAt + (this.#head & this.#mask) * CQE_WORDS) & IORING_CQE_F_32) !== 0;
    this.#head = (this.#head + (long ? 2 : 1)) >>> 0;
    Atomics.store(this.#ring, this.#headAt, this.#head);
  }

  /** Completions that the kernel lost for good (no memory for the overflow list). */
  get lost(): number {
    return Atomics.load(this.#ring, this.#overflowAt);
  }
}
