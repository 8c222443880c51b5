// The eventfd that a ring's completions signal. Follows io_uring/eventfd.c.
import { EBADF, EBUSY, EFAULT, EINVAL, ENXIO, IORING_CQ_EVENTFD_DISABLED } from "../spec/constants.gen.ts";
import { Unmodelled } from "../kernel.ts";
import { WORD } from "./layout.ts";
import type { Machine } from "./machine.ts";
import { load32 } from "./memory.ts";
import { wakeQueue } from "./wake.ts";

/** The eventfd that completions signal. */
export interface RegisteredEventfd {
  readonly file: number;
  /** Only what a worker posts signals it. */
  readonly async: boolean;
  /** cq.tail at the last signal. */
  readonly lastTail: number;
  /** The last signal came from beside the application's thread, which may look before it. [eventfd.signal-after-tail] */
  readonly late: boolean;
}

/** io_eventfd_register. [eventfd.one-at-a-time] [eventfd.must-be-one] */
export function registerEventfd(m: Machine, addr: bigint, nrArgs: number, async: boolean): number {
  if (nrArgs !== 1) return -EINVAL;
  if (m.ring.eventfd !== undefined) return -EBUSY;
  const bytes = m.memory.read(addr, 4);
  if (bytes === undefined) return -EFAULT;
  // [eventfd.keeps-file]
  const file = m.world.get(load32(bytes, 0) | 0);
  if (file === 0) return -EBADF;
  if (m.world.inode(m.world.file(file).inode).kind !== "eventfd") {
    m.world.put(file, wakeQueue(m));
    return -EINVAL;
  }
  m.ring.eventfd = { file, async, lastTail: m.ring.cachedCqTail, late: false };
  return 0;
}

/** [eventfd.unregister] */
export function unregisterEventfd(m: Machine): number {
  if (m.ring.eventfd === undefined) return -ENXIO;
  m.world.put(m.ring.eventfd.file, wakeQueue(m));
  m.ring.eventfd = undefined;
  return 0;
}

/**
 * io_eventfd_signal: once for however many CQEs a posting added. `posted` false: task work was queued on a
 * ring that defers it. [eventfd.signal-per-posting] [eventfd.async-workers-only] [eventfd.disabled-flag]
 */
export function signalEventfd(m: Machine, posted: boolean): void {
  const { eventfd } = m.ring;
  if (eventfd === undefined || (load32(m.ring.ring.bytes, WORD.cqFlags) & IORING_CQ_EVENTFD_DISABLED) !== 0) return;
  if (eventfd.async && !m.inWorker) return;
  // [eventfd.nested-later]
  if (m.world.inEventfd) throw new Unmodelled("a signal that the wake-up of an eventfd brings about");
  if (posted) {
    // [eventfd.not-for-backlog]
    if (eventfd.lastTail === m.ring.cachedCqTail) return;
    m.ring.eventfd = { ...eventfd, lastTail: m.ring.cachedCqTail, late: m.inThread || !m.inCall };
  }
  m.world.signal(eventfd.file, wakeQueue(m));
}

/**
 * Did the application, which read `seen`, do so before the last signal? The eventfd is then as it is behind that.
 * [eventfd.signal-after-tail]
 */
export function readBeforeSignal(m: Machine, file: number, seen: bigint): boolean {
  const { eventfd } = m.ring;
  if (eventfd?.late !== true || m.world.file(file).inode !== m.world.file(eventfd.file).inode) return false;
  if (!m.world.readBeforeSignal(file, seen)) return false;
  m.ring.eventfd = { ...eventfd, late: false };
  return true;
}

/** A call that waits for whoever posts: no signal is under way any more. */
export function signalsCame(m: Machine): void {
  if (m.ring.eventfd?.late === true) m.ring.eventfd = { ...m.ring.eventfd, late: false };
}
