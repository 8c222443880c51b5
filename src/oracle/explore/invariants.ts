// What holds in every state of every run, whatever the kernel chooses: an exploration checks each of these in each
// state that it comes to. Each names the rules that it follows from.
import { WORD } from "../../model/layout.ts";
import { load32 } from "../../model/memory.ts";
import type { Machine } from "../../model/machine.ts";
import { obeys } from "../../model/profile.ts";
import { cqPending } from "../../model/completion.ts";
import { isInBatch } from "../../model/sqpoll.ts";
import { IORING_CQE_F_MORE, IORING_SQ_CQ_OVERFLOW } from "../../spec/constants.gen.ts";
import { Accounts, messagesOf, submittedBy, tallies, type Account, type Submitted, type Tally } from "./accounts.ts";
import { isOver } from "./stages.ts";
import { listed, type Line } from "./history.ts";
import type { Prelude } from "./prelude.ts";
import type { Application, State } from "./state.ts";

export interface Breach {
  readonly invariant: string;
  readonly rules: readonly string[];
  /** What was found. */
  readonly found: string;
  /** What the program had seen by then. */
  readonly calls: readonly string[];
  readonly completions: readonly string[];
}

/** A state, between two actions or inside a call. */
export interface Looked {
  readonly p: Prelude;
  readonly m: Machine;
  /** Undefined: inside a call. */
  readonly app: Application | undefined;
  readonly account: Account;
  /** Requests that the kernel took; undefined: not known. */
  readonly taken: readonly Tally[] | undefined;
  readonly messages: ReadonlySet<bigint>;
}

export interface Invariant {
  readonly id: string;
  readonly rules: readonly string[];
  readonly says: string;
  /** It holds inside calls too. */
  readonly inside: boolean;
  /** It does not hold of a program that stores into words of the ring. */
  readonly tame: boolean;
  /** What is wrong; undefined: nothing. */
  readonly fault: (at: Looked) => string | undefined;
}

const word = (m: Machine, at: number): number => load32(m.ring.ring.bytes, at);

