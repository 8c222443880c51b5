// A trace as a timeline: plain data that the terminal and the page show. Steps are events, lanes requests.
// Queues are as the application last loaded or stored their words.
import type { Verdict } from "../oracle/verdict.ts";
import type { TraceEvent } from "../program/trace.ts";
import { IORING_SQ_CQ_OVERFLOW, IORING_SQ_NEED_WAKEUP, IORING_SQ_TASKRUN } from "../spec/constants.gen.ts";
import { RULES } from "../spec/rules.gen.ts";
import type { RuleId } from "../spec/rules.gen.ts";
import { rulesOf } from "./observed.ts";
import { LISTED_MAX, Replay, type Facts, type Lane } from "./replay.ts";
import { laneName, setupFlagNames, sqeWords, stepWords } from "./words.ts";

export interface TimelineRing {
  readonly sqEntries: number;
  readonly sqMask: number;
  readonly cqEntries: number;
  readonly cqMask: number;
  readonly flags: readonly string[];
}

export interface TimelineLane {
  /** "READ 0xaaaa". */
  readonly name: string;
  readonly asks: string;
  /** Numbers of steps: its SQE was stored, published, taken; its last CQE was seen. */
  readonly filledAt?: number;
  readonly queuedAt?: number;
  readonly takenAt?: number;
  readonly endedAt?: number;
  readonly cqes: readonly { readonly step: number; readonly res: number }[];
  /** The lane that it is linked behind. */
  readonly behind?: number;
}

export interface TimelineStep {
  /** Of the file. */
  readonly line: number;
  readonly event: string;
  readonly text: string;
  /** Microseconds since the first event began, and how long this one took. */
  readonly atUs: number;
  readonly tookUs: number;
  readonly sq: { readonly head: number; readonly tail: number; readonly lanes: readonly number[] };
  readonly cq: { readonly head: number; readonly tail: number; readonly lanes: readonly number[] };
  /** Bits of sq.flags by name. */
  readonly flags: readonly string[];
  readonly dropped: number;
  readonly overflow: number;
  readonly rules: readonly string[];
  readonly judged: "legal" | "illegal" | "not judged";
}

export interface Timeline {
  readonly title: string;
  /** What it was judged by: "Linux 6.18, strictness spec". */
  readonly by: string;
  readonly verdict: {
    readonly verdict: Verdict["verdict"];
    readonly why?: string;
    readonly seen?: string;
    readonly allowed: readonly string[];
  };
  readonly ring?: TimelineRing;
  readonly lanes: readonly TimelineLane[];
  readonly steps: readonly TimelineStep[];
  /** Texts of the rules that steps name. */
  readonly rules: Readonly<Record<string, string>>;
  /** Events behind the last step, which are not shown. */
  readonly leftOut: number;
}

export interface TimelineOptions {
  readonly title: string;
  readonly by: string;
  readonly verdict: Verdict;
  /** Most steps that are shown. */
  readonly stepsMax?: number;
}

/** Of longer traces the beginning is shown, and how much is left out. */
export const STEPS_MAX = 20_000;

const SQ_FLAGS = [
  [IORING_SQ_NEED_WAKEUP, "NEED_WAKEUP"],
  [IORING_SQ_CQ_OVERFLOW, "CQ_OVERFLOW"],
  [IORING_SQ_TASKRUN, "TASKRUN"],
] as const;

const isRule = (id: string): id is RuleId => Object.hasOwn(RULES, id);

