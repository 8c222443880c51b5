// The queues alone, over ring memory that no kernel is behind: index arithmetic past 2^32, partial
// takes, zeroed entries, and the bookkeeping that hangs on completions.
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import type { AddressSpace, IoUringParams, Region, Ring } from "../../src/kernel.ts";
import { CompletionQueue } from "../../src/ring/cq.ts";
import { CLOSE, InFlight, OPENAT, PLAIN, type Descriptors } from "../../src/ring/in-flight.ts";
import { Scratch } from "../../src/ring/scratch.ts";
import { SubmissionQueue } from "../../src/ring/sq.ts";
import { joinU64, split, splitU64, splitUserData } from "../../src/ring/user-data.ts";
import { CQE, SQE } from "../../src/spec/codec.gen.ts";
import {
  ECANCELED,
  IORING_SETUP_CQE32,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SQE128,
  IORING_SETUP_SQE_MIXED,
} from "../../src/spec/constants.gen.ts";

const SQ_OFFSETS = { head: 0, tail: 4, ringMask: 8, ringEntries: 12, flags: 16, dropped: 20, array: 64 };

/** Ring memory with counters that start at `start`, and the kernel's few moves on it. */
function fakeRing({ entries = 4, start = 0, flags = 0 }: { entries?: number; start?: number; flags?: number } = {}) {
  const cqEntries = entries * 2;
  const cqOff = { head: 24, tail: 28, ringMask: 32, ringEntries: 36, overflow: 40, cqes: 64 + 4 * entries, flags: 44 };
  const sqRing = new Uint8Array(cqOff.cqes + cqEntries * CQE.size);
  const view = new DataView(sqRing.buffer);
  for (const at of [SQ_OFFSETS.head, SQ_OFFSETS.tail, cqOff.head, cqOff.tail]) view.setUint32(at, start, true);
  const params: IoUringParams = {
    sqEntries: entries, cqEntries, flags, sqThreadCpu: 0, sqThreadIdle: 0, features: 0, wqFd: 0, sqOff: SQ_OFFSETS, cqOff,
  };
  const unused = (): never => {
    throw new Error("the queues never call the kernel");
  };
  const ring: Ring = {
    fd: 3, params, sqRing, cqRing: sqRing, sqes: new Uint8Array(entries * SQE.size), closed: false,
    enter: unused, register: unused, openInfo: unused, submitElsewhere: unused, registerElsewhere: unused, closeDescriptor: unused, ready: unused, close: () => undefined,
  };
  return {
    ring,
    get sqTail() { return view.getUint32(SQ_OFFSETS.tail, true); },
    arrayAt: (i: number) => view.getUint32(SQ_OFFSETS.array + 4 * i, true),
    take(n: number): void { view.setUint32(SQ_OFFSETS.head, view.getUint32(SQ_OFFSETS.head, true) + n, true); },
    post(userData: bigint, res: number, cqeFlags: number): boolean {
      const tail = view.getUint32(cqOff.tail, true);
      if (((tail - view.getUint32(cqOff.head, true)) >>> 0) >= cqEntries) return false;
      const at = cqOff.cqes + (tail & (cqEntries - 1)) * CQE.size;
      view.setBigUint64(at + CQE.user_data, userData, true);
      view.setInt32(at + CQE.res, res, true);
      view.setUint32(at + CQE.flags, cqeFlags, true);
      view.setUint32(cqOff.tail, tail + 1, true);
      return true;
    },
    get cqHead() { return view.getUint32(cqOff.head, true); },
  };
}

/** Heads and tails that pass 2^31 or 2^32 soon, or any. */
const counters = fc.oneof(
  fc.integer({ min: 0xffff_fffa, max: 0xffff_ffff }),
  fc.integer({ min: 0x7fff_fff0, max: 0x8000_0000 }),
  fc.constant(0),
  fc.nat(0xffff_ffff),
);

function mustFind(value: number): number {
  expect(value).toBeGreaterThanOrEqual(0);
  return value;
}

