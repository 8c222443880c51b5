// A timeline as text: a line a step with both queues and the lanes, and below it the rules.
import type { Timeline, TimelineLane, TimelineStep } from "./timeline.ts";

/** Requests that are shown side by side; more share the last column. */
const COLUMNS_MAX = 24;

export const LEGEND =
  "lanes: + SQE stored, ^ published, v taken by the kernel, | under way, o CQE with more to come, * last CQE, x last CQE with an error";

/** The first and the last step of a lane. */
function span(lane: TimelineLane, lastStep: number): readonly [number, number] {
  return [lane.filledAt ?? lane.takenAt ?? lane.cqes[0]?.step ?? lastStep, lane.endedAt ?? lane.cqes.at(-1)?.step ?? lastStep];
}

/** Gives each lane a column that is free while it lives. */
export function columnsOf(lanes: readonly TimelineLane[], lastStep: number): number[] {
  const freeFrom: number[] = [];
  const columns: number[] = [];
  const order = lanes.map((lane, id) => ({ id, span: span(lane, lastStep) })).toSorted((a, b) => a.span[0] - b.span[0] || a.id - b.id);
  for (const {
    id,
    span: [from, to],
  } of order) {
    let column = freeFrom.findIndex((free) => free < from);
    if (column < 0) column = Math.min(freeFrom.length, COLUMNS_MAX - 1);
    freeFrom[column] = Math.max(to, freeFrom[column] ?? 0);
    columns[id] = column;
  }
  return columns;
}

/** What a lane shows at a step. */
function symbol(lane: TimelineLane, step: number, lastStep: number): string {
  const [from, to] = span(lane, lastStep);
  if (step < from || step > to) return " ";
  const cqe = lane.cqes.findLast((one) => one.step === step);
  if (cqe !== undefined) return lane.endedAt !== step ? "o" : cqe.res < 0 ? "x" : "*";
  if (step === lane.takenAt) return "v";
  if (step === lane.queuedAt) return "^";
  if (step === lane.filledAt) return "+";
  return lane.takenAt !== undefined && step > lane.takenAt ? "|" : ":";
}

/** "5 to 7 & 3": head, tail and mask. */
const queue = (side: { readonly head: number; readonly tail: number }, mask: number | undefined): string =>
  mask === undefined ? "-" : `${side.head} to ${side.tail} & ${mask}`;

/** The whole timeline. */
export function timelineLines(timeline: Timeline): string[] {
  const { title, by, ring, lanes, steps, verdict, leftOut } = timeline;
  const last = steps.length - 1;
  const columns = columnsOf(lanes, last);
  const width = Math.max(0, ...columns.map((column) => column + 1));
  const lines = [
    `${title}: ${verdict.verdict}, judged by ${by}`,
    ring === undefined
      ? "no ring was made"
      : `ring: SQ of ${ring.sqEntries} (mask ${ring.sqMask}), CQ of ${ring.cqEntries} (mask ${ring.cqMask}), ${ring.flags.join(", ") || "no flags"}`,
    LEGEND,
    "",
    `${"line".padStart(6)} ${"us".padStart(12)}  ${"SQ head to tail & mask".padEnd(22)}  ${"CQ head to tail & mask".padEnd(22)}  ${"".padEnd(width)}  event`,
  ];
  const indent = " ".repeat(6 + 1 + 12 + 2 + 22 + 2 + 22 + 2);
  for (const [index, step] of steps.entries()) {
    const cells = new Array<string>(width).fill(" ");
    for (const [id, lane] of lanes.entries()) {
      const shown = symbol(lane, index, last);
      if (shown !== " ") cells[columns[id] ?? 0] = shown;
    }
    lines.push(
      `${String(step.line).padStart(6)} ${step.atUs.toFixed(3).padStart(12)}  ${queue(step.sq, ring?.sqMask).padEnd(22)}  ${queue(step.cq, ring?.cqMask).padEnd(22)}  ${cells.join("")}  ${headline(step)}`,
    );
    const through = cells.map((cell) => (cell === " " || cell === "*" || cell === "x" ? " " : "|")).join("");
    for (const more of below(step, timeline)) lines.push(`${indent}${through}    ${more}`);
  }
  if (leftOut > 0) lines.push("", `${leftOut} more events are not shown`);
  return lines;
}

const headline = (step: TimelineStep): string =>
  step.judged === "illegal" ? `ILLEGAL ${step.text}` : step.judged === "legal" ? step.text : `(not judged) ${step.text}`;

function below(step: TimelineStep, { verdict }: Timeline): string[] {
  const words = [
    ...step.flags.map((flag) => `sq.flags: ${flag}`),
    ...(step.dropped > 0 ? [`sq.dropped: ${step.dropped}`] : []),
    ...(step.overflow > 0 ? [`cq.overflow: ${step.overflow}`] : []),
    ...(step.rules.length > 0 ? [`rules: ${step.rules.join(", ")}`] : []),
  ];
  if (step.judged !== "illegal") return words;
  return [...words, ...(verdict.seen === undefined ? [] : [`seen: ${verdict.seen}`]), ...verdict.allowed.map((one) => `allowed: ${one}`)];
}
