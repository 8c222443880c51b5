// The rules that speak of what a step shows: a table, one row for each rule and the observation that it is
// about. It names the rules to read, and judges nothing: which rule an illegal step breaks is the verdict's word.
import {
  EBADF,
  EBADFD,
  ECANCELED,
  EFAULT,
  ENTER_FLAGS,
  ETIME,
  IORING_ASYNC_CANCEL_ALL,
  IORING_ASYNC_CANCEL_ANY,
  IORING_CQE_F_32,
  IORING_CQE_F_MORE,
  IORING_CQE_F_SKIP,
  IORING_ENTER_EXT_ARG,
  IORING_ENTER_GETEVENTS,
  IORING_ENTER_SQ_WAIT,
  IORING_ENTER_SQ_WAKEUP,
  IORING_NOP_INJECT_RESULT,
  IORING_POLL_ADD_MULTI,
  IORING_REGISTER_ENABLE_RINGS,
  IORING_REGISTER_QUERY,
  IORING_REGISTER_RING_FDS,
  IORING_UNREGISTER_RING_FDS,
  IORING_REGISTER_PERSONALITY,
  IORING_UNREGISTER_PERSONALITY,
  IORING_REGISTER_EVENTFD,
  IORING_REGISTER_EVENTFD_ASYNC,
  IORING_UNREGISTER_EVENTFD,
  IORING_REGISTER_CLOCK,
  IORING_REGISTER_MEM_REGION,
  IORING_REGISTER_RESTRICTIONS,
  IORING_REGISTER_RESIZE_RINGS,
  IORING_REGISTER_USE_REGISTERED_RING,
  IORING_ENTER_REGISTERED_RING,
  IORING_ENTER_EXT_ARG_REG,
  IORING_REGISTER_PROBE,
  IORING_REGISTER_SYNC_CANCEL,
  IORING_SETUP_CQE32,
  IORING_SETUP_CQE_MIXED,
  IORING_SETUP_CQSIZE,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_R_DISABLED,
  IORING_SETUP_SQE128,
  IORING_SETUP_SQPOLL,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_NEED_WAKEUP,
  IORING_SQ_TASKRUN,
  IORING_TIMEOUT_ETIME_SUCCESS,
  IORING_TIMEOUT_MULTISHOT,
  IORING_TIMEOUT_UPDATE,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_IO_DRAIN,
  IOSQE_IO_HARDLINK,
  OPCODE_NAMES,
} from "../spec/constants.gen.ts";
import type { RuleId } from "../spec/rules.gen.ts";
import type { EnterEvent, PeekEvent, SeenCqe, SetupEvent } from "../program/trace.ts";
import type { Facts, Lane, SqeFields } from "./replay.ts";

type Row<T> = readonly [rule: RuleId, is: (of: T, facts: Facts) => boolean];

const ringFlag = ({ setup }: Facts, flag: number): boolean => ((setup?.filled?.flags ?? 0) & flag) !== 0;
const KNOWN_ENTER = ENTER_FLAGS.reduce((all, { value }) => all | value, 0);

const SETUP: readonly Row<SetupEvent>[] = [
  ["setup.entries-rounded", ({ filled, entries }) => filled !== undefined && filled.sqEntries !== entries],
  ["setup.cq-default-twice", ({ filled }) => filled !== undefined && (filled.flags & IORING_SETUP_CQSIZE) === 0],
  ["setup.cqsize", ({ params }) => ((params.flags ?? 0) & IORING_SETUP_CQSIZE) !== 0],
  ["setup.offsets", ({ filled }) => filled !== undefined],
  ["setup.features", ({ filled }) => filled !== undefined],
  ["setup.starts-zero", ({ filled, counters }) => filled !== undefined && counters === undefined],
  ["setup.resv-zero", ({ params, result }) => result < 0 && params.resv?.some((word) => word !== 0) === true],
  ["setup.entries-range", ({ entries, result }) => result < 0 && entries === 0],
];