export const INVARIANTS: readonly Invariant[] = [
  {
    id: "cq-distance", rules: ["overflow.backlog", "cq.free-running"], inside: true, tame: true,
    says: "between cq.head and cq.tail there are at most as many completions as the ring has entries",
    fault: ({ m }) => (cqPending(m) > m.ring.cqEntries ? `${cqPending(m)} completions in a ring of ${m.ring.cqEntries}` : undefined),
  },
  {
    id: "cq-window", rules: ["cq.window-cached"], inside: true, tame: true,
    says: "the slots that the kernel believes free are free",
    fault: ({ m }) => (m.ring.cqWindow > m.ring.cqEntries - cqPending(m) ? `${m.ring.cqWindow} believed free, ${m.ring.cqEntries - cqPending(m)} are` : undefined),
  },
  {
    id: "cq-published", rules: ["cq.tail-after-entry"], inside: false, tame: true,
    says: "outside calls every completion that was written is behind cq.tail",
    fault: ({ m }) => (word(m, WORD.cqTail) === m.ring.cachedCqTail || isInBatch(m) ? undefined : `cq.tail is ${word(m, WORD.cqTail)}, ${m.ring.cachedCqTail} were written`),
  },
  {
    id: "sq-distance", rules: ["sq.free-running", "sq.head-once"], inside: false, tame: true,
    says: "sq.head is what the kernel took, and at most a ring's length behind sq.tail",
    fault: ({ m }) => {
      const distance = (word(m, WORD.sqTail) - word(m, WORD.sqHead)) >>> 0;
      if (distance > m.ring.sqEntries) return `${distance} entries in a ring of ${m.ring.sqEntries}`;
      return word(m, WORD.sqHead) === m.ring.cachedSqHead || isInBatch(m) ? undefined : `sq.head is ${word(m, WORD.sqHead)}, ${m.ring.cachedSqHead} were taken`;
    },
  },
  {
    id: "overflow-flag", rules: ["overflow.flag", "overflow.flag-cleared-empty"], inside: false, tame: true,
    says: "IORING_SQ_CQ_OVERFLOW is set where there is a backlog, and nowhere else",
    fault: ({ m }) => {
      const set = (word(m, WORD.sqFlags) & IORING_SQ_CQ_OVERFLOW) !== 0;
      return set === m.ring.overflow.length > 0 ? undefined : `the flag is ${set ? "set" : "clear"}, ${m.ring.overflow.length} are in the backlog`;
    },
  },
  {
    id: "none-invented", rules: ["sq.user-data"], inside: true, tame: true,
    says: "every completion carries the user_data of a request that was taken, or of a message",
    fault: ({ account, taken, messages }) => {
      if (taken === undefined) return undefined;
      for (const userData of account.last.keys())
        if (!messages.has(userData) && !taken.some((s) => s.userData === userData)) return `a completion of ${hex(userData)}, and no such request was taken`;
      return undefined;
    },
  },
  {
    id: "none-doubled", rules: ["submit.one-cqe-each"], inside: false, tame: true,
    says: "a request that has its last completion is not under way any more, and has one only",
    fault: (at) => balance(at, (due, had, live) => had + live > due),
  },
  {
    id: "none-lost", rules: ["submit.one-cqe-each", "skip.none-on-success"], inside: false, tame: true,
    says: "a request that was taken has its last completion, is under way, or asked for none",
    fault: (at) => balance(at, (due, had, live, silent) => had + live + silent < due),
  },
  {
    id: "chain-order", rules: ["link.chain-order", "link.in-sequence"], inside: true, tame: true,
    says: "requests of a chain complete in the order of the chain",
    // A thread that polls may end a submission anywhere, and once a member that was refused went alone.
    fault: ({ p, m, account, taken }) => (taken === undefined || p.polled || obeys(m.profile, "link.prep-error-alone") ? undefined : account.chainBroken),
  },
  {
    id: "drain-order", rules: ["drain.waits-all-before"], inside: true, tame: true,
    says: "a drained request that does not fail completes behind all requests before it",
    fault: ({ account, taken }) => (taken === undefined ? undefined : account.drainBroken),
  },
  {
    id: "lists", rules: ["drain.defers-later", "timeout.never-early", "taskrun.list-in-order"], inside: false, tame: false,
    says: "what is in a list of the kernel's is a request that is alive and in the state that the list stands for",
    fault: ({ m }) => misplaced(m),
  },
  {
    id: "all-came", rules: ["liveness.due", "overflow.flush-getevents"], inside: false, tame: true,
    says: "what must come ends a wait for it, and where the program has ended nothing is in the backlog",
    fault: ({ p, m, app }) => {
      if (app?.overdue === true) return "a wait for what had to come was in vain";
      if (app === undefined || !isOver(p, app) || m.ring.overflow.length === 0) return undefined;
      return `${m.ring.overflow.length} in the backlog`;
    },
  },
];

/** The first request whose completions don't add up: what it is due, had, has under way, and may leave out. */
function balance({ m, account, taken, messages }: Looked, wrong: (due: number, had: number, live: number, silent: number) => boolean): string | undefined {
  if (taken === undefined) return undefined;
  for (const { userData, taken: due, silent } of taken) {
    if (messages.has(userData)) continue;
    let live = 0;
    for (const r of m.requests.values()) if (r.userData === userData && isOpen(r.state) && !r.posted) live++;
    let had = account.last.get(userData) ?? 0;
    for (const c of m.ring.overflow) if (c.userData === userData && (c.flags & IORING_CQE_F_MORE) === 0) had++;
    if (wrong(due, had, live, silent)) return `${hex(userData)} was taken ${due} times, has ${had} last completions, and ${live} are under way`;
  }
  return undefined;
}

const hex = (userData: bigint): string => `0x${userData.toString(16)}`;
const isOpen = (state: string): boolean => state !== "done" && state !== "kept";

