// What no single line of a trace can show: a clock that never runs back, a ring before what is done with it,
// bytes inside memory that is there. A trace that fails here is no trace of any kernel, so nobody judges it.
import {
  IORING_CQE_F_32,
  IORING_REGISTER_RESIZE_RINGS,
  IORING_REGISTER_USE_REGISTERED_RING,
  IORING_SETUP_CQE32,
  IORING_SETUP_CQE_MIXED,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SQE128,
} from "../spec/constants.gen.ts";
import { CQE, SQE } from "../spec/codec.gen.ts";
import type { IoUringParams } from "../kernel.ts";
import type { PeekEvent, RegisterEvent, SeenCqe, SetupEvent, SystemEvent, TraceEvent } from "./trace.ts";

/** All memory of one trace together. */
const MEMORY_MAX = 1 << 28;

const NEEDS_RING: ReadonlySet<TraceEvent["event"]> = new Set(["store", "enter", "register", "fdinfo", "peek"]);

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** Follows a trace from its first event on. */
export class TraceOrder {
  private nowNs = 0n;
  private setUp: SetupEvent | undefined;
  private ended = false;
  private readonly memory: { readonly from: bigint; readonly to: bigint }[] = [];
  private memorySize = 0;
  /** cq.tail as the last peek loaded it. */
  private cqTail = 0;

  /** What is wrong with the next event, as "expected ..., got ..."; undefined where nothing is. */
  fault(event: TraceEvent): string | undefined {
    if (this.ended) return 'expected the end of the trace behind an enter that never returned (one without "result"), got another event';
    if (event.from < this.nowNs) return `expected "from" no earlier than the event before ended, at ${this.nowNs}, got ${event.from}`;
    if (event.to < event.from) return `expected "to" no earlier than "from", ${event.from}, got ${event.to}`;
    this.nowNs = event.to;
    if (NEEDS_RING.has(event.event) && this.setUp?.filled === undefined)
      return "expected a setup that succeeded before anything is done with the ring, got none";
    switch (event.event) {
      case "setup":
        return this.setup(event);
      case "alloc":
        return this.alloc(event.addr, event.size);
      case "memory":
      case "look":
        return this.inside(event.addr, event.bytes.length);
      case "store":
        return this.store(event.region, event.at + event.bytes.length);
      case "system":
        return systemFault(event);
      case "enter":
        this.ended = event.result === undefined;
        return undefined;
      case "register":
        return this.register(event);
      case "peek":
        return this.setUp?.filled === undefined ? undefined : this.peek(event, this.setUp.filled);
      default:
        return undefined;
    }
  }

  private setup(event: SetupEvent): string | undefined {
    if (this.setUp?.filled !== undefined) return "expected one ring a trace, got a second setup";
    this.setUp = event;
    this.cqTail = event.counters ?? 0;
    if (event.result >= 0 && event.filled === undefined)
      return `expected "filled", what the kernel filled in, for the result is ${event.result}; got none`;
    if (event.result < 0 && event.filled !== undefined) return `expected no "filled", for the result is ${event.result}; got one`;
    return undefined;
  }

  /** Other queues have other sizes from there on. */
  private register({ opcode, result, filled }: RegisterEvent): string | undefined {
    const resized = (opcode & ~IORING_REGISTER_USE_REGISTERED_RING) >>> 0 === IORING_REGISTER_RESIZE_RINGS && result === 0;
    if (resized !== (filled !== undefined))
      return resized
        ? 'expected "filled", the parameters of the ring that was resized, got none'
        : 'expected no "filled", for this call gave the ring no other size; got one';
    if (filled !== undefined && this.setUp !== undefined) this.setUp = { ...this.setUp, filled };
    return undefined;
  }

  /** A look that left out a completion would hide it from every judge. */
  private peek(event: PeekEvent, filled: IoUringParams): string | undefined {
    const before = this.cqTail;
    this.cqTail = event.cqTail;
    return peekFault(event, before, filled);
  }

  private alloc(from: bigint, size: number): string | undefined {
    const to = from + BigInt(size);
    const other = this.memory.find((m) => from < m.to && m.from < to);
    if (other !== undefined)
      return `expected memory apart from what is at ${hex(other.from)} to ${hex(other.to)}, got ${hex(from)} to ${hex(to)}`;
    this.memorySize += size;
    if (this.memorySize > MEMORY_MAX) return `expected at most ${MEMORY_MAX} bytes of memory in all, got ${this.memorySize}`;
    this.memory.push({ from, to });
    return undefined;
  }

