// A small pool of sacrificial children that run programs: batches go out, outcomes come back, a child
// that crashes, hangs or must be killed is an outcome too, and another child takes its place. The pool
// owns a scratch directory for all of them and leaves nothing behind.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Outcome, Strictness } from "../oracle/verdict.ts";
import { isEndless } from "../program/program.ts";
import { packageRoot } from "../real/addon.ts";
import { RealKernelUnavailable } from "../real/linux-kernel.ts";
import { lostOutcome, threwOutcome } from "./lost.ts";
import type { Backend, FromChild, Job, KernelFacts } from "./messages.ts";
import { Runner } from "./runner.ts";
import type { Loss } from "./runner.ts";
import { removeScratch } from "./scratch.ts";

export interface PoolOptions {
  readonly backend: Backend;
  /** Children at once; default 2. */
  readonly jobs?: number;
  readonly strictness?: Strictness | "auto";
  /** Another build of runner-child, such as one with a rule of the model switched. */
  readonly childPath?: string;
  /** A program without a sign of life for this long is killed; default 15000. */
  readonly silentMs?: number;
  /** The same where the model says that the call never returns; default 1000. */
  readonly foreverMs?: number;
}

/** The pool was closed while a program was waiting for its turn or running. */
export class PoolClosed extends Error {
  constructor() {
    super("the pool of runner children is closed");
    this.name = "PoolClosed";
  }
}

interface Waiting {
  readonly job: Job;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: Error) => void;
}

/** Small enough to share out evenly, large enough for few messages. */
const BATCH_MAX = 25;
const WATCH_MS = 100;
/** Does the program risk its child, which would have to be killed? */
const isRisky = ({ program }: Omit<Job, "id">): boolean => program.ops.some(isEndless);

/** Starts in a row that may fail before the pool gives up. */
const FALSE_STARTS_MAX = 3;

/** The compiled child, also where this file runs as TypeScript (under vitest): Node 20 runs JavaScript only. */
export function compiledChild(): string {
  return import.meta.url.endsWith(".ts")
    ? join(packageRoot, "dist", "src", "cli", "runner-child.js")
    : fileURLToPath(new URL("./runner-child.js", import.meta.url));
}

/** Scratch directories to remove should this process exit before it closed its pool. */
const scratch = new Set<string>();
let watchesExit = false;

export class Pool {
  /** Resolves with the kernel once a child has one; rejects with RealKernelUnavailable, or where no child can start. */
  readonly opened: Promise<KernelFacts>;
  readonly #options: PoolOptions;
  readonly #directory: string;
  readonly #runners = new Set<Runner>();
  readonly #queue: Waiting[] = [];
  /** On a real kernel these have one more child to themselves: to kill one that has run for long costs what it has warmed up. */
  readonly #risky: Waiting[] = [];
  #guinea: Runner | undefined;
  readonly #running = new Map<number, Waiting>();
  readonly #watchdog: NodeJS.Timeout;
  #settleOpened: { resolve: (facts: KernelFacts) => void; reject: (error: Error) => void } | undefined;
  #lastWatchMs = performance.now();
  #dispatchPlanned = false;
  #falseStarts = 0;
  #ids = 0;
  #failure: Error | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#directory = mkdtempSync(join(tmpdir(), "ringspec-pool-"));
    scratch.add(this.#directory);
    if (!watchesExit) {
      watchesExit = true;
      process.once("exit", () => scratch.forEach(removeScratch));
    }
    this.opened = new Promise((resolve, reject) => {
      this.#settleOpened = { resolve, reject };
    });
    this.opened.catch(() => {}); // run() tells too
    for (let count = 0; count < this.size; count++) this.#start();
    this.#watchdog = setInterval(() => this.#watch(), WATCH_MS);
  }

  get size(): number {
    return this.#options.jobs ?? 2;
  }

  /** How many programs are worth having under way: enough that no child waits. */
  get appetite(): number {
    return this.size * BATCH_MAX * 2;
  }

