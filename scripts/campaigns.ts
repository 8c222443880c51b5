// `npm run campaigns`: a differential campaign for each kind of ring, on the real kernel. Writes
// docs/reports/campaigns-RELEASE.md: what each exercised, and every alternative of every choice point as it was seen
// or never seen.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { runCampaign } from "../src/cli/campaign.ts";
import { saveCounterexample } from "../src/cli/counterexample.ts";
import { SAVE_DIRECTORY } from "../src/cli/diff.ts";
import type { RingFlags } from "../src/cli/programs.ts";
import { UNJUDGED_SHARE_MAX } from "../src/cli/tally.ts";
import type { Summary } from "../src/cli/tally.ts";
import { RealKernelUnavailable } from "../src/real/linux-kernel.ts";
import { wholeNumber } from "./options.ts";

const PROGRAMS = 2000;
const SEED = 4;
/** What a program must have on average. */
const OPERATIONS = 30;
/** `most`: --ops, so that the average is reached. Programs of a ring that fills soon are cut shorter. */
const KINDS: readonly { readonly flags: RingFlags; readonly most: number }[] = [
  { flags: [], most: 56 },
  { flags: ["COOP_TASKRUN"], most: 56 },
  { flags: ["SINGLE_ISSUER", "DEFER_TASKRUN"], most: 56 },
  { flags: ["SUBMIT_ALL"], most: 56 },
  { flags: ["NO_SQARRAY"], most: 56 },
  { flags: ["CQE32"], most: 56 },
  { flags: ["SQE128"], most: 56 },
  { flags: ["CQE_MIXED"], most: 56 },
  { flags: ["CQSIZE"], most: 66 },
  { flags: ["SQPOLL"], most: 60 },
];
const HELP = `npm run campaigns -- [options]

  --runs N      programs for each kind of ring (${PROGRAMS})
  --seed N      of the programs (${SEED})
  --no-report   docs/reports/ stays as it is

Exit codes: 0 no program diverged, and of each kind at most ${UNJUDGED_SHARE_MAX * 100} % are unknown, unspecified or unmodelled, each;
1 otherwise, 2 usage, 3 no real kernel`;

interface Campaign {
  readonly name: string;
  readonly most: number;
  readonly summary: Summary;
}

function readOptions(): { readonly runs: number; readonly seed: number; readonly report: boolean } | undefined {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: String(PROGRAMS) }, seed: { type: "string", default: String(SEED) },
      "no-report": { type: "boolean", default: false }, help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  return { runs: wholeNumber("runs", values.runs, 1), seed: wholeNumber("seed", values.seed, 0), report: !values["no-report"] };
}

const percent = (n: number, of: number): string => (n === 0 ? "0" : `${n} (${((100 * n) / of).toFixed(2)} %)`);

/** What this campaign does not show. */
function faults({ name, summary }: Campaign): readonly string[] {
  const { programs, divergences } = summary;
  const wrong = divergences === 0 ? [] : [`${name}: ${divergences} of ${programs} programs diverged`];
  for (const what of ["unknown", "unspecified", "unmodelled"] as const)
    if (summary[what] > UNJUDGED_SHARE_MAX * programs) wrong.push(`${name}: ${percent(summary[what], programs)} of the programs are ${what}`);
  if (summary.operations < OPERATIONS * programs) wrong.push(`${name}: ${(summary.operations / programs).toFixed(1)} operations a program`);
  return wrong;
}

function row({ name, most, summary: s }: Campaign): string {
  const cells = [
    name, most, s.programs, s.hostilePrograms, (s.operations / s.programs).toFixed(1), s.divergences, percent(s.unknown, s.programs),
    percent(s.unspecified, s.programs), percent(s.unmodelled, s.programs), `${s.killed} (${s.killedAsModelled})`,
    s.overflows, s.chains, s.drains, s.cancels, s.wraps, s.programsPerSecond,
  ];
  return `| ${cells.join(" | ")} |`;
}

const listed = (counts: Iterable<readonly [string, number]>): string => [...counts].map(([name, n]) => `${name} ${n}`).join(", ") || "-";