test("S8 S9: the submission queue hands out every slot, once, and counts right past 2^32", () => {
  const seen = { wraps: 0, full: 0, partial: 0 };
  const move = fc.oneof(
    fc.record({ kind: fc.constant("next" as const), n: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ kind: fc.constant("publish" as const), n: fc.constant(0) }),
    fc.record({ kind: fc.constant("take" as const), n: fc.integer({ min: 1, max: 9 }) }),
  );
  fc.assert(
    fc.property(counters, fc.constantFrom(1, 2, 8), fc.array(move, { maxLength: 60 }), (start, entries, moves) => {
      const fake = fakeRing({ entries, start });
      const sq = new SubmissionQueue(fake.ring);
      let [handed, published, taken] = [0, 0, 0];
      for (const { kind, n } of moves) {
        if (kind === "next") {
          for (let i = 0; i < n; i++) {
            const slot = sq.next();
            if (handed - taken === entries) {
              expect(slot).toBe(-1);
              seen.full++;
            } else expect(slot).toBe(((start + handed++) >>> 0) & (entries - 1));
          }
        } else if (kind === "publish") {
          sq.publish();
          published = handed;
        } else {
          const some = Math.min(n, published - taken);
          if (some > 0 && some < published - taken) seen.partial++;
          fake.take(some);
          taken += some;
        }
        expect(fake.sqTail).toBe((start + published) >>> 0);
        expect([sq.queued, sq.taken, sq.publishedSerial, sq.handedOut]).toEqual([handed - taken, taken, published, handed]);
      }
      if (start + handed > 0xffff_ffff && start <= 0xffff_ffff) seen.wraps++;
    }),
    { numRuns: 1000, seed: 1 },
  );
  expect(seen.wraps).toBeGreaterThan(50);
  expect(seen.full).toBeGreaterThan(200);
  expect(seen.partial).toBeGreaterThan(50);
});

test("S18: an entry is all zeroes when it is handed out, and its neighbours are left alone", () => {
  const fake = fakeRing({ entries: 2 });
  const sq = new SubmissionQueue(fake.ring);
  fake.ring.sqes.fill(0xaa);
  const slot = mustFind(sq.next());
  expect(sq.sqes.subarray(slot * sq.slotWords, (slot + 1) * sq.slotWords)).toEqual(new Uint32Array(sq.slotWords));
  expect(sq.sqes.subarray((slot + 1) * sq.slotWords)).toEqual(new Uint32Array(sq.slotWords).fill(0xaaaa_aaaa));
});

test("S17: a partial take gives back the slots that were taken, no more", () => {
  const fake = fakeRing({ entries: 4 });
  const sq = new SubmissionQueue(fake.ring);
  for (let i = 0; i < 4; i++) mustFind(sq.next());
  sq.publish();
  fake.take(1);
  expect(sq.queued).toBe(3);
  expect(sq.next()).toBe(0);
  expect(sq.next()).toBe(-1);
  expect(fake.sqTail).toBe(4);
  sq.publish();
  expect(fake.sqTail).toBe(5);
});

test("S10: head and tail are loaded and stored atomically, never by a plain access", () => {
  const store = vi.spyOn(Atomics, "store");
  const load = vi.spyOn(Atomics, "load");
  try {
    const fake = fakeRing();
    const sq = new SubmissionQueue(fake.ring);
    const cq = new CompletionQueue(fake.ring);
    sq.next();
    expect(store).not.toHaveBeenCalled();
    sq.publish();
    expect(store.mock.calls.map(([, at, value]) => [at, value])).toEqual([[SQ_OFFSETS.tail / 4, 1]]);
    fake.post(1n, 0, 0);
    load.mockClear();
    mustFind(cq.peek());
    expect(load.mock.calls.map(([, at]) => at)).toEqual([fake.ring.params.cqOff.tail / 4]);
    cq.advance();
    expect(store.mock.calls.at(-1)?.slice(1)).toEqual([fake.ring.params.cqOff.head / 4, 1]);
  } finally {
    vi.restoreAllMocks();
  }
});

test("the SQ array is the identity, and not written at all with NO_SQARRAY", () => {
  const fake = fakeRing({ entries: 4 });
  void new SubmissionQueue(fake.ring);
  expect([0, 1, 2, 3].map(fake.arrayAt)).toEqual([0, 1, 2, 3]);
  const without = fakeRing({ entries: 4, flags: IORING_SETUP_NO_SQARRAY });
  void new SubmissionQueue(without.ring);
  expect([0, 1, 2, 3].map(without.arrayAt)).toEqual([0, 0, 0, 0]);
});

