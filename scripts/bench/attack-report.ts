// What the attack on the oracle prints: the sums, a line for each class, the page docs/reports/attack.md, the JSON.
import { rows, share, type Attack, type Row } from "../../test/attack/attack.ts";
import { cell } from "../generate/text.ts";
import type { Answer } from "./attack-worker.ts";

/** Of the mutations that change what a trace means, so many must be illegal. */
export const TARGET = 0.99;

export interface AttackRun {
  readonly traces: number;
  readonly seed: number;
  readonly backend: "real" | "model";
  readonly release: string;
  /** Programs without a trace. */
  readonly lost: number;
}

interface Survivor extends Pick<Attack, "kind" | "at" | "what" | "verdict" | "seed"> {
  readonly trace: number;
  readonly why: string;
}

export interface AttackResult extends AttackRun {
  readonly unmutated: { readonly legal: number; readonly illegal: number; readonly unknown: number };
  /** Traces that were not legal as they were recorded. */
  readonly notLegal: readonly { readonly trace: number; readonly verdict: string; readonly seen: string }[];
  readonly attacked: number;
  readonly changed: number;
  readonly illegal: number;
  readonly share: number;
  readonly perClass: readonly Row[];
  /** What changes the meaning of a trace and is not illegal. */
  readonly survivors: readonly Survivor[];
  /** Left aside, by the rule that allows either: how many, and how many of these the oracle calls legal. */
  readonly either: readonly { readonly rule: string; readonly why: string; readonly mutations: number; readonly legal: number }[];
}

export function jsonOf(answers: readonly Answer[], run: AttackRun): AttackResult {
  const ordered = answers.toSorted((a, b) => a.index - b.index);
  const attacks = ordered.flatMap(({ index, attack }) => (attack === undefined ? [] : [{ index, attack }])).slice(0, run.traces);
  const perClass = rows(attacks.map(({ attack }) => attack));
  const sum = (what: "changed" | "illegal"): number => perClass.reduce((all, row) => all + row[what], 0);
  const said = (verdict: Answer["verdict"]): number => ordered.filter((a) => a.verdict === verdict).length;
  const survivors = attacks
    .filter(({ attack }) => attack.either === undefined && attack.verdict !== "illegal")
    .map(({ index, attack: { kind, at, what, verdict, seed, limit } }): Survivor => ({ trace: index, kind, at, what, verdict, seed, why: limit ?? "a run of the model explains it" }));
  const byRule = new Map<string, { rule: string; why: string; mutations: number; legal: number }>();
  for (const { attack: { either, verdict } } of attacks) {
    if (either === undefined) continue;
    const row = byRule.get(`${either.rule} ${either.why}`) ?? { ...either, mutations: 0, legal: 0 };
    byRule.set(`${either.rule} ${either.why}`, { ...row, mutations: row.mutations + 1, legal: row.legal + (verdict === "legal" ? 1 : 0) });
  }
  const { traces, seed, backend, release, lost } = run;
  return {
    traces, seed, backend, release, lost, unmutated: { legal: said("legal"), illegal: said("illegal"), unknown: said("unknown") },
    notLegal: ordered.filter((a) => a.verdict !== "legal").map((a) => ({ trace: a.index, verdict: a.verdict, seen: a.seen ?? "" })),
    attacked: attacks.length, changed: sum("changed"), illegal: sum("illegal"), share: share(perClass), perClass, survivors, either: [...byRule.values()],
  };
}

const percent = (of: number): string => `${(100 * of).toFixed(2)} %`;

export function summaryLines(result: AttackResult): string[] {
  const { unmutated, perClass } = result;
  return [
    `${result.attacked} traces of ${result.backend === "real" ? `Linux ${result.release}` : "the model"}, each mutated once; ${result.lost} programs left none`,
    `not mutated: ${unmutated.legal} legal, ${unmutated.illegal} ILLEGAL, ${unmutated.unknown} unknown (those were not attacked)`,
    ...result.notLegal.map((t) => `trace ${t.trace}, not mutated: ${t.verdict}, ${t.seen}`),
    "",
    `${"class".padEnd(10)}  changed  illegal  unknown  legal   either (legal)`,
    ...perClass.map((row) => `${row.kind.padEnd(10)}${[row.changed, row.illegal, row.unknown, row.legal].map((n) => String(n).padStart(9)).join("")}${`${row.either} (${row.eitherLegal})`.padStart(17)}`),
    "",
    ...result.survivors.map((s) => `trace ${s.trace}, ${s.kind}, event ${s.at}: ${s.what}: ${s.verdict}, ${s.why}`),
    `illegal: ${result.illegal} of ${result.changed} that change what a trace means, ${percent(result.share)}`,
  ];
}

export function reportOf(result: AttackResult): string {
  const { unmutated, perClass, survivors, either } = result;
  const table = (head: readonly string[], body: readonly (readonly (string | number)[])[]): string[] => [
    `| ${head.join(" | ")} |`,
    `|${head.map(() => "---").join("|")}|`,
    ...body.map((row) => `| ${row.map((value) => cell(String(value))).join(" | ")} |`),
  ];
  return `${[
    "# The oracle under attack",
    "",
    "Written by `npm run bench:attack`; do not edit.",
    "",
    "Programs as `ringspec diff` draws them are run and recorded. Each trace is judged as it is; one that is legal is mutated once",
    "(`test/attack/mutate.ts`: classes take turns, and the place is drawn from the seed) and judged again. Where the search comes to its",
    "limit it is given more time, and `unknown` is what is unknown even then: it counts as not found.",
    "",
    "What a mutation means is decided from the trace alone (`test/attack/meaning.ts`), without the model and whatever the oracle says. It",
    "counts as one that changes something unless a rule there says that the kernel may do either; those are in the column \"either\".",
    "Classes `hidden` and `repeated` are looks that no trace from a file can have: the reader refuses them. The oracle is asked without it.",
    "",
    `${result.attacked} traces of ${result.backend === "real" ? `Linux ${result.release}` : "the model"}, seed ${result.seed}. Not mutated: ${unmutated.legal} legal, ${unmutated.illegal} illegal,`,
    `${unmutated.unknown} unknown (not attacked). **${result.illegal} of ${result.changed} mutations that change what a trace means are illegal: ${percent(result.share)}.**`,
    "",
    ...table(
      ["class", "changed", "illegal", "of these refused by the reader too", "unknown", "legal", "either", "of these legal"],
      perClass.map((r) => [r.kind, r.changed, r.illegal, r.refused, r.unknown, r.legal, r.either, r.eitherLegal]),
    ),
    "",
    "## Not legal as recorded",
    "",
    ...(result.notLegal.length === 0 ? ["None."] : table(["trace", "verdict", "seen, or why"], result.notLegal.map((t) => [t.trace, t.verdict, t.seen]))),
    "",
    "## Left aside",
    "",
    ...table(["rule", "why the kernel may do either", "mutations", "of these legal"], either.map((e) => [e.rule, e.why, e.mutations, e.legal])),
    "",
    "## Survivors",
    "",
    ...(survivors.length === 0 ? ["None."] : table(["trace", "class", "event", "what was changed", "verdict", "why"], survivors.map((s) => [s.trace, s.kind, s.at, s.what, s.verdict, s.why]))),
  ].join("\n")}\n`;
}
