// What a broken or malicious application does to a ring: words scribbled over, indices past the end,
// garbage in SQEs, calls with wrong arguments. Addresses stay within the program's buffers or fault for
// sure, descriptors are the program's own, and every wait has an end (the one that may have none is
// put in by `hostileProgram`).
import fc from "fast-check";
import {
  EPOLLEXCLUSIVE, EPOLLET, EPOLLONESHOT, IORING_ASYNC_CANCEL_FD, IORING_ASYNC_CANCEL_FD_FIXED, IORING_ENTER_EXT_ARG,
  IORING_ENTER_GETEVENTS, IORING_ENTER_NO_IOWAIT, IORING_ENTER_SQ_WAIT, IORING_ENTER_SQ_WAKEUP, IORING_NOP_CQE32,
  IORING_NOP_FILE, IORING_NOP_FIXED_FILE, IORING_POLL_ADD_LEVEL, POLLIN,
} from "../../spec/constants.gen.ts";
import { RING_WORDS, type Operation, type RingWord } from "../program.ts";
import type { Draft, SqeDraft } from "./draft.ts";
import { driverGroup, request, type Drafts } from "./driver-ops.ts";
import { nop } from "./file-requests.ts";
import { mix, mostly, pick, record, some } from "./mix.ts";
import { fds } from "./world.ts";

const FIRST_UNKNOWN_OPCODE = 63;

/** What is changed of a request that was good. */
const spoilt: fc.Arbitrary<Partial<SqeDraft>> = mix<Partial<SqeDraft>>(
  [2, fc.constant({ unknownFlags: 0x80 })],
  [2, fc.constant({ personality: 1 })],
  [2, record({ bufIndex: pick([2, 1], [1, 0xffff]) })],
  // never of class 1, which asks for a capability
  [3, record({ ioprio: pick([2, 1], [1, 0x4007], [1, 0x6000], [1, 0x8000], [1, 0xffff]) })],
  [3, record({ flags: pick<NonNullable<SqeDraft["flags"]>>([3, ["FIXED_FILE"]], [1, ["FIXED_FILE", "IO_LINK"]], [1, ["ASYNC", "IO_DRAIN", "IO_LINK"]]) })],
  [2, record({ spliceFdIn: pick([2, 1], [1, -1], [1, 0x7fff_ffff]) })],
  [2, record({ opFlags: pick([1, 0x8000_0000], [1, 0x4000_0000]) })],
  [2, fc.constant({ flags: ["BUFFER_SELECT"] })],
);

/** Applies it where what comes of it is known; elsewhere the request stays as it was. */
function spoil(sqe: SqeDraft, change: Partial<SqeDraft>): SqeDraft {
  const { opcode } = sqe;
  if (change.spliceFdIn !== undefined && opcode === "OPENAT") return { ...sqe, unknownFlags: 0x80 };
  if (change.flags?.includes("BUFFER_SELECT") === true && opcode === "READV") return { ...sqe, unknownFlags: 0x80 };
  if (change.opFlags !== undefined && opcode === "OPENAT") return { ...sqe, personality: 7 };
  return { ...sqe, ...change };
}

const faulty: fc.Arbitrary<SqeDraft> = mix<SqeDraft>(
  [4, record({
    opcode: pick([1, "READ" as const], [1, "WRITE" as const]),
    fd: mix<string>([1, pick([1, "f0"], [1, "p0r"], [1, "p0w"])], [1, fds.eventfd]),
    addr: fc.constant({ is: "fault" as const }),
    len: pick([1, 1], [3, 8], [1, 64], [1, 4096]),
    off: pick([3, 0], [1, -1], [1, -2]),
  })],
  [2, record({
    opcode: pick([1, "READV" as const], [1, "WRITEV" as const]),
    fd: pick([1, "f0"], [1, "p0r"], [1, "p0w"]),
    addr: fc.constant({ is: "fault" as const }),
    len: pick([2, 1], [1, 3]),
  })],
  [1, record({ opcode: fc.constant("TIMEOUT" as const), addr: fc.constant({ is: "fault" as const }), len: pick([2, 1], [1, 0]) })],
  [1, record({ opcode: fc.constant("OPENAT" as const), fd: fc.constant("dir"), addr: fc.constant({ is: "fault" as const }) })],
);

