// Tests of rules: one script that runs on the model and on the real kernel, with one expectation for both.
// The ids in brackets that a title begins with are the rules it shows; scripts/coverage.ts reads them there.
import { afterAll, describe, expect, test } from "vitest";
import type { EnterArg, Fd, Kernel, Region, Ring, SetupParams } from "../../../src/kernel.ts";
import { KernelError } from "../../../src/kernel.ts";
import { encodeSqe, GETEVENTS_ARG, KERNEL_TIMESPEC, type Sqe } from "../../../src/spec/codec.gen.ts";
import * as abi from "../../../src/spec/constants.gen.ts";
import { recordedKernel, scriptedModel } from "../../mutants/recorder.ts";
import { realOrSay } from "../real.ts";

/** An SQE; what is left out is 0, fd is -1. */
export type SqeFields = Partial<Omit<Sqe, "opcode">> & Pick<Sqe, "opcode">;

export interface Seen {
  readonly userData: bigint;
  readonly res: number;
  readonly flags: number;
}

/** What a wait is bound by: a rule that does not hold fails its test, and does not hang it. */
const WAIT_NS = 3_000_000_000n;

/** The application's half of one ring, as plain as can be. */
export class TestRing {
  readonly ring: Ring;
  private readonly kernel: Kernel;
  private readonly sqeSize: number;
  private readonly cqeSize: number;
  private tail: number;
  private submitted: number;

  constructor(kernel: Kernel, ring: Ring) {
    this.kernel = kernel;
    this.ring = ring;
    this.sqeSize = (ring.params.flags & abi.IORING_SETUP_SQE128) === 0 ? 64 : 128;
    this.cqeSize = (ring.params.flags & abi.IORING_SETUP_CQE32) === 0 ? 16 : 32;
    this.tail = this.sq("tail");
    this.submitted = this.tail;
  }

  get fd(): Fd {
    return this.ring.fd;
  }

  /** A word of the SQ ring. */
  sq(word: "head" | "tail" | "ringMask" | "ringEntries" | "flags" | "dropped"): number {
    return view(this.ring.sqRing).getUint32(this.ring.params.sqOff[word], true);
  }

  /** A word of the CQ ring. */
  cq(word: "head" | "tail" | "ringMask" | "ringEntries" | "overflow" | "flags"): number {
    return view(this.ring.cqRing).getUint32(this.ring.params.cqOff[word], true);
  }

  storeSq(word: "head" | "tail" | "ringMask" | "ringEntries" | "flags" | "dropped", value: number): void {
    view(this.ring.sqRing).setUint32(this.ring.params.sqOff[word], value >>> 0, true);
  }

  storeCq(word: "head" | "tail" | "ringMask" | "ringEntries" | "overflow" | "flags", value: number): void {
    view(this.ring.cqRing).setUint32(this.ring.params.cqOff[word], value >>> 0, true);
  }

  /** Stores an index into the SQ array. */
  storeArray(slot: number, index: number): void {
    view(this.ring.sqRing).setUint32(this.ring.params.sqOff.array + 4 * slot, index >>> 0, true);
  }

  /** Writes an SQE into a slot and moves nothing. */
  slot(slot: number, sqe: SqeFields): void {
    const at = slot * this.sqeSize;
    this.ring.sqes.fill(0, at, at + this.sqeSize);
    const { off = 0n, addr = 0n } = sqe;
    encodeSqe(view(this.ring.sqes), at, { fd: -1, ...sqe, off: BigInt.asUintN(64, off), addr: BigInt.asUintN(64, addr) });
  }

  /** Fills in the next SQEs and publishes them; submits nothing. */
  push(...sqes: readonly SqeFields[]): void {
    const mask = this.ring.params.sqEntries - 1;
    for (const sqe of sqes) {
      const slot = this.tail & mask;
      this.slot(slot, sqe);
      if ((this.ring.params.flags & abi.IORING_SETUP_NO_SQARRAY) === 0) this.storeArray(slot, slot);
      this.tail = (this.tail + 1) >>> 0;
    }
    this.storeSq("tail", this.tail);
  }

  /** Fills in SQEs and submits them: what io_uring_enter returned. */
  submit(...sqes: readonly SqeFields[]): number {
    this.push(...sqes);
    const count = (this.tail - this.submitted) >>> 0;
    const result = this.ring.enter(count, 0, 0);
    if (result > 0) this.submitted = (this.submitted + result) >>> 0;
    return result;
  }

  /** io_uring_enter, as it is. */
  enter(toSubmit: number, minComplete = 0, flags = 0, arg?: EnterArg): number {
    const result = this.ring.enter(toSubmit, minComplete, flags, arg);
    if (result > 0) this.submitted = (this.submitted + result) >>> 0;
    return result;
  }

  /** What is in the CQ, taken out of it. */
  reap(): Seen[] {
    const { cqes } = this.ring.params.cqOff;
    const from = view(this.ring.cqRing);
    const found: Seen[] = [];
    let head = this.cq("head");
    while (head !== this.cq("tail")) {
      const at = cqes + this.cqeSize * (head & (this.ring.params.cqEntries - 1));
      found.push({ userData: from.getBigUint64(at, true), res: from.getInt32(at + 8, true), flags: from.getUint32(at + 12, true) });
      head = (head + 1) >>> 0;
    }
    this.storeCq("head", head);
    return found;
  }

  /** Waits until `count` completions are there, at most three seconds, and takes out what there is. */
  wait(count: number): Seen[] {
    const found = this.reap();
    if (found.length >= count) return found;
    this.waitFor(count - found.length);
    return [...found, ...this.reap()];
  }

