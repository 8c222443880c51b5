// The oracle accepts everything that the model itself does, whatever it chooses and wherever its
// counters start: a checker that refuses its own model would refuse a correct kernel. Runs anywhere.
import fc from "fast-check";
import { test } from "vitest";
import { runCampaign } from "../../src/cli/campaign.ts";
import { isDivergence } from "../../src/cli/tally.ts";
import { Unmodelled } from "../../src/kernel.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import type { ModelKernelOptions } from "../../src/model/kernel.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import { legalProgram } from "../../src/program/arbitrary.ts";
import type { Program } from "../../src/program/program.ts";
import { expectAgreement, LONG, SEED } from "./campaigns.ts";

test("self-agreement: the oracle judges every run of the model legal, a third of them near the wrap of the counters", async () => {
  const minimum = { wraps: 300, overflows: 15, chains: 60, drains: 10, cancels: 50, readings: 60, eachOpcode: 10, operationsPerProgram: 20 };
  expectAgreement(await runCampaign({ backend: "model", runs: 400, seed: SEED, maxOps: LONG }), minimum);
});

/** What the model has not (one program in some thousands) says nothing here; too many of them fail the property. */
function orUnmodelled<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    fc.pre(!(error instanceof Unmodelled));
    throw error;
  }
}

test("self-agreement: the same program, seed and counters give the same trace", () => {
  const traceOf = (program: Program, options: ModelKernelOptions): string | undefined => {
    const kernel = createModelKernel(options);
    try {
      return orUnmodelled(() => runAndJudge(kernel, program, { keepTrace: true }).trace);
    } finally {
      kernel.close();
    }
  };
  const counters = fc.integer({ min: 2 ** 32 - 20, max: 2 ** 32 - 1 });
  fc.assert(
    fc.property(legalProgram({ maxOps: 30 }), fc.nat(), counters, (program, seed, start) => traceOf(program, { seed, counters: start }) === traceOf(program, { seed, counters: start })),
    { seed: SEED, numRuns: 50, maxSkipsPerRun: 1 },
  );
});

test("self-agreement: on programs that fast-check shrinks itself", () => {
  fc.assert(
    fc.property(legalProgram({ maxOps: 20 }), fc.nat(), (program, seed) => {
      const kernel = createModelKernel({ seed });
      const outcome = orUnmodelled(() => runAndJudge(kernel, program));
      kernel.close();
      if (outcome !== undefined && isDivergence(outcome)) throw new Error(`seen: ${outcome.verdict.seen}\nallowed: ${outcome.verdict.allowed?.join("\n  or ")}`);
    }),
    { seed: SEED, numRuns: 100, maxSkipsPerRun: 1 },
  );
});
