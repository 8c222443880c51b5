// One attack on the oracle: a legal trace, one mutation of it, and what the oracle says of that.
import type { KernelProfile } from "../../src/kernel.ts";
import { Checker } from "../../src/oracle/checker.ts";
import type { Strictness, Verdict } from "../../src/oracle/verdict.ts";
import { TraceOrder } from "../../src/program/trace-order.ts";
import type { TraceEvent } from "../../src/program/trace.ts";
import { mayBeEither, type Either } from "./meaning.ts";
import { mutate, MUTATION_CLASSES, type MutationClass } from "./mutate.ts";

export interface Judging {
  readonly profile: KernelProfile;
  readonly strictness: Strictness;
}

export interface Attack {
  readonly kind: MutationClass;
  readonly seed: number;
  readonly at: number;
  readonly what: string;
  /** The rule by which the kernel may do either; left out: the mutation changes what the trace means. */
  readonly either?: Either | undefined;
  /** The trace reader would refuse it. The oracle is asked all the same. */
  readonly refused: boolean;
  readonly verdict: Verdict["verdict"];
  /** unknown: why. */
  readonly limit?: string | undefined;
}

/** What the oracle says, with more time where it has none left: so few traces need it that they all may have it. */
export function judged(events: readonly TraceEvent[], judging: Judging): Verdict {
  const first = followed(events, new Checker(judging));
  return first.verdict === "unknown" && first.limit !== undefined ? followed(events, new Checker({ ...judging, patient: true })) : first;
}

function followed(events: readonly TraceEvent[], checker: Checker): Verdict {
  for (const event of events) checker.event(event);
  return checker.end();
}

/** Mutates a legal trace once, by the first class from `turn` on that it has a place for. Classes take turns over traces. */
export function attack(events: readonly TraceEvent[], judging: Judging, turn: number, seed: number): Attack | undefined {
  for (let i = 0; i < MUTATION_CLASSES.length; i++) {
    const kind = MUTATION_CLASSES[(turn + i) % MUTATION_CLASSES.length] ?? "res";
    const change = mutate(events, kind, seed);
    if (change === undefined) continue;
    const order = new TraceOrder();
    const refused = change.events.some((event) => order.fault(event) !== undefined);
    const { verdict, limit, unmodelled } = judged(change.events, judging);
    return { kind, seed, at: change.at, what: change.what, either: mayBeEither(events, kind, change), refused, verdict, limit: limit ?? unmodelled };
  }
  return undefined;
}

export interface Row {
  readonly kind: MutationClass;
  /** Mutations that change what the trace means, and what the oracle said of them. */
  readonly changed: number;
  readonly illegal: number;
  readonly unknown: number;
  readonly legal: number;
  /** Of the illegal, those that the trace reader refuses besides. */
  readonly refused: number;
  /** Mutations by which the trace may be one of the kernel's, and how many of these the oracle calls legal. */
  readonly either: number;
  readonly eitherLegal: number;
}

export function rows(attacks: readonly Attack[]): Row[] {
  return MUTATION_CLASSES.map((kind) => {
    const of = attacks.filter((a) => a.kind === kind);
    const changed = of.filter((a) => a.either === undefined);
    const said = (verdict: Verdict["verdict"]): number => changed.filter((a) => a.verdict === verdict).length;
    return {
      kind, changed: changed.length, illegal: said("illegal"), unknown: said("unknown"), legal: said("legal"),
      refused: changed.filter((a) => a.refused && a.verdict === "illegal").length,
      either: of.length - changed.length, eitherLegal: of.filter((a) => a.either !== undefined && a.verdict === "legal").length,
    };
  });
}

/** Of the mutations that change what a trace means, the share that is illegal. */
export function share(of: readonly Row[]): number {
  const sum = (what: "changed" | "illegal"): number => of.reduce((all, row) => all + row[what], 0);
  return sum("illegal") / Math.max(sum("changed"), 1);
}