  /** One wait for `count` completions, bounded by `ns`: what io_uring_enter returned. */
  waitFor(count: number, ns: bigint = WAIT_NS, toSubmit = 0): number {
    const region = this.kernel.memory.alloc(GETEVENTS_ARG.size + KERNEL_TIMESPEC.size);
    const to = view(region.bytes);
    to.setBigUint64(GETEVENTS_ARG.ts, region.addr + BigInt(GETEVENTS_ARG.size), true);
    to.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_sec, ns / 1_000_000_000n, true);
    to.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_nsec, ns % 1_000_000_000n, true);
    const flags = abi.IORING_ENTER_GETEVENTS | abi.IORING_ENTER_EXT_ARG;
    const result = this.enter(toSubmit, count, flags, { addr: region.addr, size: GETEVENTS_ARG.size });
    this.kernel.memory.free(region);
    return result;
  }

  /** Submits and waits for as many completions: user_data and result, in the order in which they were posted. */
  results(...sqes: readonly SqeFields[]): [bigint, number][] {
    this.submit(...sqes);
    return this.wait(sqes.length).map(({ userData, res }) => [userData, res]);
  }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** One kernel, for one test. */
export class Bench {
  readonly kernel: Kernel;
  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  get isModel(): boolean {
    return this.kernel.backend === "model";
  }

  ring(entries = 8, params: SetupParams = {}): TestRing {
    return new TestRing(this.kernel, this.kernel.setup(entries, params));
  }

  /** What io_uring_setup refuses with: a positive errno, 0 where it does not refuse. */
  setupErrno(entries: number, params: SetupParams = {}): number {
    try {
      this.kernel.setup(entries, params).close();
      return 0;
    } catch (error) {
      if (error instanceof KernelError) return error.errno;
      throw error;
    }
  }

  /** A regular file whose byte i is i & 0xff. */
  file(size: number, name = "file"): Fd {
    const fd = this.number(this.kernel.system.open(name, abi.O_RDWR | abi.O_CREAT | abi.O_TRUNC, 0o600));
    if (size > 0) this.number(this.kernel.system.pwrite(fd, Uint8Array.from({ length: size }, (_, i) => i & 0xff), 0));
    return fd;
  }

  pipe(): { readonly read: Fd; readonly write: Fd } {
    const ends = this.kernel.system.pipe();
    if (typeof ends === "number") throw new Error(`pipe: ${ends}`);
    return ends;
  }

  eventfd(count = 0): Fd {
    return this.number(this.kernel.system.eventfd(count));
  }

  /** User memory that holds `bytes`. */
  buffer(bytes: number | readonly number[] | Uint8Array): Region {
    if (typeof bytes === "number") return this.kernel.memory.alloc(bytes);
    const region = this.kernel.memory.alloc(bytes.length);
    region.bytes.set(bytes);
    return region;
  }

  /** The address of a struct __kernel_timespec. */
  timespec(seconds: bigint, nanoseconds: bigint): bigint {
    const region = this.kernel.memory.alloc(KERNEL_TIMESPEC.size);
    view(region.bytes).setBigInt64(KERNEL_TIMESPEC.tv_sec, seconds, true);
    view(region.bytes).setBigInt64(KERNEL_TIMESPEC.tv_nsec, nanoseconds, true);
    return region.addr;
  }

  /** The address of an array of struct iovec. */
  iovec(...places: readonly { readonly addr: bigint; readonly len: number }[]): bigint {
    const region = this.kernel.memory.alloc(16 * Math.max(places.length, 1));
    for (const [i, place] of places.entries()) {
      view(region.bytes).setBigUint64(16 * i, place.addr, true);
      view(region.bytes).setBigUint64(16 * i + 8, BigInt(place.len), true);
    }
    return region.addr;
  }

  /** The address of a C string. */
  path(text: string): bigint {
    return this.buffer(new TextEncoder().encode(`${text}\0`)).addr;
  }

  private number(result: number): number {
    if (result < 0) throw new Error(`expected a result, got errno ${-result}`);
    return result;
  }
}

/** user_data and result of each, in their order. */
export const pairs = (seen: readonly Seen[]): [bigint, number][] => seen.map(({ userData, res }) => [userData, res]);

/** Results by user_data, where the order is not what a test is about. */
export const byUserData = (seen: readonly Seen[]): Record<string, number> =>
  Object.fromEntries(seen.map(({ userData, res }) => [String(userData), res]));

const BEHIND: SqeFields = { opcode: abi.IORING_OP_NOP, userData: 99n };

/** The result of an SQE that fails at submission, so that what is behind it is not submitted. */
export function atSubmission(on: Bench, sqe: SqeFields): number | undefined {
  const ring = on.ring();
  expect(ring.submit(sqe, BEHIND)).toBe(1);
  const [seen, ...others] = ring.reap();
  expect(others).toEqual([]);
  return seen?.res;
}

/** The result of an SQE that is accepted: what is behind it is submitted. */
export function accepted(on: Bench, sqe: SqeFields): number | undefined {
  const ring = on.ring();
  expect(ring.submit(sqe, BEHIND)).toBe(2);
  const seen = ring.wait(2);
  expect(seen.length).toBe(2);
  return seen.find(({ userData }) => userData !== BEHIND.userData)?.res;
}

/**
 * A test on the model and on the real kernel. `title` begins with the rules it shows, each in brackets. A
 * kernel of its own for each run.
 */
export function onBoth(title: string, body: (bench: Bench) => void | Promise<void>): void {
  describe(title, () => {
    let kernel: Kernel | undefined;
    afterAll(() => kernel?.close());
    test("on the model", async () => {
      kernel = scriptedModel();
      await body(new Bench(kernel));
      kernel.close();
    });
    test("on the real kernel", async (context) => {
      kernel = recordedKernel(realOrSay(context));
      await body(new Bench(kernel));
      kernel.close();
    });
  });
}

export { abi, expect };
