// Words for what was seen and for what the model would have done instead.
import { Unmodelled, WouldBlockForever, type IoUringParams } from "../kernel.ts";
import { CQES, WORD } from "../model/layout.ts";
import { enter, register } from "../model/enter.ts";
import { NOT_THIS_RUN, type Cqe, type Machine } from "../model/machine.ts";
import { load32, load64 } from "../model/memory.ts";
import { checkSetup, filledParams, newRing } from "../model/setup.ts";
import { Simulation } from "../model/simulate.ts";
import { CQE } from "../spec/codec.gen.ts";
import { errnoName, IORING_REGISTER_USE_REGISTERED_RING } from "../spec/constants.gen.ts";
import type { RingInfo } from "../fdinfo.ts";
import { applySystem } from "./apply.ts";
import { firstDifference } from "./fdinfo.ts";
import type { SeenCqe, SystemEvent, TraceEvent } from "../program/trace.ts";

/** Words at the start of a ring that a peek loads. */
const WORDS = 16;

const result = (n: number | undefined): string =>
  n === undefined ? "no return" : n < 0 && n > -4096 ? `-${errnoName(-n)}` : String(n);

const cqe = (c: { userData: bigint; res: number; flags: number }): string =>
  `{0x${c.userData.toString(16)} ${result(c.res)}${c.flags === 0 ? "" : ` flags 0x${c.flags.toString(16)}`}}`;

const byIndex = ({ index }: { readonly index?: number }): string => (index === undefined ? "" : `, by index ${index === 0xffff_ffff ? "-1" : index}`);

/** One event in one line. */
export function describe(event: TraceEvent): string {
  switch (event.event) {
    case "setup":
      return `io_uring_setup(${event.entries}, flags 0x${(event.params.flags ?? 0).toString(16)}) = ${result(event.result)}`;
    case "enter":
      return `io_uring_enter(${event.toSubmit}, ${event.minComplete}, 0x${event.flags.toString(16)}${byIndex(event)}) = ${result(event.result)}`;
    case "register":
      return `io_uring_register(${(event.opcode & ~IORING_REGISTER_USE_REGISTERED_RING) >>> 0}${byIndex(event)}) = ${result(event.result)}`;
    case "system":
      return `${event.request.call}(${"fd" in event.request ? event.request.fd : ""}) = ${result(event.result)}`;
    case "peek":
      return `cq.tail ${event.cqTail}, CQEs [${event.cqes.map((c: SeenCqe) => cqe(c)).join(", ")}], sq.head ${event.words[0]}, sq.flags 0x${(event.words[9] ?? 0).toString(16)}, sq.dropped ${event.words[8]}`;
    case "fdinfo":
      return `fdinfo ${event.info === undefined ? "of a ring that was locked" : shown(event.info)}`;
    case "look":
      return `memory at 0x${event.addr.toString(16)}`;
    default:
      return event.event;
  }
}

const shown = ({ sqHead, sqTail, cqHead, cqTail, cachedCqTail, sqes, cqes, polls, overflow }: RingInfo): string =>
  `with sq ${sqHead} to ${sqTail}, cq ${cqHead} to ${cqTail} (${cachedCqTail}), ${sqes.length} SQEs, ${cqes.length} CQEs, polls of [${polls.map((p) => p.opcode).join()}], backlog [${overflow.map(cqe).join(", ")}]`;

/** What a candidate would have shown, on the run that it favours. */
export interface Instead {
  /** Of the call; undefined where it would not have returned, or where there was none. */
  readonly result?: number;
  /** CQEs that the call posts, and those that come later with nothing done. */
  readonly atOnce: readonly Cqe[];
  readonly later: readonly Cqe[];
  /** The first words of the ring after that; none without a ring. */
  readonly words: readonly number[];
  readonly backlog: readonly Cqe[];
  /** What stood in the slots that come next, before. */
  readonly stale: readonly Cqe[];
  /** Of another system call: its result can't be what was seen. */
  readonly refused?: boolean;
  /** Of io_uring_setup: what it would have filled in; with -errno nothing. */
  readonly params?: IoUringParams;
  /** The first line of fdinfo that differs. */
  readonly fdinfo?: string | undefined;
}

