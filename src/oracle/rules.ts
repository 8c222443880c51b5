// The rules behind an illegal verdict: the trace is judged once more by a copy of the model whose citations
// run (scripts/cite.mjs), up to the event that no run explains. The rules that the model obeyed there, and those that
// it obeyed for the requests whose completions differ, are ranked. Two things say most: that the rule shows where the
// event differs from what the model would have done ("shows" in spec/rule/), and that without this rule alone the
// trace would be legal.
import fc from "fast-check";
import { Unmodelled, WouldBlockForever, type KernelProfile } from "../kernel.ts";
import type { Machine } from "../model/machine.ts";
import type { Request } from "../model/request.ts";
import type { TraceEvent } from "../program/trace.ts";
import { difference, type Difference } from "./difference.ts";
import type { Instead } from "./explain.ts";
import { aboutIt, appliesTo, namesIt, showsIn } from "./telling.ts";
import type { Strictness } from "./verdict.ts";

/** Named at most. */
const NAMED_MAX = 5;
/** Programs on the model from which it is reckoned how common a rule is. */
const COMMON_PROGRAMS = 150;
const COMMON_SEED = 1;
/** Milliseconds that the trace may take to be judged without one rule, and without all of them one after the other. */
const DENIED_MS = 200;
const DENIED_ALL_MS = 5000;

/** A rule that is not obeyed, at one place or at all. */
interface Denied {
  id: string | undefined;
  place: number | undefined;
  untilMs: number;
}

interface Cited {
  readonly checker: typeof import("./checker.ts");
  readonly kernel: typeof import("../model/kernel.ts");
  readonly interpreter: typeof import("../program/interpreter.ts");
  readonly programs: typeof import("../program/arbitrary.ts");
  readonly explain: typeof import("./explain.ts");
  readonly book: { readonly cited: Map<string, Map<number, Request | undefined>>; readonly deniable: Map<string, ReadonlySet<number>>; readonly denied: Denied };
  /** In how many of so many windows a rule was obeyed. */
  readonly common: Map<string, number>;
  windows: number;
}

let loaded: Promise<Cited> | undefined;

async function load(): Promise<Cited> {
  const base = import.meta.url.endsWith(".ts") ? "../../dist/cited/" : "../../cited/";
  const part = async (name: string): Promise<unknown> => import(new URL(`${base}${name}`, import.meta.url).href);
  const modules = await Promise.all(["oracle/checker.js", "model/kernel.js", "program/interpreter.js", "program/arbitrary.js", "model/cite.js", "oracle/explain.js"].map(part));
  const [checker, kernel, interpreter, programs, book, explain] = modules as [Cited["checker"], Cited["kernel"], Cited["interpreter"], Cited["programs"], Cited["book"], Cited["explain"]];
  const all: Cited = { checker, kernel, interpreter, programs, book, explain, common: new Map(), windows: 0 };
  reckonCommon(all);
  return all;
}

function reckonCommon(of: Cited): void {
  for (const [i, program] of fc.sample(of.programs.anyProgram(), { seed: COMMON_SEED, numRuns: COMMON_PROGRAMS }).entries()) {
    const kernel = of.kernel.createModelKernel({ seed: i });
    try {
      const { events } = of.interpreter.runProgram(kernel, program, {});
      const checker = new of.checker.Checker({ profile: kernel.profile, retries: false });
      for (const event of events) {
        const rules = heard(of, checker, event);
        if (event.event !== "peek" || rules.size === 0) continue;
        of.windows++;
        for (const id of rules.keys()) of.common.set(id, (of.common.get(id) ?? 0) + 1);
      }
    } catch {
      // What the model can't run says nothing of how common a rule is.
    } finally {
      kernel.close();
    }
  }
}

/** Rules that were obeyed, and the user_data of the requests that they were obeyed for. */
type Heard = ReadonlyMap<string, ReadonlySet<bigint>>;

function listen({ book }: Cited, act: () => void): Heard {
  book.cited.clear();
  act();
  return new Map([...book.cited].map(([id, requests]) => [id, new Set([...requests.values()].flatMap((r) => (r === undefined ? [] : [r.userData])))]));
}

const heard = (of: Cited, checker: InstanceType<Cited["checker"]["Checker"]>, event: TraceEvent): Heard => listen(of, () => void checker.event(event));

export interface RulesOptions {
  readonly profile: KernelProfile;
  readonly strictness?: Strictness;
}

