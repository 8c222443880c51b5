// Words for what was seen and for what the model would have done instead.
import { Unmodelled, WouldBlockForever } from "../kernel.ts";
import { CQES, WORD } from "../model/layout.ts";
import { enter, register } from "../model/enter.ts";
import type { Machine } from "../model/machine.ts";
import { load32, load64 } from "../model/memory.ts";
import { Simulation } from "../model/simulate.ts";
import { CQE } from "../spec/codec.gen.ts";
import { errnoName, IORING_REGISTER_USE_REGISTERED_RING } from "../spec/constants.gen.ts";
import type { RingInfo } from "../fdinfo.ts";
import { firstDifference } from "./fdinfo.ts";
import type { SeenCqe, TraceEvent } from "../program/trace.ts";

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

/** What this candidate would have shown, on the run that it favours. */
export function allowedInstead(m: Machine, event: TraceEvent, call: TraceEvent | undefined): string {
  const f = m.fork();
  const simulation = new Simulation();
  f.scheduler = simulation;
  const tail = f.hasRing ? f.ring.cachedCqTail : 0;
  try {
    let text = "";
    if (event.event === "peek" && call?.event === "enter") {
      const { toSubmit, minComplete, flags, arg, index } = call;
      text = `io_uring_enter = ${result(enter(f, { toSubmit, minComplete, flags, arg, index }))}, `;
    }
    if (event.event === "peek" && call?.event === "register") text = `io_uring_register = ${result(register(f, call.opcode, call.arg, call.nrArgs, call.index))}, `;
    if (event.event === "peek" && call?.event === "fdinfo" && call.info !== undefined) text = `fdinfo with ${firstDifference(f, call.info) ?? "the same"}, `;
    const atOnce = f.hasRing ? newCqes(f, tail) : [];
    if (f.hasRing) simulation.settle(f);
    const later = f.hasRing ? newCqes(f, tail).slice(atOnce.length) : [];
    return `${text}CQEs [${atOnce.join(", ")}]${later.length > 0 ? `, sooner or later [${later.join(", ")}]` : ""}${f.hasRing ? words(f) : ""}`;
  } catch (error) {
    if (error instanceof Unmodelled || error instanceof WouldBlockForever) return error.message;
    throw error;
  }
}

/** What a candidate would have shown of this call, where nobody looked after it. */
export function callInstead(m: Machine, call: TraceEvent): string {
  return allowedInstead(m, { event: "peek", from: call.to, to: call.to, cqTail: 0, cqes: [], words: [] }, call);
}

function newCqes(m: Machine, from: number): string[] {
  const seen: string[] = [];
  for (let i = from; i !== m.ring.cachedCqTail; i = (i + 1) >>> 0) {
    const at = CQES + (i & (m.ring.cqEntries - 1)) * m.ring.cqeSize;
    const { bytes } = m.ring.ring;
    seen.push(cqe({ userData: load64(bytes, at), res: load32(bytes, at + CQE.res) | 0, flags: load32(bytes, at + CQE.flags) }));
  }
  return seen;
}

function words(m: Machine): string {
  const { bytes } = m.ring.ring;
  return `, sq.head ${load32(bytes, WORD.sqHead)}, sq.flags 0x${load32(bytes, WORD.sqFlags).toString(16)}, sq.dropped ${load32(bytes, WORD.sqDropped)}, backlog ${m.ring.overflow.length}`;
}