const ENTER: readonly Row<EnterEvent>[] = [
  ["enter.unknown-flag", ({ flags }) => (flags & ~KNOWN_ENTER) !== 0],
  ["enter.registered-index", ({ flags }) => (flags & IORING_ENTER_REGISTERED_RING) !== 0],
  ["enter.reg-wait-entry", ({ flags, result }) => (flags & IORING_ENTER_EXT_ARG_REG) !== 0 && (result ?? -1) >= 0],
  ["setup.disabled-enter", ({ result }, f) => result === -EBADFD && ringFlag(f, IORING_SETUP_R_DISABLED)],
  ["enter.returns-consumed", ({ result, toSubmit }, f) => (result ?? -1) >= 0 && toSubmit > 0 && !ringFlag(f, IORING_SETUP_SQPOLL)],
  ["sqpoll.returns-to-submit", ({ result }, f) => (result ?? -1) >= 0 && ringFlag(f, IORING_SETUP_SQPOLL)],
  [
    "enter.short-submit-returns",
    ({ result, toSubmit }, f) => (result ?? -1) >= 0 && (result ?? 0) < toSubmit && !ringFlag(f, IORING_SETUP_SQPOLL),
  ],
  ["enter.no-wait-without-getevents", ({ flags, minComplete }) => (flags & IORING_ENTER_GETEVENTS) === 0 && minComplete > 0],
  [
    "enter.getevents-waits",
    ({ flags, minComplete, result }) => (flags & IORING_ENTER_GETEVENTS) !== 0 && minComplete > 0 && (result ?? -1) >= 0,
  ],
  [
    "enter.counts-unconsumed",
    ({ flags, minComplete }, f) => (flags & IORING_ENTER_GETEVENTS) !== 0 && minComplete > 0 && f.before.cqHead !== f.before.cqTail,
  ],
  ["enter.timeout-etime", ({ result }) => result === -ETIME],
  ["enter.ext-arg-size", ({ flags, arg }) => (flags & IORING_ENTER_EXT_ARG) !== 0 && arg !== undefined && arg.size !== 24],
  ["enter.bad-timespec-efault", ({ flags, result }) => (flags & IORING_ENTER_EXT_ARG) !== 0 && result === -EFAULT],
  [
    "enter.sq-flags-ignored",
    ({ flags }, f) => (flags & (IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT)) !== 0 && !ringFlag(f, IORING_SETUP_SQPOLL),
  ],
  ["sqpoll.wakeup", ({ flags }, f) => (flags & IORING_ENTER_SQ_WAKEUP) !== 0 && ringFlag(f, IORING_SETUP_SQPOLL)],
  ["sqpoll.sq-wait", ({ flags }, f) => (flags & IORING_ENTER_SQ_WAIT) !== 0 && ringFlag(f, IORING_SETUP_SQPOLL)],
  ["liveness.due", ({ watchdog }) => watchdog === true],
  ["liveness.blocks", ({ result }) => result === undefined],
];

const rose = ({ before, after }: Facts, flag: number): boolean => (before.sqFlags & flag) === 0 && (after.sqFlags & flag) !== 0;
const fell = ({ before, after }: Facts, flag: number): boolean => (before.sqFlags & flag) !== 0 && (after.sqFlags & flag) === 0;
const flushes = ({ call }: Facts): boolean => call?.event === "enter" && (call.flags & IORING_ENTER_GETEVENTS) !== 0;

