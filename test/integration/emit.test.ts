// Programs as C: they compile without a warning and, where the model says that a program can end in one way only, print
// what the model says and what the real kernel's trace shows. Without a C compiler that is said, and nothing passes.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, type TestContext } from "vitest";
import { Pool } from "../../src/cli/pool.ts";
import { drawPrograms } from "../../src/cli/programs.ts";
import { Unmodelled } from "../../src/kernel.ts";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { explore } from "../../src/oracle/explore/explore.ts";
import { outcomeOf, outcomeText } from "../../src/oracle/explore/outcome.ts";
import { emitC, emitFault } from "../../src/program/emit/c.ts";
import type { Program } from "../../src/program/program.ts";
import { parseTrace } from "../../src/program/trace.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { program, SMALL } from "../small-programs.ts";
import { realOrSay } from "./real.ts";

const profile = { ...PROFILE_6_18, file: { readInline: undefined, writeInline: undefined } };
const scratch = mkdtempSync(join(tmpdir(), "ringspec-emit-test-"));
let pool: Pool | undefined;
let hasCompiler = false;
beforeAll(() => {
  hasCompiler = spawnSync("cc", ["--version"]).status === 0;
});
afterAll(async () => {
  rmSync(scratch, { recursive: true, force: true });
  await pool?.close();
});

function needsCompiler(context: TestContext): void {
  if (hasCompiler) return;
  console.warn("\nSKIPPED, NOT PASSED: there is no C compiler (cc), so no emitted program was compiled or run\n");
  context.skip("no C compiler");
}

function compiled(name: string, text: string): string {
  const path = join(scratch, `${name}.c`);
  writeFileSync(path, text);
  const { status, stderr } = spawnSync("cc", ["-std=c11", "-Wall", "-Wextra", "-Werror", "-o", path.slice(0, -2), path], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return path.slice(0, -2);
}

/** What it printed, in the order of an outcome: calls, completions, looks. */
function printed(path: string, env = process.env): string {
  const { status, stdout, stderr } = spawnSync(path, { encoding: "utf8", timeout: 30_000, env });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const lines = stdout.trimEnd().split("\n");
  const of = (word: string): string[] => lines.filter((line) => line.startsWith(word));
  return [...lines.filter((line) => !/^(cqe|look) /.test(line)), ...of("cqe "), ...of("look ")].join("\n");
}

/** Programs that can be emitted and end in one way only, and that way. */
function* determined(kind: Program["kind"], seed: number, count: number): Generator<readonly [Program, string]> {
  for (const { program: drawn } of drawPrograms({ seed, runs: 200, kind, maxOps: 16 })) {
    if (emitFault(drawn) !== undefined) continue;
    try {
      const { outcomes: [only, ...others], complete } = explore(drawn, { profile, statesMax: 3000 });
      if (!complete || only === undefined || others.length > 0 || only.end !== undefined) continue;
      yield [drawn, outcomeText(only)];
      if (--count === 0) return;
    } catch (error) {
      if (!(error instanceof Unmodelled)) throw error;
    }
  }
  throw new Error(`the seed ${seed} has too few programs that end in one way only`);
}

describe("emit --c", () => {
  test.for(["legal", "hostile"] as const)("%s programs that end in one way only print what the model and the real kernel's trace say", async (kind, context) => {
    needsCompiler(context);
    realOrSay(context).close();
    let ran = 0;
    for (const [drawn, expected] of determined(kind, 23, 12)) {
      const name = `${kind}-${ran++}`;
      expect(printed(compiled(name, emitC(drawn))), JSON.stringify(drawn)).toBe(expected);
      const { trace = "" } = await (pool ??= new Pool({ backend: "real", jobs: 1 })).run({ program: drawn, keepTrace: true });
      expect(outcomeText(outcomeOf(drawn, parseTrace(trace).events))).toBe(expected);
    }
    expect(ran).toBe(12);
  });

  test("a program that may end in several ways prints one of its outcomes", (context) => {
    needsCompiler(context);
    realOrSay(context).close();
    const emitted = Object.entries(SMALL).filter(([, small]) => emitFault(small) === undefined);
    // Refused: those that register something, send a signal, or use SQPOLL.
    expect(Object.keys(SMALL).length - emitted.length).toBe(4);
    for (const [name, small] of emitted) {
      const { outcomes } = explore(small, { profile, statesMax: 100_000 });
      expect(outcomes.map(outcomeText)).toContain(printed(compiled(name.replace(/\W/g, "-"), emitC(small))));
    }
  });

  test("nothing is left behind", (context) => {
    needsCompiler(context);
    realOrSay(context).close();
    // In a folder of its own: other programs run beside this one.
    const own = join(scratch, "left");
    mkdirSync(own);
    const source = emitC(program([{ op: "write", fd: "f0", bytes: 3, fill: 1 }], { files: [8] }));
    const path = compiled("files", source);
    printed(path, { ...process.env, TMPDIR: own });
    expect(readdirSync(own)).toEqual([]);
    // That it was there at all: a parent that isn't one ends it.
    expect(spawnSync(path, { env: { ...process.env, TMPDIR: join(own, "missing") }, encoding: "utf8" })).toMatchObject({ status: 2, stderr: expect.stringContaining("TMPDIR") });
  });
});

describe("ringspec emit", () => {
  const main = join(packageRoot, "dist", "src", "cli", "main.js");
  const ringspec = (args: readonly string[], input = ""): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [main, ...args], { encoding: "utf8", input, cwd: scratch });

  test("prints the program, or writes it", () => {
    const text = JSON.stringify(SMALL["two workers"]);
    const { status, stdout } = ringspec(["emit", "--c", "-"], text);
    expect(status).toBe(0);
    expect(stdout).toContain("int main(void) {");
    expect(stdout).not.toMatch(/liburing|<linux\/io_uring/);
    expect(ringspec(["emit", "--c", "-", "-o", "out.c"], text)).toMatchObject({ status: 0, stdout: "" });
    expect(readFileSync(join(scratch, "out.c"), "utf8")).toBe(stdout);
  });

  const unsafe = program([{ op: "sqe", opcode: "READ", userData: 1, fd: "f0", addr: { is: "buffer", buffer: 0, at: 0 }, len: 64 }], { files: [8], buffers: [8] });
  test.each<[string[], string, string[]]>([
    [["emit"], "", ["expected a language", "ringspec emit --c program.json"]],
    [["emit", "--c", "/nonexistent.json"], "", ["expected a file", "check the path"]],
    [["emit", "--c", "-"], JSON.stringify(program([], {}, { flags: ["SQPOLL"] })), ["can't be emitted as C", "SQPOLL"]],
    [["emit", "--c", "-"], JSON.stringify(program([], {}, { flags: ["CQE_MIXED"] })), ["can't be emitted as C", "CQE_MIXED"]],
    [["emit", "--c", "-"], JSON.stringify(program([{ op: "fdinfo" }])), ["operation 0 reads what procfs shows"]],
    [["emit", "--c", "-"], JSON.stringify(unsafe), ["not safe to run", "not within buffer 0"]],
    [["emit", "--c", "-", "-o", "/nonexistent/x.c"], JSON.stringify(program([])), ["expected a file that can be written", "/nonexistent/x.c"]],
  ])("ringspec %j is refused with what was expected", (args, input, words) => {
    const { status, stdout, stderr } = ringspec(args, input);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    for (const word of words) expect(stderr).toContain(word);
  });
});
