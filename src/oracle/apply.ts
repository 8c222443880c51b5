// One event of a trace, applied to one candidate: what the application did is done to the model, what
// it saw is compared. Throws NOT_THIS_RUN where they differ.
import { enter, leaveCall, register } from "../model/enter.ts";
import { beginBacklog, clearSqFlag } from "../model/completion.ts";
import { isFarOff, lookup } from "../model/descriptor.ts";
import { readBeforeSignal, settleSignals, signalsCame } from "../model/eventfd.ts";
import { CQES, WORD } from "../model/layout.ts";
import { type Cqe, type Footprint, type Machine, NOT_THIS_RUN } from "../model/machine.ts";
import { load32, load64, segment, writable } from "../model/memory.ts";
import { settlePosition } from "../model/rw.ts";
import { checkSetup, filledParams, newRing } from "../model/setup.ts";
import { direct } from "../model/system.ts";
import { hasPollThread, pollThreadSince } from "../model/sqpoll.ts";
import { enabled, isPollStep } from "../model/steps.ts";
import { wakeQueue } from "../model/wake.ts";
import { SIGNAL, WouldBlockForever, type IoUringParams } from "../kernel.ts";
import { CQE } from "../spec/codec.gen.ts";
import { EAGAIN, EBADF, IORING_SETUP_NO_SQARRAY, IORING_SQ_CQ_OVERFLOW, IORING_SQ_NEED_WAKEUP, IORING_SQ_TASKRUN, O_DIRECTORY, O_RDONLY, O_RDWR, O_WRONLY } from "../spec/constants.gen.ts";
import type {
  EnterEvent, LookEvent, MemoryEvent, PeekEvent, RegisterEvent, SetupEvent, StoreEvent, SystemEvent,
} from "../program/trace.ts";
import { isFull } from "./backlog.ts";
import type { Expected } from "./expectation.ts";
import type { Guided } from "./guided.ts";

const differ = (): never => {
  throw NOT_THIS_RUN;
};

/** Compares io_uring_setup, and opens the ring. */
export function applySetup(m: Machine, event: SetupEvent): void {
  const sizes = checkSetup(m.profile, event.entries, event.params, (fd) => (m.world.fds.has(fd) ? "other" : "closed"));
  if (typeof sizes === "number") return event.result === sizes ? undefined : differ();
  if (event.result < 0 || event.filled === undefined) return differ();
  const filled = filledParams(m.profile, sizes, event.params);
  if (!sameParams(filled, event.filled)) return differ();
  m.ring = newRing(sizes, event.params, event.counters ?? 0);
  const inode = m.world.addInode((id) => ({ kind: "ring", id }));
  m.ringInode = inode.id;
  m.ringFd = event.result;
  m.world.fds.set(event.result, m.world.addFile(inode.id, O_RDWR).id);
}

function sameParams(a: IoUringParams, b: IoUringParams): boolean {
  const flat = (p: IoUringParams): readonly number[] =>
    [p.sqEntries, p.cqEntries, p.flags, p.sqThreadCpu, p.sqThreadIdle, p.features, p.wqFd,
      p.sqOff.head, p.sqOff.tail, p.sqOff.ringMask, p.sqOff.ringEntries, p.sqOff.flags, p.sqOff.dropped, p.sqOff.array,
      p.cqOff.head, p.cqOff.tail, p.cqOff.ringMask, p.cqOff.ringEntries, p.cqOff.overflow, p.cqOff.cqes, p.cqOff.flags,
    ];
  const other = flat(b);
  return flat(a).every((value, i) => value === other[i]);
}

export function applyAlloc(m: Machine, addr: bigint, size: number): void {
  m.memory.add(segment(addr, new Uint8Array(size)));
}

export function applyMemory(m: Machine, event: MemoryEvent): void {
  if (!m.memory.write(event.addr, event.bytes)) differ();
}

export function applyStore(m: Machine, event: StoreEvent): void {
  if (event.region === "ring" && event.at === WORD.cqHead && isFull(m)) m.ring.lastFullNs = event.from;
  if (event.region === "ring" && event.at === WORD.sqTail) pollThreadSince(m, event.from);
  writable(event.region === "ring" ? m.ring.ring : m.ring.sqes).set(event.bytes, event.at);
}

