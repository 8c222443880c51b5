// What people read: the closing table of a campaign, and the account of one divergence.
import type { Counterexample } from "./counterexample.ts";
import { programLines, ringLine } from "./program-lines.ts";
import { failuresOf } from "./tally.ts";
import { PROGRAM_OPCODES } from "../program/program.ts";
import type { Summary } from "./tally.ts";

const REASONS_MAX = 8;

/** How often each operation was submitted, and how many of the other numbers that hostile programs try. */
function opcodesSeen(opcodes: Readonly<Record<string, number>>): string[] {
  const known = new Set<string>(PROGRAM_OPCODES);
  const others = Object.entries(opcodes).filter(([name]) => !known.has(name));
  const names = PROGRAM_OPCODES.map((name) => `${name} ${opcodes[name] ?? 0}`);
  return others.length === 0 ? names : [...names, `${others.length} other numbers ${others.reduce((sum, [, count]) => sum + count, 0)}`];
}

const countsOf = (counts: Readonly<Record<string, number>>): string[] => Object.entries(counts).toSorted().map(([name, count]) => `${name} ${count}`);

/** Calls of io_uring_register by name, and how many more were refused. */
function registeredSeen({ registered, registerRefused }: Summary): string[] {
  const names = [...new Set([...Object.keys(registered), ...Object.keys(registerRefused)])].toSorted();
  if (names.length === 0) return ["nothing"];
  return names.map((name) => `${name} ${registered[name] ?? 0}${registerRefused[name] === undefined ? "" : ` (${registerRefused[name]} refused)`}`);
}

export function closingTable(summary: Summary): string {
  const percent = (count: number): string => (count === 0 ? "0" : `${count} (${((100 * count) / Math.max(summary.programs, 1)).toFixed(2)} %)`);
  const rows: [string, string][] = [
    ["kernel", `${summary.backend === "real" ? "Linux" : "model of Linux"} ${summary.kernel}, strictness ${summary.strictness}, seed ${summary.seed}`],
    ["programs", `${summary.programs} (${summary.hostilePrograms} hostile) in ${summary.seconds} s`],
    ["operations", `${summary.operations}, ${(summary.operations / Math.max(summary.programs, 1)).toFixed(1)} a program`],
    ["opcodes seen", wrap(opcodesSeen(summary.opcodes), 92).join(`\n${" ".repeat(22)}`)],
    ["wraps", String(summary.wraps)],
    ["overflows", String(summary.overflows)],
    ["chains", String(summary.chains)],
    ["drains", String(summary.drains)],
    ["cancels", String(summary.cancels)],
    ["fdinfo readings", String(summary.readings)],
    ["registered", wrap(registeredSeen(summary), 92).join(`\n${" ".repeat(22)}`)],
    ["entered", countsOf(summary.entered).join(", ") || "only by descriptor, for a time"],
    ["events judged", `${summary.judgedEvents} of ${summary.events}, at most ${summary.candidatesMax} candidates`],
    ["divergences", String(summary.divergences)],
    ["unknown", percent(summary.unknown)],
    ["unspecified", percent(summary.unspecified)],
    ["unmodelled", percent(summary.unmodelled)],
    ["killed", `${summary.killed}, of which ${summary.killedAsModelled} as the model says (a wait that nothing ends)`],
    ["programs per second", `${summary.programsPerSecond} (time blocked in the kernel's own timers left out)`],
  ];
  const lines = rows.map(([label, value]) => `  ${label.padEnd(20)}${value}`);
  return [...lines, "", ...choiceLines(summary), ...reasonLines(summary)].join("\n");
}

function choiceLines({ choices }: Summary): string[] {
  const points = Object.entries(choices);
  const width = Math.max(0, ...points.map(([point]) => point.length)) + 2;
  const lines = points.map(([point, alternatives]) => {
    const all = Object.entries(alternatives);
    const taken = all.filter(([, count]) => count > 0).map(([name, count]) => `${name} ${count}`);
    const never = all.filter(([, count]) => count === 0).map(([name]) => name);
    return `  ${point.padEnd(width)}${taken.join(", ") || "-"}${never.length === 0 ? "" : `; never ${never.join(", ")}`}`;
  });
  return ["Choice points: what the kernel was seen to take, and what it never took", ...lines];
}

function reasonLines({ reasons }: Summary): string[] {
  const sorted = Object.entries(reasons).toSorted(([, a], [, b]) => b - a);
  if (sorted.length === 0) return [];
  const shown = sorted.slice(0, REASONS_MAX).map(([reason, count]) => `  ${String(count).padStart(6)}  ${reason}`);
  const rest = sorted.length > REASONS_MAX ? [`          and ${sorted.length - REASONS_MAX} further reasons`] : [];
  return ["", "Why judging stopped early", ...shown, ...rest];
}

/** The last line of a campaign. */
export function closingSentence(summary: Summary, stopped: "interrupted" | "diverged" | undefined): string {
  const failures = failuresOf(summary);
  if (stopped === "interrupted") return `Interrupted after ${summary.programs} programs.`;
  if (failures.length > 0) return `FAILED: ${failures.join("; ")}.`;
  const what = summary.backend === "real" ? "Linux and the model agree" : "the model agrees with its own rules";
  return `OK: ${what} on ${summary.programs} programs.`;
}

export function explainCounterexample(found: Counterexample, savedAs: string | undefined): string {
  const { program, outcome } = found;
  const { verdict } = outcome;
  const shrunk = found.shrunkFrom === undefined ? "" : `, shrunk from ${found.shrunkFrom.operations} in ${found.shrunkFrom.tries} tries`;
  const counters = found.model?.counters === undefined ? "" : `, counters from ${found.model.counters}`;
  const where = found.model === undefined ? "" : `, model seed ${found.model.seed}${counters}`;
  return [
    `DIVERGENCE: ${program.kind} program ${found.index} of seed ${found.seed} (path ${found.path})`,
    `  kernel   ${found.backend === "real" ? "Linux" : "model of Linux"} ${found.kernel}, strictness ${found.strictness}${where}`,
    `  ring     ${ringLine(program)}`,
    `  seen     ${indent(verdict.seen ?? outcome.lost ?? "?")}${verdict.at === undefined ? "" : ` (event ${verdict.at} of ${verdict.events})`}`,
    ...(verdict.allowed ?? []).map((allowed, index) => `  ${index === 0 ? "allowed" : "   or  "}  ${indent(allowed)}`),
    ...(verdict.rules === undefined || verdict.rules.length === 0 ? [] : [`  rules    ${verdict.rules.join(", ")} (obeyed there; ringspec spec says what they are)`]),
    `  program  ${program.ops.length} operations${shrunk}`,
    ...programLines(program).map((line) => `    ${line}`),
    savedAs === undefined ? "  not saved" : `  replay   ringspec replay ${savedAs}`,
    ...(savedAs === undefined || outcome.trace === undefined ? [] : [`  look     ringspec explain ${savedAs}`]),
  ].join("\n");
}

function indent(text: string): string {
  return text.replaceAll("\n", `\n${" ".repeat(11)}`);
}

/** Words put into lines of at most `width` characters. */
function wrap(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length + 2 > width) lines.push(word);
    else lines[lines.length - 1] = `${last}, ${word}`;
  }
  return lines;
}
