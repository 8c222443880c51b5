// A differential campaign: programs drawn from a seed run on a kernel in the pool, the oracle judges,
// the outcomes are summed up, and the first divergence is shrunk. Prints nothing, saves nothing.
import { PROFILE_6_18 } from "../model/profile.ts";
import { rulesBehind } from "../oracle/rules.ts";
import type { Outcome, Strictness } from "../oracle/verdict.ts";
import { parseTrace } from "../program/trace.ts";
import type { Counterexample } from "./counterexample.ts";
import { nameCounterexample } from "./counterexample.ts";
import type { Backend, KernelFacts, ModelSettings } from "./messages.ts";
import { Pool, PoolClosed } from "./pool.ts";
import { drawPrograms, mixSeed } from "./programs.ts";
import type { Drawing, Drawn, Kind } from "./programs.ts";
import { shrink } from "./shrink.ts";
import { isDivergence, Tally } from "./tally.ts";
import type { Summary } from "./tally.ts";

export interface CampaignOptions extends Drawing {
  readonly backend: Backend;
  readonly runs: number;
  readonly kind?: Kind;
  /** Children at once; default 2. */
  readonly jobs?: number;
  readonly strictness?: Strictness | "auto";
  /** Run all programs even where some diverge; without it the campaign stops at the first divergence. */
  readonly keepGoing?: boolean;
  /** Default: 400 tries, 60 s; false: don't shrink. */
  readonly shrink?: { readonly triesMax?: number; readonly timeMs?: number } | false;
  /** Another build of runner-child. */
  readonly childPath?: string;
  readonly signal?: AbortSignal;
  readonly onOpened?: (facts: KernelFacts) => void;
  readonly onProgress?: (done: number, divergences: number) => void;
  /** Before shrinking begins, which may take a minute. */
  readonly onDivergence?: (drawn: Drawn) => void;
}

export interface CampaignResult {
  readonly summary: Summary;
  /** The first divergence shrunk, then the others as they were, at most 20. */
  readonly counterexamples: readonly Counterexample[];
  /** Why fewer programs were run than asked for. */
  readonly stopped?: "interrupted" | "diverged";
}

interface Failing {
  readonly drawn: Drawn;
  readonly outcome: Outcome;
}

const COUNTEREXAMPLES_MAX = 20;

/** Throws RealKernelUnavailable where backend is "real" and there is none. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const { backend, seed, signal } = options;
  const pool = new Pool({
    backend,
    ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
    ...(options.strictness === undefined ? {} : { strictness: options.strictness }),
    ...(options.childPath === undefined ? {} : { childPath: options.childPath }),
  });
  const close = (): void => void pool.close();
  signal?.addEventListener("abort", close, { once: true });
  try {
    const facts = await opened(pool, options);
    const tally = new Tally({ ...facts, seed, children: pool.size });
    const failing = await runAll(options, pool, tally);
    const summary = tally.summary();
    const counterexamples = signal?.aborted === true ? [] : await explain(options, pool, facts, failing);
    const stopped = signal?.aborted === true ? "interrupted" : summary.programs < options.runs ? "diverged" : undefined;
    return { summary, counterexamples, ...(stopped === undefined ? {} : { stopped }) };
  } finally {
    signal?.removeEventListener("abort", close);
    await pool.close();
  }
}

/** The kernel; where the campaign was interrupted before there was one, nothing is known of it. */
async function opened(pool: Pool, { backend, signal, onOpened }: CampaignOptions): Promise<KernelFacts> {
  try {
    const facts = await pool.opened;
    onOpened?.(facts);
    return facts;
  } catch (error) {
    if (signal?.aborted === true && error instanceof PoolClosed) return { backend, release: "not yet known", file: {}, strictness: "spec" };
    throw error;
  }
}

/** On the model every program has choices of its own, and every third starts near the wrap of its counters. */
export function modelSettingsOf(seed: number, index: number): ModelSettings {
  const mixed = mixSeed(seed, index);
  return index % 3 === 2 ? { seed: mixed, counters: 2 ** 32 - 1 - (mixed % 40) } : { seed: mixed };
}

/**
 * As many programs under way as the pool likes; the failing ones in the order they were drawn. One illegal trace is
 * enough: a kernel may not repeat itself.
 */
async function runAll(options: CampaignOptions, pool: Pool, tally: Tally): Promise<Failing[]> {
  const source = drawPrograms(options);
  const failing: Failing[] = [];
  const stopped = (): boolean => options.signal?.aborted === true || (failing.length > 0 && options.keepGoing !== true);
  const lane = async (): Promise<void> => {
    while (!stopped()) {
      const next = source.next();
      if (next.done === true) return;
      const drawn = next.value;
      const outcome = await pool.run(jobOf(options, drawn));
      tally.add(drawn.program, outcome);
      if (isDivergence(outcome)) failing.push({ drawn, outcome });
      options.onProgress?.(tally.programs, tally.divergences);
    }
  };
  try {
    await Promise.all(Array.from({ length: pool.appetite }, lane));
  } catch (error) {
    if (!(error instanceof PoolClosed) || options.signal?.aborted !== true) throw error;
  }
  return failing.toSorted((a, b) => a.drawn.index - b.drawn.index);
}

function jobOf(options: CampaignOptions, drawn: Drawn): Parameters<Pool["run"]>[0] {
  if (options.backend === "real") return { program: drawn.program };
  return { program: drawn.program, model: modelSettingsOf(options.seed, drawn.index) };
}

async function explain(options: CampaignOptions, pool: Pool, facts: KernelFacts, failing: readonly Failing[]): Promise<Counterexample[]> {
  const found: Counterexample[] = [];
  for (const { drawn, outcome } of failing.slice(0, COUNTEREXAMPLES_MAX)) {
    const job = jobOf(options, drawn);
    const common = {
      ringspec: "counterexample", version: 1, id: nameCounterexample(options.seed, drawn), seed: options.seed, index: drawn.index,
      backend: options.backend, kernel: facts.release, strictness: facts.strictness, ...(job.model === undefined ? {} : { model: job.model }),
    } as const;
    if (found.length > 0 || options.shrink === false) {
      found.push({ ...common, path: String(drawn.path), program: drawn.program, outcome });
      continue;
    }
    options.onDivergence?.(drawn);
    const shrunk = await shrink({ program: drawn.program, outcome }, {
      pool, seed: options.seed, ringFlags: options.ringFlags, maxOps: options.maxOps, path: drawn.path, ...options.shrink,
      ...(job.model === undefined ? {} : { model: job.model }),
    });
    const shrunkFrom = { operations: drawn.program.ops.length, tries: shrunk.tries };
    found.push({ ...common, path: shrunk.path, program: shrunk.program, outcome: await withRules(shrunk.outcome, facts), shrunkFrom });
  }
  return found;
}

/** The outcome with the rules that the model obeyed where it was contradicted. */
async function withRules(outcome: Outcome, { release, file, strictness }: KernelFacts): Promise<Outcome> {
  const { verdict, trace } = outcome;
  if (verdict.verdict !== "illegal" || verdict.at === undefined || trace === undefined || outcome.lost !== undefined) return outcome;
  const profile = { ...PROFILE_6_18, release, file: { ...PROFILE_6_18.file, ...file } };
  return { ...outcome, verdict: { ...verdict, rules: await rulesBehind(parseTrace(trace).events, verdict.at, { profile, strictness }) } };
}
