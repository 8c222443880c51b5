// Requests that wait, and requests that end the waiting of others: polls, timers, cancels. Timers end
// within 300 microseconds or not before somebody takes them away.
import fc from "fast-check";
import {
  IORING_ASYNC_CANCEL_ALL, IORING_ASYNC_CANCEL_ANY, IORING_ASYNC_CANCEL_FD, IORING_ASYNC_CANCEL_OP,
  IORING_ASYNC_CANCEL_USERDATA, IORING_CQE_F_32, IORING_LINK_TIMEOUT_UPDATE, IORING_MSG_RING_CQE_SKIP, IORING_MSG_RING_FLAGS_PASS, IORING_OP_POLL_ADD, IORING_OP_READ, IORING_OP_TIMEOUT,
  IORING_OP_WRITE, IORING_POLL_ADD_MULTI, IORING_POLL_UPDATE_EVENTS, IORING_POLL_UPDATE_USER_DATA, IORING_TIMEOUT_ABS,
  IORING_TIMEOUT_BOOTTIME, IORING_TIMEOUT_ETIME_SUCCESS, IORING_TIMEOUT_MULTISHOT, IORING_TIMEOUT_UPDATE, POLLERR,
  POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRNORM,
} from "../../spec/constants.gen.ts";
import type { Address } from "../program.ts";
import type { SqeDraft, Target } from "./draft.ts";
import { mix, mostly, pick, record } from "./mix.ts";
import { fds } from "./world.ts";

const events = mix<number>(
  [8, pick([5, POLLIN], [3, POLLOUT])],
  [3, pick([2, POLLIN | POLLOUT], [1, POLLPRI], [1, POLLHUP], [1, POLLERR], [1, POLLRDHUP], [1, 0], [1, POLLRDNORM],
    [1, POLLWRNORM])],
);
const multi = mostly(undefined, 35, fc.constant(IORING_POLL_ADD_MULTI));

export const pollAdd: fc.Arbitrary<SqeDraft> = record({
  opcode: fc.constant("POLL_ADD" as const),
  fd: mix<string>([12, fds.pollable], [1, fds.wrong], [1, fds.opened]),
  opFlags: events,
  len: multi,
});

const target = (of: Target["of"]): fc.Arbitrary<Target> =>
  mix<Target>(
    [9, record({ back: pick([5, 0], [2, 1], [1, 2], [1, 3]), of: fc.constant(of) })],
    [1, fc.constant({ back: 0, of: "nothing" })],
  );

export const pollRemove: fc.Arbitrary<SqeDraft> = mix<SqeDraft>(
  [5, record({ opcode: fc.constant("POLL_REMOVE" as const), target: target("poll") })],
  [5, record({
    opcode: fc.constant("POLL_REMOVE" as const),
    target: target("poll"),
    len: pick([4, IORING_POLL_UPDATE_EVENTS], [2, IORING_POLL_UPDATE_EVENTS | IORING_POLL_ADD_MULTI],
      [3, IORING_POLL_UPDATE_USER_DATA], [2, IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA],
      [1, IORING_POLL_ADD_MULTI]),
    opFlags: events,
  }).map((sqe) => ((sqe.len & IORING_POLL_UPDATE_EVENTS) !== 0 ? sqe : { ...sqe, opFlags: undefined }))],
);

const time = (seconds: number, nanoseconds: number): Address => ({ is: "time", seconds, nanoseconds });
const short: fc.Arbitrary<Address> = fc.integer({ min: 0, max: 300 }).map((us) => time(0, us * 1000));
const never: fc.Arbitrary<Address> = fc.integer({ min: 100, max: 1000 }).map((seconds) => time(seconds, 0));
const deadline: fc.Arbitrary<Address> = mix<number>(
  [3, fc.integer({ min: -100, max: 300 })],
  [2, fc.constant(100_000_000)],
).map((microseconds) => ({ is: "deadline", microseconds }));
const relative = mix<Address>([2, never], [3, short]);

const timeoutOf = (addr: fc.Arbitrary<Address>, off: fc.Arbitrary<number>, opFlags: fc.Arbitrary<number | undefined>) =>
  record({ opcode: fc.constant("TIMEOUT" as const), addr, off, opFlags, len: fc.constant(1) });
const count = pick([5, 0], [3, 1], [2, 2], [1, 3], [1, 4]);

export const timeout: fc.Arbitrary<SqeDraft> = mix<SqeDraft>(
  [10, timeoutOf(relative, count, mostly(undefined, 25, pick([3, IORING_TIMEOUT_ETIME_SUCCESS], [1, IORING_TIMEOUT_BOOTTIME])))],
  // off is how often: never 0, which is for ever
  [2, timeoutOf(short, pick([1, 1], [2, 2], [1, 3]), pick([2, IORING_TIMEOUT_MULTISHOT], [1, IORING_TIMEOUT_MULTISHOT | IORING_TIMEOUT_ETIME_SUCCESS]))],
  [3, timeoutOf(deadline, count, fc.constant(IORING_TIMEOUT_ABS))],
  // refused: a time before 0, two kinds of repeating
  [1, mix<SqeDraft>(
    [1, timeoutOf(fc.constant(time(-1, 0)), fc.constant(0), fc.constant(undefined))],
    [1, timeoutOf(never, fc.constant(1), fc.constant(IORING_TIMEOUT_MULTISHOT | IORING_TIMEOUT_ABS))],
    [1, timeoutOf(never, fc.constant(0), fc.constant(IORING_TIMEOUT_MULTISHOT))],
  )],
);

