// The `ringspec` command as a process: help, refusals, exit codes, --json, the model where there is no
// real kernel, and that nothing is left behind. Runs the compiled command (npm run build).
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CHOICE_POINTS } from "../../src/model/choices.ts";
import { PROGRAM_OPCODES } from "../../src/program/program.ts";
import type { Program } from "../../src/program/program.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { probeReal } from "../../src/real/probe.ts";

const main = join(packageRoot, "dist", "src", "cli", "main.js");
const { available, reasons } = probeReal();
let scratch = "";
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "ringspec-cli-test-"));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
/** TMPDIR is the test's own, so that what is left behind can be told from others'. */
const environment = (extra: Record<string, string> = {}): NodeJS.ProcessEnv => {
  const { RINGSPEC_REQUIRE_REAL: _required, RINGSPEC_ADDON: _addon, ...rest } = process.env;
  return { ...rest, TMPDIR: scratch, ...extra };
};
function ringspec(args: readonly string[], extra: Record<string, string> = {}): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { cwd: scratch, encoding: "utf8", env: environment(extra) });
  return { status, stdout, stderr };
}
const noAddon = { RINGSPEC_ADDON: "/nonexistent/ringspec.node" };
const lastJson = (text: string): Record<string, unknown> => JSON.parse(text.trimEnd().split("\n").at(-1) ?? "") as Record<string, unknown>;

