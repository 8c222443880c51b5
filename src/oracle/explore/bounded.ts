// All programs up to a length, over an alphabet of requests: small worlds in which everything that may happen is tried.
// A word of the alphabet is one operation; a request's user_data is its place in the program.
import type { Operation, Program, SqeSpec } from "../../program/program.ts";
import { CHOICE_POINTS } from "../../model/choices.ts";
import { IORING_TIMEOUT_ETIME_SUCCESS } from "../../spec/constants.gen.ts";
import { outcomeText } from "./outcome.ts";
import { explore, type ExploreOptions } from "./explore.ts";
import type { Breach } from "./invariants.ts";
import { SETTLED, type Reached } from "./chooser.ts";

type Letter = (userData: number) => Operation;

const EPOLLIN = 1;
const sqe = (spec: Omit<SqeSpec, "userData">): Letter => (userData) => ({ op: "sqe", userData, ...spec });
const time = (milliseconds: number): SqeSpec["addr"] => ({ is: "time", seconds: 0, nanoseconds: milliseconds * 1_000_000 });
const buffer = { is: "buffer", buffer: 0, at: 0 } as const;

/** What a program may be made of, by name. Cancels and removals look for the first request. */
export const ALPHABET = {
  nop: sqe({ opcode: "NOP" }),
  "nop-link": sqe({ opcode: "NOP", flags: ["IO_LINK"] }),
  "nop-drain": sqe({ opcode: "NOP", flags: ["IO_DRAIN"] }),
  "nop-async": sqe({ opcode: "NOP", flags: ["ASYNC"] }),
  "nop-async-link": sqe({ opcode: "NOP", flags: ["ASYNC", "IO_LINK"] }),
  "nop-async-skip": sqe({ opcode: "NOP", flags: ["ASYNC", "CQE_SKIP_SUCCESS"] }),
  "read-pipe": sqe({ opcode: "READ", fd: "p0r", addr: buffer, len: 4 }),
  "read-pipe-async": sqe({ opcode: "READ", fd: "p0r", addr: buffer, len: 4, flags: ["ASYNC"] }),
  "read-pipe-link": sqe({ opcode: "READ", fd: "p0r", addr: buffer, len: 4, flags: ["IO_LINK"] }),
  "write-pipe": sqe({ opcode: "WRITE", fd: "p0w", addr: buffer, len: 4 }),
  "write-pipe-async": sqe({ opcode: "WRITE", fd: "p0w", addr: buffer, len: 4, flags: ["ASYNC"] }),
  "poll-pipe": sqe({ opcode: "POLL_ADD", fd: "p0r", opFlags: EPOLLIN }),
  "write-file": sqe({ opcode: "WRITE", fd: "f0", addr: buffer, len: 4, off: 0 }),
  "read-file": sqe({ opcode: "READ", fd: "f0", addr: { is: "buffer", buffer: 1, at: 0 }, len: 4, off: 0 }),
  fsync: sqe({ opcode: "FSYNC", fd: "f0" }),
  timeout: sqe({ opcode: "TIMEOUT", addr: time(1), len: 1 }),
  "timeout-count": sqe({ opcode: "TIMEOUT", addr: time(1), len: 1, off: 1 }),
  "timeout-link": sqe({ opcode: "TIMEOUT", addr: time(1), len: 1, opFlags: IORING_TIMEOUT_ETIME_SUCCESS, flags: ["IO_LINK"] }),
  "link-timeout": sqe({ opcode: "LINK_TIMEOUT", addr: time(1), len: 1 }),
  "timeout-remove": sqe({ opcode: "TIMEOUT_REMOVE", addr: { is: "number", number: 1 } }),
  cancel: sqe({ opcode: "ASYNC_CANCEL", addr: { is: "number", number: 1 } }),
  "poll-remove": sqe({ opcode: "POLL_REMOVE", addr: { is: "number", number: 1 } }),
  submit: () => ({ op: "submit" }),
  reap: () => ({ op: "reap" }),
  "close-pipe": () => ({ op: "close", fd: "p0w" }),
} satisfies Record<string, Letter>;

export type Word = keyof typeof ALPHABET;
export const WORDS: readonly Word[] = Object.keys(ALPHABET).filter((name): name is Word => name in ALPHABET);
export const DEFAULT_WORDS: readonly Word[] = ["nop", "nop-async", "nop-async-link", "read-pipe", "write-pipe-async", "timeout", "cancel"];