/** Fields that an operation does not have, and values that it does not know. */
const misused: fc.Arbitrary<SqeDraft> = mix<SqeDraft>(
  [4, record({
    opcode: mix<number>([2, fc.integer({ min: FIRST_UNKNOWN_OPCODE, max: 255 })], [1, fc.constant(255)]),
    len: mostly(undefined, 30, fc.constant(8)),
    flags: mostly(undefined, 30, pick([1, ["IO_LINK"]], [1, ["CQE_SKIP_SUCCESS"]], [1, ["IO_DRAIN"]]) as fc.Arbitrary<NonNullable<SqeDraft["flags"]>>),
  })],
  [1, record({ opcode: fc.constant("NOP" as const), fd: fc.constant("f0"), opFlags: pick([1, IORING_NOP_CQE32], [1, 0x8000_0000], [1, IORING_NOP_FILE | IORING_NOP_FIXED_FILE]) })],
  [1, record({ opcode: fc.constant("POLL_ADD" as const), fd: fds.pollable, opFlags: pick([1, (POLLIN | EPOLLONESHOT) >>> 0], [1, (POLLIN | EPOLLET) >>> 0], [1, (POLLIN | EPOLLEXCLUSIVE) >>> 0], [1, POLLIN]), len: pick([3, 0], [1, 1], [1, IORING_POLL_ADD_LEVEL], [1, 0x80]), off: mostly(undefined, 20, fc.constant(1)) })],
  [1, record({ opcode: fc.constant("ASYNC_CANCEL" as const), fd: fds.pollable, opFlags: pick([1, IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_FD_FIXED], [1, 0x40], [1, 0x8000_0000]), off: mostly(undefined, 20, fc.constant(8)) })],
  [1, record({ opcode: fc.constant("FSYNC" as const), fd: fc.constant("f0"), opFlags: pick([1, 2], [1, 0x8000_0000]) })],
  [1, record({ opcode: fc.constant("CLOSE" as const), fd: fds.wrong, off: pick([1, 0], [1, 1]), len: pick([1, 0], [1, 1]) })],
  [1, record({ opcode: fc.constant("TIMEOUT" as const), addr: pick([1, { is: "time" as const, seconds: 0, nanoseconds: -1 }], [1, { is: "time" as const, seconds: 100, nanoseconds: 2_000_000_000 }]), len: pick([2, 1], [1, 2]), off: pick([1, 0], [1, 0xffff_ffff]), opFlags: pick([1, 0], [1, 0x8000_0000], [1, 12]) })],
);

export const garbage: fc.Arbitrary<SqeDraft> = mix<SqeDraft>(
  [5, record({ sqe: request, change: spoilt }).map(({ sqe, change }) => spoil(sqe, change))],
  [3, faulty],
  [4, misused],
);

const anyRequest = mix<SqeDraft>([5, request], [2, nop], [3, garbage]);
const slotNumber = fc.integer({ min: 0, max: 7 });
const arrayIndex = mix<number>([6, slotNumber], [2, pick([2, 8], [1, 64], [1, 0x7fff_ffff], [2, 0xffff_ffff])]);

const slot: fc.Arbitrary<Draft> = record({ op: fc.constant("slot" as const), slot: slotNumber, sqe: anyRequest });
const array: fc.Arbitrary<Draft> = record({ op: fc.constant("array" as const), slot: slotNumber, index: arrayIndex });

const nudge = (word: RingWord, by: fc.Arbitrary<number>): fc.Arbitrary<Operation> =>
  record({ op: fc.constant("store" as const), word: fc.constant(word), add: by });
const scribble: fc.Arbitrary<Operation> = record({
  op: fc.constant("store" as const),
  word: fc.constantFrom(...RING_WORDS.filter((word) => word !== "cqTail")),
  value: mix<number>([1, pick([2, 0], [2, 0xffff_ffff], [1, 1], [1, 0x8000_0000])], [1, fc.integer({ min: 0, max: 0xffff_ffff })]),
});
const someWay = pick([4, 1], [3, -1], [1, 2], [1, 7], [1, 100], [1, -8], [1, -100]);
const store: fc.Arbitrary<Operation> = mix<Operation>(
  [5, nudge("sqTail", someWay)],
  [2, nudge("cqHead", someWay)],
  [2, nudge("sqHead", someWay)],
  [2, scribble],
  // Never cq.tail: with a backlog and a wait behind it Linux 6.18 goes round for ever and can't be killed
  // (rule cq.tail-store-livelock; a test of its own shows it).
);

