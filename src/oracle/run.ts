// All runs of one move of the model: the move is repeated from its untouched beginning with every
// script of choices, depth first, and what survives is kept.
import { type Machine, NOT_THIS_RUN } from "../model/machine.ts";
import { anythingMoves, type Effort, type Expected, Guided, type Taken } from "./guided.ts";

export interface Survivor {
  readonly machine: Machine;
  readonly trail: readonly Taken[];
}

/** Runs tried for one candidate and one event, and for a whole trace, before the oracle gives up. */
export const RUNS_MAX = 200;
export const TRACE_RUNS_MAX = 600;

export interface Runs {
  readonly survivors: readonly Survivor[];
  /** The limit was reached: more might have survived. */
  readonly incomplete: boolean;
  readonly tried: number;
  /** Something was under way beside the application's thread in one of the runs. */
  readonly raced: boolean;
}

/** Every way in which `move` can go from `origin` that ends well. `move` throws NOT_THIS_RUN where it does not. */
export function runs(
  origin: Machine, expected: Expected, effort: Effort, move: (m: Machine, guide: Guided) => void,
  most = RUNS_MAX,
): Runs {
  const survivors: Survivor[] = [];
  const scripts: (readonly number[])[] = [[]];
  const asked = new Set<string>();
  let raced = anythingMoves(origin);
  for (let tried = 0; tried < most; tried++) {
    const script = scripts.pop();
    if (script === undefined) return { survivors, incomplete: false, tried, raced };
    const machine = origin.fork();
    const guide = new Guided(script, expected, effort);
    machine.scheduler = guide;
    if (survives(machine, guide, move)) survivors.push({ machine, trail: guide.trail });
    raced ||= guide.raced || anythingMoves(machine);
    for (let at = guide.trail.length - 1; at >= 0; at--) {
      const taken = guide.trail[at];
      if (taken === undefined || taken.index === taken.alternatives.length - 1) continue;
      const old = at < script.length;
      // What is lazy is tried as soon as some run behind it asks for it, and once.
      if (taken.lazy === true ? !guide.lateNeeded : old) continue;
      const prefix = guide.trail.slice(0, at).map((t) => t.index);
      for (let other = taken.alternatives.length - 1; other > taken.index; other--) {
        const next = [...prefix, other];
        if (taken.lazy === true && asked.has(next.join())) continue;
        if (taken.lazy === true) asked.add(next.join());
        scripts.push(next);
      }
    }
  }
  return { survivors, incomplete: true, tried: most, raced };
}

function survives(machine: Machine, guide: Guided, move: (m: Machine, guide: Guided) => void): boolean {
  try {
    move(machine, guide);
    return true;
  } catch (error) {
    if (error === NOT_THIS_RUN) return false;
    throw error;
  }
}
