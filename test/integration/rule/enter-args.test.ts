// Chapter enter: the call's argument and the flags that say what it is.
import { GETEVENTS_ARG, KERNEL_TIMESPEC, REG_WAIT } from "../../../src/spec/codec.gen.ts";
import { abi, type Bench, expect, onBoth, type SqeFields } from "./on-both.ts";

const { IORING_ENTER_GETEVENTS: GETEVENTS, IORING_ENTER_EXT_ARG: EXT_ARG, IORING_ENTER_EXT_ARG_REG: EXT_ARG_REG } = abi;
const nop: SqeFields = { opcode: abi.IORING_OP_NOP, userData: 1n };
const MS = 1_000_000n;

/** A struct io_uring_getevents_arg: a time, a signal mask, and how long all that is wanted is waited for. */
function waitArg(on: Bench, ns: bigint, sigmask = 0n, sigmaskBytes = 0, minWaitUs = 0): { readonly addr: bigint; readonly size: number } {
  const region = on.buffer(GETEVENTS_ARG.size + KERNEL_TIMESPEC.size);
  const to = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.length);
  to.setBigUint64(GETEVENTS_ARG.sigmask, sigmask, true);
  to.setUint32(GETEVENTS_ARG.sigmask_sz, sigmaskBytes, true);
  to.setUint32(GETEVENTS_ARG.min_wait_usec, minWaitUs, true);
  if (ns >= 0n) to.setBigUint64(GETEVENTS_ARG.ts, region.addr + BigInt(GETEVENTS_ARG.size), true);
  to.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_sec, ns / 1_000_000_000n, true);
  to.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_nsec, ns % 1_000_000_000n, true);
  return { addr: region.addr, size: GETEVENTS_ARG.size };
}

onBoth("[enter.registered-index] a ring by an index that nobody registered", (on) => {
  const { ring } = on.ring();
  // The descriptor itself is taken for an index.
  expect(ring.enter(0, 0, abi.IORING_ENTER_REGISTERED_RING)).toBe(ring.fd >= 16 ? -abi.EINVAL : -abi.EBADF);
});

onBoth("[enter.abs-timer] a wait until a moment", (on) => {
  const ring = on.ring();
  const flags = GETEVENTS | EXT_ARG | abi.IORING_ENTER_ABS_TIMER;
  const from = on.kernel.nowNs();
  expect(ring.enter(0, 1, flags, waitArg(on, from + 5n * MS))).toBe(-abi.ETIME);
  expect(on.kernel.nowNs() - from).toBeGreaterThanOrEqual(5n * MS);
  // As a time from now on it would be for ever.
  expect(ring.enter(0, 1, flags, waitArg(on, on.kernel.nowNs() - MS))).toBe(-abi.ETIME);
});

onBoth("[enter.reg-wait-size] [enter.reg-wait-region] [enter.reg-without-ext] a wait by a region that was not registered", (on) => {
  const ring = on.ring();
  const flags = GETEVENTS | EXT_ARG | EXT_ARG_REG;
  expect(ring.enter(0, 0, flags, { addr: 0n, size: GETEVENTS_ARG.size })).toBe(-abi.EINVAL);
  expect(ring.enter(0, 0, flags, { addr: 0n, size: REG_WAIT.size })).toBe(-abi.EFAULT);
  expect(ring.enter(0, 0, flags, { addr: 4n, size: REG_WAIT.size })).toBe(-abi.EFAULT);
  expect(ring.enter(0, 0, GETEVENTS | EXT_ARG_REG)).toBe(0);
});

onBoth("[enter.sigmask-checked] a mask of another size, or that can't be read", (on) => {
  const ring = on.ring();
  const flags = GETEVENTS | EXT_ARG;
  const mask = on.buffer(8).addr;
  expect(ring.enter(0, 1, flags, waitArg(on, MS, mask, 4))).toBe(-abi.EINVAL);
  expect(ring.enter(0, 1, flags, waitArg(on, MS, on.kernel.memory.faultAddress, 8))).toBe(-abi.EFAULT);
  expect(ring.enter(0, 1, flags, waitArg(on, MS, mask, 8))).toBe(-abi.ETIME);
});

onBoth("[enter.sigmask-when-waiting] [enter.sigmask-argument] a bad mask where nothing has to be waited for", (on) => {
  const ring = on.ring();
  const bad = on.kernel.memory.faultAddress;
  expect(ring.enter(0, 0, GETEVENTS, { addr: bad, size: 8 })).toBe(0);
  ring.submit(nop);
  expect(ring.enter(0, 1, GETEVENTS | EXT_ARG, waitArg(on, MS, bad, 8))).toBe(0);
  ring.reap();
  expect(ring.enter(0, 1, GETEVENTS | EXT_ARG, waitArg(on, MS, bad, 8))).toBe(-abi.EFAULT);
});

onBoth("[enter.sq-flags-ignored] waking a polling thread that the ring has not", (on) => {
  const ring = on.ring();
  ring.push(nop);
  expect(ring.enter(0, 0, abi.IORING_ENTER_SQ_WAKEUP | abi.IORING_ENTER_SQ_WAIT)).toBe(0);
  expect(ring.sq("head")).toBe(0);
  expect(ring.enter(1, 0, abi.IORING_ENTER_SQ_WAKEUP | abi.IORING_ENTER_SQ_WAIT)).toBe(1);
});

const minWait = (on: Bench, ns: bigint, us: number): { readonly addr: bigint; readonly size: number } => waitArg(on, ns, 0n, 0, us);

/** What the wait returned, and how many milliseconds it took at least. */
function timed(on: Bench, wait: () => number): [result: number, ms: number] {
  const from = on.kernel.nowNs();
  const result = wait();
  return [result, Number((on.kernel.nowNs() - from) / MS)];
}

onBoth("[enter.min-wait-full] all that is wanted ends the wait", (on) => {
  const ring = on.ring();
  ring.submit(nop, nop);
  expect(timed(on, () => ring.enter(0, 2, GETEVENTS | EXT_ARG, minWait(on, 5000n * MS, 2_000_000)))[1]).toBeLessThan(2000);
});

onBoth("[enter.min-wait-then-any] some of it is enough once that time is over", (on) => {
  const ring = on.ring();
  ring.submit(nop);
  const some = timed(on, () => ring.enter(0, 2, GETEVENTS | EXT_ARG, minWait(on, 5000n * MS, 20_000)));
  expect(some[0]).toBe(0);
  expect(some[1]).toBeGreaterThanOrEqual(20);
  expect(some[1]).toBeLessThan(2000);
  ring.reap();
  // Nothing is there by then: it goes on until its time is up.
  const none = timed(on, () => ring.enter(0, 5, GETEVENTS | EXT_ARG, minWait(on, 60n * MS, 10_000)));
  expect(none[0]).toBe(-abi.ETIME);
  expect(none[1]).toBeGreaterThanOrEqual(60);
});

onBoth("[enter.min-wait-alone] without a time the wait ends there", (on) => {
  const [result, ms] = timed(on, () => on.ring().enter(0, 1, GETEVENTS | EXT_ARG, minWait(on, -1n, 20_000)));
  expect(result).toBe(-abi.ETIME);
  expect(ms).toBeGreaterThanOrEqual(20);
});

onBoth("[enter.min-wait-beyond-timeout] a shorter time does not end it before", (on) => {
  const [result, ms] = timed(on, () => on.ring().enter(0, 1, GETEVENTS | EXT_ARG, minWait(on, 5n * MS, 60_000)));
  expect(result).toBe(-abi.ETIME);
  expect(ms).toBeGreaterThanOrEqual(60);
});
