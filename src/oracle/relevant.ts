// Which of the kernel's own steps can lead to the completion that was seen next. Steps that cannot are
// left pending: nothing tells yet when they happened. A check that fails is repeated with every step,
// so leaving one out here costs time, never a verdict.
import { IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_REMOVE, IORING_OP_TIMEOUT_REMOVE } from "../spec/constants.gen.ts";
import { UNBOUND } from "../model/descriptor.ts";
import { footprint } from "../model/footprint.ts";
import { chain } from "../model/link.ts";
import type { Cqe, Machine } from "../model/machine.ts";
import type { Request } from "../model/request.ts";
import { enabled, type Step } from "../model/steps.ts";

const REACHES_OTHERS: readonly number[] = [IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_REMOVE, IORING_OP_TIMEOUT_REMOVE];

export function relevant(m: Machine, seen: Cqe): Step[] {
  const steps = enabled(m);
  if (steps.length < 2) return steps;
  const exact = steps.filter((s) => s.kind === "post" && posts(m.request(s.request), seen));
  if (exact.length > 0) return exact;
  const wanted = leadingTo(m, seen);
  const chosen = steps.filter((s) => s.kind === "task-work" || wanted.has(s.request));
  return chosen.length > 0 ? chosen : steps;
}

function posts(r: Request, seen: Cqe): boolean {
  return r.userData === seen.userData && (r.res === seen.res || r.res <= UNBOUND);
}

/** Requests whose progress may bring the completion about: its own, those it waits for, those that wake it. */
function leadingTo(m: Machine, seen: Cqe): ReadonlySet<number> {
  const wanted = new Set<number>();
  const objects = new Set<string>();
  const add = (r: Request): void => {
    wanted.add(r.id);
    const { reads, writes } = footprint(m, r);
    for (const name of [...reads, ...writes]) objects.add(name);
  };
  const all = [...m.requests.values()];
  const targets = all.filter((r) => r.userData === seen.userData);
  for (const r of targets) add(r);
  if (targets.some((r) => r.state === "deferred") || m.ring.drainActive) for (const r of all) add(r);
  for (let grew = true; grew; ) {
    grew = false;
    for (const r of all) {
      if (wanted.has(r.id) || r.state === "done") continue;
      if (REACHES_OTHERS.includes(r.opcode) || leads(m, r, wanted) || touches(m, r, objects)) {
        add(r);
        grew = true;
      }
    }
  }
  return wanted;
}

const leads = (m: Machine, r: Request, wanted: ReadonlySet<number>): boolean =>
  r.link !== 0 && chain(m, r).some((next) => wanted.has(next.id));

function touches(m: Machine, r: Request, objects: ReadonlySet<string>): boolean {
  const { reads, writes } = footprint(m, r);
  return [...writes, ...reads].some((name) => objects.has(name));
}
