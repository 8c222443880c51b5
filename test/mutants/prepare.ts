// Makes what mutants are judged with: both builds, and the corpus as a file with what is known of each trace in it.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Backend } from "../../src/cli/messages.ts";
import { PROFILES } from "../../src/model/profile.ts";
import { changed, cut, keptTraces, MODELLED, record, recordModelled, recordVectors, recordScripts, RINGS, SCRIPTED, shuffled, type Entry, type Judging, type Release } from "./corpus.ts";
import { faultyTraces, type FaultyFrom } from "./faulty.ts";
import { instrument, type Mutant } from "./instrument.ts";
import { cover, judgeMutant, tracesOf, type Coverage, type Fate, type Ids, type TraceFile } from "./judge.ts";

export interface Wanted {
  readonly backend: Backend;
  readonly seed: number;
  /** Programs that are run on the kernel. */
  readonly programs: number;
  /** Programs that the model runs as each release; several times as many as the newest. */
  readonly older: number;
  /** Scripts of test/integration/rule are recorded too. */
  readonly scripts: boolean;
  /** How often each program of spec/vector is run. */
  readonly vectors: number;
  /** Legal traces that changed ones are made of, at most, and how many of each. */
  readonly bases: number;
  readonly each: number;
  readonly directory: string;
  /** Files of src/model that are mutated; left out: all. */
  readonly files?: readonly string[];
  readonly jobs: number;
  readonly say: (line: string) => void;
}

/** A trace of the corpus. */
export interface Kept {
  readonly from: string;
  readonly expected: "legal" | "illegal";
  readonly ms: number;
  readonly ids: Ids;
}

export interface Prepared extends FaultyFrom {
  readonly corpus: TraceFile;
  readonly kept: readonly Kept[];
  /** What is come by before there is a trace. */
  readonly loaded: Ids;
  readonly release: string;
  readonly seed: number;
  /** Traces that were recorded and are not in the corpus, by reason. */
  readonly dropped: ReadonlyMap<string, number>;
  /** Traces that were judged otherwise when they were judged again without a mutant: they say nothing. Grows in a run. */
  readonly odd: Set<number>;
}

const SCRIPTS = "scripts on ";
/** Slower traces are left out of the corpus, in milliseconds of the processor. */
const LEGAL_MS = 300;
const ILLEGAL_MS = 300;
/** Longer traces, in characters, are not changed: how long one is doesn't depend on the load, as its milliseconds do. */
const SHORT = 60_000;

export async function prepare(wanted: Wanted): Promise<Prepared> {
  const { seed, directory, jobs, say } = wanted;
  mkdirSync(directory, { recursive: true });
  const instrumented = await instrument(join(directory, "build"), wanted.files);
  const { build } = instrumented;
  say(`${instrumented.mutants.length} mutants in src/model`);
  const { entries, judgings, release, dropped } = await recordAll(wanted);
  const write = (name: string, lines: readonly Entry[]): TraceFile => {
    const path = join(directory, name);
    const texts = lines.map(({ by, text }) => Buffer.from(`${JSON.stringify([by, text])}\n`));
    writeFileSync(path, Buffer.concat(texts));
    let at = 0;
    return { path, places: texts.map(({ length }) => ({ at: (at += length) - length, size: length })) };
  };
  const from = ({ traces }: Coverage, all: readonly Entry[], expected: Kept["expected"], slowest: number): { entry: Entry; kept: Kept }[] =>
    all.flatMap((entry, i) => {
      const covered = traces.get(i);
      if (covered === undefined || covered.verdict !== expected || covered.ms > slowest) return [];
      return [{ entry, kept: { from: entry.from, expected, ms: covered.ms, ids: covered.ids } }];
    });

  const first = await cover({ build, judgings }, write("recorded.jsonl", entries), jobs);
  const legal = from(first, entries, "legal", LEGAL_MS);
  say(`${legal.length} of ${entries.length} recorded traces are legal, and kept`);
  // A script may use two rings; what one of them does is not in the trace of the other, which is kept up to there.
  const shortened = entries.flatMap((entry, i) => {
    const { verdict, at = 0 } = first.traces.get(i) ?? {};
    return verdict === "illegal" && entry.from.startsWith(SCRIPTS) ? (cut(entry, at) ?? []) : [];
  });
  const third = await cover({ build, judgings }, write("shortened.jsonl", shortened), jobs);
  const saved = from(third, shortened, "legal", LEGAL_MS);
  say(`${saved.length} more of scripts are legal up to where they were not, and kept up to there`);
  legal.push(...saved);
  for (const [reason, count] of notKept(entries, first.traces, saved.length)) dropped.set(reason, count);
  const bases = near(shuffled(legal.filter(({ entry }) => entry.text.length <= SHORT), seed), wanted.bases);
  const changes = changed(bases.map(({ entry }) => entry), seed, wanted.each);
  const second = await cover({ build, judgings }, write("changed.jsonl", changes), jobs);
  const illegal = from(second, changes, "illegal", ILLEGAL_MS);
  say(`${illegal.length} of ${changes.length} changed traces are illegal, and kept`);
  const all = [...shuffled(legal, seed), ...shuffled(illegal, seed)];
  const corpus = write("corpus.jsonl", all.map(({ entry }) => entry));
  const programs = all.flatMap(({ entry: { by, made }, kept: { ids, expected } }) => (made === undefined || expected === "illegal" ? [] : [{ by, ids, made }]));
  return { ...instrumented, directory, programs, corpus, judgings, kept: all.map(({ kept }) => kept), loaded: first.loaded, release, seed, dropped, odd: new Set() };
}

