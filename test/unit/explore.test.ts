// Explorations alone: that they miss nothing they leave out, that each invariant can fail, that their numbers for
// states stand for what the model's keys say, and that limits are said.
import { describe, expect, test } from "vitest";
import { drawPrograms } from "../../src/cli/programs.ts";
import { Unmodelled } from "../../src/kernel.ts";
import { WORD } from "../../src/model/layout.ts";
import type { Machine } from "../../src/model/machine.ts";
import { load32, store32, writable } from "../../src/model/memory.ts";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { coverage, DEFAULT_WORDS, exploreAll, sequences } from "../../src/oracle/explore/bounded.ts";
import { explore, type Exploration } from "../../src/oracle/explore/explore.ts";
import { Lines } from "../../src/oracle/explore/history.ts";
import { Invariants, INVARIANTS } from "../../src/oracle/explore/invariants.ts";
import { Known } from "../../src/oracle/explore/known.ts";
import { outcomeText } from "../../src/oracle/explore/outcome.ts";
import { prelude } from "../../src/oracle/explore/prelude.ts";
import { NOBODY } from "../../src/oracle/explore/reduction.ts";
import { StateHash } from "../../src/oracle/explore/state-hash.ts";
import type { State } from "../../src/oracle/explore/state.ts";
import type { Program } from "../../src/program/program.ts";
import { program, SMALL } from "../small-programs.ts";

const profile = { ...PROFILE_6_18, file: { readInline: undefined, writeInline: undefined } };
const texts = ({ outcomes }: Exploration): string[] => outcomes.map(outcomeText).sort();
const drawn = (seed: number, runs: number): Program[] => [...drawPrograms({ seed, runs, kind: "legal" })].map((d) => d.program);

/** Of random programs those that are explored within a limit; what is not modelled is left out. */
function explored(programs: readonly Program[], statesMax: number, onState?: (state: State) => void): Exploration[] {
  return programs.flatMap((each) => {
    try {
      const found = explore(each, { profile, statesMax, ...(onState === undefined ? {} : { onState }) });
      return found.complete ? [found] : [];
    } catch (error) {
      if (error instanceof Unmodelled) return [];
      throw error;
    }
  });
}

describe("outcomes", () => {
  test("submit.order-unspecified: four requests on workers complete in every order", () => {
    const four = program([1, 2, 3, 4].map((userData) => ({ op: "sqe" as const, opcode: "NOP" as const, userData, flags: ["ASYNC" as const] })).concat([{ op: "submit" }, { op: "settle" }] as never));
    const { outcomes, complete } = explore(four, { profile, statesMax: 100_000 });
    expect({ complete, orders: new Set(outcomes.map(({ completions }) => completions.join())).size }).toEqual({ complete: true, orders: 24 });
  });

  test("link.chain-order: a chain on a worker keeps its order, and a request beside it comes anywhere", () => {
    const { outcomes } = explore(SMALL["a chain on a worker and a request beside it"] ?? program([]), { profile, statesMax: 100_000 });
    const orders = outcomes.map(({ completions }) => completions.map((c) => c.split(" ")[1]).join(" ")).sort();
    expect(orders).toEqual(["0xa1 0xa2 0xa3", "0xa1 0xa3 0xa2", "0xa3 0xa1 0xa2"]);
  });

  test("a ring that is refused has one outcome, and what waits for ever says so", () => {
    expect(texts(explore(program([], {}, { entries: 0 }), { profile, statesMax: 10 }))).toEqual(["setup -22"]);
    const waits = program([{ op: "enter", toSubmit: 0, minComplete: 1, flags: 1 }]);
    expect(texts(explore(waits, { profile, statesMax: 100 }))).toEqual(["setup 0\nnever returns"]);
  });

  test.each(Object.entries(SMALL))("%s: what is left out changes no outcome", (_name, small) => {
    const reduced = explore(small, { profile, statesMax: 100_000 });
    const full = explore(small, { profile, statesMax: 100_000, reduce: false });
    expect([reduced.complete, full.complete, full.breaches, reduced.breaches]).toEqual([true, true, [], []]);
    expect(texts(reduced)).toEqual(texts(full));
  });

  test("random programs: what is left out changes no outcome, and every invariant holds", () => {
    let compared = 0;
    for (const found of explored(drawn(11, 60), 1500)) {
      const full = explore(found.program, { profile, statesMax: 6000, reduce: false });
      expect(found.breaches).toEqual([]);
      if (!full.complete) continue;
      expect(texts(found), JSON.stringify(found.program)).toEqual(texts(full));
      compared++;
    }
    expect(compared).toBeGreaterThan(25);
  });
});

