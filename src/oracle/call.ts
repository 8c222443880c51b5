// A call of the trace, made in the model.
import type { Machine } from "../model/machine.ts";
import { load64 } from "../model/memory.ts";
import { pollThreadSince } from "../model/sqpoll.ts";
import { readTimespec } from "../model/timeout.ts";
import type { EnterEvent, FdinfoEvent, RegisterEvent, SystemEvent } from "../program/trace.ts";
import { GETEVENTS_ARG } from "../spec/codec.gen.ts";
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

/** Was it a wait with a watchdog, and did that end it? What ended it sooner was something else, such as a timer. */
export const ranIntoWatchdog = (m: Machine, call: Call): boolean =>
  call.event === "enter" && call.watchdog === true && call.to - call.from >= boundOf(m, call.arg?.addr);

/** How long the wait lasts at most; WATCHDOG_HIT_NS where its argument is not there to be read. */
function boundOf(m: Machine, arg: bigint | undefined): bigint {
  const bytes = arg === undefined ? undefined : m.memory.read(arg, GETEVENTS_ARG.size);
  const bound = bytes === undefined ? undefined : readTimespec(m, load64(bytes, GETEVENTS_ARG.ts));
  return typeof bound === "bigint" ? bound : WATCHDOG_HIT_NS;
}
