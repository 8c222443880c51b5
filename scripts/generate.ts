// Writes every generated file from spec/. `node dist/scripts/generate.js` writes what changed,
// `--check` writes nothing, names each stale file and exits 1 if there is one.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv, exit, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type Spec, SpecError, loadSpec, specRoot } from "../src/spec/load.ts";
import { traceLineJsonSchema } from "../src/program/trace-schema.ts";
import { RECORD_SCHEMAS } from "../src/spec/schema.ts";
import { type Coverage, coverageFaults, emitCoverageFile, readCoverage } from "./generate/coverage.ts";
import { emitCodecFile } from "./generate/codec.ts";
import { contradictionFaults, emitContradictionsPage } from "./generate/contradictions.ts";
import { emitConstantsFile } from "./generate/constants.ts";
import { emitAbiCheck, emitRegisterTable } from "./generate/header.ts";
import { emitOpsFile } from "./generate/ops.ts";
import { emitReleasesPage } from "./generate/releases.ts";
import { emitRulesFile, emitRulesPage } from "./generate/rules.ts";

/** Contents of every generated file by path from the root of the checkout. */
export function generate(spec: Spec, coverage: Coverage): Map<string, string> {
  const files = new Map([
    ["src/spec/constants.gen.ts", emitConstantsFile(spec)],
    ["src/spec/codec.gen.ts", emitCodecFile(spec)],
    ["src/spec/ops.gen.ts", emitOpsFile(spec)],
    ["src/spec/rules.gen.ts", emitRulesFile(spec)],
    ["src/spec/coverage.gen.ts", emitCoverageFile(spec, coverage)],
    ["docs/reference/rules.md", emitRulesPage(spec, coverage)],
    ["docs/reference/releases.md", emitReleasesPage(spec, coverage)],
    ["docs/reference/contradictions.md", emitContradictionsPage(spec, coverage)],
    ["native/abi-check.gen.h", emitAbiCheck(spec)],
    ["native/register-table.gen.h", emitRegisterTable(spec)],
  ]);
  for (const [name, schema] of Object.entries(RECORD_SCHEMAS)) {
    files.set(`spec/schema/${name}.json`, `${JSON.stringify(z.toJSONSchema(schema), null, 2)}\n`);
  }
  files.set("spec/schema/trace-line.json", `${JSON.stringify(traceLineJsonSchema(), null, 2)}\n`);
  return files;
}

/** The generated files under `root` that differ from what `files` says they hold. */
export function staleFiles(root: string, files: ReadonlyMap<string, string>): string[] {
  return [...files].filter(([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), "utf8") !== text).map(([path]) => path);
}

function main(check: boolean): number {
  const root = specRoot();
  const coverage = readCoverage(root);
  let files: Map<string, string>;
  let faults: readonly string[];
  try {
    const spec = loadSpec(root);
    files = generate(spec, coverage);
    faults = [...coverageFaults(spec, coverage), ...contradictionFaults(spec, coverage)];
  } catch (error) {
    if (!(error instanceof SpecError)) throw error;
    stdout.write(`${error.message}\n`);
    return 1;
  }
  const stale = staleFiles(root, files);
  for (const path of stale) {
    if (check) {
      stdout.write(`stale: ${path} (run \`npm run generate\`)\n`);
      continue;
    }
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), files.get(path) ?? "");
    stdout.write(`wrote ${path}\n`);
  }
  if (stale.length === 0) stdout.write(`${files.size} generated files are up to date\n`);
  for (const fault of faults) stdout.write(`${fault}\n`);
  return check && stale.length + faults.length > 0 ? 1 : 0;
}

if (argv[1] !== undefined && fileURLToPath(import.meta.url) === argv[1]) exit(main(argv.includes("--check")));