describe("state keys", () => {
  test("the number of a state stands for what Machine.key() says", () => {
    const byNumber = new Map<string, string>();
    const byKey = new Map<string, string>();
    const hash = new StateHash();
    const words = (m: Machine): string => Array.from({ length: 12 }, (_, i) => load32(m.ring.ring.bytes, i * 4)).join();
    let states = 0;
    explored([...Object.values(SMALL), ...drawn(5, 60)], 1200, ({ m }) => {
      hash.begin().machine(m);
      const number = `${hash.high}:${hash.low}`;
      const key = `${m.key()}|${words(m)}|${m.ring.sqes.bytes.join()}`;
      expect(byNumber.get(number) ?? key).toBe(key);
      expect(byKey.get(key) ?? number).toBe(number);
      byNumber.set(number, key);
      byKey.set(key, number);
      states++;
    });
    expect(states).toBeGreaterThan(5000);
  });

  test("a state is new once, and once more for what slept before and does not now", () => {
    const small = SMALL["two workers"] ?? program([]);
    const p = prelude(small, { profile, untilNs: 1_000_000_000n });
    const lines = new Lines();
    const app = { at: 0, stage: 0, round: 0, tail: 0, published: 0, head: 0, taking: 0, sqHead: 0, shown: -1, left: [], region: -1, overdue: false };
    const known = new Known(new StateHash());
    const state = { m: p.machine, app, calls: lines.empty, seen: lines.empty, opened: [], asleep: NOBODY, due: undefined, end: undefined };
    const step = { kind: "effect", request: 1 } as const;
    expect(known.come({ ...state, asleep: new Map([[8, step]]) })).toBe("new");
    expect(known.come({ ...state, asleep: new Map([[8, step], [16, step]]) })).toEqual([]);
    expect(known.come(state)).toEqual([8]);
    expect(known.come(state)).toEqual([]);
    expect(known.come({ ...state, app: { ...app, at: 1 } })).toBe("new");
  });
});

