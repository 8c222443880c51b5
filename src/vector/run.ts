// Runs a vector: the whole of what another implementation's runner has to do.
import { outcomeText, type ProgramOutcome } from "../oracle/explore/outcome.ts";
import { AS_NEWEST, type Vector } from "./vector.ts";

/** One run on the kernel that is tried: what the program saw. */
export type RunProgram = (program: Vector["program"]) => Promise<ProgramOutcome>;

export interface VectorFailure {
  readonly expected: readonly string[];
  readonly got: string;
}

/** What a kernel of this release may show; undefined: the vector says nothing of it. */
export function allowedBy(vector: Vector, release: string): readonly string[] | undefined {
  const outcomes = vector.outcomes[release];
  return outcomes === AS_NEWEST ? allowedBy(vector, "6.18") : outcomes?.map((outcome) => outcomeText(outcome));
}

/** `times` runs, each of which must show one of the outcomes; undefined: all did. */
export async function runVector(vector: Vector, release: string, run: RunProgram, times: number): Promise<VectorFailure | undefined> {
  const expected = allowedBy(vector, release);
  if (expected === undefined) throw new Error(`vector ${vector.id}: expected outcomes of ${release}, got those of ${Object.keys(vector.outcomes).join(", ")}`);
  for (let i = 0; i < times; i++) {
    const got = outcomeText(await run(vector.program));
    if (!expected.includes(got)) return { expected, got };
  }
  return undefined;
}