test("S3 S4: entries of other sizes than 64 and 16 bytes stand where the kernel looks for them", () => {
  expect(() => new SubmissionQueue(fakeRing({ flags: IORING_SETUP_SQE_MIXED }).ring)).toThrow(/IORING_SETUP_SQE_MIXED/);
  expect(() => new SubmissionQueue(fakeRing({ entries: 4, flags: IORING_SETUP_SQE128 }).ring)).toThrow(/4 entries need 512/);
  expect(() => new CompletionQueue(fakeRing({ entries: 4, flags: IORING_SETUP_CQE32 }).ring)).toThrow(/need more/);
});

test("S11 S12 S13: the completion queue shows every completion once, in order, past 2^32", () => {
  const seen = { wraps: 0, full: 0 };
  const move = fc.record({ post: fc.integer({ min: 0, max: 6 }), release: fc.integer({ min: 0, max: 6 }) });
  fc.assert(
    fc.property(counters, fc.constantFrom(1, 4), fc.array(move, { maxLength: 30 }), (start, entries, moves) => {
      const fake = fakeRing({ entries, start });
      const cq = new CompletionQueue(fake.ring);
      const expected: bigint[] = [];
      let [posted, released] = [0, 0];
      for (const { post, release } of moves) {
        for (let i = 0; i < post; i++) {
          const userData = 0xcccc_0000_0000_0000n + BigInt(posted);
          if (!fake.post(userData, -posted, posted)) {
            seen.full++;
            break;
          }
          expected.push(userData);
          posted++;
        }
        expect(cq.ready).toBe(expected.length);
        expect(cq.peek(expected.length)).toBe(-1);
        for (let i = 0; i < release; i++) {
          const at = cq.peek();
          const oldest = expected.shift();
          if (oldest === undefined) {
            expect(at).toBe(-1);
            break;
          }
          expect(joinU64(cq.userDataLow(at), cq.userDataHigh(at))).toBe(oldest);
          expect([cq.res(at), cq.flags(at)]).toEqual([0 - released, released]);
          cq.advance();
          released++;
        }
        expect(fake.cqHead).toBe((start + released) >>> 0);
      }
      if (start + posted > 0xffff_ffff) seen.wraps++;
    }),
    { numRuns: 500, seed: 2 },
  );
  expect(seen.wraps).toBeGreaterThan(50);
  expect(seen.full).toBeGreaterThan(50);
});

test("user data: every u64 passes, the driver's own range and everything else is refused", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (value) => {
      splitU64(value, "value");
      expect((BigInt(split.high) << 32n) | BigInt(split.low)).toBe(value);
      expect(joinU64(split.low, split.high)).toBe(value);
    }),
  );
  expect(() => splitUserData(-1n)).toThrow(RangeError);
  expect(() => splitUserData(1n << 64n)).toThrow(/from 0n to 2n\*\*64n - 1n/);
  // @ts-expect-error a number is the likeliest mistake
  expect(() => splitUserData(7)).toThrow(/must be a bigint.*not 7/);
  expect(() => splitUserData(0xfeed_0000_0000_0001n)).toThrow(/keeps for readiness/);
  expect(() => splitUserData(0xfeee_ffff_ffff_ffffn)).toThrow(/choose another/);
  splitUserData(0xfeef_0000_0000_0000n);
  splitUserData(0xfeec_ffff_ffff_ffffn);
});

function fakeMemory(): AddressSpace & { readonly made: Region[] } {
  const made: Region[] = [];
  return {
    made,
    faultAddress: 0n,
    alloc(size) {
      const region = { addr: BigInt(0x1000 * (made.length + 1)), bytes: new Uint8Array(size) };
      made.push(region);
      return region;
    },
    free: () => undefined,
  };
}

function books(stable = true) {
  const fake = fakeRing({ entries: 8 });
  const sq = new SubmissionQueue(fake.ring);
  const scratch = new Scratch(fakeMemory(), stable);
  const opened: number[] = [];
  const stillOpen: number[] = [];
  const descriptors: Descriptors = { opened: (fd) => opened.push(fd), stillOpen: (fd) => stillOpen.push(fd) };
  const inFlight = new InFlight(scratch);
  const complete = (low: number, res = 0): void => inFlight.complete(low, 0, res, sq, descriptors);
  return { fake, sq, scratch, inFlight, opened, stillOpen, complete };
}