type Enter = Operation & { op: "enter" };
const GETEVENTS = IORING_ENTER_GETEVENTS;
const counts = mix<number>([6, fc.integer({ min: 0, max: 8 })], [1, pick([1, 100], [1, 0xffff_ffff], [1, 0x8000_0000])]);
const bound = mix<{ seconds: number; nanoseconds: number }>(
  [4, record({ seconds: fc.constant(0), nanoseconds: fc.integer({ min: 0, max: 200 }).map((us) => us * 1000) })],
  [1, pick([1, { seconds: -1, nanoseconds: 0 }], [1, { seconds: 0, nanoseconds: -1 }], [1, { seconds: 0, nanoseconds: 0 }])],
);
const extra = mostly(0, 12, pick([2, IORING_ENTER_NO_IOWAIT], [1, IORING_ENTER_SQ_WAKEUP], [1, IORING_ENTER_SQ_WAIT]));

/** A call with these arguments; it waits no longer than 200 microseconds. */
const enter: fc.Arbitrary<Enter> = mix<Enter>(
  [5, record({ op: fc.constant("enter" as const), toSubmit: counts, minComplete: pick([4, 0], [1, 3]), flags: extra })],
  [2, record({ op: fc.constant("enter" as const), toSubmit: counts, minComplete: fc.constant(0), flags: extra.map((f) => f | GETEVENTS) })],
  [5, record({
    op: fc.constant("enter" as const), toSubmit: counts, // Never negative: with a backlog and a full CQ such a wait goes round for ever and can't be killed
    // (rule enter.negative-min-livelock).
    minComplete: mix<number>([3, fc.integer({ min: 0, max: 4 })], [1, counts.map((count) => count & 0x7fff_ffff)]),
    flags: extra.map((f) => f | GETEVENTS | IORING_ENTER_EXT_ARG), wait: bound,
    signals: mostly(false, 8, fc.constant(true)),
  }).map(({ signals, ...call }) => (signals ? { ...call, signals } : call))],
  [1, record({
    op: fc.constant("enter" as const), toSubmit: pick([2, 0], [1, 1]), minComplete: pick([1, 0], [2, 1]),
    flags: fc.constant(GETEVENTS | IORING_ENTER_EXT_ARG), wait: fc.constant({ seconds: 0, nanoseconds: 0 }),
    arg: pick([1, "fault"], [1, "time-fault"], [1, "size"]),
  })],
  [1, record({ op: fc.constant("enter" as const), toSubmit: pick([1, 0], [1, 1]), minComplete: fc.constant(0), flags: pick([1, 0x100], [1, 0x8000_0000], [1, 0x101]) })],
);

/** SQEs written, published and entered by hand, one thing of it often wrong. */
const byHand: fc.Arbitrary<Drafts> = record({
  entries: some(record({ slot: slotNumber, sqe: anyRequest, index: mostly(undefined, 40, arrayIndex) }), 1, 4),
  more: pick([7, 0], [1, 1], [1, -1], [1, 100]),
  call: enter,
}).map(({ entries, more, call }) => [
  ...entries.flatMap(({ slot: at, sqe, index }, i): Draft[] => [
    { op: "slot", slot: at, sqe },
    { op: "array", slot: i, index: index ?? at },
  ]),
  { op: "store", word: "sqTail", add: entries.length + more },
  { ...call, toSubmit: call.toSubmit > 8 ? call.toSubmit : entries.length + (call.toSubmit === 7 ? 1 : call.toSubmit === 8 ? -1 : 0) },
]);

const lyingTail: fc.Arbitrary<Drafts> = record({
  lie: mix<Operation>([3, nudge("sqTail", someWay)], [1, fc.constant({ op: "store", word: "sqTail", value: 0xffff_ffff })]),
  call: enter,
}).map(({ lie, call }) => [lie, call]);

const badDriver: fc.Arbitrary<Drafts> = some(garbage, 1, 3)
  .map((all) => [...all.map((sqe): Draft => ({ op: "sqe", ...sqe })), { op: "submit" }]);

const one = (of: fc.Arbitrary<Draft>): fc.Arbitrary<Drafts> => of.map((draft) => [draft]);

/** One thing that a hostile application does; half of the time it behaves. */
export const hostileGroup: fc.Arbitrary<Drafts> = mix<Drafts>(
  [44, driverGroup],
  [8, badDriver], [6, one(store)], [4, one(slot)], [3, one(array)], [9, one(enter)], [10, byHand], [4, lyingTail],
);

/** A wait that nothing bounds: it may cost the process that runs it. */
export const unboundedWait: fc.Arbitrary<Draft> = record({
  op: fc.constant("enter" as const), toSubmit: pick([2, 0], [1, 1]), minComplete: pick([3, 1], [1, 2], [1, 0xffff_ffff]),
  flags: fc.constant(GETEVENTS),
});
