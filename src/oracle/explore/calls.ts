// The ordinary system calls of a program that is explored, on its machine. They follow apply.ts, which compares
// what it does with a trace; here it is what the program sees.
import { leaveCall } from "../../model/enter.ts";
import type { Machine } from "../../model/machine.ts";
import { settlePosition } from "../../model/rw.ts";
import { direct } from "../../model/system.ts";
import { wakeQueue } from "../../model/wake.ts";
import { KERNEL_TIMESPEC } from "../../spec/codec.gen.ts";
import { EBADF } from "../../spec/constants.gen.ts";
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
      settlePosition(m, file);
      return m.world.read(file, direct(request.into), request.offset, wakeQueue(m));
    case "write":
      settlePosition(m, file);
      return m.world.write(file, direct(request.bytes), undefined, wakeQueue(m));
  }
}
