// All runs of one move of the model: the move is repeated from its untouched beginning with every
// script of choices, depth first, and what survives is kept.
import { type Machine, NOT_THIS_RUN } from "../model/machine.ts";
import { hasPollThread } from "../model/sqpoll.ts";
import type { Expected } from "./expectation.ts";
import type { Ahead } from "./foresight.ts";
import { Guided } from "./guided.ts";
import type { Taken } from "./trail.ts";
import type { Search } from "./search.ts";
import { Seen } from "./seen.ts";

export interface Survivor {
  readonly machine: Machine;
  readonly trail: readonly Taken[];
}

/** Another way at one place of a run: the run's choices up to there are shared, for there may be thousands. */
interface Branch {
  readonly trail: readonly Taken[];
  /** -1: the first run, which follows nobody. */
  readonly at: number;
  readonly other: number;
}

const scriptOf = ({ trail, at, other }: Branch): readonly number[] => (at < 0 ? [] : [...trail.slice(0, at).map((taken) => taken.index), other]);

/** Most windows have few runs, and their states are not worth remembering. */
const REMEMBER_FROM = 6;

/** Even where the search has spent its runs, every window gets a few: fewer where it has spent far more. */
const LEAST = 8;
const LEAST_OVERSPENT = 2;

/** A run is reckoned to take as many steps at most: a few that take thousands count for many. */
const STEPS_A_RUN = 100;

export interface Runs {
  readonly survivors: readonly Survivor[];
  /** The search went no further: more might have survived. */
  readonly incomplete: boolean;
  readonly tried: number;
}

/**
 * The ways in which `move` can go from `origin` that end well, all of them where the search allows as many
 * runs. `move` throws NOT_THIS_RUN where it does not. `left`: what the search has left for the whole trace. `ahead`: what is seen from this
 * window on, where it is known.
 */
export function runs(origin: Machine, expected: Expected, search: Search, move: (m: Machine, guide: Guided) => void, left: number, ahead?: Ahead): Runs {
  const survivors: Survivor[] = [];
  const branches: Branch[] = [{ trail: [], at: -1, other: 0 }];
  const asked = new Set<string>();
  const seen = new Seen();
  const most = Math.max(left < -search.budget ? LEAST_OVERSPENT : LEAST, Math.min(search.most, left));
  // What a thread that polls did has many orders that don't matter: few wrong turns explain more than one early one.
  const wide = search.wide === true || hasPollThread(origin);
  let steps = 0;
  for (let tried = 0; ; tried++) {
    const branch = wide ? branches.shift() : branches.pop();
    if (branch === undefined) return { survivors, incomplete: false, tried };
    if (tried >= most || steps > most * STEPS_A_RUN || (survivors.length > 0 && tried >= search.enough)) return { survivors, incomplete: true, tried };
    const script = scriptOf(branch);
    const machine = origin.fork();
    const guide = new Guided(script, expected, search.effort, tried < REMEMBER_FROM ? undefined : seen, ahead, search.follow);
    machine.scheduler = guide;
    if (survives(machine, guide, move)) survivors.push({ machine, trail: guide.trail });
    steps += guide.steps;
    seen.lateNeeded ||= guide.lateNeeded;
    for (let at = guide.trail.length - 1; at >= 0; at--) {
      const taken = guide.trail[at];
      if (taken === undefined || taken.index === taken.alternatives.length - 1) continue;
      const old = at < script.length;
      // What is lazy is tried as soon as some run behind it asks for it, and once.
      if (taken.lazy === true ? !guide.lateNeeded : old) continue;
      for (let other = taken.alternatives.length - 1; other > taken.index; other--) {
        const next = { trail: guide.trail, at, other };
        if (taken.lazy === true) {
          const name = scriptOf(next).join();
          if (asked.has(name)) continue;
          asked.add(name);
        }
        branches.push(next);
      }
    }
  }
}

/** Does the move end well on this very machine? Where not, the machine is of no use any more. */
export function survives(machine: Machine, guide: Guided, move: (m: Machine, guide: Guided) => void): boolean {
  try {
    move(machine, guide);
    return true;
  } catch (error) {
    if (error === NOT_THIS_RUN) return false;
    throw error;
  }
}
