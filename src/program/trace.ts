// A trace: everything that an application did with a ring and saw of it, in order. Each event carries
// the clock before and after. This is all that the oracle judges, wherever it came from. As a file it is
// JSON Lines: docs/reference/trace.md.
import type { RingInfo } from "../fdinfo.ts";
import type { IoUringParams, SetupParams } from "../kernel.ts";

interface Timed {
  /** CLOCK_MONOTONIC in nanoseconds, read before and after. */
  readonly from: bigint;
  readonly to: bigint;
}

/** A CQE as it was loaded, from the slot with this number. */
export interface SeenCqe {
  readonly slot: number;
  readonly userData: bigint;
  readonly res: number;
  readonly flags: number;
  /** The second half, where a CQE has 32 bytes. */
  readonly big?: readonly [bigint, bigint];
}

/** io_uring_setup: the descriptor and what the kernel filled in, or -errno. */
export interface SetupEvent extends Timed {
  readonly event: "setup";
  readonly entries: number;
  readonly params: SetupParams;
  readonly result: number;
  readonly filled?: IoUringParams;
  /** Where heads and tails began, if not at 0 (a model's ring may begin near 2^32). */
  readonly counters?: number;
}
/** The application has memory here from now on, all zero. */
export interface AllocEvent extends Timed {
  readonly event: "alloc";
  readonly addr: bigint;
  readonly size: number;
}
/** The application stored into its own memory. */
export interface MemoryEvent extends Timed {
  readonly event: "memory";
  readonly addr: bigint;
  readonly bytes: Uint8Array;
}
/** The application stored into ring memory: the SQ/CQ ring or the SQE array. */
export interface StoreEvent extends Timed {
  readonly event: "store";
  readonly region: "ring" | "sqes";
  readonly at: number;
  readonly bytes: Uint8Array;
}
export type SystemCall =
  | { readonly call: "open"; readonly path: string; readonly flags: number }
  | { readonly call: "pipe" }
  | { readonly call: "raise" }
  | { readonly call: "take-signal" }
  | { readonly call: "eventfd"; readonly count: number }
  | { readonly call: "dup"; readonly fd: number }
  | { readonly call: "close"; readonly fd: number }
  | { readonly call: "write"; readonly fd: number; readonly bytes: Uint8Array }
  | { readonly call: "read"; readonly fd: number; readonly size: number }
  | { readonly call: "pwrite"; readonly fd: number; readonly bytes: Uint8Array; readonly offset: number }
  | { readonly call: "pread"; readonly fd: number; readonly size: number; readonly offset: number };

/** An ordinary system call: its result or -errno, and what it brought. */
export interface SystemEvent extends Timed {
  readonly event: "system";
  readonly request: SystemCall;
  readonly result: number;
  /** The second descriptor of pipe. */
  readonly second?: number;
  /** What read and pread read. */
  readonly bytes?: Uint8Array;
}
/** io_uring_enter. No `result`: it never returned (the process was killed in it), and nothing follows. */
export interface EnterEvent extends Timed {
  readonly event: "enter";
  readonly toSubmit: number;
  readonly minComplete: number;
  readonly flags: number;
  readonly arg?: { readonly addr: bigint; readonly size: number };
  /** In the descriptor's place, with IORING_ENTER_REGISTERED_RING. */
  readonly index?: number;
  readonly result?: number | undefined;
  /** The wait was bounded by a watchdog, not by the program: running into it means that something inevitable did not come. */
  readonly watchdog?: boolean;
}
export interface RegisterEvent extends Timed {
  readonly event: "register";
  readonly opcode: number;
  readonly arg: bigint;
  readonly nrArgs: number;
  /** In the descriptor's place, with IORING_REGISTER_USE_REGISTERED_RING. */
  readonly index?: number;
  readonly result: number;
  /** The ring's parameters after IORING_REGISTER_RESIZE_RINGS, where it succeeded. */
  readonly filled?: IoUringParams;
}
/** The application read what procfs shows of the ring. No `info`: somebody held its lock, and nothing was shown. */
export interface FdinfoEvent extends Timed {
  readonly event: "fdinfo";
  readonly info?: RingInfo | undefined;
}
/**
 * The application loaded the ring: first cq.tail (acquire), then the CQEs that are new by it, then the
 * other words in the order of `words`. Loads only: the kernel may move between any two of them.
 */
export interface PeekEvent extends Timed {
  readonly event: "peek";
  readonly cqTail: number;
  readonly cqes: readonly SeenCqe[];
  /** The sixteen words at the start of the ring, cq.tail as above. */
  readonly words: readonly number[];
}
/** The application loaded its own memory. */
export interface LookEvent extends Timed {
  readonly event: "look";
  readonly addr: bigint;
  readonly bytes: Uint8Array;
}

export type TraceEvent =
  | SetupEvent | AllocEvent | MemoryEvent | StoreEvent | SystemEvent | EnterEvent | RegisterEvent | FdinfoEvent | PeekEvent | LookEvent;

/** What came of running one program. */
export interface Trace {
  readonly version: 1;
  /** Release of the kernel that it was recorded on, such as "6.18.44"; nobody needs it to judge the trace. */
  readonly kernel?: string;
  readonly events: readonly TraceEvent[];
}

/** Somebody who follows a run while it goes on; the oracle does. */
export interface Observer {
  event(event: TraceEvent): void;
  /** Completions that come on every fair run with no more input, timers within `horizonNs` included. */
  due(horizonNs: bigint): number;
  /** Requests that are neither completed nor sure to complete. */
  pending(): number;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");

/** One event a line; 64-bit numbers as {"$n": "123"}, bytes as {"$b": "hex"}. */
export function formatTrace(trace: Trace): string {
  const head = JSON.stringify({ trace: "ringspec", version: trace.version, ...(trace.kernel === undefined ? {} : { kernel: trace.kernel }) });
  const line = (event: TraceEvent): string =>
    JSON.stringify(event, (_key, value: unknown) => {
      if (typeof value === "bigint") return { $n: value.toString() };
      if (value instanceof Uint8Array) return { $b: hex(value) };
      return value;
    });
  return `${[head, ...trace.events.map(line)].join("\n")}\n`;
}

export { parseTrace } from "./trace-reader.ts";