const PEEK: readonly Row<PeekEvent>[] = [
  ["cq.tail-after-entry", ({ cqes }) => cqes.length > 0],
  ["cq.free-running", ({ cqes }, { after }) => cqes.some(({ slot }, i) => slot === 0 && (i > 0 || after.cqTail > cqes.length))],
  ["overflow.backlog", (_peek, f) => rose(f, IORING_SQ_CQ_OVERFLOW)],
  ["overflow.flag", (_peek, f) => rose(f, IORING_SQ_CQ_OVERFLOW)],
  ["overflow.flush-getevents", ({ cqes }, f) => (f.before.sqFlags & IORING_SQ_CQ_OVERFLOW) !== 0 && cqes.length > 0 && flushes(f)],
  ["overflow.flag-cleared-empty", (_peek, f) => fell(f, IORING_SQ_CQ_OVERFLOW)],
  ["taskrun.flag-set", (_peek, f) => rose(f, IORING_SQ_TASKRUN)],
  ["sqpoll.need-wakeup", (_peek, f) => rose(f, IORING_SQ_NEED_WAKEUP)],
  ["sqpoll.awake-flag-cleared", (_peek, f) => fell(f, IORING_SQ_NEED_WAKEUP)],
  ["sqpoll.submits", (_peek, f) => f.taken.length > 0 && ringFlag(f, IORING_SETUP_SQPOLL)],
  ["sq.dropped-counts", (_peek, { before, after }) => after.sqDropped !== before.sqDropped],
  ["overflow.drops-when-full", (_peek, { before, after }) => after.cqOverflow !== before.cqOverflow],
  ["cq.big-half", ({ cqes }, f) => cqes.length > 0 && ringFlag(f, IORING_SETUP_CQE32)],
  ["cq.mixed-two-slots", ({ cqes }, f) => ringFlag(f, IORING_SETUP_CQE_MIXED) && cqes.some(({ flags }) => (flags & IORING_CQE_F_32) !== 0)],
  ["cq.mixed-filler", ({ cqes }, f) => ringFlag(f, IORING_SETUP_CQE_MIXED) && cqes.some(({ flags }) => (flags & IORING_CQE_F_SKIP) !== 0)],
];

interface Completion {
  readonly lane: Lane;
  readonly cqe: SeenCqe;
  readonly sqe: SqeFields;
  /** Requests that were taken until now. */
  readonly lanes: readonly Lane[];
}

const named =
  (...names: readonly string[]) =>
  ({ lane }: Completion): boolean =>
    names.includes(lane.name);
const isTransfer = named("READ", "WRITE", "READV", "WRITEV", "READ_FIXED", "WRITE_FIXED", "READV_FIXED", "WRITEV_FIXED");
const isTimeout = named("TIMEOUT");
const more = ({ cqe }: Completion): boolean => (cqe.flags & IORING_CQE_F_MORE) !== 0;
const multishot = (c: Completion): boolean =>
  (c.lane.name === "POLL_ADD" && (c.sqe.len & IORING_POLL_ADD_MULTI) !== 0) ||
  (isTimeout(c) && (c.sqe.opFlags & IORING_TIMEOUT_MULTISHOT) !== 0);

/** Did a member before it fail, and was that one not hard-linked? */
function severed({ behind }: Lane): boolean {
  for (let lane = behind; lane !== undefined; lane = lane.behind) {
    const res = lane.cqes.at(-1)?.res ?? 0;
    if (res < 0 && res !== -ECANCELED && ((lane.sqe?.flags ?? 0) & IOSQE_IO_HARDLINK) === 0) return true;
  }
  return false;
}
const cancelled = ({ cqe }: Completion): boolean => cqe.res === -ECANCELED;
const took = ({ lanes, lane }: Completion, name: string): boolean =>
  lanes.some((other) => other.name === name && other.sqe?.addr === lane.userData);
const cancelMany = ({ sqe }: Completion): boolean => (sqe.opFlags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) !== 0;
const updates = ({ sqe }: Completion): boolean => (sqe.opFlags & IORING_TIMEOUT_UPDATE) !== 0;
const timer = ({ lane, lanes }: Completion): Lane | undefined =>
  lanes.find((other) => other.behind === lane && other.name === "LINK_TIMEOUT");