describe("invariants", () => {
  /** A state in which both workers' requests are under way, and one in which the first has completed. */
  function states(): { readonly begun: State; readonly half: State; readonly check: (state: State) => readonly string[] } {
    const all: State[] = [];
    let invariants: Invariants | undefined;
    explore(SMALL["two workers"] ?? program([]), { profile, statesMax: 1000, onState: (state, p) => {
      invariants ??= new Invariants(p);
      all.push({ ...state, m: state.m.fork() });
    } });
    const begun = all.find(({ m, seen }) => m.requests.size === 2 && seen.length === 0);
    const half = all.find(({ m, seen }) => m.requests.size === 1 && seen.length === 1);
    if (begun === undefined || half === undefined || invariants === undefined) throw new Error("the states are not there");
    const { check } = invariants;
    return { begun, half, check: (state) => check.call(invariants, state).map((b) => b.invariant) };
  }
  const store = (m: Machine, at: number, value: number): void => store32(writable(m.ring.ring), at, value);
  const other = new Lines();
  const cqe = (text: string, to = other.empty): State["seen"] => other.add(to, text);

  /** What breaks each of them. */
  const FAULTS: Readonly<Record<string, (at: { readonly begun: State; readonly half: State }) => State>> = {
    "cq-distance": ({ begun }) => {
      begun.m.ring.cachedCqTail = 100;
      return begun;
    },
    "cq-window": ({ begun }) => {
      begun.m.ring.cqWindow = 17;
      return begun;
    },
    "cq-published": ({ begun }) => {
      begun.m.ring.cachedCqTail++;
      return begun;
    },
    "sq-distance": ({ begun }) => {
      store(begun.m, WORD.sqTail, 60);
      return begun;
    },
    "overflow-flag": ({ begun }) => {
      store(begun.m, WORD.sqFlags, 2);
      return begun;
    },
    "none-invented": ({ begun }) => ({ ...begun, seen: cqe("cqe 0xdead 0 0x0") }),
    "none-doubled": ({ half }) => ({ ...half, seen: cqe("cqe 0xa1 0 0x0", cqe("cqe 0xa1 0 0x0", cqe("cqe 0xa2 0 0x0"))) }),
    "none-lost": ({ begun }) => {
      for (const id of begun.m.requests.keys()) begun.m.requests.delete(id);
      return begun;
    },
    lists: ({ begun }) => {
      begun.m.taskList.push(77);
      return begun;
    },
    "all-came": ({ begun }) => ({ ...begun, app: { ...begun.app, overdue: true } }),
  };

  test.each(Object.keys(FAULTS))("%s fails where it does not hold", (id) => {
    const { begun, half, check } = states();
    expect([check(begun), check(half)]).toEqual([[], []]);
    expect(check((FAULTS[id] ?? (() => begun))({ begun, half }))).toContain(id);
  });

  test.each([
    ["chain-order", "IO_LINK", ["cqe 0x2 0 0x0"]],
    ["drain-order", "IO_DRAIN", ["cqe 0x2 0 0x0"]],
  ] as const)("%s fails where it does not hold", (id, flag, completions) => {
    const [first, second] = flag === "IO_LINK" ? [[flag], []] as const : [[], [flag]] as const;
    const small = program([{ op: "sqe", opcode: "NOP", userData: 1, flags: [...first] }, { op: "sqe", opcode: "NOP", userData: 2, flags: [...second] }, { op: "submit" }]);
    const found: string[] = [];
    explore(small, { profile, statesMax: 100, onState: (state, p) => {
      if (state.m.ring.consumed !== 2) return;
      const seen = completions.reduce((line, text) => other.add(line, text), other.empty);
      for (const breach of new Invariants(p).check({ ...state, seen })) found.push(breach.invariant);
    } });
    expect(found).toContain(id);
  });

  test("each has a fault above, and names rules", () => {
    expect(INVARIANTS.map(({ id }) => id).sort()).toEqual([...Object.keys(FAULTS), "chain-order", "drain-order"].sort());
    for (const { rules } of INVARIANTS) expect(rules.length).toBeGreaterThan(0);
  });
});

describe("limits and bounded campaigns", () => {
  test("a limit that is reached is said", () => {
    const small = SMALL["a backlog"] ?? program([]);
    const all = explore(small, { profile, statesMax: 100_000 });
    expect(all.complete).toBe(true);
    const some = explore(small, { profile, statesMax: 40 });
    expect(some.complete).toBe(false);
    expect(some.states).toBeLessThan(all.states);
  });

  test("all programs of up to two words hold every invariant, and are explored to their end", () => {
    expect([...sequences(["nop", "cancel"], 2)]).toHaveLength(6);
    const all = exploreAll({ profile, statesMax: 100_000, words: DEFAULT_WORDS, length: 2, ring: { entries: 8, flags: [] } });
    expect({ programs: all.programs, breaches: all.breaches, incomplete: all.incomplete, unmodelled: all.unmodelled })
      .toEqual({ programs: DEFAULT_WORDS.length + DEFAULT_WORDS.length ** 2, breaches: [], incomplete: [], unmodelled: [] });
    const { taken, of, never } = coverage(all.reached);
    expect(taken + never.length).toBe(of);
    expect(all.reached.get("cancel.worker")?.size).toBe(2);
  });
});
