// The states between two actions that an exploration has been to. Each is known by 84 bits of its hash: a million states
// have two that pass for one with a chance of one in 10^13.
import type { State } from "./state.ts";
import type { StateHash } from "./state-hash.ts";

interface Entry {
  readonly low: number;
  /** Steps that slept each time the state was come to. */
  asleep: readonly number[];
  readonly next: Entry | undefined;
}

const NONE: readonly number[] = [];

export class Known {
  private readonly entries = new Map<number, Entry>();
  private readonly hash: StateHash;

  constructor(hash: StateHash) {
    this.hash = hash;
  }

  /** "new"; or the steps that slept before and do not now: none where there is nothing to try. */
  come(state: State): "new" | readonly number[] {
    const { asleep } = state;
    const hash = hashOf(state, this.hash);
    const [high, low] = [hash.high, hash.low];
    const first = this.entries.get(high);
    for (let entry = first; entry !== undefined; entry = entry.next) {
      if (entry.low !== low) continue;
      const awake = entry.asleep.length === 0 ? NONE : entry.asleep.filter((id) => !asleep.has(id));
      if (awake.length > 0) entry.asleep = entry.asleep.filter((id) => asleep.has(id));
      return awake;
    }
    this.entries.set(high, { low, asleep: asleep.size === 0 ? NONE : [...asleep.keys()], next: first });
    return "new";
  }
}

/** Both halves, and what the program saw: two histories are two states. */
export function hashOf({ m, app, calls, seen, opened, end }: State, hash: StateHash): StateHash {
  hash.begin();
  hash.list([app.at, app.stage, app.round, app.tail, app.published, app.head, app.taking, app.sqHead, app.shown, app.region, calls.id, seen.id]);
  hash.list(app.left);
  hash.list(opened);
  if (end !== undefined) hash.text(end);
  hash.machine(m);
  return hash;
}
