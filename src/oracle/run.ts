// All runs of one move of the model: the move is repeated from its untouched beginning with every
// script of choices, depth first, and what survives is kept.
import { type Machine, NOT_THIS_RUN } from "../model/machine.ts";
import type { Expected } from "./expectation.ts";
import { Guided, type Taken } from "./guided.ts";
import type { Search } from "./search.ts";
import { Seen } from "./seen.ts";

export interface Survivor {
  readonly machine: Machine;
  readonly trail: readonly Taken[];
}

/** Most windows have few runs, and their states are not worth remembering. */
const REMEMBER_FROM = 6;

/** Even where the search has spent its runs, every window gets a few. */
const LEAST = 8;

export interface Runs {
  readonly survivors: readonly Survivor[];
  /** The search went no further: more might have survived. */
  readonly incomplete: boolean;
  readonly tried: number;
}

/**
 * The ways in which `move` can go from `origin` that end well, all of them where the search allows as many
 * runs. `move` throws NOT_THIS_RUN where it does not. `left`: what the search has left for the whole trace.
 */
export function runs(origin: Machine, expected: Expected, search: Search, move: (m: Machine, guide: Guided) => void, left: number): Runs {
  const survivors: Survivor[] = [];
  const scripts: (readonly number[])[] = [[]];
  const asked = new Set<string>();
  const seen = new Seen();
  const most = Math.max(LEAST, Math.min(search.most, left));
  for (let tried = 0; ; tried++) {
    const script = scripts.pop();
    if (script === undefined) return { survivors, incomplete: false, tried };
    if (tried >= most || (survivors.length > 0 && tried >= search.enough)) return { survivors, incomplete: true, tried };
    const machine = origin.fork();
    const guide = new Guided(script, expected, search.effort, tried < REMEMBER_FROM ? undefined : seen);
    machine.scheduler = guide;
    if (survives(machine, guide, move)) survivors.push({ machine, trail: guide.trail });
    seen.lateNeeded ||= guide.lateNeeded;
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
