// Mutation testing of the model, as `npm run bench:mutants` does it, on a few mutants of several modules and a small
// corpus of traces of the model itself.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "../../src/real/addon.ts";
import { control, fateOf, prepare, type Prepared } from "../mutants/prepare.ts";

const SEED = 1;
const FILES = ["completion.ts", "link.ts", "nop.ts", "poll.ts", "submit.ts", "timeout.ts"];
/** Mutants that even so small a corpus kills, every one of them, by file: "original -> replacement". */
const DOOMED: readonly (readonly [file: string, change: string])[] = [
  ["completion.ts", "ring.cqSlot += slots -> ring.cqSlot -= slots"],
  ["completion.ts", "!fillCqe(m, cqe) -> false"],
  ["link.ts", "(r.flags & REQ.SKIP_LINK_CQES) !== 0 -> (r.flags & REQ.SKIP_LINK_CQES) === 0"],
  ["poll.ts", 'checked === "cancelled" -> checked !== "cancelled"'],
  ["poll.ts", "mask !== 0 && (mask & r.pollEvents & ~COMMON) === 0 -> false"],
  ["submit.ts", "!op.ioprio -> op.ioprio"],
  ["submit.ts", "refused.error !== 0 -> false"],
  ["timeout.ts", "(id) => id !== r.id -> () => undefined"],
  ["timeout.ts", "(flags & CLOCKS) === CLOCKS -> (flags & CLOCKS) !== CLOCKS"],
];

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

  test.each(DOOMED)("%s, %s: killed", async (file, change) => {
    const mutant = prepared.mutants.find((each) => each.file === file && `${each.original} -> ${each.replacement}` === change);
    if (mutant === undefined) throw new Error(`src/model/${file} has no mutant "${change}" any more; take another one that is killed`);
    expect(await fateOf(prepared, mutant)).toMatchObject({ fate: "killed" });
  });
});