const nop: Program = {
  version: 1, kind: "legal", ring: { entries: 4, flags: [] }, world: { files: [], pipes: [], eventfds: [], buffers: [] },
  ops: [{ op: "sqe", opcode: "NOP", userData: 0xaaaa }, { op: "submit" }, { op: "settle" }, { op: "reap" }],
};
function save(name: string, content: unknown): string {
  const path = join(scratch, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

describe("help", () => {
  test.each([[[]], [["doctor"]], [["diff"]], [["run"]], [["replay"]], [["check"]], [["explain"]], [["explore"]], [["emit"]], [["schema"]]])("%j --help shows examples and exit codes", (args) => {
    const { status, stdout } = ringspec([...args, "--help"]);
    expect(status).toBe(0);
    expect(stdout).toContain("Usage: ringspec");
    expect(stdout).toContain("Examples:");
    expect(stdout).toMatch(/0 +the kernel and the model agree[\s\S]*3 +the real kernel was required[\s\S]*4 +check: the trace could not be judged/);
  });
});

describe("bad input exits with 2 and says what was expected, what came and how to fix it", () => {
  test.each<[string[], string[]]>([
    [[], ["expected a command, got none", "ringspec diff"]],
    [["dif"], ["unknown command 'dif'", "Did you mean diff?"]],
    [["diff", "--rums", "3"], ["unknown option '--rums'", "Did you mean --runs?", "ringspec diff --help"]],
    [["diff", "--runs", "many"], ["Expected a whole number from 1 to", 'got "many"', "--runs 1000"]],
    [["diff", "--runs", "0"], ['got "0"']],
    [["diff", "--seed", "-1"], ['got "-1"']],
    [["diff", "--jobs", "1.5"], ['got "1.5"']],
    [["diff", "--backend", "windows"], ["Expected one of auto, real, model", 'got "windows"', "--backend model"]],
    [["diff", "--strictness", "lax"], ["Expected one of auto, spec, profile", 'got "lax"']],
    [["diff", "--kind", "nice"], ["Expected one of legal, hostile, any", 'got "nice"']],
    [["diff", "more"], ["too many arguments"]],
    [["run"], ["missing required argument 'program'"]],
    [["run", "/nonexistent/program.json"], ["expected a file", "/nonexistent/program.json", "check the path"]],
    [["replay", "/nonexistent/saved.json"], ["expected a file", "/nonexistent/saved.json"]],
    [["replay", "x", "--times", "0"], ['got "0"', "--times 100"]],
  ])("ringspec %j", (args, words) => {
    const { status, stdout, stderr } = ringspec(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    for (const word of words) expect(stderr).toContain(word);
  });

  test.each<[string, unknown, string]>([
    ["no JSON", "{", "a program is JSON"],
    ["another version", { ...nop, version: 2 }, "at version"],
    ["an unknown operation", { ...nop, ops: [{ op: "fly" }] }, "at ops.0.op"],
    ["an unknown field", { ...nop, extra: 1 }, "extra"],
  ])("ringspec run of %s", (_what, content, words) => {
    const { status, stderr } = ringspec(["run", save("program.json", content)]);
    expect(status).toBe(2);
    expect(stderr).toContain(words);
    expect(stderr).toContain("ringspec schema");
  });

  test("ringspec replay of a program: that is no counterexample", () => {
    const { status, stderr } = ringspec(["replay", save("program.json", nop)]);
    expect(status).toBe(2);
    expect(stderr).toContain("expected a counterexample of version 1: at ringspec");
  });
});

describe("without a real kernel", () => {
  test("diff runs on the model and says so first and last", () => {
    const { status, stdout } = ringspec(["diff", "--runs", "20", "--seed", "1", "--no-shrink"], noAddon);
    const lines = stdout.trimEnd().split("\n");
    for (const line of [lines[0], lines.at(-1)]) expect(line).toMatch(/^NO REAL KERNEL: .*ringspec doctor/);
    expect(stdout).toContain("model of Linux 6.18");
    expect([0, 1]).toContain(status);
  });

  test.each<[string[], Record<string, string>]>([
    [["diff", "--runs", "5", "--backend", "real"], noAddon],
    [["diff", "--runs", "5"], { ...noAddon, RINGSPEC_REQUIRE_REAL: "1" }],
  ])("ringspec %j, required: exit code 3", (args, extra) => {
    const { status, stderr } = ringspec(args, extra);
    expect(status).toBe(3);
    expect(stderr).toContain("the real kernel was required and is not there");
  });

  test("doctor says why, and exits with 3 only where the real kernel is required", () => {
    const { status, stdout } = ringspec(["doctor", "--json"], noAddon);
    const told = lastJson(stdout);
    expect(status).toBe(0);
    expect(told).toMatchObject({ real: { available: false, reasons: [expect.any(String)] }, features: [], opcodes: [] });
    expect(ringspec(["doctor"], noAddon).stdout).toContain("NOT AVAILABLE");
    expect(ringspec(["doctor"], { ...noAddon, RINGSPEC_REQUIRE_REAL: "1" }).status).toBe(3);
  });
});

describe("what machines read", () => {
  test("diff --json ends with one object that has everything", () => {
    const { stdout } = ringspec(["diff", "--runs", "40", "--seed", "3", "--backend", "model", "--no-shrink", "--json"]);
    expect(stdout.trimEnd().split("\n")).toHaveLength(1);
    const sum = lastJson(stdout);
    expect(sum).toMatchObject({ backend: "model", seed: 3, kernel: expect.any(String), hostilePrograms: expect.any(Number) });
    for (const name of [
      "programs", "operations", "wraps", "overflows", "chains", "drains", "cancels", "divergences", "unknown", "unspecified",
      "unmodelled", "events", "judgedEvents", "killed", "programsPerSecond",
    ]) expect(sum, name).toHaveProperty(name, expect.any(Number));
    expect(Object.keys(sum["opcodes"] as object)).toEqual(expect.arrayContaining([...PROGRAM_OPCODES]));
    for (const [point, alternatives] of Object.entries(CHOICE_POINTS)) {
      for (const alternative of alternatives) expect(sum).toHaveProperty(["choices", point, alternative], expect.any(Number));
    }
  });

  test("doctor --json names what the kernel has", (context) => {
    if (!available) return context.skip(reasons.join("; "));
    const told = lastJson(ringspec(["doctor", "--json"]).stdout);
    expect(told).toMatchObject({ real: { available: true, reasons: [] }, kernel: readFileSync("/proc/sys/kernel/osrelease", "utf8").trim() });
    expect(told["opcodes"]).toEqual(expect.arrayContaining(["NOP", "READ"]));
    expect(told["features"]).toEqual(expect.arrayContaining(["IORING_FEAT_EXT_ARG"]));
  });

  test.each([["model"], ...(available ? [["real"]] : [])])("run on %s: verdict, trace, exit code 0", (backend) => {
    const trace = join(scratch, "trace.jsonl");
    const { status, stdout } = ringspec(["run", save("nop.json", nop), "--backend", backend, "--trace", trace, "--json"]);
    expect(lastJson(stdout)).toMatchObject({ backend, verdict: { verdict: "legal" }, exercise: { opcodes: { NOP: 1 } } });
    expect(status).toBe(0);
    expect(readFileSync(trace, "utf8")).toContain('"trace":"ringspec"');
  });

  test("schema is the JSON Schema of programs", () => {
    expect(JSON.parse(ringspec(["schema"]).stdout)).toMatchObject({ type: "object", properties: { version: { const: 1 } } });
  });
});

test("replay runs a saved counterexample as often as asked", () => {
  const saved = { ringspec: "counterexample", version: 1, id: "1-legal-0", backend: "model", kernel: "6.18", strictness: "spec", model: { seed: 1 }, program: nop };
  const { status, stdout } = ringspec(["replay", save("saved.json", saved), "--times", "3"]);
  expect(stdout).toContain("0 of 3 runs diverge");
  expect(status).toBe(0);
});

/** Processes whose command line has the test's scratch directory: the runner children. */
function children(): string[] {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, "utf8").includes(scratch);
    } catch {
      return false; // gone in between
    }
  });
}
async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error("what was waited for did not come within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("nothing is left behind", () => {
  beforeEach((context) => {
    if (process.platform !== "linux") context.skip("looks for processes in /proc, which only Linux has");
  });

  test("after Ctrl-C: exit code 130, the table so far, no process, no directory", async () => {
    const run = spawn(process.execPath, [main, "diff", "--runs", "1000000", "--keep-going"], { cwd: scratch, env: environment() });
    let stdout = "";
    run.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    const ended = new Promise<number | null>((resolve) => run.once("close", resolve));
    await until(() => children().length === 2);
    run.kill("SIGINT");
    expect(await ended).toBe(130);
    expect(stdout).toMatch(/divergences +\d+[\s\S]*Interrupted after \d+ programs/);
    expect(children()).toEqual([]);
    expect(readdirSync(scratch)).toEqual([]);
  });

  test("after the parent was killed: its children end themselves and remove their directory", async () => {
    const run = spawn(process.execPath, [main, "diff", "--runs", "1000000", "--keep-going"], { cwd: scratch, env: environment(), stdio: "ignore" });
    const ended = new Promise((resolve) => run.once("close", resolve));
    await until(() => children().length === 2);
    run.kill("SIGKILL");
    await ended;
    await until(() => children().length === 0);
    expect(readdirSync(scratch)).toEqual([]);
  });

  // Linux 6.18 goes round in io_cqring_wait for ever, and SIGKILL does not end it.
  test("after a wait with a backlog and a cq.tail that was moved back", (context) => {
    if (!available) return context.skip(reasons.join("; "));
    const nops = (from: number, count: number): Program["ops"] => Array.from({ length: count }, (_, index) => ({ op: "sqe", opcode: "NOP", userData: from + index }));
    const program: Program = {
      ...nop, kind: "hostile", ring: { entries: 8, flags: ["CQSIZE"], cqEntries: 8 },
      ops: [...nops(0xa0, 6), { op: "submit" }, ...nops(0xb0, 3), { op: "submit" }, { op: "store", word: "cqTail", add: -1 }, { op: "enter", toSubmit: 0, minComplete: 8, flags: 1 }],
    };
    const { status, stdout } = ringspec(["run", save("stuck.json", program), "--backend", "real", "--json"]);
    expect(lastJson(stdout)).toMatchObject({ backend: "real", verdict: { verdict: "legal" } });
    expect(status).toBe(0);
    expect(children()).toEqual([]);
  });

  test("after a normal run", () => {
    ringspec(["run", save("nop.json", nop)]);
    expect(readdirSync(scratch)).toEqual(["nop.json"]);
    expect(children()).toEqual([]);
  });
});

