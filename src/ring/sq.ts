// The application's half of the submission queue over a Ring of the port: slots are handed out,
// published in one release store and given back as the kernel's head moves. Indices are free-running
// u32s (`>>> 0`), so nothing here changes at 2^32. It knows nothing of operations.
import type { Ring } from "../kernel.ts";
import { SQE } from "../spec/codec.gen.ts";
import { IORING_SETUP_NO_SQARRAY, IORING_SETUP_SQE128, IORING_SETUP_SQE_MIXED } from "../spec/constants.gen.ts";


const words = (bytes: Uint8Array): Uint32Array => new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);

export class SubmissionQueue {
  /** Slots, a power of two. */
  readonly entries: number;
  /** All SQEs as 32-bit words: slot `i` starts at `i * slotWords`. */
  readonly sqes: Uint32Array;
  /** 32-bit words of one SQE: 16, or 32 with IORING_SETUP_SQE128. */
  readonly slotWords: number;
  /** The same, 8 bytes at a time: zeroes an SQE in half the stores (0.0 is eight zero bytes). */
  readonly #pairs: Float64Array;
  readonly #ring: Uint32Array;
  readonly #headAt: number;
  readonly #tailAt: number;
  readonly #flagsAt: number;
  readonly #droppedAt: number;
  readonly #mask: number;
  /** Next index to hand out. Invariant: 0 <= (tail - head) mod 2^32 <= entries. */
  #tail: number;
  /** What the kernel was shown. Invariant: head <= published <= tail, in that cyclic order. */
  #published: number;
  /** The kernel's head as last read: it only moves on, so an old value never shows room that is not there. */
  #head: number;
  /** Entries handed out, and published, since the queue was opened: numbers that never wrap. */
  #serial = 0;
  #publishedSerial = 0;

  constructor(ring: Ring) {
    const { params } = ring;
    if ((params.flags & IORING_SETUP_SQE_MIXED) !== 0)
      throw new RangeError("this submission queue has SQEs of one size; open the ring without IORING_SETUP_SQE_MIXED");
    const size = (params.flags & IORING_SETUP_SQE128) === 0 ? SQE.size : 2 * SQE.size;
    this.slotWords = size / 4;
    if (ring.sqes.byteLength < params.sqEntries * size)
      throw new RangeError(`the SQE mapping holds ${ring.sqes.byteLength} bytes, ${params.sqEntries} entries need ${params.sqEntries * size}`);
    const { sqOff } = params;
    this.entries = params.sqEntries;
    this.sqes = words(ring.sqes);
    this.#pairs = new Float64Array(ring.sqes.buffer, ring.sqes.byteOffset, ring.sqes.byteLength >>> 3);
    this.#ring = words(ring.sqRing);
    this.#headAt = sqOff.head >>> 2;
    this.#tailAt = sqOff.tail >>> 2;
    this.#flagsAt = sqOff.flags >>> 2;
    this.#droppedAt = sqOff.dropped >>> 2;
    this.#mask = this.entries - 1;
    this.#head = Atomics.load(this.#ring, this.#headAt);
    this.#tail = Atomics.load(this.#ring, this.#tailAt);
    this.#published = this.#tail;
    if ((params.flags & IORING_SETUP_NO_SQARRAY) === 0) {
      // Slot i always stands for SQE i, so the array is written once.
      const at = sqOff.array >>> 2;
      for (let i = 0; i < this.entries; i++) this.#ring[at + i] = i;
    }
  }

  /** Hands out the next slot, all its bytes zero; -1 where every slot is taken. Matches io_uring_get_sqe(). */
  next(): number {
    const tail = this.#tail;
    if (((tail - this.#head) >>> 0) >= this.entries) {
      this.#head = Atomics.load(this.#ring, this.#headAt);
      if (((tail - this.#head) >>> 0) >= this.entries) return -1;
    }
    const slot = tail & this.#mask;
    const pairs = this.#pairs;
    const from = slot * (this.slotWords >>> 1);
    for (let at = from; at < from + (this.slotWords >>> 1); at++) pairs[at] = 0;
    this.#tail = (tail + 1) >>> 0;
    this.#serial++;
    return slot;
  }

  /** Shows the kernel every slot that was handed out. Matches the store in __io_uring_flush_sq(). */
  publish(): void {
    if (this.#published === this.#tail) return;
    this.#published = this.#tail;
    this.#publishedSerial = this.#serial;
    Atomics.store(this.#ring, this.#tailAt, this.#tail);
  }

  /** Entries handed out that the kernel has not taken, published or not. Matches io_uring_sq_ready(). */
  get queued(): number {
    this.#head = Atomics.load(this.#ring, this.#headAt);
    return (this.#tail - this.#head) >>> 0;
  }

  /** Serials below this one were published: their SQEs belong to the kernel now. */
  get publishedSerial(): number {
    return this.#publishedSerial;
  }

  /** How many entries were handed out so far. The next one gets this number as its serial. */
  get handedOut(): number {
    return this.#serial;
  }

  /** Serials below this one were taken by the kernel: their SQEs were read and copied. */
  get taken(): number {
    return this.#serial - this.queued;
  }

  /** IORING_SQ_* bits. An atomic load, so it is never moved before an earlier publish (the barrier of SQPOLL). */
  get flags(): number {
    return Atomics.load(this.#ring, this.#flagsAt);
  }

  /** Entries that the kernel refused because their index was out of range: 0 for ever with this queue. */
  get dropped(): number {
    return Atomics.load(this.#ring, this.#droppedAt);
  }
}