/** Why recorded traces are not in the corpus, and how many. */
function notKept(entries: readonly Entry[], traces: Coverage["traces"], saved: number): Map<string, number> {
  const all = new Map<string, number>();
  const count = (reason: string, by = 1): unknown => all.set(reason, (all.get(reason) ?? 0) + by);
  for (const [i, { from }] of entries.entries()) {
    const covered = traces.get(i);
    const what = from.startsWith(SCRIPTS) ? "a script's trace" : "a program's trace";
    if (covered === undefined || covered.ms > LEGAL_MS) count(`${what} that takes too long to judge`);
    else if (covered.verdict === "unknown") count(`${what} of which the model says unknown: an argument that it does not know`);
    else if (covered.verdict === "illegal") count(`${what} that is not legal: another ring, or what a recorder between calls cannot tell apart`);
  }
  if (saved > 0) count("of these, kept up to where they are not legal", saved);
  return all;
}

/** So many changed traces come from near each mutant. */
const NEAR = 3;

/** At most so many of these, so that each mutant is come by a few of them, the shortest; the others are as they come. */
function near<T extends { readonly entry: Entry; readonly kept: Kept }>(traces: readonly T[], most: number): T[] {
  const times = new Map<number, number>();
  const chosen: T[] = [];
  const others: T[] = [];
  for (const trace of traces.toSorted((a, b) => a.entry.text.length - b.entry.text.length)) {
    const ids = [...trace.kept.ids];
    if (!ids.some((id) => (times.get(id) ?? 0) < NEAR)) {
      others.push(trace);
      continue;
    }
    chosen.push(trace);
    for (const id of ids) times.set(id, (times.get(id) ?? 0) + 1);
  }
  const rest = new Set(others);
  return [...chosen, ...traces.filter((trace) => rest.has(trace))].slice(0, most);
}

/** Of the newest release so many times more programs are run. */
const SIX_18 = 8;

async function recordAll(wanted: Wanted): Promise<{ entries: Entry[]; judgings: Judging[]; release: string; dropped: Map<string, number> }> {
  const { backend, seed, say } = wanted;
  const { traces, judging, release } = await record(backend, seed, wanted.programs);
  const judgings = [judging];
  const dropped = new Map<string, number>();
  const entries: Entry[] = traces.map((run) => ({ from: `programs on the ${backend} kernel`, by: 0, ...run }));
  say(`${entries.length} legal traces of ${wanted.programs} programs on the ${backend} kernel ${release}`);
  const vectors = await recordVectors(backend, seed, wanted.vectors);
  say(`${vectors.length} legal traces of spec/vector`);
  entries.push(...vectors.map((run) => ({ from: `spec/vector on the ${backend} kernel`, by: 0, ...run })));
  entries.push(...keptTraces().map((text) => ({ from: "test/property/corpus", by: 0, text })));
  const script = (on: string, by: number, release?: Release): void => {
    const scripts = recordScripts(join(wanted.directory, "scripts"), release);
    for (const [reason, count] of scripts.dropped) dropped.set(`a script's trace: ${reason}`, (dropped.get(`a script's trace: ${reason}`) ?? 0) + count);
    say(`${scripts.traces.length} traces of ${SCRIPTS}${on}`);
    entries.push(...scripts.traces.map((text) => ({ from: SCRIPTS + on, by, text })));
  };
  if (backend === "real" && wanted.scripts) script("the real kernel", 0);
  for (const older of wanted.scripts ? SCRIPTED : []) script(`the model as ${older}`, judgings.push({ profile: PROFILES[older], strictness: "spec" }) - 1, older);
  for (const older of wanted.older === 0 ? [] : MODELLED) {
    const { traces: made, judging: its } = older === "6.18" ? recordModelled(older, seed, SIX_18 * wanted.older, RINGS) : recordModelled(older, seed, wanted.older);
    const by = judgings.push(its) - 1;
    entries.push(...made.map((run) => ({ from: `programs on the model as ${older}`, by, ...run })));
  }
  if (wanted.older > 0) say(`with programs on the model as ${MODELLED.join(", ")}: ${entries.length}`);
  return { entries, judgings, release, dropped };
}

