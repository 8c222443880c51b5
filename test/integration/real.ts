// The real kernel for a test, or a loud word: never a quiet skip.
import type { TestContext } from "vitest";
import { GETEVENTS_ARG, KERNEL_TIMESPEC, SQE } from "../../src/spec/codec.gen.ts";
import { IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS } from "../../src/spec/constants.gen.ts";
import type { Kernel, Ring } from "../../src/kernel.ts";
import { createRealKernel, RealKernelUnavailable } from "../../src/real/linux-kernel.ts";
import type { LinuxKernel, RealKernelOptions } from "../../src/real/linux-kernel.ts";

let said = false;

/** The real kernel. Where it can't be had: throws under RINGSPEC_REQUIRE_REAL=1, else says so once and skips the test. */
export function realOrSay(context: Pick<TestContext, "skip">, options?: RealKernelOptions): LinuxKernel {
  try {
    return createRealKernel(options);
  } catch (error) {
    if (!(error instanceof RealKernelUnavailable) || process.env["RINGSPEC_REQUIRE_REAL"] === "1") throw error;
    if (!said) console.warn(`\nSKIPPED, NOT PASSED: ${error.message}\n(RINGSPEC_REQUIRE_REAL=1 makes this a failure)\n`);
    said = true;
    return context.skip(error.message);
  }
}

export interface Sqe {
  readonly opcode: number;
  readonly fd?: number;
  readonly addr?: bigint;
  readonly len?: number;
  readonly off?: bigint;
  readonly userData?: bigint;
  readonly flags?: number;
}

/** The least userland half, for tests of the port alone. */
export function publish(ring: Ring, sqe: Sqe): void {
  const sq = new DataView(ring.sqRing.buffer, ring.sqRing.byteOffset);
  const sqes = new DataView(ring.sqes.buffer, ring.sqes.byteOffset);
  const tail = sq.getUint32(ring.params.sqOff.tail, true);
  const index = tail & (ring.params.sqEntries - 1);
  const at = index * SQE.size;
  ring.sqes.fill(0, at, at + SQE.size);
  sqes.setUint8(at + SQE.opcode, sqe.opcode);
  sqes.setUint8(at + SQE.flags, sqe.flags ?? 0);
  sqes.setInt32(at + SQE.fd, sqe.fd ?? -1, true);
  sqes.setBigUint64(at + SQE.off, sqe.off ?? 0n, true);
  sqes.setBigUint64(at + SQE.addr, sqe.addr ?? 0n, true);
  sqes.setUint32(at + SQE.len, sqe.len ?? 0, true);
  sqes.setBigUint64(at + SQE.user_data, sqe.userData ?? 0n, true);
  sq.setUint32(ring.params.sqOff.array + 4 * index, index, true);
  sq.setUint32(ring.params.sqOff.tail, tail + 1, true);
}

export function reap(ring: Ring): { userData: bigint; res: number }[] {
  const cq = new DataView(ring.cqRing.buffer, ring.cqRing.byteOffset);
  const { head, tail, cqes } = ring.params.cqOff;
  const found = [];
  let next = cq.getUint32(head, true);
  while (next !== cq.getUint32(tail, true)) {
    const at = cqes + 16 * (next & (ring.params.cqEntries - 1));
    found.push({ userData: cq.getBigUint64(at, true), res: cq.getInt32(at + 8, true) });
    next = (next + 1) >>> 0;
  }
  cq.setUint32(head, next, true);
  return found;
}

/** Waits for `count` completions, at most five seconds: what io_uring_enter returned. */
export function waitFor(kernel: Kernel, ring: Ring, count: number): number {
  const region = kernel.memory.alloc(GETEVENTS_ARG.size + KERNEL_TIMESPEC.size);
  const view = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.byteLength);
  view.setBigUint64(GETEVENTS_ARG.ts, region.addr + BigInt(GETEVENTS_ARG.size), true);
  view.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_sec, 5n, true);
  const result = ring.enter(0, count, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, { addr: region.addr, size: GETEVENTS_ARG.size });
  kernel.memory.free(region);
  return result;
}
