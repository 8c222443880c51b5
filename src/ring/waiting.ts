// Waiting for completions, blocking and not. A blocking wait enters the kernel with GETEVENTS and a bound
// (EXT_ARG), in slices, until enough are ready; the asynchronous one sleeps in Ring.ready(). Both count
// completions that are there already.
import type { WaitOptions, WaitResult } from "../driver.ts";
import type { EnterArg, Kernel, Region, Ring } from "../kernel.ts";
import { GETEVENTS_ARG, KERNEL_TIMESPEC } from "../spec/codec.gen.ts";
import { EBUSY, EINTR, ETIME, IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS } from "../spec/constants.gen.ts";
import type { Inbox } from "./inbox.ts";
import { describe } from "./user-data.ts";

const NS_PER_SECOND = 1_000_000_000n;
/** Longest time in one io_uring_enter: what a wait without a bound is made of. */
const SLICE_NS = NS_PER_SECOND;

export class Waiting {
  readonly #kernel: Kernel;
  readonly #ring: Ring;
  readonly #inbox: Inbox;
  /** Hands the driver's own queued requests to the kernel, without which a wait could miss their events. */
  readonly #submitOwn: () => void;
  readonly #region: Region;
  readonly #timespec: DataView;
  readonly #arg: EnterArg;
  /** Ends the asynchronous wait that is under way. */
  #abort: ((reason: Error) => void) | null = null;

  constructor(kernel: Kernel, ring: Ring, inbox: Inbox, submitOwn: () => void) {
    this.#kernel = kernel;
    this.#ring = ring;
    this.#inbox = inbox;
    this.#submitOwn = submitOwn;
    const region = kernel.memory.alloc(GETEVENTS_ARG.size + KERNEL_TIMESPEC.size, 8);
    const view = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.byteLength);
    view.setBigUint64(GETEVENTS_ARG.ts, region.addr + BigInt(GETEVENTS_ARG.size), true);
    this.#region = region;
    this.#timespec = new DataView(view.buffer, view.byteOffset + GETEVENTS_ARG.size, KERNEL_TIMESPEC.size);
    this.#arg = { addr: region.addr, size: GETEVENTS_ARG.size };
  }

  /** Blocks until `count` completions are ready or the time is over; `count` of the result is -errno where the kernel refused. */
  block(count: number, timeoutNs: bigint | undefined): WaitResult {
    const inbox = this.#inbox;
    this.#submitOwn();
    let ready = inbox.ready;
    if (ready >= count && count > 0) return { count: ready, timedOut: false };
    const deadlineNs = timeoutNs === undefined ? undefined : this.#kernel.nowNs() + timeoutNs;
    let leftNs = timeoutNs;
    for (;;) {
      // Only completions that nobody will see stand in the CQ's way of filling up: move all out first.
      if (inbox.crowded) inbox.sift();
      const result = this.#enter(count - inbox.held, leftNs);
      this.#submitOwn();
      ready = inbox.ready;
      if (ready >= count) return { count: ready, timedOut: false };
      // -EBUSY: old kernels flush nothing while their backlog doesn't fit. Make room, ask again.
      if (result === -EBUSY && ready > inbox.held) inbox.sift();
      else if (result < 0 && result !== -ETIME && result !== -EINTR) return { count: result, timedOut: false };
      if (deadlineNs === undefined) continue;
      const whole = leftNs !== undefined && leftNs <= SLICE_NS;
      leftNs = deadlineNs - this.#kernel.nowNs();
      if ((result === -ETIME && whole) || leftNs <= 0n) return { count: ready, timedOut: true };
    }
  }

  #enter(minComplete: number, leftNs: bigint | undefined): number {
    if (minComplete <= 0) return this.#ring.enter(0, 0, IORING_ENTER_GETEVENTS);
    // The model knows when nothing can end a wait, and says so (WouldBlockForever) where it has no bound.
    if (leftNs === undefined && this.#kernel.backend === "model") return this.#ring.enter(0, minComplete, IORING_ENTER_GETEVENTS);
    const ns = leftNs === undefined || leftNs > SLICE_NS ? SLICE_NS : leftNs;
    this.#timespec.setBigInt64(KERNEL_TIMESPEC.tv_sec, ns / NS_PER_SECOND, true);
    this.#timespec.setBigInt64(KERNEL_TIMESPEC.tv_nsec, ns % NS_PER_SECOND, true);
    return this.#ring.enter(0, minComplete, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, this.#arg);
  }

  /** The same through the event loop. Rejects on abort and when the driver closes. */
  async sleep(count: number, { timeoutNs, signal }: WaitOptions): Promise<WaitResult> {
    signal?.throwIfAborted();
    if (this.#abort !== null)
      throw new Error("an asynchronous wait is under way on this driver, and it has room for one: await that first, or share its promise");
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal?.reason);
    this.#abort = (reason) => stop.abort(reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await this.#sleepUntil(count, timeoutNs, stop.signal);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#abort = null;
    }
  }

  async #sleepUntil(count: number, timeoutNs: bigint | undefined, signal: AbortSignal): Promise<WaitResult> {
    const inbox = this.#inbox;
    const deadlineNs = timeoutNs === undefined ? undefined : this.#kernel.nowNs() + timeoutNs;
    for (;;) {
      this.#submitOwn();
      let ready = inbox.ready;
      while (ready < count) {
        // The CQ is emptied before the sleep: what stays in it would make a ring look ready again and again.
        inbox.sift();
        const asked = inbox.flush();
        const before = ready;
        ready = inbox.ready;
        if (!asked || ready === before) break;
      }
      if (ready >= count) return { count: ready, timedOut: false };
      const leftNs = deadlineNs === undefined ? undefined : deadlineNs - this.#kernel.nowNs();
      if (leftNs !== undefined && leftNs <= 0n) return { count: ready, timedOut: true };
      const outcome = await this.#ring.ready(leftNs === undefined ? { signal } : { timeoutNs: leftNs, signal });
      signal.throwIfAborted();
      if (outcome === "closed") throw closedError();
    }
  }

  /** Rejects the asynchronous wait that is under way. */
  close(): void {
    this.#abort?.(closedError());
  }

  free(): void {
    this.#kernel.memory.free(this.#region);
  }
}

export function closedError(): Error {
  return new Error("this driver is closed: openDriver() opens another");
}

export function checkCount(count: number, capacity: number): number {
  if (!Number.isInteger(count) || count < 0 || count > capacity)
    throw new RangeError(`count must be an integer from 0 to the ${capacity} entries of the completion queue, not ${describe(count)}: more can't be ready at once`);
  return count;
}

export function checkTimeout(timeoutNs: bigint): bigint {
  if (typeof timeoutNs !== "bigint" || timeoutNs < 0n)
    throw new RangeError(`timeoutNs must be nanoseconds as a bigint from 0n, such as 1_000_000n for a millisecond, not ${describe(timeoutNs)}`);
  return timeoutNs;
}
