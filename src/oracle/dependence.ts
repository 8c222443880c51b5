// Which of the kernel's steps can be told apart by their order, and which requests can't be told apart
// at all. What is independent is tried in one order only.
import { conflicts, footprint } from "../model/footprint.ts";
import type { Machine } from "../model/machine.ts";
import type { Request } from "../model/request.ts";
import { isPollStep, type Step } from "../model/steps.ts";

/** Could it matter in which order the two are taken? */
export function dependent(m: Machine, a: Step, b: Step): boolean {
  if (a.request === b.request || a.kind === "task-work" || b.kind === "task-work") return true;
  if (isPollStep(a) || isPollStep(b)) return true;
  if (a.kind === b.kind && a.kind !== "effect") return true;
  const wakes = (s: Step): boolean => s.kind === "expire" || (s.kind === "effect" && mayWake(m, s));
  if (wakes(a) && wakes(b)) return true;
  if (a.kind !== "effect" || b.kind !== "effect") return false;
  const first = m.requests.get(a.request);
  const second = m.requests.get(b.request);
  return first === undefined || second === undefined || conflicts(footprint(m, first), footprint(m, second));
}

/** Does this effect queue task work, whose order shows? */
export function mayWake(m: Machine, s: Step): boolean {
  const r = m.requests.get(s.request);
  if (r === undefined || r.link !== 0) return true;
  const { writes } = footprint(m, r);
  return writes.some((name) => {
    if (name === "*" || name.startsWith("ud:") || name.startsWith("fd:")) return true;
    if (!name.startsWith("inode:")) return false;
    const inode = Number(name.slice(6));
    return (m.world.waiters.get(inode * 2)?.length ?? 0) + (m.world.waiters.get(inode * 2 + 1)?.length ?? 0) > 0;
  });
}

/** Equal for requests that wait for a worker and differ in nothing but their place in the queue, their chains included. */
export function likeness(m: Machine, r: Request): string {
  const { fd, addr, len, off, opFlags } = r.prepared;
  const own = `${r.opcode},${r.flags},${r.userData},${r.res},${fd},${addr},${len},${off},${opFlags},${r.file},${r.timeoutOff},${r.workHash},${r.workInterrupted},${r.pollRetries},${r.cancelling?.count}`;
  return r.link === 0 ? own : `${own};${likeness(m, m.request(r.link))}`;
}

/** Must `r`, whose task work was queued later, have been behind `other`? */
export function tied(r: Request, other: Request): boolean {
  if (!other.floating) return false;
  if (r.cause === other.cause || r.causeTouches === undefined || other.causeTouches === undefined) return true;
  return conflicts(r.causeTouches, other.causeTouches);
}