const COMPLETION: readonly Row<Completion>[] = [
  ["submit.one-cqe-each", (c) => !multishot(c)],
  ["submit.invalid-opcode", ({ sqe }) => OPCODE_NAMES[sqe.opcode] === undefined],
  ["multishot.more-flag", (c) => multishot(c)],
  ["drain.waits-all-before", ({ sqe }) => (sqe.flags & IOSQE_IO_DRAIN) !== 0],
  ["link.in-sequence", ({ lane, cqe }) => lane.behind !== undefined && cqe.res !== -ECANCELED],
  ["link.error-severs-chain", (c) => cancelled(c) && severed(c.lane)],
  ["link-timeout.target-ecanceled", (c) => cancelled(c) && timer(c)?.cqes.at(-1)?.res === -ETIME],
  ["skip.posts-on-failure", ({ sqe, cqe }) => (sqe.flags & IOSQE_CQE_SKIP_SUCCESS) !== 0 && cqe.res < 0],
  ["cancel.target-ecanceled", (c) => cancelled(c) && !severed(c.lane) && took(c, "ASYNC_CANCEL")],
  ["issue.bad-fd", ({ sqe, cqe, lane }) => cqe.res === -EBADF && sqe.fd < 0 && lane.name !== "CLOSE" && lane.name !== "ASYNC_CANCEL"],
  ["nop.zero", (c) => named("NOP")(c) && c.sqe.opFlags === 0 && !cancelled(c)],
  ["nop.inject-result", (c) => named("NOP")(c) && (c.sqe.opFlags & IORING_NOP_INJECT_RESULT) !== 0 && !cancelled(c)],
  ["timeout.expiry-etime", (c) => isTimeout(c) && c.cqe.res === -ETIME && (c.sqe.opFlags & IORING_TIMEOUT_ETIME_SUCCESS) === 0],
  ["timeout.etime-success", (c) => isTimeout(c) && c.cqe.res === -ETIME && (c.sqe.opFlags & IORING_TIMEOUT_ETIME_SUCCESS) !== 0],
  ["timeout.never-early", (c) => isTimeout(c) && c.cqe.res === -ETIME],
  ["timeout.count-satisfied", (c) => isTimeout(c) && c.cqe.res === 0 && c.sqe.off > 0n],
  ["timeout.cancelled-ecanceled", (c) => isTimeout(c) && cancelled(c) && !severed(c.lane)],
  ["timeout.multishot-repeats", (c) => isTimeout(c) && more(c)],
  ["timeout.remove-results", (c) => named("TIMEOUT_REMOVE")(c) && !updates(c)],
  ["timeout.update", (c) => named("TIMEOUT_REMOVE")(c) && updates(c) && c.cqe.res === 0],
  ["link-timeout.etime-first", (c) => named("LINK_TIMEOUT")(c) && c.cqe.res === -ETIME],
  ["link-timeout.disarmed-canceled", (c) => named("LINK_TIMEOUT")(c) && cancelled(c) && !severed(c.lane)],
  ["cancel.first-only", (c) => named("ASYNC_CANCEL")(c) && !cancelMany(c) && c.cqe.res === 0],
  ["cancel.not-found", (c) => named("ASYNC_CANCEL")(c) && !cancelMany(c) && c.cqe.res === -2],
  ["cancel.all-counts", (c) => named("ASYNC_CANCEL")(c) && cancelMany(c) && c.cqe.res >= 0],
  ["poll.one-shot", (c) => named("POLL_ADD")(c) && !multishot(c) && c.cqe.res > 0],
  ["poll.multishot-more", (c) => named("POLL_ADD")(c) && more(c)],
  ["poll.removed-ecanceled", (c) => named("POLL_ADD")(c) && cancelled(c) && took(c, "POLL_REMOVE")],
  ["poll.remove-results", (c) => named("POLL_REMOVE")(c) && c.sqe.len === 0],
  ["rw.result-count", (c) => isTransfer(c) && c.cqe.res >= 0],
  ["openat.result-fd", (c) => named("OPENAT")(c) && c.cqe.res >= 0],
  ["close.bad-fd", (c) => named("CLOSE")(c) && c.cqe.res === -EBADF],
  ["fsync.always-worker", (c) => named("FSYNC")(c) && !cancelled(c)],
];

