// A call of the trace, made in the model.
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

/** Was it a wait with a watchdog, and did that end it? */
export const ranIntoWatchdog = (call: Call): boolean =>
  call.event === "enter" && call.watchdog === true && call.to - call.from >= WATCHDOG_HIT_NS;
