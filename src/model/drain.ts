// IOSQE_IO_DRAIN: a request that waits until everything before it has ended, and everything behind it
// that waits for it. Follows io_uring/io_uring.c (io_init_drain, io_drain_req, io_queue_deferred).
import { chain } from "./link.ts";
import type { Machine } from "./machine.ts";
import { REQ, type Request } from "./request.ts";
import { addTaskWork } from "./task-work.ts";

/** [drain.in-chain] A drain inside a chain drains the chain's head, and the request behind the chain. */
export function startDrain(m: Machine): void {
  const ring = m.ring;
  ring.drainActive = true;
  if (ring.linkHead !== 0) {
    m.request(ring.linkHead).flags |= REQ.IO_DRAIN | REQ.FORCE_ASYNC;
    ring.drainNext = true;
  }
}

/** Puts a request (with its chain) behind the drain. [drain.defers-later] */
export function deferRequest(m: Machine, r: Request): void {
  const drains = (r.flags & REQ.IO_DRAIN) !== 0;
  r.state = "deferred";
  m.ring.deferred = [...m.ring.deferred, r.id];
  queueDeferred(m);
  if (!drains && m.ring.deferred.length === 0) m.ring.drainActive = false;
}

/** Lets go what need not wait any more. */
export function queueDeferred(m: Machine): void {
  const ring = m.ring;
  let drainSeen = false;
  let first = true;
  while (ring.deferred.length > 0) {
    const [id = 0, ...rest] = ring.deferred;
    const r = m.request(id);
    drainSeen ||= (r.flags & REQ.IO_DRAIN) !== 0;
    // [drain.waits-all-before] [drain.counts-requests]
    if ((drainSeen || first) && ring.allocated !== waiting(m)) return;
    ring.deferred = rest;
    addTaskWork(m, r, "submit");
    first = false;
  }
}

/** nr_drained: requests in the defer list, their chains included. */
function waiting(m: Machine): number {
  let count = 0;
  for (const id of m.ring.deferred) count += chain(m, m.request(id)).length;
  return count;
}
