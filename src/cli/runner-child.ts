// The sacrificial process: runs programs on a kernel with the oracle following along, one after the
// other, and says what came of each. Raw rings are opened only here. It may crash, hang or be killed;
// the parent (runner.ts) makes another one.
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { Worker } from "node:worker_threads";
import type { Kernel } from "../kernel.ts";
import { Unmodelled, WouldBlockForever } from "../kernel.ts";
import { createModelKernel } from "../model/kernel.ts";
import { runAndJudge } from "../oracle/judge.ts";
import type { Strictness } from "../oracle/verdict.ts";
import { memorySafe } from "../program/safety.ts";
import { createRealKernel, RealKernelUnavailable } from "../real/linux-kernel.ts";
import { lostOutcome } from "./lost.ts";
import { LeftOpen } from "./left-open.ts";
import { ANSWER_FD } from "./messages.ts";
import type { ChildSettings, FromChild, Job } from "./messages.ts";
import { removeScratch } from "./scratch.ts";
import { verifiedStrictness } from "./strictness.ts";
import { writeLine } from "./write-line.ts";

const settings = JSON.parse(process.argv[2] ?? "{}") as ChildSettings; // the parent wrote it

/** How often the parent hears that a search goes on: less often, and it takes the child for hung. */
const SEARCHING_MS = 1000;

/** Requests end when the pool closes or the parent is gone: nobody needs the directory any more. */
function leave(): never {
  removeScratch(settings.directory);
  process.exit(0);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** Blocks until the parent's end has it, so that a note is out before the kernel may keep us. */
function send(message: FromChild): void {
  try {
    writeLine(ANSWER_FD, message);
  } catch (error) {
    if (codeOf(error) === "EPIPE") leave(); // the parent is gone
    throw error;
  }
}

function runOne(kernel: Kernel, job: Job, strictness: Strictness): void {
  const unsafe = kernel.backend === "real" ? memorySafe(job.program) : undefined;
  if (unsafe !== undefined) return send({ done: job.id, threw: `not safe to run: ${unsafe}`, unmodelled: false });
  let note: string | undefined;
  const onRisk = (text: string): void => {
    note = text;
    send({ risk: job.id, note });
  };
  let saidMs = 0;
  const onSearch = (): void => {
    if (note === undefined && performance.now() - saidMs < SEARCHING_MS) return;
    note = undefined;
    saidMs = performance.now();
    send({ searching: job.id });
  };
  try {
    const outcome = runAndJudge(kernel, job.program, { strictness, keepTrace: job.keepTrace ?? false, onRisk, onSearch });
    send({ done: job.id, outcome });
  } catch (error) {
    // Where a real kernel would have to be left by force, the model says that it would.
    if (error instanceof WouldBlockForever)
      return send({ done: job.id, outcome: lostOutcome(job, { by: "watchdog", words: error.message, running: job, rest: [], note, silentMs: 0 }) });
    const threw = error instanceof Error ? (error.stack ?? error.message) : String(error);
    send({ done: job.id, threw, unmodelled: error instanceof Unmodelled });
  }
}

function runOnModel(job: Job, strictness: Strictness): void {
  const kernel = createModelKernel(job.model ?? {});
  runOne(kernel, job, strictness);
  kernel.close();
}

async function serve(): Promise<void> {
  const own = settings.backend === "real" ? createRealKernel({ directory: settings.directory, unboundedWaits: true }) : undefined;
  const kernel = own ?? createModelKernel();
  const strictness = settings.strictness === "auto" ? verifiedStrictness(kernel) : settings.strictness;
  send({ ready: { backend: settings.backend, release: kernel.profile.release, file: kernel.profile.file, strictness } });
  const left = own === undefined ? undefined : new LeftOpen(settings.directory);
  // One batch a line. The event loop turns between batches, so that what was dropped can be finalized.
  for await (const line of createInterface({ input: process.stdin })) {
    const jobs = JSON.parse(line) as Job[]; // the parent wrote it
    for (const job of jobs) {
      if (own === undefined) runOnModel(job, strictness);
      else runOne(own, job, strictness);
      if (job.program.ops.some((each) => each.op === "sqe" && each.opcode === "OPENAT")) left?.close();
    }
  }
  kernel.close();
}

async function main(): Promise<void> {
  const lifeline = import.meta.url.endsWith(".ts") ? "./lifeline.ts" : "./lifeline.js";
  const watcher = new Worker(new URL(lifeline, import.meta.url), { workerData: settings.directory });
  // While it starts it opens and closes files of its own, whose numbers a program may use.
  await once(watcher, "message");
  watcher.unref();
  try {
    await serve();
  } catch (error) {
    if (!(error instanceof RealKernelUnavailable)) throw error;
    send({ unavailable: error.reasons });
  }
  leave();
}

await main();