/** Throws Unmodelled, or WouldBlockForever where the call would never return. */
export function instead(m: Machine, event: TraceEvent, call: TraceEvent | undefined): Instead {
  const f = m.fork();
  const simulation = new Simulation();
  f.scheduler = simulation;
  const peeked = event.event === "peek" ? call : undefined;
  let result: number | undefined;
  let params: IoUringParams | undefined;
  if (event.event === "setup") {
    const sizes = checkSetup(f.profile, event.entries, event.params, (fd) => (f.world.fds.has(fd) ? "other" : "closed"));
    result = typeof sizes === "number" ? sizes : Math.max(event.result, 0);
    if (typeof sizes !== "number") {
      params = filledParams(f.profile, sizes, event.params);
      f.ring = newRing(sizes, event.params, event.counters ?? 0);
    }
  }
  const tail = f.hasRing ? f.ring.cachedCqTail : 0;
  const stale = f.hasRing && event.event === "peek" ? event.cqes.map((_, i) => cqeAt(m, (tail + i) >>> 0)) : [];
  const refused = peeked?.event === "system" && !canBe(f, peeked);
  if (peeked?.event === "enter") result = enter(f, { toSubmit: peeked.toSubmit, minComplete: peeked.minComplete, flags: peeked.flags, arg: peeked.arg, index: peeked.index });
  if (peeked?.event === "register") result = register(f, peeked.opcode, peeked.arg, peeked.nrArgs, peeked.index);
  const fdinfo = peeked?.event === "fdinfo" && peeked.info !== undefined ? (firstDifference(f, peeked.info) ?? "the same") : undefined;
  const atOnce = f.hasRing ? newCqes(f, tail) : [];
  if (f.hasRing) simulation.settle(f);
  return {
    ...(result === undefined ? {} : { result }),
    ...(params === undefined ? {} : { params }),
    atOnce,
    later: f.hasRing ? newCqes(f, tail).slice(atOnce.length) : [],
    words: f.hasRing ? Array.from({ length: WORDS }, (_, i) => load32(f.ring.ring.bytes, i * 4)) : [],
    backlog: f.hasRing ? f.ring.overflow : [],
    stale,
    refused,
    fdinfo,
  };
}

/** The same in words. */
export function allowedInstead(m: Machine, event: TraceEvent, call: TraceEvent | undefined): string {
  try {
    const { result: returned, atOnce, later, words, backlog, fdinfo } = instead(m, event, call);
    const text = returned === undefined ? "" : `io_uring_${call?.event ?? ""} = ${result(returned)}, `;
    const listed = (cqes: readonly Cqe[]): string => cqes.map(cqe).join(", ");
    const after = words.length === 0 ? "" : `, sq.head ${words[WORD.sqHead / 4]}, sq.flags 0x${(words[WORD.sqFlags / 4] ?? 0).toString(16)}, sq.dropped ${words[WORD.sqDropped / 4]}, backlog ${backlog.length}`;
    return `${text}${fdinfo === undefined ? "" : `fdinfo with ${fdinfo}, `}CQEs [${listed(atOnce)}]${later.length > 0 ? `, sooner or later [${listed(later)}]` : ""}${after}`;
  } catch (error) {
    if (error instanceof Unmodelled || error instanceof WouldBlockForever) return error.message;
    throw error;
  }
}

/** What a candidate would have shown of this call, where nobody looked after it. */
export function callInstead(m: Machine, call: TraceEvent): string {
  return allowedInstead(m, { event: "peek", from: call.to, to: call.to, cqTail: 0, cqes: [], words: [] }, call);
}

function newCqes(m: Machine, from: number): Cqe[] {
  const posted: Cqe[] = [];
  for (let i = from; i !== m.ring.cachedCqTail; i = (i + 1) >>> 0) posted.push(cqeAt(m, i));
  return posted;
}

/** What stands in the slot of this index. */
function cqeAt({ ring }: Machine, index: number): Cqe {
  const at = CQES + (index & (ring.cqEntries - 1)) * ring.cqeSize;
  const { bytes } = ring.ring;
  return { userData: load64(bytes, at), res: load32(bytes, at + CQE.res) | 0, flags: load32(bytes, at + CQE.flags) };
}

/** Makes the call; false where it would have another result. */
function canBe(m: Machine, call: SystemEvent): boolean {
  try {
    applySystem(m, call);
    return true;
  } catch (error) {
    if (error !== NOT_THIS_RUN) throw error;
    return false;
  }
}