export function timelineOf(events: readonly TraceEvent[], options: TimelineOptions): Timeline {
  const { title, by, verdict, stepsMax = STEPS_MAX } = options;
  const replay = new Replay();
  const shown = events.slice(0, stepsMax);
  const steps = shown.map((event) => {
    const facts = replay.next(event);
    return { facts, rules: rulesOf(facts, replay.lanes) };
  });
  replay.leftOver();
  const { lanes } = replay;
  const filled = groupBy(lanes, (lane) => lane.filledAt);
  const positions = new Map(lanes.map((lane) => [lane.position, lane.id]));
  const started = events[0]?.from ?? 0n;
  const built = steps.map(({ facts, rules }): TimelineStep => {
    const { event, step, after } = facts;
    const ids = new Set<string>([...rules, ...(step === verdict.at ? (verdict.rules ?? []) : [])]);
    return {
      line: step + 2,
      event: event.event,
      text: stepWords(facts, filled.get(step) ?? []),
      atUs: Number(event.from - started) / 1000,
      tookUs: Number(event.to - event.from) / 1000,
      sq: { head: after.sqHead, tail: after.sqTail, lanes: pending(facts, positions) },
      cq: { head: after.cqHead, tail: after.cqTail, lanes: facts.inCq },
      flags: SQ_FLAGS.filter(([bit]) => (after.sqFlags & bit) !== 0).map(([, name]) => name),
      dropped: after.sqDropped,
      overflow: after.cqOverflow,
      rules: [...ids],
      judged: step === verdict.at && verdict.verdict === "illegal" ? "illegal" : step < verdict.judgedEvents ? "legal" : "not judged",
    };
  });
  const filledIn = steps.find(({ facts }) => facts.setup?.filled !== undefined)?.facts.setup?.filled;
  const why = verdict.limit ?? verdict.unmodelled ?? verdict.unspecified;
  return {
    title,
    by,
    verdict: {
      verdict: verdict.verdict,
      ...(why === undefined ? {} : { why }),
      ...(verdict.seen === undefined ? {} : { seen: verdict.seen }),
      allowed: verdict.allowed ?? [],
    },
    ...(filledIn === undefined
      ? {}
      : {
          ring: {
            sqEntries: filledIn.sqEntries,
            sqMask: filledIn.sqEntries - 1,
            cqEntries: filledIn.cqEntries,
            cqMask: filledIn.cqEntries - 1,
            flags: setupFlagNames(filledIn.flags),
          },
        }),
    lanes: lanes.map(laneOf),
    steps: built,
    rules: Object.fromEntries([...new Set(built.flatMap((step) => step.rules))].filter(isRule).map((id) => [id, RULES[id].text])),
    leftOut: events.length - shown.length,
  };
}

/** Requests between head and tail of the SQ, -1 where nobody took them. */
function pending({ after, setup }: Facts, positions: ReadonlyMap<number | undefined, number>): number[] {
  const count = Math.min((after.sqTail - after.sqHead) >>> 0, setup?.filled?.sqEntries ?? 0, LISTED_MAX);
  return Array.from({ length: count }, (_, i) => positions.get((after.sqHead + i) >>> 0) ?? -1);
}

function groupBy(lanes: readonly Lane[], key: (lane: Lane) => number | undefined): ReadonlyMap<number | undefined, readonly Lane[]> {
  const groups = new Map<number | undefined, Lane[]>();
  for (const lane of lanes) groups.set(key(lane), [...(groups.get(key(lane)) ?? []), lane]);
  return groups;
}

function laneOf(lane: Lane): TimelineLane {
  const { filledAt, queuedAt, takenAt, endedAt } = lane;
  return {
    name: laneName(lane),
    asks:
      lane.sqe === undefined
        ? lane.name === "message"
          ? "sent by MSG_RING"
          : "no entry of this ring explains its CQE"
        : sqeWords(lane.sqe),
    ...(filledAt === undefined ? {} : { filledAt }),
    ...(queuedAt === undefined ? {} : { queuedAt }),
    ...(takenAt === undefined ? {} : { takenAt }),
    ...(endedAt === undefined ? {} : { endedAt }),
    cqes: lane.cqes.map(({ step, res }) => ({ step, res })),
    ...(lane.behind === undefined ? {} : { behind: lane.behind.id }),
  };
}
