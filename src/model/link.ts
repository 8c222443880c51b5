// Chains: what becomes of the requests behind one that has ended. Follows io_uring/io_uring.c
// (io_req_find_next) and io_uring/timeout.c (io_disarm_next, io_fail_links).
import { ECANCELED } from "../spec/constants.gen.ts";
import { completeDeferred } from "./completion.ts";
import { disarmLinkTimer } from "./link-timeout.ts";
import type { Machine } from "./machine.ts";
import { REQ, type Request } from "./request.ts";
import { addTaskWork } from "./task-work.ts";

/** The requests of a chain from `r` on, in order. */
export function chain(m: Machine, r: Request): Request[] {
  const all = [r];
  for (let next = r.link; next !== 0; ) {
    const request = m.request(next);
    all.push(request);
    next = request.link;
  }
  return all;
}

/** Every later member completes without being issued. */
function failLinks(m: Machine, r: Request): void {
  if (r.link === 0) return;
  // [skip.failed-skip-silences]
  const silent = (r.flags & REQ.SKIP_LINK_CQES) !== 0;
  const first = m.request(r.link);
  for (const next of chain(m, first)) {
    if (silent) next.flags |= REQ.CQE_SKIP;
    // [skip.failed-other-speaks]
    else next.flags &= ~REQ.CQE_SKIP;
  }
  r.link = 0;
  addTaskWork(m, first, "fail-links");
}

/** Task work: every member of a severed chain completes, in order. [link.severed-tail-order] */
export function runFailLinks(m: Machine, first: Request): void {
  // [link.chain-order]
  for (const r of chain(m, first)) {
    r.link = 0;
    if ((r.flags & REQ.FAIL) === 0) r.res = -ECANCELED;
    r.cflags = 0;
    completeDeferred(m, r);
  }
}

/** The successor that may run now, taken off the chain; undefined where there is none or the chain broke. */
export function findNext(m: Machine, r: Request): Request | undefined {
  disarmLinkTimer(m, r);
  if ((r.flags & REQ.FAIL) !== 0) {
    // [hardlink.survives-error] [hardlink.per-member] [skip.hardlink-goes-on]
    const survives = (r.flags & REQ.HARDLINK) !== 0;
    // [link.error-severs-chain]
    if (!survives) failLinks(m, r);
  }
  const next = r.link;
  r.link = 0;
  return next === 0 ? undefined : m.request(next);
}

/** [link.successor-after-batch] The successor is task work: it is never run inside the batch. */
export function queueNext(m: Machine, r: Request): void {
  const next = findNext(m, r);
  // [link.in-sequence] [taskrun.defer-inline]
  if (next !== undefined) addTaskWork(m, next, "submit");
}