  run(job: Omit<Job, "id">): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      const queue = this.#options.backend === "real" && isRisky(job) ? this.#risky : this.#queue;
      queue.push({ job: { ...job, id: ++this.#ids }, resolve, reject });
      this.#plan();
    });
  }

  /** Ends every child, removes the scratch directory; what still waited is rejected with PoolClosed. */
  async close(): Promise<void> {
    clearInterval(this.#watchdog);
    this.#fail(new PoolClosed());
    await Promise.all([...this.#runners].map((runner) => runner.close(2000)));
    this.#runners.clear();
    removeScratch(this.#directory);
    scratch.delete(this.#directory);
  }

  #start(): Runner {
    const { backend, strictness = "auto", childPath = compiledChild() } = this.#options;
    const runner = new Runner(childPath, { backend, strictness, directory: this.#directory }, {
      heard: (from, message) => this.#heard(from, message),
      lost: (from, loss) => this.#lost(from, loss),
    });
    this.#runners.add(runner);
    return runner;
  }

  /** Later in this turn of the event loop, so that calls of run() that come together share a batch. */
  #plan(): void {
    if (this.#dispatchPlanned) return;
    this.#dispatchPlanned = true;
    setImmediate(() => {
      this.#dispatchPlanned = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    if (this.#risky.length > 0) this.#guinea ??= this.#start();
    if (this.#guinea?.idle === true) this.#send(this.#guinea, this.#risky.splice(0, 1));
    for (const runner of this.#runners) {
      if (this.#queue.length === 0) return;
      if (!runner.idle || runner === this.#guinea) continue;
      const batch = this.#queue.splice(0, Math.min(BATCH_MAX, Math.ceil(this.#queue.length / this.size)));
      this.#send(runner, batch);
    }
  }

  #send(runner: Runner, batch: readonly Waiting[]): void {
    if (batch.length === 0) return;
    for (const waiting of batch) this.#running.set(waiting.job.id, waiting);
    runner.run(batch.map((waiting) => waiting.job));
  }

  #heard(runner: Runner, message: FromChild): void {
    if ("ready" in message) {
      this.#falseStarts = 0;
      this.#settleOpened?.resolve(message.ready);
    } else if ("unavailable" in message) {
      this.#fail(new RealKernelUnavailable(message.unavailable));
    } else if ("done" in message) {
      const waiting = this.#take(message.done);
      waiting?.resolve("outcome" in message ? message.outcome : threwOutcome(waiting.job, message.threw, message.unmodelled));
    }
    if (runner.idle) this.#dispatch();
  }

  #lost(runner: Runner, loss: Loss): void {
    this.#runners.delete(runner);
    if (this.#failure !== undefined) return;
    if (loss.running === undefined && ++this.#falseStarts >= FALSE_STARTS_MAX) {
      this.#fail(new Error(`a runner child was lost ${FALSE_STARTS_MAX} times before it ran a program; the last time by ${loss.words}`));
      return;
    }
    const again = loss.rest.map((job) => this.#take(job.id)).filter((waiting) => waiting !== undefined);
    this.#queue.unshift(...again);
    if (loss.running !== undefined) this.#take(loss.running.id)?.resolve(lostOutcome(loss.running, loss));
    if (runner !== this.#guinea) this.#start();
    else this.#guinea = undefined;
    this.#plan();
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#running.get(id);
    this.#running.delete(id);
    return waiting;
  }

  #watch(): void {
    const nowMs = performance.now();
    const wasAway = nowMs - this.#lastWatchMs > WATCH_MS * 5;
    this.#lastWatchMs = nowMs;
    const { silentMs = 15_000, foreverMs = 1000 } = this.#options;
    for (const runner of this.#runners) {
      if (wasAway) runner.excuse();
      else runner.watch({ silentMs, foreverMs });
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#settleOpened?.reject(error);
    for (const { reject } of [...this.#queue.splice(0), ...this.#risky.splice(0), ...this.#running.values()]) reject(error);
    this.#running.clear();
  }
}