/** A timer that completions satisfy. */
export const countedTimeout: fc.Arbitrary<SqeDraft> = timeoutOf(never, pick([2, 1], [2, 2], [1, 3], [1, 4]), fc.constant(undefined));

export const timeoutRemove: fc.Arbitrary<SqeDraft> = mix<SqeDraft>(
  [6, record({ opcode: fc.constant("TIMEOUT_REMOVE" as const), target: target("timeout") })],
  [4, record({
    opcode: fc.constant("TIMEOUT_REMOVE" as const), target: target("timeout"), addr2: relative,
    opFlags: pick([8, IORING_TIMEOUT_UPDATE], [1, IORING_LINK_TIMEOUT_UPDATE], [2, IORING_TIMEOUT_UPDATE | IORING_LINK_TIMEOUT_UPDATE]),
  })],
  [1, record({
    opcode: fc.constant("TIMEOUT_REMOVE" as const), target: target("timeout"), addr2: deadline,
    opFlags: fc.constant(IORING_TIMEOUT_UPDATE | IORING_TIMEOUT_ABS),
  })],
);

/** A timer for the request before it, where that is linked to it. */
export const linkTimeout: fc.Arbitrary<SqeDraft> = record({
  opcode: fc.constant("LINK_TIMEOUT" as const), addr: mix<Address>([6, relative], [1, deadline]), len: fc.constant(1), off: mostly(undefined, 2, fc.constant(1)),
}).map((sqe) => (sqe.addr.is === "deadline" ? { ...sqe, opFlags: IORING_TIMEOUT_ABS } : sqe));

const message: fc.Arbitrary<SqeDraft> = record({
  opcode: fc.constant("MSG_RING" as const),
  fd: mix<string>([12, fc.constant("ring")], [1, fds.wrong], [1, fds.pollable]),
  off: fc.integer({ min: 0xe000, max: 0xe00f }),
  len: fc.integer({ min: 0, max: 99 }),
  opFlags: pick<number | undefined>([12, undefined], [2, IORING_MSG_RING_FLAGS_PASS], [1, IORING_MSG_RING_CQE_SKIP], [1, 4]),
  spliceFdIn: mostly(undefined, 10, fc.constant(3)),
  addr: mostly(undefined, 5, pick<Address>([1, { is: "number", number: 1 }], [1, { is: "number", number: 2 }])),
});

/** Flags that a message passes on, some of them those of a CQE of 32 bytes. */
const passed: fc.Arbitrary<number | undefined> = mostly(undefined, 10, pick([1, 3], [2, IORING_CQE_F_32]));

/** A message to the program's own ring; the numbers are nobody's user_data. */
export const msgRing: fc.Arbitrary<SqeDraft> = fc
  .tuple(message, passed)
  .map(([sqe, spliceFdIn]) => (spliceFdIn === undefined ? sqe : { ...sqe, opFlags: IORING_MSG_RING_FLAGS_PASS, spliceFdIn }));

const FD = IORING_ASYNC_CANCEL_FD;
const ALL = IORING_ASYNC_CANCEL_ALL;
const ANY = IORING_ASYNC_CANCEL_ANY;
const USERDATA = IORING_ASYNC_CANCEL_USERDATA;
const OP = IORING_ASYNC_CANCEL_OP;
/** Every combination of the flags that select; the likely ones more often. */
const combinations = mix<number>(
  [6, pick([6, 0], [3, ALL], [2, FD], [3, FD | ALL], [2, ANY], [1, USERDATA], [2, OP], [2, OP | ALL])],
  [2, fc.subarray([FD, ALL, ANY, USERDATA, OP]).map((flags) => flags.reduce((all, flag) => all | flag, 0))],
);

export const asyncCancel: fc.Arbitrary<SqeDraft> = record({
  opcode: fc.constant("ASYNC_CANCEL" as const),
  target: target("waiting"),
  opFlags: combinations,
  fd: mix<string>([8, fds.pollable], [1, fds.wrong]),
  len: pick([2, IORING_OP_READ], [2, IORING_OP_POLL_ADD], [1, IORING_OP_WRITE], [2, IORING_OP_TIMEOUT]),
}).map((sqe) => {
  const { fd, len, opFlags, ...rest } = sqe;
  return {
    ...rest,
    ...(opFlags === 0 ? {} : { opFlags }),
    ...((opFlags & FD) !== 0 ? { fd } : {}),
    ...((opFlags & OP) !== 0 ? { len } : {}),
  };
});

export const near = (of: Target["of"]): Target => ({ back: 0, of });
