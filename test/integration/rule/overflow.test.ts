// Chapter overflow.
import type { Bench, Seen, SqeFields, TestRing } from "./on-both.ts";
import { abi, expect, onBoth } from "./on-both.ts";

const CQSIZE = abi.IORING_SETUP_CQSIZE;
const GETEVENTS = abi.IORING_ENTER_GETEVENTS;
const TASKRUN = abi.IORING_SQ_TASKRUN;
const OVERFLOW = abi.IORING_SQ_CQ_OVERFLOW;

const nop = (userData: number): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData: BigInt(userData) });
const names = (seen: readonly Seen[]): number[] => seen.map(({ userData }) => Number(userData));
const range = (from: number, end: number): number[] => Array.from({ length: end - from }, (_, i) => from + i);

/** A ring whose CQ has so few entries, and NOPs 0, 1, ... `posted` that were submitted on it. */
function filled(on: Bench, cqEntries: number, posted: number, flags = 0): TestRing {
  const ring = on.ring(1, { flags: CQSIZE | flags, cqEntries });
  for (let i = 0; i < posted; i++) expect(ring.submit(nop(i))).toBe(1);
  return ring;
}

/** Looks at the SQ's flags until one is set, at most three seconds, and calls nobody. */
function awaitFlags(ring: TestRing, on: Bench): number {
  const until = on.kernel.nowNs() + 3_000_000_000n;
  while (ring.sq("flags") === 0 && !on.isModel && on.kernel.nowNs() < until);
  return ring.sq("flags");
}

/** Is the flag set that tells of a backlog? */
const flagged = (ring: TestRing): boolean => (ring.sq("flags") & OVERFLOW) !== 0;

onBoth("[overflow.backlog] [overflow.submit-allowed] [overflow.counter-only-drops] nothing is lost, however much does not fit", (on) => {
  const ring = filled(on, 2, 500);
  expect([ring.cq("tail"), ring.cq("overflow")]).toEqual([2, 0]);
  const seen = ring.reap();
  for (let i = 0; i < 500 && flagged(ring); i++) {
    expect(ring.enter(0, 0, GETEVENTS)).toBe(0);
    seen.push(...ring.reap());
  }
  expect(seen).toEqual(range(0, 500).map((i) => ({ userData: BigInt(i), res: 0, flags: 0 })));
  expect([ring.cq("tail"), ring.cq("overflow"), ring.sq("dropped")]).toEqual([500, 0, 0]);
});

onBoth("[overflow.flag] the flag comes with the backlog's first entry", (on) => {
  const ring = filled(on, 2, 2);
  expect(ring.sq("flags")).toBe(0);
  ring.submit(nop(2));
  expect(ring.sq("flags")).toBe(OVERFLOW);
  ring.submit(nop(3));
  expect(ring.sq("flags")).toBe(OVERFLOW);
});

onBoth("[overflow.flag] the flag is set by the first entry only", (on) => {
  const ring = filled(on, 2, 3);
  ring.storeSq("flags", 0);
  ring.submit(nop(3));
  expect(ring.sq("flags")).toBe(0);
  // The backlog is there all the same.
  ring.reap();
  ring.enter(0, 0, GETEVENTS);
  expect(names(ring.reap())).toEqual([2, 3]);
});

onBoth("[overflow.flag-cleared-empty] the flag goes with the backlog's last entry", (on) => {
  const ring = filled(on, 2, 5);
  ring.reap();
  ring.enter(0, 0, GETEVENTS);
  expect(names(ring.reap())).toEqual([2, 3]);
  expect(flagged(ring)).toBe(true);
  ring.enter(0, 0, GETEVENTS);
  expect(flagged(ring)).toBe(false);
  expect(names(ring.reap())).toEqual([4]);
  // Room that is just enough.
  const other = filled(on, 2, 4);
  other.reap();
  other.enter(0, 0, GETEVENTS);
  expect(flagged(other)).toBe(false);
});

onBoth("[overflow.order-kept] a completion goes behind the backlog though the queue has room", (on) => {
  const ring = filled(on, 4, 5);
  expect(names(ring.reap())).toEqual([0, 1, 2, 3]);
  ring.submit(nop(5));
  ring.submit(nop(6));
  expect(ring.cq("tail")).toBe(4);
  ring.enter(0, 0, GETEVENTS);
  expect(flagged(ring)).toBe(false);
  ring.submit(nop(7));
  expect(names(ring.reap())).toEqual([4, 5, 6, 7]);
});