/** Does it matter whether something was posted before or after it: for the room that it makes, a signal that it forbids, a word that both write? */
export const isTimed = (event: StoreEvent): boolean => event.region === "ring" && event.at !== WORD.sqTail;

/**
 * The completions that a peek shows and the candidate has not posted; undefined where the tail was scribbled on.
 * `cqEntries`: slots of the queue that the peek looked at.
 */
export function expectedCqes(m: Machine, peek: PeekEvent, cqEntries = m.ring.cqEntries): Expected {
  const fresh = (peek.cqTail - m.ring.cachedCqTail) >>> 0;
  if (fresh > cqEntries) return undefined;
  const expected: Cqe[] = [];
  for (let i = 0; i < fresh; i++) {
    const slot = (m.ring.cachedCqTail + i) & (cqEntries - 1);
    const seen = peek.cqes.find((c) => c.slot === slot);
    if (seen === undefined) return undefined;
    expected.push({ userData: seen.userData, res: seen.res, flags: seen.flags });
    // The second slot of a long one, where slots are short.
    if (seen.big !== undefined && m.ring.cqeSize === CQE.size) i++;
  }
  return expected;
}

/** Does the ring show what the peek loaded, as it stands? */
export function shows(m: Machine, peek: PeekEvent): boolean {
  if (peek.cqes.length > 0) return false;
  const { words } = peek;
  const { bytes } = m.ring.ring;
  for (let i = 0; i < words.length; i++) if (load32(bytes, i * 4) !== words[i]) return false;
  return true;
}

/** Goes on until the ring shows what the peek loaded, and compares every word and every CQE of it. */
export function applyPeek(m: Machine, guide: Guided, peek: PeekEvent): void {
  if (word(m, WORD.cqTail) !== peek.cqTail) guide.finish(m);
  if (word(m, WORD.cqTail) !== peek.cqTail) differ();
  for (const seen of peek.cqes) {
    const at = CQES + seen.slot * m.ring.cqeSize;
    const { bytes } = m.ring.ring;
    if (load64(bytes, at) !== seen.userData || (load32(bytes, at + 8) | 0) !== seen.res || load32(bytes, at + 12) !== seen.flags)
      differ();
    if (seen.big !== undefined && (load64(bytes, at + CQE.size) !== seen.big[0] || load64(bytes, at + CQE.size + 8) !== seen.big[1])) differ();
  }
  const flags = peek.words[WORD.sqFlags >>> 2] ?? 0;
  matchPollThread(m, guide, peek);
  matchFlags(m, guide, flags);
  // What set the flag may have woken the thread, which sleeps again.
  matchPollThread(m, guide, peek);
  matchTaskRun(m, guide, flags);
  for (let i = 0; i < peek.words.length; i++) if (word(m, i * 4) !== peek.words[i]) differ();
}

/**
 * The flags were loaded after the tail: the backlog may have begun in between, by workers that nothing
 * tells apart until it is flushed; and one that was begun so may turn out to be empty again.
 */
function matchFlags(m: Machine, guide: Guided, seen: number): void {
  const had = word(m, WORD.sqFlags) & IORING_SQ_CQ_OVERFLOW;
  const has = seen & IORING_SQ_CQ_OVERFLOW;
  if (had === has) return;
  if (guide.exhaustive) {
    while ((word(m, WORD.sqFlags) & IORING_SQ_CQ_OVERFLOW) !== has) {
      const steps = enabled(m);
      const step = steps[guide.choose(m, "order.step", steps.map((s) => s.kind))];
      if (step === undefined) return differ();
      guide.run(m, step);
    }
  } else if (has === 0) {
    if (m.ring.overflow.length > 0) differ();
    m.ring.backlogUnknown = false;
    clearSqFlag(m, IORING_SQ_CQ_OVERFLOW);
  } else {
    if (enabled(m).length === 0) differ();
    beginBacklog(m);
  }
}