function misplaced(m: Machine): string | undefined {
  const { ring } = m;
  const lists: readonly (readonly [string, readonly number[], string])[] = [
    ["the timers", ring.timeouts, "timing"], ["the link timers", ring.linkTimeouts, "timing"],
    ["the task work", m.taskList, "task-work"], ["the local work", ring.localWork, "task-work"],
  ];
  for (const [name, ids, state] of lists) {
    for (const id of ids) {
      const r = m.requests.get(id);
      if (r === undefined) return `${name} hold request ${id}, which is gone`;
      if (r.state !== state && r.taskWork !== "free") return `${name} hold ${hex(r.userData)}, which is ${r.state}`;
    }
  }
  return undefined;
}

/** What a program submits, where it left these operations out. */
class Books {
  readonly accounts: Accounts;
  private readonly submitted: readonly Submitted[] | undefined;
  /** By how many requests were taken. */
  private readonly tallies = new Map<number, readonly Tally[]>();

  constructor(submitted: readonly Submitted[] | undefined) {
    this.submitted = submitted;
    this.accounts = new Accounts(submitted ?? []);
  }

  taken(count: number): readonly Tally[] | undefined {
    if (this.submitted === undefined) return undefined;
    let found = this.tallies.get(count);
    if (found === undefined) this.tallies.set(count, (found = tallies(this.submitted.slice(0, count))));
    return found;
  }
}

/** The invariants of one exploration, and how often each was checked. */
export class Invariants {
  readonly counts: Record<string, number> = {};
  private readonly p: Prelude;
  private readonly submitted: readonly Submitted[] | undefined;
  private readonly messages: ReadonlySet<bigint>;
  private readonly whole: Books;
  /** By the operations that were left out. */
  private readonly shorter = new Map<string, Books>();
  private readonly between: readonly Invariant[];
  private readonly within: readonly Invariant[];

  constructor(p: Prelude) {
    this.p = p;
    this.submitted = submittedBy(p.program, p.refused === undefined ? p.machine.ring.sqEntries : 1);
    this.messages = messagesOf(p.program);
    this.whole = new Books(this.submitted);
    this.between = INVARIANTS.filter(({ tame }) => !(tame && p.wild));
    this.within = this.between.filter(({ inside }) => inside);
    for (const { id } of this.between) this.counts[id] = 0;
  }

  /** A request that found no room is not among those that were submitted. [sqpoll.sq-wait-interrupted] */
  private books(left: readonly number[]): Books {
    if (left.length === 0) return this.whole;
    const name = left.join();
    let books = this.shorter.get(name);
    if (books === undefined) this.shorter.set(name, (books = new Books(this.submitted?.filter(({ at }) => !left.includes(at)))));
    return books;
  }

  /** Those that a state between two actions breaks. */
  check({ m, app, calls, seen, end }: State): readonly Breach[] {
    return end === undefined ? this.all(this.between, { m, seen, app, calls, left: app.left }) : [];
  }

  /** Those that a state inside a call breaks, where these operations were left out before. */
  checkInside(m: Machine, seen: Line, left: readonly number[]): readonly Breach[] {
    return this.all(this.within, { m, seen, left, app: undefined, calls: undefined });
  }

  private all(invariants: readonly Invariant[], at: Pick<State, "m" | "seen"> & { readonly app: Application | undefined; readonly calls: Line | undefined; readonly left: readonly number[] }): readonly Breach[] {
    const { m, seen, app, calls, left } = at;
    const books = this.books(left);
    const looked = { p: this.p, m, app, account: books.accounts.of(seen), taken: books.taken(m.ring.consumed), messages: this.messages };
    const breaches: Breach[] = [];
    for (const { id, rules, fault } of invariants) {
      this.counts[id] = (this.counts[id] ?? 0) + 1;
      const found = fault(looked);
      if (found !== undefined) breaches.push({ invariant: id, rules, found, calls: calls === undefined ? [] : listed(calls), completions: listed(seen) });
    }
    return breaches;
  }
}