function ofStore(facts: Facts): RuleId[] {
  const { event, setup, kernelHead, after } = facts;
  const filled = setup?.filled;
  if (event.event !== "store" || filled === undefined) return [];
  const { sqOff, cqOff } = filled;
  if (event.region === "sqes") return ringFlag(facts, IORING_SETUP_SQE128) ? ["setup.sqe128"] : [];
  switch (event.at) {
    case sqOff.tail:
      return (after.sqTail - kernelHead) >>> 0 > filled.sqEntries ? ["sq.free-running", "sq.tail-clamped"] : ["sq.free-running"];
    case cqOff.head:
      return (after.cqTail - after.cqHead) >>> 0 > filled.cqEntries ? ["cq.free-running", "cq.head-lies"] : ["cq.free-running"];
    case sqOff.head:
      return ["sq.head-app-store-ignored"];
    case sqOff.ringMask:
    case sqOff.ringEntries:
    case cqOff.ringMask:
    case cqOff.ringEntries:
      return ["mapping.kernel-words-ignored"];
    default:
      return sqOff.array > 0 && event.at >= sqOff.array ? ["sq.array-index"] : [];
  }
}

const REGISTER: Readonly<Record<number, RuleId>> = {
  [IORING_REGISTER_SYNC_CANCEL]: "cancel.sync",
  [IORING_REGISTER_ENABLE_RINGS]: "register.enable-once",
  [IORING_REGISTER_PROBE]: "register.probe",
  [IORING_REGISTER_QUERY]: "register.query",
  [IORING_REGISTER_RING_FDS]: "register.ring-fds",
  [IORING_UNREGISTER_RING_FDS]: "register.unregister-ring-fds",
  [IORING_REGISTER_PERSONALITY]: "register.personality-ids",
  [IORING_UNREGISTER_PERSONALITY]: "register.personality-unknown",
  [IORING_REGISTER_EVENTFD]: "eventfd.one-at-a-time",
  [IORING_REGISTER_EVENTFD_ASYNC]: "eventfd.async-workers-only",
  [IORING_UNREGISTER_EVENTFD]: "eventfd.unregister",
  [IORING_REGISTER_CLOCK]: "register.clock",
  [IORING_REGISTER_MEM_REGION]: "register.mem-region",
  [IORING_REGISTER_RESTRICTIONS]: "restriction.checked-whole",
  [IORING_REGISTER_RESIZE_RINGS]: "resize.maps-anew",
};

/** Ids of the rules that speak of this step. `lanes`: every request until now. */
export function rulesOf(facts: Facts, lanes: readonly Lane[]): RuleId[] {
  const found = new Set<RuleId>(ofStore(facts));
  const match = <T>(rows: readonly Row<T>[], of: T): void => {
    for (const [rule, is] of rows) if (is(of, facts)) found.add(rule);
  };
  const { event, taken, completed } = facts;
  if (event.event === "setup") match(SETUP, event);
  if (event.event === "enter") match(ENTER, event);
  if (event.event === "peek") match(PEEK, event);
  if (event.event === "fdinfo") found.add(event.info === undefined ? "fdinfo.locked" : "fdinfo.words");
  const registers = event.event === "register" ? REGISTER[(event.opcode & ~IORING_REGISTER_USE_REGISTERED_RING) >>> 0] : undefined;
  if (registers !== undefined) found.add(registers);
  if (event.event === "register" && event.index !== undefined) found.add("register.by-index");
  if (taken.length > 0) found.add(ringFlag(facts, IORING_SETUP_NO_SQARRAY) ? "sq.no-sqarray" : "sq.array-index");
  if (taken.some(({ behind }) => behind !== undefined)) found.add("link.collects");
  for (const { lane, cqe } of completed) if (lane.sqe !== undefined) match(COMPLETION, { lane, cqe, sqe: lane.sqe, lanes });
  if (completed.some(({ lane }) => lane.sqe !== undefined)) found.add("sq.user-data");
  return [...found];
}