/** The same counts of all campaigns, added up. */
function added(all: readonly Campaign[], of: (summary: Summary) => Record<string, number>): Map<string, number> {
  const sum = new Map<string, number>();
  for (const { summary } of all) for (const [name, n] of Object.entries(of(summary))) sum.set(name, (sum.get(name) ?? 0) + n);
  return sum;
}

function choiceRows(all: readonly Campaign[]): readonly string[] {
  return Object.keys(all[0]?.summary.choices ?? {}).map((point) => {
    const counts = [...added(all, ({ choices }) => choices[point] ?? {})];
    const never = counts.filter(([, n]) => n === 0).map(([name]) => name);
    return `| ${point} | ${listed(counts.filter(([, n]) => n > 0))} | ${never.join(", ") || "-"} |`;
  });
}

function reportOf(all: readonly Campaign[], { runs, seed }: { readonly runs: number; readonly seed: number }): string {
  const wrong = all.flatMap(faults);
  const kernel = all[0]?.summary.kernel ?? "";
  return `# A campaign for each kind of ring

Written by \`npm run campaigns${runs === PROGRAMS ? "" : ` -- --runs ${runs}`}\` on Linux ${kernel}, ${new Date().toISOString().slice(0, 10)}, seed ${seed}. Each row is
\`ringspec diff --backend real --ring RING --runs ${runs} --seed ${seed} --ops OPS --keep-going\`. RING is the flags of every ring; CQSIZE is drawn
beside them, and half of the rings have the smallest CQ that their SQ allows.

| ring | ops | programs | hostile | operations each | divergences | unknown | unspecified | unmodelled | killed (as the model says) | overflows | chains | drains | cancels | wraps | programs/s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
${all.map(row).join("\n")}

${wrong.length === 0 ? "No program diverged, and of no kind is more than one program in a hundred undecided." : `Not as it should be:\n\n${wrong.map((w) => `- ${w}`).join("\n")}`}

Calls of io_uring_register that succeeded: ${listed(added(all, (s) => s.registered))}; refused: ${listed(added(all, (s) => s.registerRefused))}. Calls of
io_uring_enter: ${listed(added(all, (s) => s.entered))}.

Why programs were not decided: ${listed(added(all, (s) => s.reasons))}.

Alternatives of every choice point, and how often all of these campaigns together saw the kernel take them (only where a
trace left no doubt):

| choice point | taken | never |
|---|---|---|
${choiceRows(all).join("\n")}
`;
}

async function main(): Promise<number> {
  let options: ReturnType<typeof readOptions>;
  try {
    options = readOptions();
  } catch (error) {
    process.stderr.write(`campaigns: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const { runs, seed, report } = options;
  const all: Campaign[] = [];
  try {
    for (const { flags, most } of KINDS) {
      const name = flags.join(" ") || "DEFAULT";
      const { summary, counterexamples } = await runCampaign({ backend: "real", runs, seed, ringFlags: flags, maxOps: most, keepGoing: true });
      const campaign = { name, most, summary };
      all.push(campaign);
      const { divergences, unknown, operations, programsPerSecond } = summary;
      const each = (operations / summary.programs).toFixed(1);
      for (const found of counterexamples) process.stdout.write(`diverges: ringspec replay ${saveCounterexample(SAVE_DIRECTORY, found)}\n`);
      process.stdout.write(`${name}: ${divergences} divergences, ${percent(unknown, runs)} unknown, ${each} operations each, ${programsPerSecond} programs/s\n`);
    }
  } catch (error) {
    process.stderr.write(`campaigns: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof RealKernelUnavailable ? 3 : 1;
  }
  if (report) {
    const directory = join("docs", "reports");
    mkdirSync(directory, { recursive: true });
    // A kernel's own build has no say in what a release does.
    const release = /^\d+\.\d+/.exec(all[0]?.summary.kernel ?? "")?.[0] ?? "unknown";
    writeFileSync(join(directory, `campaigns-${release}.md`), reportOf(all, options));
  }
  const wrong = all.flatMap(faults);
  for (const fault of wrong) process.stdout.write(`FAILED: ${fault}\n`);
  return wrong.length === 0 ? 0 : 1;
}

process.exitCode = await main();
