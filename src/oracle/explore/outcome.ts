// What a program saw of a kernel, and nothing of when: the results of its calls in order, its completions in order, and
// what was there at the end. Explorations list them; a trace has one; `ringspec emit` prints a program that prints it.
import type { Program } from "../../program/program.ts";
import type { TraceEvent } from "../../program/trace.ts";
import { endingArgument } from "../../program/exercise.ts";
import { hiddenIn } from "../../program/lower-registration.ts";
import { answerLine, callLine, cqeLine, lookLine } from "./seen-text.ts";

export interface ProgramOutcome {
  /** "setup -22", then one line for each call of the program. */
  readonly calls: readonly string[];
  readonly completions: readonly string[];
  readonly looks: readonly string[];
  /** A call that never returns, or what the model has not. */
  readonly end?: string;
}

/** Equal texts: the same outcome. */
export const outcomeText = ({ calls, completions, looks, end }: ProgramOutcome): string =>
  [...calls, ...completions, ...looks, ...(end === undefined ? [] : [end])].join("\n");

/** Most that is read of a file, a pipe and an eventfd at the end. */
export const LOOK_BYTES = { file: 8192, pipe: 70_000, eventfd: 8 } as const;

/** What a descriptor's name says it leads to; undefined: nothing that is looked at. */
export function lookedAt(name: string): keyof typeof LOOK_BYTES | undefined {
  if (name.startsWith("f")) return "file";
  if (name.startsWith("e")) return "eventfd";
  return name.startsWith("p") && name.endsWith("r") ? "pipe" : undefined;
}

/** The outcome of a run that was traced. The calls that settle it and end it are not the program's own. */
export function outcomeOf(program: Program, events: readonly TraceEvent[]): ProgramOutcome {
  const opens = new Set<bigint>();
  for (const op of program.ops) {
    const sqe = op.op === "slot" ? op.sqe : op;
    if ("opcode" in sqe && sqe.opcode === "OPENAT") opens.add(BigInt(sqe.userData));
  }
  const begun = events.findIndex(({ event }) => event === "setup");
  const ended = events.findLastIndex(({ event }) => event === "peek");
  const names = namesOf(program, events.slice(0, begun));
  const registrations = program.ops.flatMap((op) => (op.op === "register" ? [op] : []));
  const endsBy = endingArgument(events);
  let hidden: ReturnType<typeof hiddenIn> = [];
  let answers = 0;
  const calls: string[] = [];
  const completions: string[] = [];
  const looks: string[] = [];
  let buffer = 0;
  for (const [i, event] of events.entries()) {
    if (event.event === "setup") calls.push(`setup ${Math.min(event.result, 0)}`);
    else if (event.event === "enter" && event.watchdog !== true) calls.push(event.result === undefined ? "never returns" : callLine("enter", event.result));
    else if (event.event === "peek") for (const cqe of event.cqes) completions.push(cqeLine(cqe, opens.has(cqe.userData)));
    else if (event.event === "register" && event.arg !== endsBy) {
      const [does] = registrations.splice(0, 1).map((op) => op.does);
      hidden = does === undefined ? [] : hiddenIn(does);
      answers = 0;
      calls.push(callLine("register", event.result));
    }
    // What a call of the program's filled.
    else if (event.event === "look" && i < ended) calls.push(answerLine(event.bytes, hidden[answers++]));
    else if (event.event === "look") looks.push(lookLine(`b${buffer++}`, event.bytes.length, event.bytes));
    else if (event.event === "system" && i > begun && i < ended) calls.push(callLine(event.request.call, event.result, event.bytes));
    else if (event.event === "system" && i > begun && i > ended && "fd" in event.request)
      looks.push(lookLine(names.get(event.request.fd) ?? "?", event.result, event.bytes ?? new Uint8Array(0)));
  }
  return { calls, completions, looks };
}

/** Numbers of descriptors, by the order in which a world is made. */
function namesOf(program: Program, events: readonly TraceEvent[]): Map<number, string> {
  const names = new Map<number, string>();
  const text = JSON.stringify(program.ops);
  const pipes = program.world.pipes.flatMap((_, i) => (text.includes(`"p${i}r"`) || text.includes(`"p${i}w"`) ? [i] : []));
  const eventfds = program.world.eventfds.flatMap((_, i) => (text.includes(`"e${i}"`) ? [i] : []));
  for (const event of events) {
    if (event.event !== "system") continue;
    if (event.request.call === "open" && event.request.path !== ".") names.set(event.result, event.request.path);
    else if (event.request.call === "eventfd") names.set(event.result, `e${eventfds.shift()}`);
    else if (event.request.call === "pipe") {
      const i = pipes.shift();
      names.set(event.result, `p${i}r`);
      names.set(event.second ?? -1, `p${i}w`);
    }
  }
  return names;
}

