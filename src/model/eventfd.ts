// The eventfd that a ring's completions signal. Follows io_uring/eventfd.c.
import { EBADF, EBUSY, EFAULT, EINVAL, ENXIO, IORING_CQ_EVENTFD_DISABLED } from "../spec/constants.gen.ts";
import { Unmodelled } from "../kernel.ts";
import type { Inode } from "./inode.ts";
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

/** What a posting made now would signal. [eventfd.async-workers-only] [eventfd.disabled-flag] */
function signalled(m: Machine): RegisteredEventfd | undefined {
  const { eventfd } = m.ring;
  if (eventfd === undefined || (load32(m.ring.ring.bytes, WORD.cqFlags) & IORING_CQ_EVENTFD_DISABLED) !== 0) return undefined;
  return eventfd.async && !m.inWorker ? undefined : eventfd;
}

/**
 * io_eventfd_signal: once for however many CQEs a posting added. `posted` false: task work was queued on a
 * ring that defers it. [eventfd.signal-per-posting]
 */
export function signalEventfd(m: Machine, posted: boolean): void {
  const eventfd = signalled(m);
  if (eventfd === undefined) return;
  // [eventfd.nested-later]
  if (m.world.inEventfd) throw new Unmodelled("a signal that the wake-up of an eventfd brings about");
  if (posted) {
    // [eventfd.not-for-backlog]
    if (eventfd.lastTail === m.ring.cachedCqTail) return;
    m.ring.eventfd = { ...eventfd, lastTail: m.ring.cachedCqTail, late: m.inThread || !m.inCall };
  }
  m.world.signal(eventfd.file, wakeQueue(m));
}

/** The postings that signalled may have been so many more: what is read says how many there were. [taskrun.batch-splits] [overflow.flush-splits] */
export function mayHaveSignalled(m: Machine, more: number): void {
  const eventfd = signalled(m);
  if (eventfd !== undefined) counted(m, eventfd.file).unsure += more;
}

/** The application read `seen` from this file: it was signalled so often, where that can be. */
export function settleSignals(m: Machine, file: number, seen: bigint): void {
  const inode = m.world.inode(m.world.file(file).inode);
  if (inode.kind !== "eventfd" || inode.unsure === 0) return;
  const own = m.world.ownInode(inode);
  if (seen > own.count && seen <= own.count + BigInt(own.unsure)) own.count = seen;
  own.unsure = 0;
}

/**
 * Did the application, which read `seen`, do so before the last signal? The eventfd is then as it is behind that.
 * [eventfd.signal-after-tail]
 */
export function readBeforeSignal(m: Machine, file: number, seen: bigint): boolean {
  const { eventfd } = m.ring;
  if (eventfd?.late !== true || m.world.file(file).inode !== m.world.file(eventfd.file).inode) return false;
  const inode = counted(m, file);
  if (inode.count !== seen + 1n) return false;
  inode.count = 1n;
  m.ring.eventfd = { ...eventfd, late: false };
  return true;
}

/** The inode of a file that is an eventfd, to change. */
function counted(m: Machine, file: number): Extract<Inode, { kind: "eventfd" }> {
  const inode = m.world.inode(m.world.file(file).inode);
  if (inode.kind !== "eventfd") throw new Error("model: a ring signals a file that is no eventfd");
  return m.world.ownInode(inode);
}

/** A call that waits for whoever posts: no signal is under way any more. */
export function signalsCame(m: Machine): void {
  if (m.ring.eventfd?.late === true) m.ring.eventfd = { ...m.ring.eventfd, late: false };
}
