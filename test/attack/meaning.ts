// Does a mutation change what a trace means? Decided from the trace alone: the oracle is what is attacked, and the
// model is what it has, so neither is asked. A mutation counts as one that changes something unless a rule here says
// that the kernel may do either, whatever the oracle says of it. What these rules let pass is counted beside the rest.
import { IORING_OP_OPENAT, IORING_SQ_CQ_OVERFLOW, IORING_SQ_NEED_WAKEUP, IORING_SQ_TASKRUN } from "../../src/spec/constants.gen.ts";
import type { TraceEvent } from "../../src/program/trace.ts";
import type { Change, MutationClass } from "./mutate.ts";
import { completions } from "./place.ts";
import { Story, type StoredSqe } from "./story.ts";

/** The rule of the spec by which a mutated trace may be one of the kernel's. */
export interface Either {
  readonly rule: string;
  readonly why: string;
}

const SQ_HEAD_INDEX = 0;
const SQ_FLAGS_INDEX = 9;

/** undefined: it changes what the trace means. */
export function mayBeEither(original: readonly TraceEvent[], kind: MutationClass, change: Change): Either | undefined {
  const story = new Story(original);
  switch (kind) {
    case "order":
      return eitherOrder(original, change, story);
    case "missing":
      return eitherLater(original, change, story);
    case "word":
      return eitherWord(original, change, story);
    case "res":
      return eitherNumber(original, change, story);
    case "fdinfo":
      return story.polled && change.what.startsWith("sq") && /^sq(Thread|ThreadCpu|TotalTime|WorkTime):/.test(change.what)
        ? { rule: "fdinfo.sq-thread", why: "which thread polls, and what it took of the CPU" }
        : undefined;
    default:
      return undefined;
  }
}

/** Two that were under way together, of which one at least is not completed by the call that submits it, and not of one chain. */
function eitherOrder(original: readonly TraceEvent[], change: Change, story: Story): Either | undefined {
  const before = completions(original);
  const after = completions(change.events);
  const [first, ...rest] = before.filter(({ cqe }, i) => cqe.userData !== after[i]?.cqe.userData || cqe.res !== after[i].cqe.res || cqe.flags !== after[i].cqe.flags);
  const second = rest.at(-1);
  if (first === undefined || second === undefined) return undefined;
  const ones = story.of(first.cqe.userData, first.at);
  const others = story.of(second.cqe.userData, first.at);
  const beside = (one: StoredSqe, other: StoredSqe): boolean => one !== other && one.chain !== other.chain && (story.mayBeLate(one) || story.mayBeLate(other));
  if (!ones.some((one) => others.some((other) => beside(one, other)))) return undefined;
  return { rule: "submit.order-unspecified", why: "two requests that were under way together" };
}

/** A trace may end before a request has completed that nobody waits for any more. */
function eitherLater(original: readonly TraceEvent[], change: Change, story: Story): Either | undefined {
  const after = completions(change.events);
  const gone = completions(original).find(({ cqe }, i) => cqe.userData !== after[i]?.cqe.userData || cqe.res !== after[i].cqe.res || cqe.flags !== after[i].cqe.flags);
  if (gone === undefined || original.slice(change.at).some((event) => event.event === "enter" && event.minComplete > 0)) return undefined;
  return story.of(gone.cqe.userData, gone.at).some((sqe) => story.mayBeLate(sqe))
    ? { rule: "liveness.due", why: "it may be late, and the trace ends before anybody waits for it" }
    : undefined;
}

const changedWord = (original: readonly TraceEvent[], change: Change): readonly [index: number, bits: number] => {
  const [was, is] = [original[change.at], change.events[change.at]];
  if (was?.event !== "peek" || is?.event !== "peek") return [-1, 0];
  const index = was.words.findIndex((word, i) => word !== is.words[i]);
  return [index, ((was.words[index] ?? 0) ^ (is.words[index] ?? 0)) >>> 0];
};

/** Flags that something beside the thread may have moved between two loads. */
function eitherWord(original: readonly TraceEvent[], change: Change, story: Story): Either | undefined {
  const [index, bits] = changedWord(original, change);
  if (story.polled && index === SQ_HEAD_INDEX) return { rule: "sqpoll.submits", why: "the thread that polls moves it when it likes" };
  if (index !== SQ_FLAGS_INDEX) return undefined;
  if (bits === IORING_SQ_NEED_WAKEUP && story.polled) return { rule: "sqpoll.need-wakeup", why: "the thread that polls may sleep, or not yet" };
  if (!story.underWay(change.at)) return undefined;
  if (bits === IORING_SQ_TASKRUN) return { rule: "taskrun.flag-set", why: "a request under way may have queued task work by then" };
  if (bits === IORING_SQ_CQ_OVERFLOW) return { rule: "overflow.flag", why: "a request under way may have begun the backlog by then" };
  return undefined;
}

/** Which number a new descriptor gets depends on what else the process has open. */
function eitherNumber(original: readonly TraceEvent[], change: Change, story: Story): Either | undefined {
  const before = completions(original);
  const after = completions(change.events);
  const at = before.findIndex(({ cqe }, i) => cqe.res !== after[i]?.cqe.res);
  const [was, is] = [before[at], after[at]];
  if (was === undefined || is === undefined || was.cqe.res < 0 || is.cqe.res < 0) return undefined;
  const opens = story.of(was.cqe.userData, was.at).some(({ opcode }) => opcode === IORING_OP_OPENAT);
  return opens ? { rule: "openat.lowest-number", why: "another number of a new descriptor" } : undefined;
}
