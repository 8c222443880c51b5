// What the addon gives back, and what it survives: each scenario is a process of its own
// (children/scenario.ts), for a mistake here is a crash and not an exception.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { realOrSay } from "./real.ts";

const loader = join(import.meta.dirname, "children", "ts-loader.mjs");
const script = join(import.meta.dirname, "children", "scenario.ts");
/** Resident memory differs by this much from run to run, whatever is done. */
const rssSlackKb = 8 * 1024;

interface Counts {
  readonly fds: number;
  readonly maps: number;
  readonly rssKb: number;
}

/** Runs a scenario to its end: what it printed last. A signal or another exit code fails the test. */
function run<T>(context: TestContext, scenario: string): T {
  realOrSay(context).close();
  // ArrayBuffer.prototype.transfer is behind a flag before Node 21.
  const flags = "transfer" in ArrayBuffer.prototype ? [] : ["--harmony-rab-gsab-transfer"];
  const child = spawnSync(process.execPath, ["--expose-gc", ...flags, "--import", loader, script, scenario], { encoding: "utf8", timeout: 60_000 });
  expect({ status: child.status, signal: child.signal, stderr: child.stderr }, scenario).toEqual({ status: 0, signal: null, stderr: "" });
  return JSON.parse(child.stdout.trim().split("\n").at(-1) ?? "") as T; // the scenario's own shape
}

test("rings dropped without close give back descriptors and mappings", (context) => {
  const { before, during, after } = run<{ before: Counts & { rings: number }; during: number; after: Counts & { rings: number } }>(context, "ring-dropped");
  expect(during).toBeGreaterThan(0);
  expect(after.rings).toBe(0);
  expect(after.fds).toBe(before.fds);
});

test("a view that outlives its dropped ring still shows the ring's memory", (context) => {
  expect(run<{ tail: number }>(context, "view-outlives-ring").tail).toBe(1);
});

test("kernels dropped without close give everything back", (context) => {
  const { first, second } = run<{ first: Counts; second: Counts }>(context, "kernel-dropped");
  expect(second.fds).toBeLessThanOrEqual(first.fds);
  expect(second.maps - first.maps).toBeLessThan(20);
});

test("10,000 cycles of open, use and close leave descriptors, mappings and memory where they were", { timeout: 60_000 }, (context) => {
  const { before, after, stats } = run<{ before: Counts; after: Counts; stats: number[] }>(context, "many-cycles");
  expect(after.fds).toBe(before.fds);
  // Node's own heap may map a few pieces; one per cycle would be thousands.
  expect(Math.abs(after.maps - before.maps)).toBeLessThan(20);
  expect(after.rssKb - before.rssKb).toBeLessThan(rssSlackKb);
  // One chunk of the arena is in use; nothing escaped, nothing is in quarantine.
  expect(stats).toEqual([1, 0, 0]);
});

test("ring memory that was transferred away survives close, and close detaches the rest", (context) => {
  expect(run(context, "transfer")).toEqual({ transferred: 256, cloned: false, length: 0, escaped: 1 });
});

test("ring memory that was transferred to another thread survives the end of its worker", (context) => {
  expect(run(context, "raw-transfer-out-of-worker")).toEqual({ last: 9, length: 64 });
});

test("workers terminated with an open ring and a pending ready() leave no ring behind", { timeout: 30_000 }, (context) => {
  const { before, after, rings } = run<{ before: Counts; after: Counts; rings: number }>(context, "worker-terminated");
  expect(rings).toBe(0);
  expect(after.fds).toBe(before.fds);
});

test("a worker that ends with an open ring ends well", (context) => {
  expect(run(context, "worker-ends")).toEqual({ code: 0, rings: 0 });
});

test("process.exit with a pending ready() ends at once and removes the scratch directory", (context) => {
  expect(existsSync(run<{ directory: string }>(context, "exit-while-waiting").directory)).toBe(false);
});

test("a process with an open ring ends by itself and removes the scratch directory", (context) => {
  expect(existsSync(run<{ directory: string }>(context, "end-with-open-ring").directory)).toBe(false);
});
