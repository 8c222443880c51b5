// Which of the kernel's own steps can lead to the completion that was seen next. Steps that cannot are
// left pending: nothing tells yet when they happened. A check that fails is repeated with every step,
// so leaving one out here costs time, never a verdict.
import { footprint } from "../model/footprint.ts";
import type { Cqe, Footprint, Machine } from "../model/machine.ts";
import { IORING_OP_MSG_RING } from "../spec/constants.gen.ts";
import { REQ, type Request } from "../model/request.ts";
import { hasPollThread } from "../model/sqpoll.ts";
import { enabled, isPollStep, type Step } from "../model/steps.ts";

export function relevant(m: Machine, seen: Cqe, transitive: boolean): Step[] {
  const steps = enabled(m);
  if (steps.length === 0) return steps;
  const exact = steps.filter((s) => s.kind === "post" && posts(m.request(s.request), seen));
  if (exact.length > 0) return exact;
  const wanted = leadingTo(m, seen, transitive);
  return steps.filter((s) => {
    if (isPollStep(s)) return s.kind !== "sq-sleep";
    if (s.kind === "task-work") return !onlyFrees(m) && mayPostNext(m, seen);
    if (!wanted.has(s.request)) return false;
    // A completion that would show is not the one that was seen next.
    return s.kind !== "post" || isSilent(m.request(s.request));
  });
}

/**
 * Could the task work that is pending, run now, post this first? What only frees is passed over, and
 * what came from beside the thread may have come before the others.
 */
function mayPostNext(m: Machine, seen: Cqe): boolean {
  if (m.taskWorks.some((w) => w !== "io_uring")) return true;
  let others = false;
  for (const id of m.taskList) {
    const r = m.request(id);
    if (r.taskWork === "free") continue;
    const posts = r.taskWork === "cancel" || (r.taskWork === "complete" && !isSilent(r));
    if (!posts && !others) return true;
    if (posts && r.userData === seen.userData && (!others || r.floating)) return true;
    others = true;
  }
  return !others;
}

/** Task work that only frees requests: nothing waits for any of them, nothing shows when it runs. */
export function onlyFrees(m: Machine): boolean {
  if (m.ring.deferred.length > 0) return false;
  return m.taskWorks.every((w) => w === "io_uring") && m.taskList.every((id) => freesInSilence(m, m.request(id)));
}

const freesInSilence = (m: Machine, r: Request): boolean =>
  r.taskWork === "free" && r.link === 0 && (r.file === 0 || m.world.file(r.file).refs > 1);

function posts(r: Request, seen: Cqe): boolean {
  return r.userData === seen.userData && (r.res === seen.res || (r.opened !== 0 && seen.res >= 0)) && !isSilent(r);
}

/** Can a CQE with this user_data be of its making? A message has one of its own. */
export const mayPost = (r: Request, userData: bigint): boolean =>
  r.userData === userData || (r.opcode === IORING_OP_MSG_RING && r.prepared.off === userData);

/** A request whose task work the thread has yet to do, and whose completion this is. */
export const inTaskWork = (m: Machine, e: Cqe): Request | undefined =>
  [...m.taskList, ...m.ring.localWork].map((id) => m.request(id)).find((r) => r.userData === e.userData);

/** Does its task work do nothing but complete it? */
export const completes = (r: Request): boolean => r.taskWork === "complete" || r.taskWork === "cancel";

const isSilent = (r: Request): boolean => (r.flags & REQ.CQE_SKIP) !== 0;

/**
 * Requests whose progress may bring the completion about: its own, those that touch what it touches,
 * and those before it in a chain or a drain that complete in silence (the others would have been seen).
 */
function leadingTo(m: Machine, seen: Cqe, transitive: boolean): ReadonlySet<number> {
  const wanted = new Set<number>();
  const touched = new Set<string>();
  const written = new Set<string>();
  let rest: Traced[] = [];
  let deferred = false;
  const add = ({ r, of }: Traced): void => {
    wanted.add(r.id);
    for (const name of of.reads) touched.add(name);
    for (const name of of.writes) written.add(name);
  };
  for (const r of m.requests.values()) {
    if (r.state === "done") continue;
    const traced = { r, of: footprint(m, r) };
    if (!mayPost(r, seen.userData)) {
      rest.push(traced);
      continue;
    }
    add(traced);
    deferred ||= r.state === "deferred" || r.state === "linked";
  }
  for (let grew = true; grew; ) {
    const found = rest.filter(({ r, of }) => (deferred && isSilent(r)) || touches(of, touched, written));
    if (found.length === 0) break;
    rest = rest.filter((traced) => !found.includes(traced));
    for (const traced of found) add(traced);
    grew = transitive;
  }
  return wanted;
}

interface Traced {
  readonly r: Request;
  readonly of: Footprint;
}

function touches({ reads, writes }: Footprint, touched: ReadonlySet<string>, written: ReadonlySet<string>): boolean {
  for (const name of writes) if (name === "*" || touched.has(name) || written.has(name)) return true;
  for (const name of reads) if (written.has(name)) return true;
  return written.has("*");
}

/** Those that may come while the application's thread is in a call: its task work is not among them, but that of a thread that polls. */
export const beside = (m: Machine, steps: readonly Step[], sleeps = false): readonly Step[] =>
  steps.filter((s) => (sleeps || s.kind !== "sq-sleep") && (s.kind !== "task-work" || hasPollThread(m)));
