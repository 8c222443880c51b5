// The ordinary system calls of a program that is explored, on its machine. They follow apply.ts, which compares
// what it does with a trace; here it is what the program sees.
import { leaveCall, register } from "../../model/enter.ts";
import { readBeforeSignal, signalsCame } from "../../model/eventfd.ts";
import type { Machine } from "../../model/machine.ts";
import { settlePosition } from "../../model/rw.ts";
import { direct } from "../../model/system.ts";
import { wakeQueue } from "../../model/wake.ts";
import { KERNEL_TIMESPEC } from "../../spec/codec.gen.ts";
import { EAGAIN, EBADF } from "../../spec/constants.gen.ts";
import { owned, touching } from "../apply.ts";

export type OrdinaryCall =
  | { readonly call: "write"; readonly fd: number; readonly bytes: Uint8Array }
  | { readonly call: "read"; readonly fd: number; readonly into: Uint8Array; readonly offset?: number }
  | { readonly call: "close"; readonly fd: number };

/** The application stores a struct __kernel_timespec into its memory. */
export function writeTime(m: Machine, addr: bigint, seconds: bigint, nanoseconds: bigint): void {
  const bytes = new Uint8Array(KERNEL_TIMESPEC.size);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(KERNEL_TIMESPEC.tv_sec, seconds, true);
  view.setBigInt64(KERNEL_TIMESPEC.tv_nsec, nanoseconds, true);
  m.memory.write(addr, bytes);
}

/** The thread's signal, which it blocks. */
export function raise(m: Machine): number {
  m.inCall = true;
  m.world.signalled = true;
  leaveCall(m);
  m.inCall = false;
  return 0;
}

/** io_uring_register. Whoever posts is waited for: no signal of an eventfd is under way behind it. */
export function registerCall(m: Machine, call: { readonly opcode: number; readonly arg: bigint; readonly nrArgs: number; readonly index?: number | undefined }): number {
  const result = register(m, call.opcode, call.arg, call.nrArgs, call.index);
  signalsCame(m);
  return result;
}

/** May a read of this file come before the eventfd's last signal, though the completion shows? [eventfd.signal-after-tail] */
export const mayReadEarly = (m: Machine, fd: number): boolean => {
  const file = owned(m, fd);
  const eventfd = m.hasRing ? m.ring.eventfd : undefined;
  return eventfd?.late === true && file !== 0 && m.world.file(file).inode === m.world.file(eventfd.file).inode;
};

/** The read of an eventfd comes before its last signal. */
export function readEarly(m: Machine, fd: number, into: Uint8Array): number {
  const file = owned(m, fd);
  const inode = m.world.inode(m.world.file(file).inode);
  const seen = inode.kind === "eventfd" ? inode.count - 1n : 0n;
  if (!readBeforeSignal(m, file, seen)) throw new Error("explore: no signal is under way");
  new DataView(into.buffer, into.byteOffset, into.byteLength).setBigUint64(0, seen, true);
  return seen === 0n ? -EAGAIN : 8;
}

/** The result or -errno, and the task work that runs on the way back. */
export function ordinaryCall(m: Machine, request: OrdinaryCall): number {
  m.inCall = true;
  try {
    m.scheduler.before(m, () => touching(m, request.fd));
    const result = perform(m, request);
    if (result === -EBADF && m.taskWorks.length > 0) m.lateTaskWork = true;
    leaveCall(m);
    return result;
  } finally {
    m.inCall = false;
  }
}

function perform(m: Machine, request: OrdinaryCall): number {
  const file = owned(m, request.fd);
  if (file === 0) return -EBADF;
  switch (request.call) {
    case "close":
      m.world.fds.delete(request.fd);
      m.world.put(file, wakeQueue(m));
      return 0;
    case "read":
      if (request.into.length >= 8 && mayReadEarly(m, request.fd) && m.scheduler.choose(m, "eventfd.read", ["behind the signal", "before it"]) === 1)
        return readEarly(m, request.fd, request.into);
      settlePosition(m, file);
      return m.world.read(file, direct(request.into), request.offset, wakeQueue(m));
    case "write":
      settlePosition(m, file);
      return m.world.write(file, direct(request.bytes), undefined, wakeQueue(m));
  }
}
