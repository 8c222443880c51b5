// The property this project is for: what the running kernel does with any program is something that the
// model allows. Needs the real kernel; says so where there is none, and fails where it was required.
import process from "node:process";
import { expect, test } from "vitest";
import { runCampaign } from "../../src/cli/campaign.ts";
import { Tally } from "../../src/cli/tally.ts";
import { probeReal } from "../../src/real/probe.ts";
import { expectAgreement, LONG, SEED, shortfalls } from "./campaigns.ts";
import type { Minimum } from "./campaigns.ts";

const LEGAL_RUNS = 300;
const HOSTILE_RUNS = 100;
/** About a third of what such a run exercises on average. */
const MINIMUM: Minimum = { wraps: 300, overflows: 15, chains: 60, drains: 10, cancels: 50, readings: 60, eachOpcode: 10, operationsPerProgram: 20 };

const { available, reasons } = probeReal();
const required = process.env["RINGSPEC_REQUIRE_REAL"] === "1";
if (!available) console.warn(`\nSKIPPED, NOT PASSED: no real kernel here: ${reasons.join("; ")}\n(RINGSPEC_REQUIRE_REAL=1 makes this a failure)\n`);

test("agreement: the kernel does nothing that the model does not allow", async (context) => {
  if (!available && required) throw new Error(`RINGSPEC_REQUIRE_REAL=1, and there is no real kernel: ${reasons.join("; ")}`);
  if (!available) return context.skip(reasons.join("; "));
  expectAgreement(await runCampaign({ backend: "real", runs: LEGAL_RUNS + HOSTILE_RUNS, seed: SEED, maxOps: LONG }), MINIMUM);
});

test("a campaign that exercised nothing does not pass", () => {
  const empty = new Tally({ backend: "real", release: "6.18", strictness: "spec", seed: 1, children: 2 }).summary();
  expect(shortfalls(empty, MINIMUM)).toEqual(expect.arrayContaining(["0 chains, at least 60 are needed", "NOP 0 times, at least 10 are needed"]));
});
