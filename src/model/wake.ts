// Wake-ups: what happens to the requests that stand in a wait queue. Follows kernel/sched/wait.c and
// io_uring/poll.c (io_poll_wake).
import type { Machine } from "./machine.ts";
import { pollWake } from "./poll.ts";
import type { Wake } from "./queues.ts";
import type { World } from "./world.ts";

/**
 * Wakes the waiters of a queue, in its order, in whichever machine of this world the request is: all
 * that are not exclusive, and one that is. A wake-up without a key (a file's release) wakes all.
 * [poll.exclusive-one]
 */
export function wakeQueue(m: Machine): Wake {
  return wakeIn(m.world, (id) => (m.requests.has(id) ? m : m.peers.find((p) => p.requests.has(id))));
}

/** The same for a world, given who owns a request. */
export function wakeIn(world: World, ownerOf: (request: number) => Machine | undefined): Wake {
  return (queue, mask) => {
    for (const waiter of world.waiters.get(queue) ?? []) {
      const owner = ownerOf(waiter.request);
      const r = owner?.requests.get(waiter.request);
      if (owner === undefined || r === undefined) continue;
      const waits = r.waited && r.state === "queued";
      // A worker that was woken leaves the line.
      if (waits) world.removeWaiter(queue, r.id);
      const woken = waits || pollWake(owner, r, queue, mask);
      if (woken && waiter.exclusive && mask !== 0) return;
    }
  };
}
