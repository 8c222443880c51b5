// The pool of sacrificial children: a crash, a hang and a kill are outcomes, the campaign goes on, and
// nothing is left behind. A fake child misbehaves on demand; the real child is in cli.test.ts.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Pool, PoolClosed } from "../../src/cli/pool.ts";
import { isDivergence } from "../../src/cli/tally.ts";
import type { Program } from "../../src/program/program.ts";
import { parseTrace } from "../../src/program/trace.ts";
import { realOrSay } from "./real.ts";

const childPath = fileURLToPath(new URL("./children/fake-runner.mjs", import.meta.url));
let scratch = "";
const originalTmp = process.env["TMPDIR"];

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "ringspec-pool-test-"));
  process.env["TMPDIR"] = scratch;
});
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true });
  if (originalTmp === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = originalTmp;
});

/** A program that makes the fake child behave so. */
function program(fakeBehaviour = "fine"): Program {
  const world = { files: [], pipes: [], eventfds: [], buffers: [], fakeBehaviour };
  return { version: 1, kind: "hostile", ring: { entries: 1, flags: [] }, world, ops: [{ op: "settle" }] };
}

/** Processes whose command line has this word. */
function processesWith(word: string): string[] {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, "utf8").includes(word);
    } catch {
      return false; // gone in between
    }
  });
}

async function withPool<T>(use: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = new Pool({ backend: "real", childPath, silentMs: 700, foreverMs: 300 });
  try {
    return await use(pool);
  } finally {
    await pool.close();
  }
}

test.each([
  ["fine", { lost: undefined, divergence: false, seen: undefined }],
  ["illegal", { lost: undefined, divergence: true, seen: "res 1" }],
  ["crash", { lost: "crashed", divergence: true, seen: "SIGSEGV" }],
  ["exit", { lost: "crashed", divergence: true, seen: "out of rings" }],
  ["hang", { lost: "hung", divergence: true, seen: "no progress" }],
  ["foreverAsModelled", { lost: "killed", divergence: false, seen: undefined }],
  ["foreverUnlikeModel", { lost: "killed", divergence: true, seen: "did not return" }],
  ["searches", { lost: undefined, divergence: true, seen: "found after a search" }],
  ["foreverAndYetBack", { lost: undefined, divergence: true, seen: "found after a search" }],
  ["throws", { lost: undefined, divergence: true, seen: "TypeError: no" }],
  ["unmodelled", { lost: undefined, divergence: false, seen: undefined }],
])("a program that is %s among others: its own outcome, and the others' theirs", async (behaviour, expected) => {
  await withPool(async (pool) => {
    const before = Array.from({ length: 30 }, () => pool.run({ program: program() }));
    const odd = pool.run({ program: program(behaviour) });
    const after = Array.from({ length: 30 }, () => pool.run({ program: program() }));
    const outcome = await odd;
    expect({ lost: outcome.lost, divergence: isDivergence(outcome) }).toEqual({ lost: expected.lost, divergence: expected.divergence });
    if (expected.seen !== undefined) expect(outcome.verdict.seen).toContain(expected.seen);
    if (behaviour === "unmodelled") expect(outcome.verdict).toMatchObject({ verdict: "unknown", unmodelled: "unmodelled: SQPOLL" });
    for (const other of await Promise.all([...before, ...after])) expect(other.verdict.verdict).toBe("legal");
  });
});

test("what was waiting or running when the pool closes is rejected, and no process or directory is left", async () => {
  const pool = new Pool({ backend: "real", childPath });
  const under = Array.from({ length: 60 }, () => pool.run({ program: program("hang") }));
  await pool.opened;
  expect(processesWith(scratch)).toHaveLength(2);
  const rejected = Promise.allSettled(under);
  await pool.close();
  for (const result of await rejected) expect(result).toMatchObject({ status: "rejected", reason: expect.any(PoolClosed) });
  expect(processesWith(scratch)).toEqual([]);
  expect(readdirSync(scratch)).toEqual([]);
});

test("a child that can't start is an error, not a wait", async () => {
  const pool = new Pool({ backend: "real", childPath: "/nonexistent/child.js" });
  await expect(pool.opened).rejects.toThrow("was lost 3 times before it ran a program");
  await pool.close();
  expect(existsSync(scratch) && readdirSync(scratch)).toEqual([]);
});

test("what a program leaves open is closed: the numbers of descriptors stay as low as they were", async (context) => {
  realOrSay(context).close();
  const pool = new Pool({ backend: "real", jobs: 1 });
  const silent: Program = {
    version: 1, kind: "legal", ring: { entries: 8, flags: [] }, world: { files: [16], pipes: [], eventfds: [1], buffers: [] },
    ops: [
      ...Array.from({ length: 6 }, (_, i): Program["ops"][number] => ({
        op: "sqe", opcode: "OPENAT", userData: i, flags: ["CQE_SKIP_SUCCESS"], fd: "dir", addr: { is: "path", path: "f0" }, opFlags: 0,
      })),
      { op: "submit" }, { op: "settle" },
    ],
  };
  try {
    const numbers: number[][] = [];
    for (let i = 0; i < 5; i++) {
      const { trace = "" } = await pool.run({ program: silent, keepTrace: true });
      numbers.push(parseTrace(trace).events.flatMap((event) => (event.event === "system" || event.event === "setup" ? [event.result] : [])));
    }
    expect(numbers[0]?.length).toBeGreaterThan(1);
    expect(numbers.slice(1)).toEqual(Array(4).fill(numbers[0]));
  } finally {
    await pool.close();
  }
});