/** What one mutant's traces may take in all, without it and with counts: the quickest first, then others as they come. */
const BUDGETS_MS = { legal: { quick: 4000, others: 5000 }, illegal: { quick: 3500, others: 1500 } } as const;

/** The first of each kind, then the second of each, and so on. */
function inTurn<T>(things: readonly T[], kindOf: (thing: T) => string): T[] {
  const times = new Map<string, number>();
  const placed = things.map((thing) => {
    const kind = kindOf(thing);
    const turn = times.get(kind) ?? 0;
    times.set(kind, turn + 1);
    return { thing, turn };
  });
  return placed.sort((a, b) => a.turn - b.turn).map(({ thing }) => thing);
}

/** The traces that come by a mutant, legal ones first. */
export function orderFor({ kept, loaded }: Prepared, mutant: Mutant): number[] {
  return (["legal", "illegal"] as const).flatMap((what) => {
    const by = kept.flatMap(({ from, expected, ids, ms }, number) => (expected === what && (ids.has(mutant.id) || loaded.has(mutant.id)) ? [{ from, number, ms }] : []));
    const within = (traces: typeof by, limitMs: number): typeof by => {
      let spentMs = 0;
      return traces.filter(({ ms }) => (spentMs += ms) <= limitMs);
    };
    const quick = within(inTurn(by.toSorted((a, b) => a.ms - b.ms), ({ from }) => from), BUDGETS_MS[what].quick);
    const taken = new Set(quick);
    return [...quick, ...within(by.filter((trace) => !taken.has(trace)), BUDGETS_MS[what].others)].map(({ number }) => number);
  });
}

/** uncovered: no trace comes by it, so it is not judged and counts as a survivor. faulty: a faulty kernel's trace is legal. */
export type MutantFate = Fate | { readonly fate: "uncovered" } | { readonly fate: "faulty" };

export async function fateOf(prepared: Prepared, mutant: Mutant): Promise<MutantFate> {
  let order = orderFor(prepared, mutant).filter((number) => !prepared.odd.has(number));
  for (;;) {
    if (order.length === 0) return { fate: "uncovered" };
    const fate = await judgeMutant(taskOf(prepared, order), mutant.id);
    if (fate.fate === "survived") return (await allowsFaulty(prepared, mutant)) ? { fate: "faulty" } : fate;
    if (await isAsBefore(prepared, fate.by)) return fate;
    // Nothing that this trace says counts: the others have to say it.
    prepared.odd.add(fate.by);
    order = order.filter((number) => number !== fate.by);
  }
}

/** Is one of the illegal traces legal that other faults in the same line bring about? */
async function allowsFaulty(prepared: Prepared, mutant: Mutant): Promise<boolean> {
  const made = await faultyTraces(prepared, mutant);
  if (made === undefined) return false;
  const { quick, judgings } = prepared;
  const order = Array.from({ length: made.count }, (_, i) => i);
  const task = { build: quick, judgings, ...tracesOf(made.corpus, order), expected: order.map((): "illegal" => "illegal") };
  const fate = await judgeMutant(task, mutant.id);
  return fate.fate === "killed" && fate.how === "legal" && (await judgeMutant(task)).fate === "survived";
}

/** Without a mutant this trace is judged as it was, a second time too. */
async function isAsBefore(prepared: Prepared, number: number): Promise<boolean> {
  return (await judgeMutant(taskOf(prepared, [number]))).fate === "survived";
}

/** Without a mutant everything must be judged as it was: the fates of those traces that are not. */
export async function control(prepared: Prepared, jobs: number): Promise<Fate[]> {
  const numbers = prepared.kept.map((_, i) => i);
  const fates = await Promise.all(Array.from({ length: jobs }, (_, job) => judgeMutant(taskOf(prepared, numbers.filter((i) => i % jobs === job)))));
  return fates.filter(({ fate }) => fate !== "survived");
}

function taskOf({ quick, judgings, corpus, kept }: Prepared, order: readonly number[]): Parameters<typeof judgeMutant>[0] {
  return { build: quick, judgings, ...tracesOf(corpus, order), expected: order.map((i) => kept[i]?.expected ?? "legal") };
}