/** The program of these words: one submission where no word says otherwise, then everything that comes. */
export function programOf(words: readonly Word[], ring: Program["ring"]): Program {
  const ops = words.map((word, i) => ALPHABET[word](i + 1));
  return {
    version: 1, kind: "legal", ring, world: { files: [8], pipes: [0], eventfds: [], buffers: [8, 8] },
    ops: [...ops, { op: "submit" }, { op: "settle" }, { op: "reap" }],
  };
}

/** Every sequence of one to `length` words, the shorter ones first. */
export function* sequences(words: readonly Word[], length: number): Generator<readonly Word[]> {
  let longest: (readonly Word[])[] = [[]];
  for (let n = 1; n <= length; n++) {
    longest = longest.flatMap((begun) => words.map((word) => [...begun, word]));
    yield* longest;
  }
}

export interface Bounded {
  readonly programs: number;
  readonly states: number;
  readonly visits: number;
  readonly transitions: number;
  readonly outcomes: number;
  /** Programs that can end in one way only, and the one that can end in most. */
  readonly determined: number;
  readonly most: { readonly words: readonly Word[]; readonly outcomes: number };
  readonly breaches: readonly { readonly words: readonly Word[]; readonly breach: Breach }[];
  /** Programs that reached a limit, and what the model has not. */
  readonly incomplete: readonly (readonly Word[])[];
  readonly unmodelled: readonly string[];
  readonly reached: Reached;
  readonly checked: Readonly<Record<string, number>>;
}

export interface BoundedOptions extends ExploreOptions {
  readonly words: readonly Word[];
  readonly length: number;
  readonly ring: Program["ring"];
  readonly onProgram?: (done: number) => void;
}

/** Explores them all. */
export function exploreAll(options: BoundedOptions): Bounded {
  const sum = { programs: 0, states: 0, visits: 0, transitions: 0, determined: 0 };
  const outcomes = new Set<string>();
  const breaches: { words: readonly Word[]; breach: Breach }[] = [];
  const incomplete: (readonly Word[])[] = [];
  const unmodelled = new Set<string>();
  const reached: Reached = new Map();
  const checked: Record<string, number> = {};
  let most: Bounded["most"] = { words: [], outcomes: 0 };
  for (const words of sequences(options.words, options.length)) {
    const found = explore(programOf(words, options.ring), options);
    sum.programs++;
    sum.states += found.states;
    sum.visits += found.visits;
    sum.transitions += found.transitions;
    if (found.outcomes.length === 1) sum.determined++;
    if (found.outcomes.length > most.outcomes) most = { words, outcomes: found.outcomes.length };
    for (const outcome of found.outcomes) outcomes.add(outcomeText(outcome));
    for (const breach of found.breaches) breaches.push({ words, breach });
    if (!found.complete) incomplete.push(words);
    for (const what of found.unmodelled) unmodelled.add(what);
    for (const [id, times] of Object.entries(found.checked)) checked[id] = (checked[id] ?? 0) + times;
    merge(reached, found.reached);
    options.onProgram?.(sum.programs);
  }
  return { ...sum, outcomes: outcomes.size, most, breaches, incomplete, unmodelled: [...unmodelled], reached, checked };
}

/** Adds what was reached to what was reached before. */
export function merge(into: Reached, from: Reached): void {
  for (const [point, counts] of from) {
    const all = into.get(point) ?? new Map<string, number>();
    for (const [name, count] of counts) all.set(name, (all.get(name) ?? 0) + count);
    into.set(point, all);
  }
}

/** Of the alternatives that the model has at the choice points that an exploration asks at: how many were taken, and which were not. */
export function coverage(reached: Reached): { readonly taken: number; readonly of: number; readonly never: readonly string[] } {
  const never: string[] = [];
  let of = 0;
  for (const [point, alternatives] of Object.entries(CHOICE_POINTS)) {
    if (SETTLED.has(point)) continue;
    for (const name of alternatives) {
      // What stands for any of the others, in the searches of the oracle.
      if (name === "step") continue;
      of++;
      if (!reached.get(point)?.has(name)) never.push(`${point}: ${name}`);
    }
  }
  return { taken: of - never.length, of, never };
}
