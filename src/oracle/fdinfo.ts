// A reading of what procfs shows of a ring, judged field by field. The kernel loads the words of the ring first, its own
// tail and the entries then, the polls and the backlog last, and workers and timers go on between these: so does the
// candidate, until it shows what was seen. Throws NOT_THIS_RUN where it can't.
import type { InfoOverflow, RingInfo } from "../fdinfo.ts";
import { leaveCall } from "../model/enter.ts";
import { isFull } from "./backlog.ts";
import { cqes, ringInfo, sqes } from "../model/fdinfo.ts";
import { WORD } from "../model/layout.ts";
import { type Backlogged, type Cqe, type Machine, NOT_THIS_RUN } from "../model/machine.ts";
import { load32 } from "../model/memory.ts";
import { hasPollThread, isInBatch } from "../model/sqpoll.ts";
import { enabled, type Step } from "../model/steps.ts";
import type { FdinfoEvent } from "../program/trace.ts";
import { eligible } from "./backlog.ts";
import { same } from "./expectation.ts";
import type { Guided } from "./guided.ts";
import { numberShown } from "./opened.ts";
import { racing } from "./quiet.ts";
import { relevant } from "./relevant.ts";

/** Fields that are compared as they are, once the candidate has come to where the tail was. */
const WORDS = ["sqMask", "sqHead", "sqTail", "cachedSqHead", "cqMask", "cqHead", "cqTail", "sqeCount", "cqeCount"] as const;
const THREAD = ["sqThread", "sqThreadCpu", "sqTotalTime", "sqWorkTime"] as const;
const COUNTS = ["userFileCount", "userBufCount"] as const;

const differ = (): never => {
  throw NOT_THIS_RUN;
};

/** One read(2) of it, and the task work at its end. */
export function applyFdinfo(m: Machine, guide: Guided, { info }: FdinfoEvent): void {
  if (info !== undefined) catchUp(m, guide, info.overflow);
  m.inCall = !hasPollThread(m);
  try {
    // [fdinfo.locked] only somebody beside the thread can have held the lock: a thread that polls runs its task work so
    if (info !== undefined) show(m, guide, info);
    else if (!racing(m) && m.ring.thread?.asleep !== false) differ();
    leaveCall(m);
  } finally {
    m.inCall = false;
  }
}

/** The first field in which the candidate's reading differs from the one that was seen, as it stands. */
export function firstDifference(m: Machine, seen: RingInfo): string | undefined {
  const mine = ringInfo(m);
  const names = [...WORDS, ...(hasPollThread(m) ? [] : THREAD), ...COUNTS, "cachedCqTail", "sqes", "cqes", "userFiles", "userBufs", "personalities", "polls", "overflow"] as const;
  const text = (value: unknown): string => JSON.stringify(value, (_key, v: unknown) => (typeof v === "bigint" ? String(v) : v));
  const of = (info: RingInfo, name: keyof RingInfo): unknown => (name === "polls" ? opcodes(info) : info[name]);
  const name = names.find((n) => text(of(mine, n)) !== text(of(seen, n)));
  return name === undefined ? undefined : `${name} ${text(of(mine, name))}`;
}

/** [fdinfo.moments] */
function show(m: Machine, guide: Guided, seen: RingInfo): void {
  before(m, guide);
  while (hasPollThread(m) && isBehind(m, seen)) step(m, guide, enabled(m));
  while (load32(m.ring.ring.bytes, WORD.cqTail) !== seen.cqTail) towards(m, guide);
  compareAll(m, WORDS, seen);
  before(m, guide);
  while (m.ring.cachedCqTail !== seen.cachedCqTail) towards(m, guide);
  const mine = ringInfo(m);
  // As many as the words said, though more may have come since.
  compare(sqes(m, seen.sqHead, seen.sqeCount), seen.sqes);
  compare(cqes(m, seen.cqHead, seen.cqeCount), seen.cqes);
  // [fdinfo.sq-thread] where a thread polls, which one it is and what it took of the CPU is nobody's to know
  if (!hasPollThread(m)) compareAll(m, THREAD, seen);
  compareAll(m, COUNTS, seen);
  compare([mine.userFiles, mine.userBufs, mine.personalities], [seen.userFiles, seen.userBufs, seen.personalities]);
  before(m, guide);
  while (!alike(opcodes(ringInfo(m)), opcodes(seen))) step(m, guide, enabled(m).filter((s) => s.kind === "effect"));
  before(m, guide);
  backlog(m, guide, seen.overflow);
}

