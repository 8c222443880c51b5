// A call of the trace, made in the model.
import { waitTime } from "../model/enter.ts";
import type { Machine } from "../model/machine.ts";
import { pollThreadSince } from "../model/sqpoll.ts";
import type { EnterEvent, FdinfoEvent, RegisterEvent, SystemEvent } from "../program/trace.ts";
import { applyEnter, applyRegister, applySystem } from "./apply.ts";
import { WATCHDOG_HIT_NS } from "./due.ts";
import { applyFdinfo } from "./fdinfo.ts";
import type { Guided } from "./guided.ts";

export type Call = EnterEvent | RegisterEvent | SystemEvent | FdinfoEvent;

/** `until`: when what the trace saw next was seen. */
export function makeCall(m: Machine, guide: Guided, call: Call, until: bigint): void {
  if (until > m.untilNs) m.untilNs = until;
  // Until the call begins the clock is where the last look was.
  guide.begin(m);
  m.nowNs = call.from;
  pollThreadSince(m, call.from);
  if (call.event === "enter") applyEnter(m, call);
  else if (call.event === "register") applyRegister(m, call);
  else if (call.event === "fdinfo") applyFdinfo(m, guide, call);
  else applySystem(m, call);
}

/** A timer that is late by this much says that the machine stood still, and whatever else was due with it. */
const STOOD_STILL_NS = 200_000_000n;

/** Was it a wait with a watchdog, and did that end it, in its time? */
export function ranIntoWatchdog(m: Machine, call: Call): boolean {
  if (call.event !== "enter" || call.watchdog !== true) return false;
  const took = call.to - call.from;
  return took >= WATCHDOG_HIT_NS && took < (waitTime(m, { flags: call.flags, arg: call.arg }) ?? took) + STOOD_STILL_NS;
}
