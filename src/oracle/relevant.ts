// Which of the kernel's own steps can lead to the completion that was seen next. Steps that cannot are
// left pending: nothing tells yet when they happened. A check that fails is repeated with every step,
// so leaving one out here costs time, never a verdict.
import { footprint } from "../model/footprint.ts";
import type { Cqe, Machine } from "../model/machine.ts";
import { REQ, type Request } from "../model/request.ts";
import { enabled, type Step } from "../model/steps.ts";

export function relevant(m: Machine, seen: Cqe, transitive: boolean): Step[] {
  const steps = enabled(m);
  if (steps.length === 0) return steps;
  const exact = steps.filter((s) => s.kind === "post" && posts(m.request(s.request), seen));
  if (exact.length > 0) return exact;
  const wanted = leadingTo(m, seen, transitive);
  return steps.filter((s) => {
    if (s.kind === "task-work") return true;
    if (!wanted.has(s.request)) return false;
    // A completion that would show is not the one that was seen next.
    return s.kind !== "post" || isSilent(m.request(s.request));
  });
}

function posts(r: Request, seen: Cqe): boolean {
  return r.userData === seen.userData && (r.res === seen.res || (r.opened !== 0 && seen.res >= 0)) && !isSilent(r);
}

const isSilent = (r: Request): boolean => (r.flags & REQ.CQE_SKIP) !== 0;

/**
 * Requests whose progress may bring the completion about: its own, those that touch what it touches,
 * and those before it in a chain or a drain that complete in silence (the others would have been seen).
 */
function leadingTo(m: Machine, seen: Cqe, transitive: boolean): ReadonlySet<number> {
  const wanted = new Set<number>();
  const touched = new Set<string>();
  const written = new Set<string>();
  const add = (r: Request): void => {
    wanted.add(r.id);
    const { reads, writes } = footprint(m, r);
    for (const name of reads) touched.add(name);
    for (const name of writes) written.add(name);
  };
  const all = [...m.requests.values()].filter((r) => r.state !== "done");
  const targets = all.filter((r) => r.userData === seen.userData);
  for (const r of targets) add(r);
  const deferred = targets.some((r) => r.state === "deferred" || r.state === "linked");
  for (let grew = true; grew; ) {
    const found = all.filter((r) => !wanted.has(r.id) && ((deferred && isSilent(r)) || touches(m, r, touched, written)));
    for (const r of found) add(r);
    grew = transitive && found.length > 0;
  }
  return wanted;
}

function touches(m: Machine, r: Request, touched: ReadonlySet<string>, written: ReadonlySet<string>): boolean {
  const { reads, writes } = footprint(m, r);
  const hits = (name: string): boolean => name === "*" || touched.has(name) || written.has(name);
  return written.has("*") || writes.some(hits) || reads.some((name) => written.has(name));
}
