// Rules of the chapter `signal`: what a signal does to a wait, and what it doesn't.
import { SIGNAL } from "../../../src/kernel.ts";
import { GETEVENTS_ARG, KERNEL_TIMESPEC } from "../../../src/spec/codec.gen.ts";
import { abi, type Bench, expect, onBoth, type TestRing } from "./on-both.ts";

const GETEVENTS = abi.IORING_ENTER_GETEVENTS;
const NOP = { opcode: abi.IORING_OP_NOP };
/** Lets every signal in. */
const OPEN = 0n;
const CLOSED = 1n << BigInt(SIGNAL - 1);

interface Wait {
  readonly toSubmit?: number;
  readonly mask?: bigint;
  readonly ns?: bigint;
}

/** One wait for `count` completions with this signal mask, at most `ns`: what io_uring_enter returned. */
function wait(on: Bench, ring: TestRing, count: number, { toSubmit = 0, mask, ns = 2_000_000_000n }: Wait): number {
  const { addr, bytes } = on.buffer(GETEVENTS_ARG.size + KERNEL_TIMESPEC.size + 8);
  const to = new DataView(bytes.buffer, bytes.byteOffset);
  const at = GETEVENTS_ARG.size + KERNEL_TIMESPEC.size;
  to.setBigUint64(GETEVENTS_ARG.ts, addr + BigInt(GETEVENTS_ARG.size), true);
  to.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_sec, ns / 1_000_000_000n, true);
  to.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_nsec, ns % 1_000_000_000n, true);
  if (mask !== undefined) {
    to.setBigUint64(GETEVENTS_ARG.sigmask, addr + BigInt(at), true);
    to.setUint32(GETEVENTS_ARG.sigmask_sz, 8, true);
    to.setBigUint64(at, mask, true);
  }
  return ring.enter(toSubmit, count, GETEVENTS | abi.IORING_ENTER_EXT_ARG, { addr, size: GETEVENTS_ARG.size });
}

/** Is the signal pending? Takes it. */
function takes(on: Bench): boolean {
  const taken = on.kernel.system.takeSignal();
  expect([SIGNAL, -abi.EAGAIN]).toContain(taken);
  return taken === SIGNAL;
}

/** A plain ring, one that defers its task work, and one that a thread polls. */
const KINDS = [0, abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER, abi.IORING_SETUP_SQPOLL];

onBoth("[signal.interrupts-wait] [signal.taken] a signal that is let in ends a wait, once", (on) => {
  for (const flags of KINDS) {
    const ring = on.ring(8, { flags });
    expect(on.kernel.system.raise()).toBe(0);
    expect(wait(on, ring, 1, { mask: OPEN })).toBe(-abi.EINTR);
    expect(wait(on, ring, 1, { mask: OPEN, ns: 1_000_000n })).toBe(-abi.ETIME);
    expect(takes(on)).toBe(false);
  }
});

onBoth("[signal.blocked-waits] with no mask, or one that blocks it, the signal stays pending", (on) => {
  for (const flags of KINDS) {
    const ring = on.ring(8, { flags });
    expect(on.kernel.system.raise()).toBe(0);
    // It is pending once, however often it is sent.
    expect(on.kernel.system.raise()).toBe(0);
    expect(wait(on, ring, 1, { ns: 1_000_000n })).toBe(-abi.ETIME);
    expect(wait(on, ring, 1, { mask: CLOSED, ns: 1_000_000n })).toBe(-abi.ETIME);
    expect(takes(on)).toBe(true);
    expect(takes(on)).toBe(false);
  }
});

onBoth("[signal.before-timeout] a wait whose time is over when it begins is interrupted all the same", (on) => {
  const ring = on.ring();
  expect(wait(on, ring, 1, { mask: OPEN, ns: 0n })).toBe(-abi.ETIME);
  expect(on.kernel.system.raise()).toBe(0);
  expect(wait(on, ring, 1, { mask: OPEN, ns: 0n })).toBe(-abi.EINTR);
});

onBoth("[signal.cqes-win] [signal.taken] with completions there, fewer than wanted, an interrupted wait returns 0, and the signal is gone", (on) => {
  const ring = on.ring();
  ring.submit(NOP);
  expect(on.kernel.system.raise()).toBe(0);
  expect(wait(on, ring, 2, { mask: OPEN })).toBe(0);
  expect(ring.reap().length).toBe(1);
  expect(takes(on)).toBe(false);
});

onBoth("[enter.submit-count-wins] [signal.taken] what the call submitted it returns, though its wait was interrupted", (on) => {
  const ring = on.ring();
  ring.push(NOP, NOP);
  expect(on.kernel.system.raise()).toBe(0);
  expect(wait(on, ring, 3, { toSubmit: 2, mask: OPEN })).toBe(2);
  expect(ring.reap().length).toBe(2);
  expect(takes(on)).toBe(false);
});

onBoth("[enter.sigmask-when-waiting] [enter.no-wait-without-getevents] where there is no wait the signal stays pending", (on) => {
  const ring = on.ring();
  ring.submit(NOP);
  expect(on.kernel.system.raise()).toBe(0);
  expect(wait(on, ring, 1, { mask: OPEN })).toBe(0);
  ring.reap();
  expect(ring.enter(0, 1, 0, { addr: on.buffer(8).addr, size: 8 })).toBe(0);
  expect(takes(on)).toBe(true);
});

onBoth("[signal.work-first] on a ring that defers its task work, work that is there comes before the signal", (on) => {
  const ring = on.ring(64, { flags: abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER });
  const pipe = on.pipe();
  // More of it than one run does, so that some is left when the thread is about to sleep.
  const polls = Array.from({ length: 40 }, (_, i) => ({ opcode: abi.IORING_OP_POLL_ADD, fd: pipe.read, opFlags: 1, userData: BigInt(i) }));
  expect(ring.submit(...polls)).toBe(40);
  on.kernel.system.write(pipe.write, Uint8Array.of(1));
  expect(on.kernel.system.raise()).toBe(0);
  expect(wait(on, ring, 40, { mask: OPEN })).toBe(0);
  expect(ring.reap().length).toBe(40);
  expect(takes(on)).toBe(true);
});
