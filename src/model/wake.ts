// Wake-ups: what happens to the requests that stand in a wait queue. Follows kernel/sched/wait.c and
// io_uring/poll.c (io_poll_wake).
import type { Machine } from "./machine.ts";
import { pollWake } from "./poll.ts";
import type { Wake } from "./world.ts";

/** Wakes everybody in a queue, in its order, in whichever machine of this world the request is. */
export function wakeQueue(m: Machine): Wake {
  return (queue, mask) => {
    for (const waiter of m.world.waiters.get(queue) ?? []) {
      const owner = m.requests.has(waiter.request) ? m : m.peers.find((p) => p.requests.has(waiter.request));
      const r = owner?.requests.get(waiter.request);
      if (owner !== undefined && r !== undefined) pollWake(owner, r, queue, mask);
    }
  };
}
