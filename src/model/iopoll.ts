// IORING_SETUP_IOPOLL, on a world without devices that can be polled: what such a ring refuses, and that it
// does not wait. Follows io_uring/io_uring.c (io_iopoll_check, io_validate_ext_arg).
import { EFAULT, EINVAL, IORING_ENTER_EXT_ARG, IORING_ENTER_EXT_ARG_REG, IORING_SETUP_IOPOLL } from "../spec/constants.gen.ts";
import { GETEVENTS_ARG } from "../spec/codec.gen.ts";
import type { EnterArg } from "../kernel.ts";
import { cqPending, flushOverflow, hasBacklog } from "./completion.ts";
import type { Machine } from "./machine.ts";
import { defersTaskWork, LOCAL_WORK_MAX, runLocalWork, runTaskWork } from "./task-work.ts";

/** Completions are asked for, not announced. */
export const polls = (m: Machine): boolean => (m.ring.flags & IORING_SETUP_IOPOLL) !== 0;

/** io_iopoll_check, and the check of the argument, whose time is not used: 0 or -errno. [iopoll.never-waits] [iopoll.argument] */
export function reap(m: Machine, minComplete: number, flags: number, arg: EnterArg | undefined): number {
  if ((flags & IORING_ENTER_EXT_ARG) !== 0) {
    if ((flags & IORING_ENTER_EXT_ARG_REG) !== 0 || arg?.size !== GETEVENTS_ARG.size) return -EINVAL;
    if (m.memory.read(arg.addr, GETEVENTS_ARG.size) === undefined) return -EFAULT;
  }
  if (hasBacklog(m)) flushOverflow(m);
  if (cqPending(m) !== 0) return 0;
  const wanted = Math.min(minComplete >>> 0, m.ring.cqEntries);
  if (defersTaskWork(m)) runLocalWork(m, wanted, Math.max(LOCAL_WORK_MAX, wanted));
  runTaskWork(m);
  return 0;
}
