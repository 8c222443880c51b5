// Mutation testing of the model, as `npm run bench:mutants` does it, on a few mutants of several modules and a small
// corpus of traces of the model itself.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "../../src/real/addon.ts";
import { shuffled } from "../mutants/corpus.ts";
import { control, fateOf, prepare, type Prepared } from "../mutants/prepare.ts";

const SEED = 1;
const FILES = ["completion.ts", "link.ts", "nop.ts", "poll.ts", "submit.ts", "timeout.ts"];
const MUTANTS = 12;
/** So many traces of so small a corpus come by each of them, at least. */
const TRACES = 10;
/** Half of them: the corpus is far smaller than that of the bench. A judge that takes everything kills none. */
const KILLED = 6;

describe("mutants of the model", () => {
  // Below the package, where the build finds what it imports.
  const parent = join(packageRoot, ".ringspec");
  mkdirSync(parent, { recursive: true });
  const directory = mkdtempSync(join(parent, "mutants-test-"));
  let prepared: Prepared;

  beforeAll(async () => {
    prepared = await prepare({
      backend: "model", seed: SEED, programs: 64, older: 0, scripts: false, vectors: 0, bases: 64, each: 4, directory,
      files: FILES, jobs: 2, say: () => {},
    });
  }, 180_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("without one, each trace of the corpus is judged as before", async () => {
    expect(prepared.kept.filter(({ expected }) => expected === "legal").length).toBeGreaterThan(20);
    expect(prepared.kept.filter(({ expected }) => expected === "illegal").length).toBeGreaterThan(10);
    const kinds = new Set(prepared.kept.filter(({ expected }) => expected === "illegal").map(({ from }) => from));
    expect([...kinds]).toEqual(expect.arrayContaining(["one change: sooner", "one change: res"]));
    expect(await control(prepared, 2)).toEqual([]);
  });

  test(`of ${MUTANTS} that ${TRACES} traces come by, at least ${KILLED} are killed`, async () => {
    const met = prepared.mutants.filter(({ id }) => prepared.kept.filter(({ ids }) => ids.has(id)).length >= TRACES);
    const drawn = shuffled(met, SEED).slice(0, MUTANTS).values();
    const fates: string[] = [];
    const lane = async (): Promise<void> => {
      for (const mutant of drawn) fates.push((await fateOf(prepared, mutant)).fate);
    };
    await Promise.all([lane(), lane()]);
    expect(fates).toHaveLength(MUTANTS);
    expect(fates.filter((fate) => fate === "killed" || fate === "timeout").length).toBeGreaterThanOrEqual(KILLED);
  });
});
