// The driver's completions: looks at the CQ, gives each completion its bookkeeping once, swallows those
// of the driver's own requests, and asks the kernel for what it holds back (overflow list, task work).
import type { Completion } from "../driver.ts";
import type { Ring, System } from "../kernel.ts";
import {
  IORING_CQE_F_MORE,
  IORING_ENTER_GETEVENTS,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_TASKRUN_FLAG,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_TASKRUN,
} from "../spec/constants.gen.ts";
import type { CompletionQueue } from "./cq.ts";
import type { Descriptors, InFlight } from "./in-flight.ts";
import type { Readiness } from "./readiness.ts";
import type { SubmissionQueue } from "./sq.ts";
import { isReserved, joinU64, split, splitU64 } from "./user-data.ts";

export interface InboxParts {
  readonly ring: Ring;
  readonly cq: CompletionQueue;
  readonly sq: SubmissionQueue;
  readonly inFlight: InFlight;
  readonly readiness: Readiness;
  readonly system: System;
}

export class Inbox {
  readonly #ring: Ring;
  readonly #cq: CompletionQueue;
  readonly #sq: SubmissionQueue;
  readonly #inFlight: InFlight;
  readonly #readiness: Readiness;
  readonly #descriptors: Descriptors;
  /** Does task work wait without a flag that says so? Then an empty CQ is asked about every time. */
  readonly #asksBlindly: boolean;
  /** Completions moved out of the CQ to count past swallowed ones; older than everything in the CQ. */
  readonly #held: Completion[] = [];
  /** The oldest completion, once it was looked at. It is #held[0], or the head of the CQ. */
  #current: Completion | null = null;

  constructor(parts: InboxParts) {
    this.#ring = parts.ring;
    this.#cq = parts.cq;
    this.#sq = parts.sq;
    this.#inFlight = parts.inFlight;
    this.#readiness = parts.readiness;
    const { system } = parts;
    this.#descriptors = {
      opened: (fd) => void system.adopt(fd),
      stillOpen: (fd) => void system.adopt(fd),
    };
    const { flags } = parts.ring.params;
    this.#asksBlindly = (flags & IORING_SETUP_DEFER_TASKRUN) !== 0 && (flags & IORING_SETUP_TASKRUN_FLAG) === 0;
  }

  /** The oldest completion; the kernel is entered only where none is there and it holds some back. */
  look(): Completion | null {
    if (this.#current !== null) return this.#current;
    if (this.#held.length > 0 && this.#lookAtHeld()) return this.#current;
    for (;;) {
      let at = this.#cq.peek();
      if (at < 0) {
        if (!this.flush()) return null;
        at = this.#cq.peek();
        if (at < 0) return null;
      }
      const completion = this.#settle(at);
      if (completion !== null) return (this.#current = completion);
      this.#cq.advance();
    }
  }

  #lookAtHeld(): boolean {
    for (let held = this.#held[0]; held !== undefined; held = this.#held[0]) {
      const high = highHalf(held);
      if (!isReserved(high) || !this.#readiness.settle(high, held.res, held.flags)) {
        this.#current = held;
        return true;
      }
      this.#held.shift();
    }
    return false;
  }

  /** Releases what look() showed; false where it showed nothing. */
  release(): boolean {
    if (this.#current === null) return false;
    this.#current = null;
    if (this.#held.length > 0) this.#held.shift();
    else this.#cq.advance();
    return true;
  }

  /** The completion at `at` with its bookkeeping done, or null where it is not for the application. */
  #settle(at: number): Completion | null {
    const cq = this.#cq;
    const low = cq.userDataLow(at);
    const high = cq.userDataHigh(at);
    const res = cq.res(at);
    const flags = cq.flags(at);
    if (isReserved(high)) {
      if (this.#readiness.settle(high, res, flags)) return null;
    } else if ((flags & IORING_CQE_F_MORE) === 0) {
      this.#inFlight.complete(low, high, res, this.#sq, this.#descriptors);
    }
    return { userData: joinU64(low, high), res, flags };
  }

  #copy(at: number): Completion {
    const cq = this.#cq;
    return { userData: joinU64(cq.userDataLow(at), cq.userDataHigh(at)), res: cq.res(at), flags: cq.flags(at) };
  }

  /** Completions for the application that are ready. */
  get ready(): number {
    const cq = this.#cq;
    const inRing = cq.ready;
    if (!this.#readiness.active) return this.#held.length + inRing;
    let count = 0;
    for (const held of this.#held) {
      if (held === this.#current || !this.#readiness.isSilent(highHalf(held))) count++;
    }
    for (let nth = 0; nth < inRing; nth++) {
      const looked = nth === 0 && this.#current !== null && this.#held.length === 0;
      if (looked || !this.#readiness.isSilent(cq.userDataHigh(cq.peek(nth)))) count++;
    }
    return count;
  }

  /**
   * Moves what the CQ holds out of it, so that swallowed completions take no room and are not counted.
   * A readiness event is taken in when it is looked at, not here: it may be deregistered before.
   */
  sift(): void {
    const cq = this.#cq;
    if (this.#current !== null && this.#held.length === 0) {
      this.#held.push(this.#current);
      cq.advance();
    }
    for (let at = cq.peek(); at >= 0; at = cq.peek()) {
      const high = cq.userDataHigh(at);
      if (isReserved(high) && !this.#readiness.isSilent(high)) this.#held.push(this.#copy(at));
      else {
        const completion = this.#settle(at);
        if (completion !== null) this.#held.push(completion);
      }
      cq.advance();
    }
  }

  /** Could the CQ hold completions that will be swallowed? */
  get crowded(): boolean {
    return this.#readiness.active;
  }

  /** Completions that were moved out of the CQ and not released. */
  get held(): number {
    return this.#held.length;
  }

  /** Enters the kernel where it holds completions back; true where it did. Matches io_uring_get_events(). */
  flush(): boolean {
    if (!this.#asksBlindly && (this.#sq.flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) === 0) return false;
    this.#ring.enter(0, 0, IORING_ENTER_GETEVENTS);
    return true;
  }
}

function highHalf({ userData }: Completion): number {
  splitU64(userData, "userData");
  return split.high;
}