/** The flag was loaded after the tail: task work may have been queued in between, or run at an interrupt. */
function matchTaskRun(m: Machine, guide: Guided, seen: number): void {
  const wanted = seen & IORING_SQ_TASKRUN;
  while ((word(m, WORD.sqFlags) & IORING_SQ_TASKRUN) !== wanted) {
    const steps = enabled(m).filter((s) => (s.kind === "task-work") === (wanted === 0));
    const step = steps[guide.choose(m, "order.step", steps.map((s) => s.kind))];
    if (step === undefined) return differ();
    guide.run(m, step);
  }
}

/** A thread that polls moves these, and nothing else shows it: it goes on until they are as they were loaded. */
function matchPollThread(m: Machine, guide: Guided, peek: PeekEvent): void {
  const seen = (at: number): number => peek.words[at >>> 2] ?? 0;
  const differs = (): boolean =>
    word(m, WORD.sqHead) !== seen(WORD.sqHead) || word(m, WORD.sqDropped) !== seen(WORD.sqDropped) ||
    ((word(m, WORD.sqFlags) ^ seen(WORD.sqFlags)) & IORING_SQ_NEED_WAKEUP) !== 0;
  while (hasPollThread(m) && differs()) {
    // Asleep, it is woken by what a worker or a timer leaves to it.
    const asleep = m.ring.thread?.asleep === true;
    const steps = enabled(m).filter((s) => asleep || isPollStep(s) || s.kind === "task-work");
    const step = steps[guide.choose(m, "order.step", steps.map((s) => s.kind))];
    if (step === undefined) return differ();
    guide.run(m, step);
  }
}

const word = (m: Machine, at: number): number => load32(m.ring.ring.bytes, at);

/** io_uring_enter: the model's must return the same. */
export function applyEnter(m: Machine, event: EnterEvent): void {
  const { toSubmit, minComplete, flags, arg, index } = event;
  if (returned(() => enter(m, { toSubmit, minComplete, flags, arg, index })) !== event.result) differ();
}

/** What a call returns: the one that was seen did. [liveness.blocks] */
function returned(call: () => number): number {
  try {
    return call();
  } catch (error) {
    if (error instanceof WouldBlockForever) return differ();
    throw error;
  }
}

export function applyRegister(m: Machine, event: RegisterEvent): void {
  if (returned(() => register(m, event.opcode, event.arg, event.nrArgs, event.index)) !== event.result) differ();
  signalsCame(m);
  if (event.filled === undefined) return;
  const { sqEntries, cqEntries, arrayOffset, flags } = m.ring;
  const array = (flags & IORING_SETUP_NO_SQARRAY) === 0 ? arrayOffset : 0;
  if (event.filled.sqEntries !== sqEntries || event.filled.cqEntries !== cqEntries || event.filled.sqOff.array !== array) differ();
}

/** An ordinary system call: the same result, the same bytes. */
export function applySystem(m: Machine, event: SystemEvent): void {
  m.inCall = true;
  try {
    perform(m, event);
    // [taskrun.coop-waits] where the port itself refused the descriptor, the thread was never in the kernel
    if (event.result === -EBADF && m.taskWorks.length > 0) m.lateTaskWork = true;
    leaveCall(m);
  } finally {
    m.inCall = false;
  }
}

function perform(m: Machine, event: SystemEvent): void {
  const { request, result } = event;
  const { world } = m;
  switch (request.call) {
    case "open": {
      m.scheduler.before(m, () => ({ reads: [], writes: ["directory", "new descriptor"] }));
      const root = world.addFile(world.root, O_RDONLY | O_DIRECTORY);
      const file = world.open(root.id, request.path, request.flags);
      world.put(root.id, wakeQueue(m));
      if (file < 0) return result === file ? undefined : differ();
      return give(m, result, file);
    }
    case "pipe": {
      const inode = world.addInode((id) => ({ kind: "pipe", id, buffers: [], readers: 0, writers: 0, pollUsage: false }));
      give(m, result, world.addFile(inode.id, O_RDONLY).id);
      return give(m, event.second ?? -1, world.addFile(inode.id, O_WRONLY).id);
    }
    case "raise":
      world.signalled = true;
      return result === 0 ? undefined : differ();
    case "take-signal": {
      const { signalled } = world;
      world.signalled = false;
      return result === (signalled ? SIGNAL : -EAGAIN) ? undefined : differ();
    }
    case "eventfd": {
      const { count } = request;
      const inode = world.addInode((id) => ({ kind: "eventfd", id, count: BigInt(count), unsure: 0, semaphore: false }));
      return give(m, result, world.addFile(inode.id, O_RDWR).id);
    }
    case "dup":
      return give(m, result, world.get(request.fd));
    case "close": {
      m.scheduler.before(m, () => touching(m, request.fd));
      const file = owned(m, request.fd);
      if (file === 0) return result === -EBADF ? undefined : differ();
      world.fds.delete(request.fd);
      world.put(file, wakeQueue(m));
      return result === 0 ? undefined : differ();
    }
    default:
      return transfer(m, event, request);
  }
}

