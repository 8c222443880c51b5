// What a run exercised, counted from its program and its trace, so that a green run can show that it
// was not an empty one. Only consumed requests count: the entries that io_uring_enter took are found by
// replaying the application's stores, the way the kernel reads them.
import {
  ECANCELED, IORING_ENTER_ABS_TIMER, IORING_ENTER_EXT_ARG_REG, IORING_ENTER_GETEVENTS, IORING_REGISTER_USE_REGISTERED_RING, IORING_SETUP_NO_SQARRAY, IORING_SETUP_SQE128, IORING_SQ_CQ_OVERFLOW, IOSQE_IO_DRAIN, IOSQE_IO_HARDLINK, IOSQE_IO_LINK, OPCODE_NAMES, REGISTER_OPCODES,
} from "../spec/constants.gen.ts";
import { GETEVENTS_ARG, SQE, SYNC_CANCEL_REG } from "../spec/codec.gen.ts";
import type { Program } from "./program.ts";
import type { EnterEvent, PeekEvent, SetupEvent, StoreEvent, TraceEvent } from "./trace.ts";

export interface Exercise {
  /** Operations of the program; 0 where the ring was refused, for none of them ran. */
  readonly operations: number;
  /** Requests by opcode name that the kernel consumed. */
  readonly opcodes: Record<string, number>;
  /** Times that an SQ or CQ index went round its ring (or past 2^32). */
  readonly wraps: number;
  /** Times that the backlog began (IORING_SQ_CQ_OVERFLOW was seen to rise). */
  readonly overflows: number;
  /** Chains of two or more requests that were submitted. */
  readonly chains: number;
  /** Requests with IOSQE_IO_DRAIN that were submitted. */
  readonly drains: number;
  /** Completions with -ECANCELED. */
  readonly cancels: number;
  /** Times that procfs showed the ring. */
  readonly readings: number;
  /** Calls of io_uring_register that succeeded, by name, and those that were refused; those that end a run left out. */
  readonly registered: Record<string, number>;
  readonly registerRefused: Record<string, number>;
  /** Calls that did what they were asked to: either call by an index, and waits of io_uring_enter by their kind. */
  readonly entered: Record<string, number>;
}

const LINKS = IOSQE_IO_LINK | IOSQE_IO_HARDLINK;
const SQ_HEAD_INDEX = 0;
const SQ_FLAGS_INDEX = 9;
const NO_COUNTS = { wraps: 0, overflows: 0, chains: 0, drains: 0, cancels: 0, readings: 0, registered: {}, registerRefused: {}, entered: {} };

function load32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0;
}

/** Counts what the events show; `program` says only how many operations there were. */
export function exercised(program: Program, trace: readonly TraceEvent[]): Exercise {
  const setup = trace.find((event) => event.event === "setup");
  if (setup?.filled === undefined || setup.result < 0) return { operations: 0, opcodes: {}, ...NO_COUNTS };
  const counter = new Counter(setup, setup.filled);
  for (const event of trace) {
    if (event.event === "store") counter.store(event);
    else if (event.event === "enter") counter.enter(event);
    else if (event.event === "peek") counter.peek(event);
    else if (event.event === "register" && event.filled !== undefined) counter.resize(event.filled);
  }
  const { wraps, overflows, chains, drains, cancels } = counter;
  const readings = trace.filter((event) => event.event === "fdinfo" && event.info !== undefined).length;
  return { operations: program.ops.length, opcodes: counter.byName(), wraps, overflows, chains, drains, cancels, readings, ...callsOf(trace) };
}

/** Where the argument of the cancel is that the interpreter ends a run with. */
export function endingArgument(trace: readonly TraceEvent[]): bigint | undefined {
  const ending = trace.findLast((event) => event.event === "alloc" && event.size === SYNC_CANCEL_REG.size);
  return ending?.event === "alloc" ? ending.addr : undefined;
}

/** Everything but the cancel that the interpreter ends a run with: its time is without end, and it takes anything. */
function callsOf(trace: readonly TraceEvent[]): Pick<Exercise, "registered" | "registerRefused" | "entered"> {
  const calls = { registered: {}, registerRefused: {}, entered: {} };
  const add = (into: Record<string, number>, name: string): void => void (into[name] = (into[name] ?? 0) + 1);
  const min = new Map<bigint, boolean>();
  const endsBy = endingArgument(trace);
  for (const event of trace) {
    if (event.event === "memory" && event.bytes.length >= GETEVENTS_ARG.size) min.set(event.addr, load32(event.bytes, GETEVENTS_ARG.min_wait_usec) !== 0);
    if (event.event === "register" && event.arg !== endsBy) {
      const plain = (event.opcode & ~IORING_REGISTER_USE_REGISTERED_RING) >>> 0;
      const name = REGISTER_OPCODES.find(({ value }) => value === plain)?.name.replace("IORING_REGISTER_", "").replace("IORING_", "") ?? `#${plain}`;
      add(event.result < 0 ? calls.registerRefused : calls.registered, name);
      if (event.result >= 0 && event.index !== undefined) add(calls.entered, "register by index");
    }
    if (event.event !== "enter" || event.watchdog === true || (event.result ?? 0) < 0) continue;
    if (event.index !== undefined) add(calls.entered, "by index");
    if ((event.flags & IORING_ENTER_GETEVENTS) === 0 || event.arg === undefined) continue;
    if ((event.flags & IORING_ENTER_EXT_ARG_REG) !== 0) add(calls.entered, "by region");
    else if (min.get(event.arg.addr) === true) add(calls.entered, "min wait");
    if ((event.flags & IORING_ENTER_ABS_TIMER) !== 0) add(calls.entered, "until a moment");
  }
  return calls;
}