  private inside(from: bigint, size: number): string | undefined {
    const to = from + BigInt(size);
    if (this.memory.some((m) => from >= m.from && to <= m.to)) return undefined;
    return `expected bytes inside one alloc that came before, got ${hex(from)} to ${hex(to)}`;
  }

  private store(region: "ring" | "sqes", to: number): string | undefined {
    const filled = this.setUp?.filled;
    if (filled === undefined) return undefined;
    const room =
      region === "ring" ? ringSize(filled) : filled.sqEntries * ((filled.flags & IORING_SETUP_SQE128) === 0 ? SQE.size : 2 * SQE.size);
    return to <= room
      ? undefined
      : `expected a store within the ${room} bytes of ${region === "ring" ? "the ring" : "the SQEs"}, got one that ends at ${to}`;
  }
}

/**
 * What is wrong with a look, where cq.tail was `before` at the one before it; undefined where nothing is. A look that
 * left out a completion would hide it from every judge, and one that shows a completion twice is none.
 */
export function peekFault({ cqTail, cqes, words }: PeekEvent, before: number, filled: IoUringParams): string | undefined {
  const word = words[filled.cqOff.tail >>> 2];
  if (word !== cqTail)
    return `expected cqTail and words[${filled.cqOff.tail >>> 2}] to be one load, got ${cqTail} and ${word ?? "nothing"}`;
  const fresh = Math.min((cqTail - before) >>> 0, filled.cqEntries);
  if (fresh === 0 && cqes.length === 0) return undefined;
  const moved = (): string => `for cq.tail went from ${before} to ${cqTail}`;
  const slotOf = (i: number): number => ((cqTail - fresh + i) & (filled.cqEntries - 1)) >>> 0;
  let slots = 0;
  for (const [i, cqe] of cqes.entries()) {
    if (slots >= fresh) return `expected ${i} CQEs, ${moved()}; got ${cqes.length}`;
    if (cqe.slot !== slotOf(slots))
      return `expected the CQE of slot ${slotOf(slots)} at cqes.${i}, ${moved()}; got that of slot ${cqe.slot}`;
    const fault = bigFault(cqe, filled);
    if (fault !== undefined) return `expected ${fault} at cqes.${i}, got ${cqe.big === undefined ? "none" : "one"}`;
    slots += cqe.big === undefined || allBig(filled) ? 1 : 2;
  }
  return slots < fresh ? `expected the CQE of slot ${slotOf(slots)} at cqes.${cqes.length}, ${moved()}; got none` : undefined;
}

const allBig = ({ flags }: IoUringParams): boolean => (flags & IORING_SETUP_CQE32) !== 0;

function ringSize({ flags, sqEntries, cqEntries, sqOff, cqOff }: IoUringParams): number {
  const cqes = cqOff.cqes + cqEntries * ((flags & IORING_SETUP_CQE32) === 0 ? CQE.size : 2 * CQE.size);
  return (flags & IORING_SETUP_NO_SQARRAY) === 0 ? Math.max(cqes, sqOff.array + 4 * sqEntries) : cqes;
}

function systemFault({ request, result, second, bytes }: SystemEvent): string | undefined {
  const pipe = request.call === "pipe" && result >= 0;
  if (pipe !== (second !== undefined))
    return pipe ? 'expected "second", the other descriptor of the pipe, got none' : 'expected no "second", for this made no pipe; got one';
  if (request.call !== "read" && request.call !== "pread")
    return bytes === undefined ? undefined : `expected no "bytes", for a ${request.call} brings none; got some`;
  const brought = Math.max(result, 0);
  if (bytes?.length === brought) return undefined;
  return `expected "bytes" with the ${brought} bytes that the result says were read, got ${bytes === undefined ? "none" : bytes.length}`;
}

/** Which CQEs have a second half. */
function bigFault({ big, flags }: SeenCqe, filled: IoUringParams): string | undefined {
  const wants = allBig(filled) || ((filled.flags & IORING_SETUP_CQE_MIXED) !== 0 && (flags & IORING_CQE_F_32) !== 0);
  if (wants === (big !== undefined)) return undefined;
  return wants ? '"big", the second half of a CQE of 32 bytes,' : 'no "big", for this CQE has 16 bytes,';
}
