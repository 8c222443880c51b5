// What the judging of mutants prints: a line for each, the sums, the page docs/reports/mutants.md, the JSON.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../src/real/addon.ts";
import type { Mutant } from "../../test/mutants/instrument.ts";
import type { Kept, MutantFate } from "../../test/mutants/prepare.ts";
import { cell } from "../generate/text.ts";

/** At least this share of the sample has to be killed. */
export const TARGET = 0.85;
/** Reasons of survivors that somebody looked at, by the mutation itself. */
export const REASONS = join("test", "mutants", "survivors.json");

export interface Judged {
  readonly mutant: Mutant;
  readonly fate: MutantFate;
  readonly ms: number;
}

export interface CorpusRow {
  readonly from: string;
  readonly legal: number;
  readonly illegal: number;
}

export interface About {
  readonly seed: number;
  readonly backend: string;
  readonly release: string;
  readonly corpus: readonly CorpusRow[];
  /** Mutants of the model that the sample was drawn from, and how many of these no trace comes by. */
  readonly of: number;
  readonly unmet: number;
  /** Drawn, and not counted: the compiler refuses them. */
  readonly refused: number;
  readonly ignored: ReadonlyMap<string, number>;
  /** Recorded traces that are not in the corpus, by reason. */
  readonly dropped: ReadonlyMap<string, number>;
  /** Traces that were left out in the run. */
  readonly odd: number;
}

export function corpusRows(kept: readonly Kept[]): CorpusRow[] {
  const rows = new Map<string, { legal: number; illegal: number }>();
  for (const { from, expected } of kept) {
    const row = rows.get(from) ?? { legal: 0, illegal: 0 };
    row[expected]++;
    rows.set(from, row);
  }
  return [...rows].map(([from, row]) => ({ from, ...row })).sort((a, b) => b.legal - a.legal || b.illegal - a.illegal);
}

const WAYS = {
  illegalFromLegal: "a legal trace is illegal",
  legalFromIllegal: "an illegal trace is legal",
  faulty: "an illegal trace of a faulty kernel is legal",
  unknown: "of legal traces no more is said than unknown",
  threw: "the model throws",
  timeout: "judging takes too long",
} as const;
type Way = keyof typeof WAYS;

/** undefined: it survives. */
function wayOf(fate: MutantFate): Way | undefined {
  if (fate.fate === "timeout" || fate.fate === "faulty") return fate.fate;
  if (fate.fate !== "killed") return undefined;
  return ({ illegal: "illegalFromLegal", legal: "legalFromIllegal", unknown: "unknown", threw: "threw" } as const)[fate.how];
}

export interface MutantsResult {
  readonly mutants: number;
  readonly killed: number;
  readonly survived: number;
  readonly share: number;
  readonly ways: Readonly<Record<Way, number>>;
  readonly uncovered: number;
  readonly of: number;
  readonly legal: number;
  readonly illegal: number;
  readonly seed: number;
  readonly backend: string;
}

export function jsonOf(judged: readonly Judged[], { of, corpus, seed, backend }: About): MutantsResult {
  const ways: Record<Way, number> = { illegalFromLegal: 0, legalFromIllegal: 0, faulty: 0, unknown: 0, threw: 0, timeout: 0 };
  let killed = 0;
  for (const { fate } of judged) {
    const way = wayOf(fate);
    if (way === undefined) continue;
    ways[way]++;
    killed++;
  }
  const traces = (what: "legal" | "illegal"): number => corpus.reduce((all, row) => all + row[what], 0);
  return {
    mutants: judged.length, killed, survived: judged.length - killed, share: killed / Math.max(judged.length, 1), ways,
    uncovered: judged.filter(({ fate }) => fate.fate === "uncovered").length, of, legal: traces("legal"), illegal: traces("illegal"), seed, backend,
  };
}

const oneLine = (text: string): string => {
  const flat = text.replace(/\s+/g, " ");
  return flat.length > 70 ? `${flat.slice(0, 67)}...` : flat;
};

/** Such as "timeout.ts:12 ConditionalExpression: a < b -> false". */
export const nameOf = ({ file, line, kind, original, replacement }: Mutant): string =>
  `${file}:${line} ${kind}: ${oneLine(original)} -> ${oneLine(replacement)}`;

/** The line that it is in, without its number, and the change: stays the same where lines move. */
export function keyOf({ file, line, original, replacement }: Mutant): string {
  const text = readFileSync(join(packageRoot, "src", "model", file), "utf8").split("\n")[line - 1] ?? "";
  return `${file}, ${text.trim()}: ${oneLine(original)} -> ${oneLine(replacement)}`;
}

export function lineOf({ mutant, fate, ms }: Judged, number: number): string {
  const way = wayOf(fate);
  const how = way === undefined ? fate.fate : `killed: ${WAYS[way]}`;
  return `${String(number).padStart(4)} ${(ms / 1000).toFixed(1).padStart(5)} s  ${how.padEnd(36)} ${nameOf(mutant)}`;
}

