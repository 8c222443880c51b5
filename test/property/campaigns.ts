// What the properties share: the seed of the run, and the assertion that a campaign both agreed and
// exercised what it is there for. A green run that exercised too little is a failure.
import process from "node:process";
import { expect } from "vitest";
import type { CampaignResult } from "../../src/cli/campaign.ts";
import { closingTable, explainCounterexample } from "../../src/cli/report.ts";
import { saveCounterexample } from "../../src/cli/counterexample.ts";
import { SAVE_DIRECTORY } from "../../src/cli/diff.ts";
import { failuresOf } from "../../src/cli/tally.ts";
import { PROGRAM_OPCODES } from "../../src/program/program.ts";
import type { Summary } from "../../src/cli/tally.ts";

/** Operations of a program, at most: more than `ringspec diff` draws by default, where programs a second count too. */
export const LONG = 56;

/** RINGSPEC_SEED, else another one each run; printed either way. */
export const SEED: number = (() => {
  const given = process.env["RINGSPEC_SEED"];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 31) throw new Error(`RINGSPEC_SEED: expected a whole number below 2^31, got "${given}"`);
  console.log(`seed ${seed} (RINGSPEC_SEED=${seed} draws the same programs again)`);
  return seed;
})();

export interface Minimum {
  readonly wraps: number;
  readonly overflows: number;
  readonly chains: number;
  readonly drains: number;
  readonly cancels: number;
  readonly readings: number;
  /** Of each opcode that programs are made of; others come as they come. */
  readonly eachOpcode: number;
  /** Operations a program, on average. */
  readonly operationsPerProgram: number;
}

/** What falls short of the minimum, in sentences. */
export function shortfalls(summary: Summary, minimum: Minimum): string[] {
  const short: string[] = [];
  for (const what of ["wraps", "overflows", "chains", "drains", "cancels", "readings"] as const) {
    if (summary[what] < minimum[what]) short.push(`${summary[what]} ${what}, at least ${minimum[what]} are needed`);
  }
  for (const name of PROGRAM_OPCODES) {
    const count = summary.opcodes[name] ?? 0;
    if (count < minimum.eachOpcode) short.push(`${name} ${count} times, at least ${minimum.eachOpcode} are needed`);
  }
  const average = summary.operations / Math.max(summary.programs, 1);
  if (average < minimum.operationsPerProgram) short.push(`${average.toFixed(1)} operations a program, at least ${minimum.operationsPerProgram} are needed`);
  return short;
}

/** Fails with the counterexample where something diverged, and with what is missing where too little was exercised. */
export function expectAgreement({ summary, counterexamples }: CampaignResult, minimum: Minimum): void {
  const told = counterexamples.map((found) => explainCounterexample(found, saveCounterexample(SAVE_DIRECTORY, found)));
  const wrong = [...failuresOf(summary), ...shortfalls(summary, minimum)];
  expect(wrong, `${told.join("\n")}\n${closingTable(summary)}`).toEqual([]);
}
