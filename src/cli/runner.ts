// One runner child as its parent sees it: starts it, feeds it batches, hears it, and kills it where it
// makes no progress. Knows no queue: what was lost with the child is handed back to the pool.
import { readFileSync } from "node:fs";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { ANSWER_FD, LIFELINE_FD } from "./messages.ts";
import type { ChildSettings, FromChild, Job } from "./messages.ts";
import { unstick } from "./stuck-child.ts";

/** Why a child is gone while it had work: by whose hand, and what it said before. */
export interface Loss {
  readonly by: "watchdog" | "itself";
  /** Exit code or signal, and the end of what it wrote to stderr. */
  readonly words: string;
  /** The program it was running, and those it had not begun. */
  readonly running: Job | undefined;
  readonly rest: readonly Job[];
  /** Its last word before a call that may never return. */
  readonly note: string | undefined;
  /** Milliseconds since its last sign of life. */
  readonly silentMs: number;
}

export interface RunnerEvents {
  heard(runner: Runner, message: FromChild): void;
  lost(runner: Runner, loss: Loss): void;
}

const STDERR_MAX = 4000;
/** A process that was killed is dead within this, or something is wrong. */
const DYING_MS = 1000;
/** So often room is made for one that SIGKILL did not end: it may get stuck once more before it takes the signal. */
const HELP_MAX = 5;
/** Time for a child to start: the kernel is probed then. */
const START_MS = 20_000;

/** Children that live, to be killed should this process exit before it closed its pool. */
const living = new Set<ChildProcess>();
let watchesExit = false;

export class Runner {
  readonly #child: ChildProcess;
  readonly #events: RunnerEvents;
  #jobs: Job[] = [];
  #note: string | undefined;
  #lastWordMs = performance.now();
  #ready = false;
  #killed = false;
  #killedAtMs = 0;
  #helped = 0;
  #closing = false;
  #stderr = "";

  constructor(childPath: string, settings: ChildSettings, events: RunnerEvents) {
    this.#events = events;
    // A session of its own: Ctrl-C of the terminal is the parent's to handle.
    this.#child = spawn(process.execPath, ["--max-semi-space-size=32", childPath, JSON.stringify(settings)], {
      detached: true,
      stdio: ["pipe", "ignore", "pipe", "pipe", "pipe"],
    });
    living.add(this.#child);
    if (!watchesExit) {
      watchesExit = true;
      process.once("exit", () => living.forEach(killNow));
    }
    this.#listen();
  }

  get idle(): boolean {
    return this.#ready && !this.#killed && this.#jobs.length === 0;
  }

  run(jobs: readonly Job[]): void {
    this.#jobs = [...jobs];
    this.#lastWordMs = performance.now();
    this.#child.stdin?.write(`${JSON.stringify(jobs)}\n`);
  }

  /** Kills a child that was silent for too long; `lost` comes once it is dead, or where it can't be killed. */
  watch(limits: { readonly silentMs: number; readonly foreverMs: number }): void {
    if (this.#killed) return this.#watchDying();
    if (this.#ready && this.#jobs.length === 0) return;
    const silentMs = performance.now() - this.#lastWordMs;
    const limit = !this.#ready ? START_MS : this.#note?.includes('"modelSaysForever":true') ? limits.foreverMs : limits.silentMs;
    if (silentMs <= limit) return;
    this.#stderr += doing(this.#child.pid);
    this.#kill();
  }

  /** The parent itself was away: its clock says nothing about the child. */
  excuse(): void {
    this.#lastWordMs = performance.now();
  }

  /** Ends the child, politely first. Resolves when it is gone. */
  async close(patienceMs: number): Promise<void> {
    this.#closing = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    if (this.#jobs.length > 0) this.#kill();
    else this.#child.stdin?.end();
    if (await this.#goneWithin(patienceMs)) return;
    this.#kill();
    for (let tries = 0; tries < HELP_MAX; tries++) {
      if (await this.#goneWithin(DYING_MS)) return;
      if (this.#child.pid !== undefined) unstick(this.#child.pid);
    }
    if (!(await this.#goneWithin(DYING_MS))) this.#abandon();
  }

  #kill(): void {
    if (!this.#killed) this.#killedAtMs = performance.now();
    this.#killed = true;
    this.#child.kill("SIGKILL");
  }

  /** SIGKILL was sent: help where it has no effect, and give up where that has none. */
  #watchDying(): void {
    const dyingMs = performance.now() - this.#killedAtMs;
    if (dyingMs < DYING_MS * (this.#helped + 1)) return;
    if (this.#helped < HELP_MAX) {
      if (this.#helped++ === 0) this.#stderr += "; SIGKILL did not end it";
      if (this.#child.pid !== undefined) unstick(this.#child.pid);
    } else {
      this.#abandon();
      this.#gone("it can't be killed and is left behind");
    }
  }

  #goneWithin(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (gone: boolean): void => {
        clearTimeout(timer);
        resolve(gone);
      };
      const timer = setTimeout(() => done(false), ms);
      this.#child.once("exit", () => done(true));
    });
  }

  /** Nothing more is heard of the child, and it does not keep this process alive. */
  #abandon(): void {
    for (const stream of this.#child.stdio) stream?.destroy();
    this.#child.unref();
  }

  #listen(): void {
    const child = this.#child;
    // The stdio table above makes these two a pair of pipes.
    const answers = child.stdio[ANSWER_FD] as Readable;
    const lifeline = child.stdio[LIFELINE_FD] as Writable;
    for (const stream of [answers, lifeline, child.stdin]) stream?.on("error", () => {}); // "close" tells
    createInterface({ input: answers }).on("line", (line) => this.#hear(line));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_MAX);
    });
    child.once("error", (error) => {
      this.#stderr += error.message;
      if (child.pid === undefined) this.#gone("it could not be started");
    });
    child.once("close", (code, signal) => this.#gone(signal ?? `exit code ${code}`));
  }

  #hear(line: string): void {
    const message = readMessage(line);
    if (message === undefined) return;
    this.#lastWordMs = performance.now();
    if ("ready" in message) this.#ready = true;
    if ("risk" in message) this.#note = message.note;
    // What the kernel was entered for has come back, whatever had been foreseen.
    if ("searching" in message) this.#note = undefined;
    if ("done" in message) {
      this.#note = undefined;
      this.#jobs = this.#jobs.filter((job) => job.id !== message.done);
    }
    this.#events.heard(this, message);
  }

  #gone(how: string): void {
    living.delete(this.#child);
    if (this.#closing) return;
    this.#closing = true;
    const [running, ...rest] = this.#jobs;
    const silentMs = performance.now() - this.#lastWordMs;
    const words = this.#stderr.trim() === "" ? how : `${how}: ${this.#stderr.trim()}`;
    this.#events.lost(this, { by: this.#killed ? "watchdog" : "itself", words, running, rest, note: this.#note, silentMs });
  }
}

/** undefined: a line that was cut short when the child died. */
function readMessage(line: string): FromChild | undefined {
  try {
    return JSON.parse(line) as FromChild; // our own child wrote it
  } catch {
    return undefined;
  }
}

function killNow(child: ChildProcess): void {
  child.kill("SIGKILL");
  if (child.pid !== undefined) unstick(child.pid);
}

/** What a process is at, by /proc: computing (in the oracle, say) or asleep in the kernel. Empty where nobody says. */
function doing(pid: number | undefined): string {
  try {
    const state = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.[0];
    if (state === "R") return "it was computing, not waiting";
    return `it was asleep in ${readFileSync(`/proc/${pid}/wchan`, "utf8") || "the kernel"}`;
  } catch {
    return "";
  }
}
