// `npm run bench:bugs`: the property suite's programs, unchanged, against each seeded bug: found or not, after how
// many programs, how small the program became, which rule the verdict names. Writes docs/reports/bugs.md.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { packageRoot } from "../../src/real/addon.ts";
import { BUGS, NO_BUGS } from "../../test/bugs/all.ts";
import type { Bug } from "../../test/bugs/bug.ts";
import { hunt, type Finding } from "../../test/bugs/hunt.ts";
import { removePatched } from "../../test/bugs/patched.ts";
import { jsonOf, lineOf, reportOf, summaryLines } from "./bugs-report.ts";
import { wholeNumber } from "../options.ts";

const REPORT = join("docs", "reports", "bugs.md");
const HELP = `npm run bench:bugs -- [options]

  --seeds N       seeds for each bug (20)
  --seed N        the first of them (1)
  --programs N    programs drawn from a seed before it is given up (1000)
  --shrink-ms N   time to make the program of one bug small (15000)
  --only A,B      only these bugs, by id; docs/reports/bugs.md stays as it is
  --share N/M     only every Mth bug, from the Nth on (N from 0); the same
  --none          no bug at all, in each half; nothing must be found
  --no-report     docs/reports/bugs.md stays as it is
  --json          the last line is the result as JSON

Exit codes: 0 every bug was found (with --none: nothing was), 1 otherwise, 2 usage`;

interface Options {
  readonly seeds: number;
  readonly seed: number;
  readonly programs: number;
  readonly shrinkMs: number;
  readonly bugs: readonly Bug[];
  readonly none: boolean;
  readonly report: boolean;
  readonly json: boolean;
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "20" }, seed: { type: "string", default: "1" }, programs: { type: "string", default: "1000" },
      "shrink-ms": { type: "string", default: "15000" }, only: { type: "string" }, share: { type: "string" }, none: { type: "boolean", default: false },
      "no-report": { type: "boolean", default: false }, json: { type: "boolean", default: false }, help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const whole = values.only === undefined && values.share === undefined && !values.none;
  return {
    seeds: wholeNumber("seeds", values.seeds, 1), seed: wholeNumber("seed", values.seed, 0), programs: wholeNumber("programs", values.programs, 1),
    shrinkMs: wholeNumber("shrink-ms", values["shrink-ms"], 0), bugs: values.none ? NO_BUGS : chosen(values.only, values.share), none: values.none, report: whole && !values["no-report"], json: values.json,
  };
}

function chosen(only: string | undefined, share: string | undefined): readonly Bug[] {
  const ids = only?.split(",");
  const unknown = ids?.find((id) => !BUGS.some((bug) => bug.id === id));
  if (unknown !== undefined) throw new TypeError(`--only: there is no bug "${unknown}"; ids are in ${REPORT}, for example: --only ${BUGS[0]?.id}`);
  const parts = share === undefined ? undefined : /^(\d{1,4})\/(\d{1,4})$/.exec(share);
  const [nth, of] = [Number(parts?.[1]), Number(parts?.[2])];
  if (share !== undefined && !(nth < of)) throw new TypeError(`--share: expected N/M with N from 0 and below M, got "${share}"; for example: --share 0/4`);
  return BUGS.filter((bug, at) => (ids === undefined || ids.includes(bug.id)) && (share === undefined || at % of === nth));
}

async function main(): Promise<number> {
  let options: Options | undefined;
  try {
    options = readOptions();
  } catch (error) {
    process.stderr.write(`bench:bugs: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const { seed, seeds, programs, shrinkMs, bugs, none, report, json } = options;
  const findings: Finding[] = [];
  try {
    for (const bug of bugs) {
      const found = await hunt(bug, { seeds: Array.from({ length: seeds }, (_, i) => seed + i), programsMax: programs, shrinkMs });
      findings.push(found);
      process.stdout.write(`${lineOf(found)}\n`);
    }
  } finally {
    removePatched();
  }
  process.stdout.write(`${summaryLines(findings).join("\n")}\n`);
  if (report) writeFileSync(join(packageRoot, REPORT), reportOf(findings, { seed, seeds, programs }));
  if (json) process.stdout.write(`${JSON.stringify(jsonOf(findings))}\n`);
  if (none) return findings.every(({ shrunk }) => shrunk === undefined) ? 0 : 1;
  return findings.every(({ medianPrograms }) => medianPrograms !== undefined) ? 0 : 1;
}

process.exitCode = await main();