const percent = (part: number, of: number): string => `${((100 * part) / Math.max(of, 1)).toFixed(1)} %`;
const names = Object.keys(WAYS) as readonly Way[]; // written above

export function summaryLines(result: MutantsResult): string[] {
  const row = (label: string, value: string | number): string => `${label.padEnd(48)} ${value}`;
  return [
    "",
    row("mutants", `${result.mutants} of ${result.of}`),
    row("killed", `${result.killed} (${percent(result.killed, result.mutants)})`),
    ...names.map((way) => row(`  ${WAYS[way]}`, result.ways[way])),
    row("survived", result.survived),
    row("  of these, no trace comes by", result.uncovered),
  ];
}

function reasons(): Record<string, string> {
  return JSON.parse(readFileSync(join(packageRoot, REASONS), "utf8")) as Record<string, string>; // ours
}

const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? "---" : "---:")), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

function killedBy(judged: readonly Judged[], of: (mutant: Mutant) => string): (string | number)[][] {
  const rows = new Map<string, [number, number]>();
  for (const { mutant, fate } of judged) {
    const [all, killed] = rows.get(of(mutant)) ?? [0, 0];
    rows.set(of(mutant), [all + 1, killed + (wayOf(fate) === undefined ? 0 : 1)]);
  }
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, [all, killed]]) => [name, all, killed, percent(killed, all)]);
}

export function reportOf(judged: readonly Judged[], about: About): string {
  const result = jsonOf(judged, about);
  const known = reasons();
  const reasonOf = ({ mutant, fate }: Judged): string =>
    known[keyOf(mutant)] ?? (fate.fate === "uncovered" ? "no trace of the corpus comes by" : "not looked at yet");
  const survivors = judged.filter(({ fate }) => wayOf(fate) === undefined).sort((a, b) => (a.mutant.file < b.mutant.file ? -1 : a.mutant.file > b.mutant.file ? 1 : a.mutant.line - b.mutant.line));
  const seconds = judged.map(({ ms }) => ms / 1000).sort((a, b) => a - b);
  const code = (text: string): string => `\`${cell(oneLine(text)).replaceAll("`", "'")}\``;
  return `# Mutants of the model

Written by \`npm run bench:mutants\`; do not edit. Each mutant is \`src/model\` with one small change, made by Stryker's instrumenter, and
a corpus of traces is judged with it. A mutant is killed where a legal trace is not legal any more, where an illegal one is
legal, or where judging throws or takes too long. A model made too narrow dies of the first kind of trace, one made too wide of the
second. An illegal trace of which a mutant says unknown kills nothing. A mutant that survives all that is judged against traces of faulty
kernels too: the model with another mutant in the same line runs programs that come by there, and the oracle calls what it does illegal.

${table(["Sample", ""], [
    ["seed", result.seed], ["mutants in all", about.of], ["of these, no trace comes by", about.unmet], ["sampled", result.mutants],
    ["**killed**", `**${result.killed} (${percent(result.killed, result.mutants)})**`], ...names.map((way) => [WAYS[way], result.ways[way]]),
    ["survived", result.survived], ["of these, no trace comes by", result.uncovered],
    ["seconds for one, median and most", `${(seconds[seconds.length >> 1] ?? 0).toFixed(1)}, ${(seconds.at(-1) ?? 0).toFixed(1)}`],
  ])}

## The corpus

Recorded at the start of the run, on the ${about.backend} kernel (${about.release}) and, as releases that no kernel here is of, on the model. Only
traces that the model as it is calls legal are kept, and of these with one change (\`test/attack\`) only those that it calls illegal.
Each mutant is judged against the traces that come by the place where it differs. The trace that kills it is judged again without it:
${about.odd} traces were judged otherwise then, and left out.

${table(["Traces", "Legal", "Illegal"], [...about.corpus.map(({ from, legal, illegal }) => [from, legal, illegal]), ["all", result.legal, result.illegal]])}

Recorded and not in the corpus:

${[...about.dropped].map(([reason, count]) => `- ${count}: ${reason}`).join("\n")}

## Not mutated

Besides the ${result.mutants} that are judged, ${about.refused} were drawn that the compiler refuses: a name that is no state, a result of the wrong type.
They are not counted. Left out by rule, in \`test/mutants/ignore.ts\`:

${[...about.ignored].map(([reason, count]) => `- ${count} mutants: ${reason}`).join("\n")}

## By class

${table(["Stryker's class", "Mutants", "Killed", ""], killedBy(judged, ({ kind }) => kind))}

## By module

${table(["Module of src/model", "Mutants", "Killed", ""], killedBy(judged, ({ file }) => file))}

## Survivors

Reasons are kept in \`${REASONS}\`, by what was changed.

| Place | What is changed | Reason |
| --- | --- | --- |
${survivors.map((one) => `| ${one.mutant.file}:${one.mutant.line} | ${one.mutant.kind}: ${code(one.mutant.original)} is ${code(one.mutant.replacement)} | ${cell(reasonOf(one))} |`).join("\n")}
`;
}
