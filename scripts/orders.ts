// `npm run orders`: do the exact orders that this kernel was measured to keep hold under load? Repeats a small
// scenario for each while other processes keep the processors busy, and counts what was seen. What bends is a
// finding, not a failure: exit code 0. 2: usage. 3: there is no real kernel. 130: interrupted.
import { spawn } from "node:child_process";
import { setImmediate, setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { LinuxKernel } from "../src/real/linux-kernel.ts";
import { createRealKernel, RealKernelUnavailable } from "../src/real/linux-kernel.ts";
import { Bench } from "./orders/ring.ts";
import type { Scenario } from "./orders/scenarios.ts";
import { scenarios } from "./orders/scenarios.ts";

const USAGE = `Usage: npm run orders -- [--repetitions N] [--load N] [--json]

  --repetitions N  how often each scenario runs, an integer from 1 to 10000000; default 5000
  --load N         how many processes spin meanwhile, an integer from 0 to 64; default 2
  --json           one JSON object behind the table
  --help           this text`;

/** How many of the other orders are printed. */
const othersShown = 3;
/** Repetitions between two looks at the event loop, by which Ctrl-C comes. */
const slice = 50;

interface Settings {
  readonly repetitions: number;
  readonly load: number;
  readonly json: boolean;
}

interface Result {
  readonly order: string;
  readonly rule: string;
  readonly what: string;
  readonly repetitions: number;
  readonly expected: { readonly order: string; readonly count: number };
  /** The other orders that were seen, the most frequent first. */
  readonly others: readonly { readonly order: string; readonly count: number }[];
  /** How often this process lost its processor meanwhile. */
  readonly preempted: number;
  readonly seconds: number;
}

/** Exit code 2: what was expected, and what came. */
function usage(message: string): never {
  console.error(`orders: ${message}\n\n${USAGE}`);
  process.exit(2);
}

function integer(option: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) usage(`--${option}: expected an integer from ${min} to ${max}, got "${text}"`);
  return value;
}

function parse(): Settings {
  const options = {
    repetitions: { type: "string", default: "5000" },
    load: { type: "string", default: "2" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  } as const;
  try {
    const { values } = parseArgs({ options, strict: true, allowPositionals: false });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const repetitions = integer("repetitions", values.repetitions, 1, 10_000_000);
    return { repetitions, load: integer("load", values.load, 0, 64), json: values.json };
  } catch (error) {
    usage(`expected only the options below: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Processes that spin until they are killed, or until this one is gone. */
function startLoad(count: number): () => void {
  const program = "const parent = process.ppid; while (process.ppid === parent) for (const end = Date.now() + 200; Date.now() < end;);";
  const children = Array.from({ length: count }, () => spawn(process.execPath, ["-e", program], { stdio: "ignore" }));
  const stop = (): void => children.forEach((child) => child.kill("SIGKILL"));
  process.once("exit", stop);
  return stop;
}

async function repeat(kernel: LinuxKernel, scenario: Scenario, repetitions: number): Promise<Result> {
  const startMs = performance.now();
  const preemptedBefore = process.resourceUsage().involuntaryContextSwitches;
  const seen = new Map<string, number>();
  let bench = new Bench(kernel);
  let once = scenario.start(bench);
  for (let i = 0; i < repetitions; i++) {
    if (i % slice === 0) await setImmediate();
    const order = once();
    seen.set(order, (seen.get(order) ?? 0) + 1);
    if (order === scenario.expected) continue;
    // Something may be left over: what comes next begins with a ring of its own.
    bench.close();
    bench = new Bench(kernel);
    once = scenario.start(bench);
  }
  bench.close();
  const { order, rule, what, expected } = scenario;
  const others = [...seen].filter(([name]) => name !== expected).map(([name, count]) => ({ order: name, count }));
  others.sort((a, b) => b.count - a.count);
  return {
    order, rule, what, repetitions, others,
    expected: { order: expected, count: seen.get(expected) ?? 0 },
    preempted: process.resourceUsage().involuntaryContextSwitches - preemptedBefore,
    seconds: Number(((performance.now() - startMs) / 1000).toFixed(1)),
  };
}

const longest = (texts: readonly string[]): number => Math.max(...texts.map(({ length }) => length));
const widths = {
  order: longest(scenarios.map(({ order }) => order)),
  rule: longest(scenarios.map(({ rule }) => rule)),
  expected: longest(scenarios.map(({ expected }) => expected)),
};

function row(cells: readonly [string, string, string, string, string, string, string, string]): string {
  const [order, rule, expected, repetitions, count, preempted, seconds, others] = cells;
  const left = [order.padEnd(widths.order), rule.padEnd(widths.rule), expected.padEnd(widths.expected)];
  return [...left, repetitions.padStart(11), count.padStart(8), preempted.padStart(9), seconds.padStart(7), others].join("  ");
}

function rowOf(result: Result): string {
  const shown = result.others.slice(0, othersShown).map(({ order, count }) => `${count} x "${order}"`);
  const more = result.others.length - shown.length;
  if (more > 0) shown.push(`${more} more`);
  const { order, rule, expected, repetitions, preempted, seconds } = result;
  return row([
    order, rule, expected.order, String(repetitions), String(expected.count), String(preempted), seconds.toFixed(1),
    shown.length > 0 ? shown.join(", ") : "none",
  ]);
}

async function run(kernel: LinuxKernel, { repetitions, load, json }: Settings): Promise<void> {
  const { release } = kernel.profile;
  console.log(`Orders on Linux ${release}: ${repetitions} repetitions each, load ${load} (processes that spin beside it)\n`);
  console.log("Scenarios");
  for (const { order, what } of scenarios) console.log(`  ${order.padEnd(widths.order)}  ${what}`);
  console.log(`\n${row(["order", "rule", "expected", "repetitions", "as said", "preempted", "seconds", "other orders seen"])}`);
  const stopLoad = startLoad(load);
  // Until they are up.
  if (load > 0) await setTimeout(300);
  const results: Result[] = [];
  for (const scenario of scenarios) {
    const result = await repeat(kernel, scenario, repetitions);
    results.push(result);
    console.log(rowOf(result));
  }
  stopLoad();
  const bent = results.filter(({ others }) => others.length > 0).map(({ order }) => order);
  console.log(bent.length === 0 ? `\nNothing bent in ${results.length} scenarios.` : `\nBent: ${bent.join(", ")}.`);
  if (json) console.log(JSON.stringify({ release, repetitions, load, results, bent }));
}

const settings = parse();
try {
  const kernel = createRealKernel();
  // By the exit handlers the children end and the scratch directory goes.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  await run(kernel, settings);
  kernel.close();
} catch (error) {
  if (!(error instanceof RealKernelUnavailable)) throw error;
  console.error(`orders: ${error.message}`);
  process.exitCode = 3;
}