/** The lock is not taken while a batch is under way: the thread that polls is before it or behind it. */
const isBehind = (m: Machine, seen: RingInfo): boolean =>
  m.ring.cachedSqHead !== seen.cachedSqHead || load32(m.ring.ring.bytes, WORD.sqHead) !== seen.sqHead || isInBatch(m);

/** The last search tries every step at every place. */
function before(m: Machine, guide: Guided): void {
  if (guide.exhaustive) guide.before(m, () => ({ reads: [], writes: ["*"] }));
}

/** Towards the completion that the window shows next; anything, where what it shows is not known. */
function towards(m: Machine, guide: Guided): void {
  if (guide.follows) guide.toward(m);
  else step(m, guide, enabled(m));
}

function step(m: Machine, guide: Guided, steps: readonly Step[]): void {
  // Task work is done by the thread, which is in the call.
  const able = steps.filter((s) => s.kind !== "task-work" || hasPollThread(m));
  const taken = able[guide.choose(m, "order.step", able.map((s) => s.kind))];
  if (taken === undefined) return differ();
  guide.run(m, taken);
}

// [fdinfo.task-works] says nothing of the ring alone, so it is not compared.
const opcodes = (info: RingInfo): readonly number[] => info.polls.map(({ opcode }) => opcode);

const plain = (value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);
const alike = (a: unknown, b: unknown): boolean => JSON.stringify(a, (_key, v) => plain(v)) === JSON.stringify(b, (_key, v) => plain(v));

function compare(a: unknown, b: unknown): void {
  if (!alike(a, b)) differ();
}

function compareAll(m: Machine, names: readonly (keyof RingInfo)[], seen: RingInfo): void {
  const mine = ringInfo(m);
  for (const name of names) if (mine[name] !== seen[name]) differ();
}

/**
 * The backlog in its order: until now that of completions which workers and timers brought about was not known. What
 * is not in it yet comes behind it.
 */
function backlog(m: Machine, guide: Guided, seen: readonly InfoOverflow[]): void {
  const { ring } = m;
  for (;;) {
    const [missing] = missingIn(ring.overflow, seen);
    if (missing === undefined) break;
    step(m, guide, guide.exhaustive ? enabled(m) : relevant(m, missing, guide.effort > 0));
  }
  if (ring.overflow.length !== seen.length || (ring.backlogUnknown && seen.length === 0)) differ();
  ring.overflow = arranged(m, seen);
  ring.backlogUnknown = false;
  for (const r of m.requests.values()) r.backlogSince = Math.max(r.backlogSince, ring.backlogged);
}

/** What is in the backlog came before the call, by task work too, but for what workers put there during it. */
function catchUp(m: Machine, guide: Guided, seen: readonly InfoOverflow[]): void {
  for (;;) {
    const missing = missingIn(m.ring.overflow, seen);
    const [first] = missing;
    if (first === undefined) return;
    if (!isFull(m)) {
      if (guide.choose(m, "order.before", ["nothing", "step"]) === 0) return;
      towards(m, guide);
      continue;
    }
    if (relevant(m, first, guide.exhaustive).length === 0 || guide.choose(m, "order.before", ["step", "nothing"]) === 1) return;
    guide.towardBacklog(m, missing);
  }
}

function missingIn(held: readonly Backlogged[], seen: readonly InfoOverflow[]): readonly Cqe[] {
  const rest = [...held];
  return seen.filter((e) => {
    const at = rest.findIndex((cqe) => same(e, cqe));
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}

/** Taken out one after the other, as a flush would. */
function arranged(m: Machine, seen: readonly InfoOverflow[]): readonly Backlogged[] {
  let left = m.ring.overflow;
  return seen.map((e, taken): Backlogged => {
    const at = eligible(left, m.ring.flushed + taken).find((i) => same(e, left[i] ?? differ()));
    const entry = at === undefined ? undefined : left[at];
    if (entry === undefined) return differ();
    left = left.filter((other) => other !== entry);
    const { userData, flags, big, group, opened } = entry;
    if (opened !== undefined) numberShown(m, opened, e.res);
    return { userData, res: e.res, flags, group, ...(big === undefined ? {} : { big }) };
  });
}
