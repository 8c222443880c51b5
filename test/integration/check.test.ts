// `ringspec check` as a process: the trace of the reference page, exit codes, files and standard input that are
// broken, cut short, empty, of another version, or huge. Runs the compiled command (npm run build).
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Pool } from "../../src/cli/pool.ts";
import { drawPrograms } from "../../src/cli/programs.ts";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { RecordedJudge } from "../../src/oracle/recorded.ts";
import { parseTrace } from "../../src/program/trace.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { probeReal } from "../../src/real/probe.ts";

const main = join(packageRoot, "dist", "src", "cli", "main.js");
const corpus = join(packageRoot, "test", "property", "corpus");
let scratch = "";
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "ringspec-check-test-"));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
function check(args: readonly string[], input?: string): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, "check", ...args], { cwd: scratch, encoding: "utf8", ...(input === undefined ? {} : { input }) });
  return { status, stdout, stderr };
}
function save(text: string): string {
  const path = join(scratch, "trace.jsonl");
  writeFileSync(path, text);
  return path;
}

const page = readFileSync(join(packageRoot, "docs", "reference", "trace.md"), "utf8");
/** The trace that the reference page has. */
const byHand = /```jsonl\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
const lines = byHand.trimEnd().split("\n");

describe("the trace by hand of docs/reference/trace.md", () => {
  test("is legal, in the words of the page", () => {
    const { status, stdout, stderr } = check([save(byHand)]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(page).toContain(`\n${stdout}`);
    expect(stdout).toMatch(/^legal: 6 of 6 events judged/);
  });
  test("is illegal with another result, in the words of the page", () => {
    const { status, stdout } = check(["-"], byHand.replace('"res":0', '"res":-22'));
    expect(status).toBe(1);
    expect(stdout).toMatch(/^illegal: 4 of 6 events/);
    // What the page shows may be the beginning: rule ids may come behind it.
    const shown = /With `"res":-22`[\s\S]*?```\n([\s\S]*?)```/.exec(page)?.[1] ?? "no block";
    expect(stdout.startsWith(shown)).toBe(true);
  });
  test("as JSON: the line, what was seen and what was allowed", () => {
    const { status, stdout } = check(["-", "--json"], byHand.replace('"res":0', '"res":-22'));
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      trace: "-", profile: "6.18", strictness: "spec", verdict: "illegal", events: 6, judgedEvents: 4, at: 4, line: 6,
      seen: expect.stringContaining("-EINVAL"), allowed: [expect.stringContaining("{0xaaaa 0}")],
    });
  });
  test("is judged as another kernel where that is asked for, or where its heading says so", () => {
    expect(check(["-", "--profile", "5.10"], byHand)).toMatchObject({ status: 1, stdout: expect.stringContaining("Linux 5.10, strictness spec, at most 1 candidates; no run of the model explains line 2") });
    const older = byHand.replace('"kernel":"6.18"', '"kernel":"5.15.0-91-generic"');
    expect(check(["-"], older)).toMatchObject({ status: 1, stdout: expect.stringContaining("Linux 5.15") });
    expect(check(["-", "--profile", "6.18", "--strictness", "profile"], older)).toMatchObject({ status: 0, stdout: expect.stringContaining("Linux 6.18, strictness profile") });
    expect(check(["-"], byHand.replace(',"kernel":"6.18"', ""))).toMatchObject({ status: 0, stdout: expect.stringContaining("Linux 6.18") });
    const unknown = check(["-"], byHand.replace('"kernel":"6.18"', '"kernel":"4.19"'));
    expect(unknown).toMatchObject({ status: 2, stdout: "" });
    expect(unknown.stderr).toContain('recorded on "4.19", but there are profiles of 5.10, 5.15, 6.1, 6.6, 6.12, 6.18 only; say which one to judge it as, for example: --profile 6.18');
  });
  test("a prefix of it is legal, and says how much was judged", () => {
    expect(check(["-"], `${lines.slice(0, 5).join("\n")}\n`)).toMatchObject({ status: 0, stdout: expect.stringMatching(/^legal: 4 of 4 events/) });
  });
});

test.each(readdirSync(corpus))("a recorded trace is legal: %s", (file) => {
  const { status, stdout } = check([join(corpus, file), "--json"]);
  const { verdict, events, judgedEvents } = JSON.parse(stdout) as { verdict: string; events: number; judgedEvents: number };
  expect({ status, verdict, judgedEvents }).toEqual({ status: 0, verdict: "legal", judgedEvents: events });
  expect(events).toBeGreaterThan(10);
});

describe("what could not be judged is said aloud: exit code 4", () => {
  // IORING_REGISTER_PBUF_RING, which the model does not have.
  const unmodelled = [...lines.slice(0, 3), '{"event":"enter","from":350,"to":360,"toSubmit":0,"minComplete":0,"flags":0,"result":0}',
    '{"event":"register","from":400,"to":500,"opcode":22,"arg":4096,"nrArgs":1,"result":0}', ...lines.slice(4).map((line) => line.replaceAll(/"(from|to)":/g, '"$1":1'))];
  test("in words", () => {
    const { status, stdout } = check(["-"], `${unmodelled.join("\n")}\n`);
    expect(stdout).toMatch(/^UNKNOWN, neither legal nor illegal: 3 of 7 events judged .*; judging ended at line 5\nwhy: unmodelled/);
    expect(status).toBe(4);
  });
  test("as JSON", () => {
    const { status, stdout } = check(["-", "--json"], `${unmodelled.join("\n")}\n`);
    expect(JSON.parse(stdout)).toMatchObject({ verdict: "unknown", events: 7, judgedEvents: 3, unmodelled: expect.any(String) });
    expect(status).toBe(4);
  });
  test("a broken line behind it is bad input all the same", () => {
    expect(check(["-"], `${unmodelled.join("\n")}\n{}\n`)).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining("line 9: at event: expected one of setup") });
  });
});

describe("bad input: exit code 2, with the line, what was expected, what came and where the format is described", () => {
  const format = "The format: docs/reference/trace.md, or ringspec schema trace";
  test.each<[string, string, string]>([
    ["empty", "", 'standard input: line 1: expected the heading of a trace, {"trace":"ringspec","version":1}, got an empty file'],
    ["another version", byHand.replace('"version":1', '"version":2'), "line 1: expected version 1 of the format, the only one that this ringspec reads, got version 2"],
    ["another file", '{"version":1,"kind":"legal"}\n', 'got {"version":1,"kind":"legal"}'],
    ["broken", byHand.replace('"toSubmit":1', '"toSubmit":"one"'), 'line 5: enter: at toSubmit: expected a whole number, got "one"'],
    ["out of order", `${[...lines.slice(0, 2), lines[4], lines[3]].join("\n")}\n`, 'line 4: store: expected "from" no earlier than the event before ended, at 500, got 310'],
    ["cut inside a line", byHand.slice(0, -40), "the file ends inside this line, so it was cut short"],
  ])("%s", (_what, text, words) => {
    const { status, stdout, stderr } = check(["-"], text);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(words);
    expect(stderr).toContain(format);
  });
  test("a heading and nothing else", () => {
    expect(check(["-"], `${lines[0]}\n`)).toMatchObject({ status: 2, stderr: expect.stringContaining("standard input: expected events behind the heading, got none: there is nothing to judge") });
  });
  test("bytes that are no text", () => {
    const path = join(scratch, "trace.gz");
    writeFileSync(path, Buffer.from([0x1f, 0x8b, 8, 0, 0xff, 0xfe]));
    expect(check([path])).toMatchObject({ status: 2, stderr: expect.stringContaining(`${path}: line 1: expected UTF-8, here or in the lines that follow at once; got bytes that are none. Is it compressed?`) });
  });
  test.each<[string[], string]>([
    [[], "missing required argument 'trace'"],
    [["/nonexistent.jsonl"], "expected a trace, but there is no file at /nonexistent.jsonl; check the path, or give - for standard input"],
    [["/"], "expected a trace, but / can't be read: EISDIR"],
    [["x", "--profile", "7.0"], 'Expected one of 5.10, 5.15, 6.1, 6.6, 6.12, 6.18, got "7.0"; for example: --profile 6.18'],
    [["x", "--strictness", "lax"], 'Expected one of auto, spec, profile, got "lax"'],
  ])("check %j", (args, words) => {
    const { status, stdout, stderr } = check(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(words);
  });
});

test("a huge file is read line by line: 100,000 events, and an illegal one at its end is found there", () => {
  const path = save(`${lines.slice(0, 6).join("\n")}\n`);
  const rounds = 50_000;
  for (let done = 0, nowNs = 1000; done < rounds; done += 5000) {
    let text = "";
    for (let i = 0; i < 5000; i++, nowNs += 10) {
      text += `{"event":"enter","from":${nowNs},"to":${nowNs + 2},"toSubmit":0,"minComplete":0,"flags":0,"result":0}\n`;
      text += `{"event":"peek","from":${nowNs + 3},"to":${nowNs + 4},"cqTail":1,"cqes":[],"words":[1,1,0,1,1,3,2,4,0,0,0,0,0,0,0,0]}\n`;
    }
    appendFileSync(path, text);
  }
  const events = 5 + 2 * rounds;
  expect(check([path, "--json"])).toMatchObject({ status: 0, stdout: expect.stringContaining(`"events":${events},"judgedEvents":${events}`) });
  appendFileSync(path, '{"event":"enter","from":9000000,"to":9000001,"toSubmit":0,"minComplete":0,"flags":0,"result":7}\n');
  const ended = check([path, "--json"]);
  expect(ended.status).toBe(1);
  expect(JSON.parse(ended.stdout)).toMatchObject({ verdict: "illegal", line: events + 2, seen: "io_uring_enter(0, 0, 0x0) = 7" });
});

test("schema trace prints the schema that is in spec/schema", () => {
  const { stdout } = spawnSync(process.execPath, [main, "schema", "trace"], { encoding: "utf8" });
  expect(JSON.parse(stdout)).toEqual(JSON.parse(readFileSync(join(packageRoot, "spec", "schema", "trace-line.json"), "utf8")));
});

describe("traces of random programs on the real kernel", () => {
  test("pass the reader, and are judged as they were while they ran", async (context) => {
    const { available, reasons } = probeReal();
    if (!available && process.env["RINGSPEC_REQUIRE_REAL"] === "1") throw new Error(reasons.join("; "));
    if (!available) {
      console.warn(`\nSKIPPED, NOT PASSED: ${reasons.join("; ")}\n`);
      return context.skip(reasons.join("; "));
    }
    const pool = new Pool({ backend: "real", strictness: "spec", jobs: 2 });
    const counts = { events: 0, legal: 0 };
    try {
      const drawn = [...drawPrograms({ seed: 19, runs: 60 })];
      const outcomes = await Promise.all(drawn.map(({ program }) => pool.run({ program, keepTrace: true })));
      const { release } = await pool.opened;
      for (const { verdict, trace, lost } of outcomes) {
        if (trace === undefined) continue;
        const { events } = parseTrace(trace);
        counts.events += events.length;
        if (verdict.verdict !== "legal" || lost !== undefined || !release.startsWith("6.18")) continue;
        const judge = new RecordedJudge({ profile: PROFILE_6_18, strictness: "spec" });
        for (const event of events) judge.event(event);
        expect(judge.end()).toMatchObject({ verdict: "legal", judgedEvents: events.length });
        counts.legal++;
      }
      expect(counts.events).toBeGreaterThan(3000);
      if (release.startsWith("6.18")) expect(counts.legal).toBeGreaterThan(45);
    } finally {
      await pool.close();
    }
  });
});