/** Rule ids, the most telling first; none where the trace is legal after all. `at`: the event that was rejected. */
export async function rulesBehind(events: readonly TraceEvent[], at: number, { profile, strictness = "profile" }: RulesOptions): Promise<readonly string[]> {
  const of = await (loaded ??= load());
  of.book.deniable.clear();
  const checker = new of.checker.Checker({ profile, strictness, retries: false });
  const all: Heard[] = [];
  const judged = events.slice(0, at + 1);
  for (const event of judged) {
    all.push(heard(of, checker, event));
    if (checker.verdict().verdict !== "legal") break;
  }
  if (checker.verdict().verdict === "legal") all.push(listen(of, () => void checker.end()));
  const last = all.pop() ?? new Map<string, ReadonlySet<bigint>>();
  const [state] = checker.states;
  const deniable = [...of.book.deniable].map(([id, places]) => [id, [...places]] as const);
  const event = judged.at(-1);
  if (event === undefined || state === undefined) return [];
  const known = new Set(all.flatMap((heard) => [...heard.values()]).flatMap((requests) => [...requests]));
  const { differs, own } = ownWay(of, state, event, judged.at(-2), known);
  const endMs = Date.now() + DENIED_ALL_MS;
  const isExplained = (id: string, place?: number): boolean =>
    Date.now() < endMs && explainedWithout(of, { id, place, untilMs: Math.min(endMs, Date.now() + DENIED_MS) }, judged, { profile, strictness });
  // What is most about the difference first: on a long trace the time is up before all were tried.
  deniable.sort(([a], [b]) => aboutIt(b, differs) - aboutIt(a, differs));
  const explains = new Set(deniable.filter(([id, places]) => isExplained(id) || places.some((place) => isExplained(id, place))).map(([id]) => id));
  const flags = state.hasRing ? state.ring.flags : undefined;
  const applies = (id: string): boolean => appliesTo(id, profile, flags);
  return ranked(of, { differs, last, own, before: all, explains }).filter((id) => applies(id)).slice(0, NAMED_MAX);
}

/** Would a kernel that does not obey this rule, and all others, show just that? */
function explainedWithout({ book, checker: { Checker } }: Cited, without: Denied, events: readonly TraceEvent[], { profile, strictness = "profile" }: RulesOptions): boolean {
  Object.assign(book.denied, without);
  try {
    const checker = new Checker({ profile, strictness, retries: false });
    for (const event of events) {
      checker.event(event);
      if (checker.verdict().verdict !== "legal") return false;
    }
    return checker.end().verdict === "legal";
  } catch {
    // The model is not made to go without it.
    return false;
  } finally {
    book.denied.id = undefined;
  }
}

/** What the model does there by itself, and by which rules. */
function ownWay(of: Cited, state: Machine, event: TraceEvent, before: TraceEvent | undefined, known: ReadonlySet<bigint>): { readonly differs: Difference; readonly own: Heard } {
  const isCall = event.event === "enter" || event.event === "register";
  const peek: TraceEvent = isCall ? { event: "peek", from: event.to, to: event.to, cqTail: 0, cqes: [], words: [] } : event;
  let allowed: Instead | undefined;
  const own = new Map(listen(of, () => {
    try {
      allowed = of.explain.instead(state, peek, isCall ? event : before);
    } catch (error) {
      if (!(error instanceof Error) || ![Unmodelled.name, WouldBlockForever.name].includes(error.name)) throw error;
    }
  }));
  const differs = difference(event, before, allowed, known);
  // No line of the model says so: it is what lets a wait run out.
  if (differs.overdue) own.set("liveness.due", differs.userData);
  return { differs, own };
}

interface Evidence {
  readonly differs: Difference;
  readonly last: Heard;
  readonly own: Heard;
  readonly before: readonly Heard[];
  /** Rules without which the trace would be legal. */
  readonly explains: ReadonlySet<string>;
}

/**
 * What each piece of evidence is worth. Found on shrunk counterexamples of the seeded bugs (test/bugs/), of which
 * neither half nor twice these numbers names fewer or more by much.
 */
const WORTH = {
  /** The trace would be legal without this rule. */
  explains: 4,
  /** It shows where the event differs; less where that follows from another difference. */
  shows: 4,
  /** Its text names the error or the bit that was to be seen, or the one that was seen. */
  namesAllowed: 1,
  namesSeen: 0.5,
  /** Its text names errors, and a result differs that is none of them, nor should have been. */
  namesOthers: -1.5,
  /** It was obeyed for a request whose completion differs: there, or earlier. */
  requestThere: 1,
  requestBefore: 0.5,
  /** The model obeyed it when left to itself, not only on some way that was tried. */
  ownWay: 1,
  /** For each e-fold that it is rarer in programs at large than what every window comes by, up to five. */
  rare: 0.5,
} as const;
const RARE_MAX = 5;

/** Rule ids, what there is the most evidence for first. */
function ranked(of: Cited, { differs, last, own, before, explains }: Evidence): string[] {
  const isFor = (heard: Heard, id: string): boolean => [...(heard.get(id) ?? [])].some((userData) => differs.userData.has(userData));
  const ids = new Set([...last.keys(), ...own.keys(), ...explains]);
  // What a new ring holds was settled when it was made.
  for (const heard of before) for (const id of heard.keys()) if (isFor(heard, id) || (differs.shows.has("ring") && showsIn(id, "ring"))) ids.add(id);
  const score = (id: string): number => {
    const names = namesIt(id, differs);
    const rarity = Math.log((of.windows + 1) / ((of.common.get(id) ?? 0) + 1));
    return (
      (explains.has(id) ? WORTH.explains : 0) + WORTH.shows * aboutIt(id, differs) +
      (names.allowed ? WORTH.namesAllowed : 0) + (names.seen ? WORTH.namesSeen : 0) + (names.others ? WORTH.namesOthers : 0) +
      (isFor(last, id) || isFor(own, id) ? WORTH.requestThere : before.some((heard) => isFor(heard, id)) ? WORTH.requestBefore : 0) +
      (own.has(id) ? WORTH.ownWay : 0) + WORTH.rare * Math.min(rarity, RARE_MAX)
    );
  };
  const scores = new Map([...ids].map((id) => [id, score(id)]));
  return [...ids].sort((a, b) => (scores.get(b) ?? 0) - (scores.get(a) ?? 0));
}