describe("ringspec spec --profile", () => {
  test("what a release has, and what it obeys that the verified one does not", () => {
    const told = lastJson(ringspec(["spec", "--profile", "6.1", "--json"]).stdout);
    expect(told).toMatchObject({ profile: "6.1", verified: false });
    expect(JSON.stringify(told)).toContain('"IORING_SETUP_DEFER_TASKRUN"');
    expect(JSON.stringify(told)).not.toContain('"IORING_SETUP_NO_MMAP"');
    expect(JSON.stringify(told)).toContain('"enter.pad-zero"');
    expect(ringspec(["spec", "--profile", "5.10"]).stdout).toContain("not verified: written from sources");
    expect(ringspec(["spec", "--profile", "6.18"]).stdout).toContain("verified on a running kernel");
  });

  test("a look-up within a release finds nothing newer, and an unknown release is refused", () => {
    expect(ringspec(["spec", "nop.flags-checked", "--profile", "6.12"]).status).toBe(0);
    const newer = ringspec(["spec", "nop.flags-checked", "--profile", "6.6"]);
    expect([newer.status, newer.stderr]).toEqual([2, expect.stringContaining("nothing that Linux 6.6 has is called")]);
    const unknown = ringspec(["spec", "--profile", "6.7"]);
    expect([unknown.status, unknown.stderr]).toEqual([2, expect.stringContaining('Expected one of 5.10, 5.15, 6.1, 6.6, 6.12, 6.18, got "6.7"; for example: --profile 6.18')]);
  });
});
