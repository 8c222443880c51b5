// The rules behind an illegal verdict: the trace is judged once more by a copy of the model whose citations
// run (scripts/cite.mjs), up to the event that no run explains, and the rules that the model obeyed there
// are named, the rarest first: what every window comes by says little.
import fc from "fast-check";
import type { KernelProfile } from "../kernel.ts";
import type { TraceEvent } from "../program/trace.ts";
import type { Strictness } from "./verdict.ts";

/** Named at most. */
const NAMED_MAX = 5;
/** Programs on the model from which it is reckoned how common a rule is. */
const COMMON_PROGRAMS = 150;
const COMMON_SEED = 1;

interface Cited {
  readonly checker: typeof import("./checker.ts");
  readonly kernel: typeof import("../model/kernel.ts");
  readonly interpreter: typeof import("../program/interpreter.ts");
  readonly programs: typeof import("../program/arbitrary.ts");
  readonly book: { readonly cited: Set<string> };
  /** In how many of so many windows a rule was obeyed. */
  readonly common: Map<string, number>;
  windows: number;
}

let loaded: Promise<Cited> | undefined;

async function load(): Promise<Cited> {
  const base = import.meta.url.endsWith(".ts") ? "../../dist/cited/" : "../../cited/";
  const part = async (name: string): Promise<unknown> => import(new URL(`${base}${name}`, import.meta.url).href);
  const modules = await Promise.all(["oracle/checker.js", "model/kernel.js", "program/interpreter.js", "program/arbitrary.js", "model/cite.js"].map(part));
  const [checker, kernel, interpreter, programs, book] = modules as [Cited["checker"], Cited["kernel"], Cited["interpreter"], Cited["programs"], Cited["book"]];
  const all: Cited = { checker, kernel, interpreter, programs, book, common: new Map(), windows: 0 };
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
        for (const id of rules) of.common.set(id, (of.common.get(id) ?? 0) + 1);
      }
    } catch {
      // What the model can't run says nothing of how common a rule is.
    } finally {
      kernel.close();
    }
  }
}

function heard({ book }: Cited, checker: InstanceType<Cited["checker"]["Checker"]>, event: TraceEvent): ReadonlySet<string> {
  book.cited.clear();
  checker.event(event);
  return new Set(book.cited);
}

/** Where the call that was rejected is the last event. */
function atEnd({ book }: Cited, checker: InstanceType<Cited["checker"]["Checker"]>): ReadonlySet<string> {
  book.cited.clear();
  checker.end();
  return new Set(book.cited);
}

export interface RulesOptions {
  readonly profile: KernelProfile;
  readonly strictness?: Strictness;
}

/** Rule ids, the most telling first; none where the trace is legal after all. `at`: the event that was rejected. */
export async function rulesBehind(events: readonly TraceEvent[], at: number, { profile, strictness = "profile" }: RulesOptions): Promise<readonly string[]> {
  const of = await (loaded ??= load());
  const checker = new of.checker.Checker({ profile, strictness, retries: false });
  let last: ReadonlySet<string> = new Set();
  for (const event of events.slice(0, at + 1)) {
    last = heard(of, checker, event);
    if (checker.verdict().verdict !== "legal") break;
  }
  if (checker.verdict().verdict === "legal") last = atEnd(of, checker);
  const share = (id: string): number => of.common.get(id) ?? 0;
  return [...last].sort((a, b) => share(a) - share(b)).slice(0, NAMED_MAX);
}