test("in flight: counts what a map would count, whatever collides and however the table grows", () => {
  const keys = fc.constantFrom(0, 1, 64, 128, 0xdead, 0xffff_ffff);
  const step = fc.record({ low: fc.oneof(keys, fc.nat(400)), high: fc.constantFrom(0, 7), add: fc.boolean() });
  const seen = { grown: 0, emptied: 0 };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
      const { inFlight, sq } = books();
      const descriptors: Descriptors = { opened: () => undefined, stillOpen: () => undefined };
      const counts = new Map<string, number>();
      for (const { low, high, add } of steps) {
        const key = `${high}:${low}`;
        const before = counts.get(key) ?? 0;
        if (add) inFlight.add(low, high, PLAIN, true);
        else inFlight.complete(low, high, 0, sq, descriptors);
        counts.set(key, add ? before + 1 : Math.max(0, before - 1));
        if (!add && before === 1) seen.emptied++;
        if ([...counts.values()].filter((n) => n > 0).length > 40) seen.grown++;
      }
      for (const [key, count] of counts) {
        const [high = 0, low = 0] = key.split(":").map(Number);
        expect(inFlight.countOf(low, high)).toBe(count);
      }
    }),
    { numRuns: 200, seed: 3 },
  );
  expect(seen.grown).toBeGreaterThan(100);
  expect(seen.emptied).toBeGreaterThan(100);
});

test("BUGS 4: a scratch block is not reused before its request completed", () => {
  const { fake, sq, scratch, inFlight, complete } = books();
  const give = (low: number): bigint => {
    const serial = sq.handedOut;
    mustFind(sq.next());
    inFlight.add(low, 0, PLAIN, true);
    const block = scratch.take(16, serial);
    inFlight.attachBlock(low, 0, block);
    return block.region.addr;
  };
  const first = give(1);
  const second = give(2);
  sq.publish();
  fake.take(2);
  expect(give(3)).not.toBe(first);
  complete(2);
  expect(give(4)).toBe(second);
  complete(1);
  expect(give(5)).toBe(first);
  expect(scratch.inUse).toBe(3);
});

test("BUGS 4: with repeated user data, a block of an entry that the kernel has not taken stays", () => {
  const { fake, sq, scratch, inFlight, complete } = books();
  mustFind(sq.next());
  inFlight.add(9, 0, PLAIN, true); // a NOP
  sq.publish();
  fake.take(1);
  const serial = sq.handedOut;
  mustFind(sq.next());
  inFlight.add(9, 0, PLAIN, true); // a READV, not submitted yet
  inFlight.attachBlock(9, 0, scratch.take(16, serial));
  complete(9); // the NOP's
  expect(scratch.inUse).toBe(1);
  sq.publish();
  fake.take(1);
  complete(9);
  expect(scratch.inUse).toBe(0);
});

test("BUGS 4: where the kernel reads later (SQPOLL), blocks of one user data wait for the last completion", () => {
  const { scratch, inFlight, complete } = books(false);
  for (const serial of [0, 1]) {
    inFlight.add(9, 0, PLAIN, true);
    inFlight.attachBlock(9, 0, scratch.take(16, serial));
  }
  complete(9);
  expect(scratch.inUse).toBe(2);
  complete(9);
  expect(scratch.inUse).toBe(0);
});

test("in flight: OPENAT and CLOSE share user data with their own kind alone", () => {
  const { inFlight, opened, stillOpen, complete } = books();
  inFlight.add(1, 0, OPENAT, true);
  inFlight.add(1, 0, OPENAT, true);
  expect(() => inFlight.add(1, 0, PLAIN, true)).toThrow(/userData 0x1 is in flight for an OPENAT.*another operation/);
  expect(() => inFlight.add(1, 0, PLAIN, false)).toThrow(/OPENAT/);
  complete(1, 12);
  complete(1, -2);
  expect(opened).toEqual([12]);
  inFlight.add(1, 0, PLAIN, true);
  complete(1, 13);
  expect(opened).toEqual([12]);

  inFlight.add(2, 0, CLOSE, true);
  inFlight.attachClosing(2, 0, 44);
  complete(2, -ECANCELED);
  expect(stillOpen).toEqual([44]);
});