type Transfer = Extract<SystemEvent["request"], { call: "read" | "write" | "pread" | "pwrite" }>;

function transfer(m: Machine, event: SystemEvent, request: Transfer): void {
  m.scheduler.before(m, () => touching(m, request.fd));
  const file = owned(m, request.fd);
  if (file === 0) return event.result === -EBADF ? undefined : differ();
  settlePosition(m, file);
  const pos = request.call === "pread" || request.call === "pwrite" ? request.offset : undefined;
  if (request.call === "write" || request.call === "pwrite") {
    const result = m.world.write(file, direct(request.bytes), pos, wakeQueue(m));
    return result === event.result ? undefined : differ();
  }
  const seen = event.bytes?.length === 8 ? load64(event.bytes, 0) : 0n;
  settleSignals(m, file, seen);
  if (m.hasRing && request.call === "read" && request.size >= 8 && (event.result === 8 || event.result === -EAGAIN) && readBeforeSignal(m, file, seen)) return;
  const bytes = scratch(request.size);
  const result = m.world.read(file, direct(bytes), pos, wakeQueue(m));
  if (result !== event.result || !same(bytes.subarray(0, Math.max(result, 0)), event.bytes)) differ();
}

let scratched = new Uint8Array(0);

/** Room for what one read stores, until the next: most ask for far more than there is. */
function scratch(size: number): Uint8Array {
  if (scratched.length < size) scratched = new Uint8Array(size);
  return scratched.subarray(0, size);
}

/** The file behind a descriptor that the application itself may use: not the ring's, nor one whose number no completion has shown. */
export function owned(m: Machine, fd: number): number {
  const file = lookup(m, fd);
  if (m.world.guessed.has(fd)) return 0;
  return file !== 0 && m.world.inode(m.world.file(file).inode).kind === "ring" ? 0 : file;
}

export function touching(m: Machine, fd: number): Footprint {
  const id = m.world.fds.get(fd);
  const file = id === undefined ? undefined : m.world.files.get(id);
  const writes = m.world.fds.has(fd) || isFarOff(m, fd) ? [`fd:${fd}`] : [`fd:${fd}`, "new descriptor"];
  if (file !== undefined) writes.push(`inode:${file.inode}`, `file:${file.id}`);
  return { reads: [], writes };
}

/** A system call handed out this number: the model's table must have it free. */
function give(m: Machine, fd: number, file: number): void {
  if (fd < 0 || m.world.fds.has(fd)) differ();
  m.world.fds.set(fd, file);
}

/** Is the application's memory as it was loaded? */
export const holds = (m: Machine, event: LookEvent): boolean => same(m.memory.view(event.addr, event.bytes.length) ?? new Uint8Array(0), event.bytes);

/** The application loaded its own memory. */
export function applyLook(m: Machine, event: LookEvent): void {
  m.scheduler.before(m, () => ({ reads: [`mem:${event.addr}`], writes: [] }));
  if (!holds(m, event)) differ();
}

/** So few bytes are compared sooner here than by a call. */
const SHORT = 64;

function same(a: Uint8Array, b: Uint8Array | undefined): boolean {
  if (b === undefined || a.length !== b.length) return false;
  if (a.length > SHORT) return Buffer.compare(a, b) === 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