class Counter {
  wraps = 0;
  overflows = 0;
  chains = 0;
  drains = 0;
  cancels = 0;
  private readonly opcodes = new Map<number, number>();
  private filled: NonNullable<SetupEvent["filled"]>;
  private sqes: Uint8Array;
  private array: Uint32Array;
  private readonly sqeSize: number;
  private readonly hasArray: boolean;
  private readonly start: number;
  /** The kernel's own head; the word in memory may have been scribbled over. */
  private head: number;
  private tail: number;
  private headScribbled = false;
  private overflowing = false;
  private cqeSeen = false;

  constructor(setup: SetupEvent, filled: NonNullable<SetupEvent["filled"]>) {
    this.filled = filled;
    this.start = setup.counters ?? 0;
    this.head = this.start;
    this.tail = this.start;
    this.sqeSize = (filled.flags & IORING_SETUP_SQE128) === 0 ? SQE.size : 2 * SQE.size;
    this.sqes = new Uint8Array(filled.sqEntries * this.sqeSize);
    this.array = new Uint32Array(filled.sqEntries);
    this.hasArray = (filled.flags & IORING_SETUP_NO_SQARRAY) === 0;
  }

  store({ region, at, bytes }: StoreEvent): void {
    if (region === "sqes") return this.sqes.set(bytes.subarray(0, Math.max(0, this.sqes.length - at)), at);
    const { head, tail, array } = this.filled.sqOff;
    if (at === tail) this.tail = load32(bytes, 0);
    else if (at === head) this.headScribbled = true;
    else if (this.hasArray && at >= array) {
      for (let i = 0; i < bytes.length; i += 4) this.array[(at - array + i) >>> 2] = load32(bytes, i);
    }
  }

  /** Pending entries go along, slot by slot. */
  resize(filled: NonNullable<SetupEvent["filled"]>): void {
    const { sqes, sqeSize, filled: old } = this;
    this.sqes = new Uint8Array(filled.sqEntries * sqeSize);
    this.array = new Uint32Array(filled.sqEntries);
    this.filled = filled;
    for (let i = this.head; i !== this.tail && ((this.tail - i) >>> 0) <= filled.sqEntries; i = (i + 1) >>> 0) {
      const from = sqeSize * (i & (old.sqEntries - 1));
      this.sqes.set(sqes.subarray(from, from + sqeSize), sqeSize * (i & (filled.sqEntries - 1)));
    }
  }

  private index(): number {
    const slot = this.head & (this.filled.sqEntries - 1);
    return this.hasArray ? (this.array[slot] ?? 0) : slot;
  }

  private advance(): void {
    if ((this.head & (this.filled.sqEntries - 1)) === 0 && this.head !== this.start) this.wraps++;
    this.head = (this.head + 1) >>> 0;
  }

  enter({ toSubmit, result }: EnterEvent): void {
    const { sqEntries } = this.filled;
    const offered = Math.min(toSubmit, (this.tail - this.head) >>> 0, sqEntries);
    // A call that never returned took what it was offered.
    const consumed = Math.min(Math.max(result ?? offered, 0), offered);
    let members = 0;
    for (let taken = 0; taken < consumed; taken++) {
      const index = this.index();
      if (index >= sqEntries) break;
      this.advance();
      members = this.count(index, members);
    }
    if (members > 1) this.chains++;
    // The kernel publishes its head when it was offered anything.
    if (offered > 0 && (result ?? 0) >= 0) this.headScribbled = false;
  }

  /** Counts one request; returns how many members the chain that it leaves open has. */
  private count(index: number, members: number): number {
    const opcode = this.sqes[index * this.sqeSize + SQE.opcode] ?? 0;
    const flags = this.sqes[index * this.sqeSize + SQE.flags] ?? 0;
    this.opcodes.set(opcode, (this.opcodes.get(opcode) ?? 0) + 1);
    if ((flags & IOSQE_IO_DRAIN) !== 0) this.drains++;
    if ((flags & LINKS) !== 0) return members + 1;
    if (members > 0) this.chains++;
    return 0;
  }

  peek({ cqes, words }: PeekEvent): void {
    const head = words[SQ_HEAD_INDEX] ?? this.head;
    // An index out of range costs an entry and is not in the result of the call: here it shows.
    if (!this.headScribbled && head === (this.head + 1) >>> 0) this.advance();
    else if (!this.headScribbled) this.head = head;
    for (const { slot, res } of cqes) {
      if (slot === 0 && this.cqeSeen) this.wraps++;
      this.cqeSeen = true;
      if (res === -ECANCELED) this.cancels++;
    }
    const overflowing = ((words[SQ_FLAGS_INDEX] ?? 0) & IORING_SQ_CQ_OVERFLOW) !== 0;
    if (overflowing && !this.overflowing) this.overflows++;
    this.overflowing = overflowing;
  }

  byName(): Record<string, number> {
    const names: Record<string, number> = {};
    for (const [opcode, times] of this.opcodes) names[OPCODE_NAMES[opcode] ?? `#${opcode}`] = times;
    return names;
  }
}