onBoth("[overflow.flush-getevents] neither time nor submitting moves the backlog, GETEVENTS does", (on) => {
  const ring = filled(on, 2, 4);
  ring.reap();
  expect(ring.enter(0)).toBe(0);
  expect(ring.enter(0, 1)).toBe(0);
  ring.submit(nop(4));
  expect([ring.cq("tail"), flagged(ring)]).toEqual([2, true]);
  // It is moved before the wait: the wait finds what it waits for.
  expect(ring.waitFor(2)).toBe(0);
  expect(names(ring.reap())).toEqual([2, 3]);
  // By a call that submits, too.
  ring.push(nop(5));
  expect(ring.enter(1, 0, GETEVENTS)).toBe(1);
  expect(names(ring.reap())).toEqual([4, 5]);
  expect(flagged(ring)).toBe(false);
});

onBoth("[overflow.flush-fills] a flush moves the oldest, as many as there is room for", (on) => {
  const ring = filled(on, 4, 10);
  // Full: nothing moves.
  ring.enter(0, 0, GETEVENTS);
  expect(ring.cq("tail")).toBe(4);
  // One free slot, then three, across the queue's end.
  ring.storeCq("head", 1);
  ring.enter(0, 0, GETEVENTS);
  expect(ring.cq("tail")).toBe(5);
  ring.storeCq("head", 4);
  ring.enter(0, 0, GETEVENTS);
  expect(ring.cq("tail")).toBe(8);
  expect(names(ring.reap())).toEqual([4, 5, 6, 7]);
  ring.enter(0, 0, GETEVENTS);
  expect(names(ring.reap())).toEqual([8, 9]);
});

onBoth("[overflow.submit-allowed] a call that submits with a full queue and a backlog", (on) => {
  const ring = on.ring(8, { flags: CQSIZE, cqEntries: 8 });
  for (let i = 0; i < 4; i++) expect(ring.submit(...range(8 * i, 8 * i + 8).map(nop))).toBe(8);
  ring.push(nop(32));
  expect(ring.enter(1, 0, GETEVENTS)).toBe(1);
  expect([ring.cq("tail"), ring.sq("head"), flagged(ring)]).toEqual([8, 33, true]);
});

onBoth("[overflow.getevents-not-busy] a call whose flush leaves a backlog", (on) => {
  const ring = filled(on, 2, 7);
  // Nothing can move.
  expect(ring.enter(0, 0, GETEVENTS)).toBe(0);
  expect(ring.waitFor(1)).toBe(0);
  expect(ring.waitFor(2)).toBe(0);
  expect(names(ring.reap())).toEqual([0, 1]);
  // Some of it moves.
  expect(ring.waitFor(2)).toBe(0);
  expect(flagged(ring)).toBe(true);
  expect(names(ring.reap())).toEqual([2, 3]);
  expect(ring.enter(0, 0, GETEVENTS)).toBe(0);
  expect(flagged(ring)).toBe(true);
  expect(names(ring.reap())).toEqual([4, 5]);
});

onBoth("[overflow.worker-hands-over] what a worker had no room for goes through the thread", (on) => {
  // Whether the thread posts it or puts it in the backlog hangs on the moment at which the kernel interrupts it.
  for (let attempt = 0; attempt < 200; attempt++) {
    const ring = filled(on, 1, 1, abi.IORING_SETUP_COOP_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG);
    ring.submit({ ...nop(1), flags: abi.IOSQE_ASYNC });
    const before = awaitFlags(ring, on);
    expect([TASKRUN, OVERFLOW]).toContain(before & (TASKRUN | OVERFLOW));
    expect(names(ring.reap())).toEqual([0]);
    // There is room now, and without GETEVENTS a backlog would not move.
    ring.enter(0);
    const posted = names(ring.reap());
    if (posted.length > 0) {
      expect([posted, before, ring.sq("flags")]).toEqual([[1], TASKRUN, 0]);
    } else {
      expect(flagged(ring)).toBe(true);
      ring.enter(0, 0, GETEVENTS);
      expect(names(ring.reap())).toEqual([1]);
    }
    expect([ring.sq("flags"), ring.cq("tail"), ring.cq("overflow")]).toEqual([0, 2, 0]);
    ring.ring.close();
  }
});

onBoth("[overflow.worker-hands-over] a thread that defers its task work, and may make room first", (on) => {
  const flags = abi.IORING_SETUP_SINGLE_ISSUER | abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG;
  for (const makesRoom of [true, false]) {
    const ring = filled(on, 1, 1, flags);
    ring.submit({ ...nop(1), flags: abi.IOSQE_ASYNC });
    // The worker is done with it, and there is no backlog.
    expect(awaitFlags(ring, on)).toBe(TASKRUN);
    if (makesRoom) expect(names(ring.reap())).toEqual([0]);
    ring.enter(0, 0, GETEVENTS);
    expect(ring.sq("flags")).toBe(makesRoom ? 0 : OVERFLOW);
    expect(names(ring.reap())).toEqual([makesRoom ? 1 : 0]);
    ring.enter(0, 0, GETEVENTS);
    expect([names(ring.reap()), ring.sq("flags"), ring.cq("tail")]).toEqual([makesRoom ? [] : [1], 0, 2]);
  }
});
