// What of a program's calls of io_uring_register, and of its waits by a memory region, may not be run: what would read
// memory that is not the program's, could not be cleaned up behind, or would wait without anybody saying so.
import { IORING_REG_WAIT_TS, IORING_REGISTER_SYNC_CANCEL } from "../spec/constants.gen.ts";
import { REG_WAIT } from "../spec/codec.gen.ts";
import type { EnterOperation, Operation, RegisterOperation } from "./program.ts";

/** More entries than this are refused before any is read. */
const ENTRIES_MAX = 256;

/** Of any call, in the page that faults. */
const FAULT_ENTRIES = 64;

/** Why the operation must not be run: one sentence; undefined where nothing is wrong. */
export function callFault(operation: Operation): string | undefined {
  if (operation.op === "register") return registerFault(operation);
  return operation.op === "enter" && operation.region !== undefined ? waitFault(operation) : undefined;
}

function registerFault({ does, count, arg }: RegisterOperation): string | undefined {
  if (arg === "fault" && (count ?? 0) > FAULT_ENTRIES) return `count is ${count}, and of an address that faults at most ${FAULT_ENTRIES} entries are safe`;
  switch (does.call) {
    case "RING_FDS":
    case "UNREGISTER_RING_FDS":
      return arg === undefined ? countFault(count, does.entries.length) : undefined;
    case "RESTRICTIONS": {
      const few = arg === undefined ? countFault(count, does.allow.length) : undefined;
      if (few !== undefined) return few;
      const taken = does.allow.slice(0, count ?? does.allow.length);
      return taken.some(({ kind, value }) => kind === "REGISTER_OP" && value === IORING_REGISTER_SYNC_CANCEL)
        ? undefined
        : "restrictions must allow REGISTER_OP SYNC_CANCEL, or what is under way at the end could not be taken back";
    }
    case "PERSONALITY": case "UNREGISTER_PERSONALITY": case "UNREGISTER_EVENTFD": case "ENABLE_RINGS":
      return arg === "fault" ? "the call takes no argument, so none of it could fault" : undefined;
    case "MEM_REGION":
      if (does.memory === "fault" && does.pages > 1) return `pages is ${does.pages}, and of an address that faults at most one page is safe`;
      return does.memory === "kernel" && does.waits === true ? "memory of the kernel's holds no time, so nothing would bound a wait by it" : undefined;
    default:
      return undefined;
  }
}

const countFault = (count: number | undefined, entries: number): string | undefined =>
  count !== undefined && count > entries && count <= ENTRIES_MAX
    ? `count is ${count}, and there are ${entries} entries`
    : undefined;

function waitFault({ region, wait, minWait, minComplete }: EnterOperation): string | undefined {
  const { offset = 0, flags } = region ?? {};
  if (minComplete === 0) return undefined;
  if (offset % 8 === 0 && offset % REG_WAIT.size !== 0) return `at offset ${offset} of a region are the halves of two entries, which may hold no time: minComplete must be 0`;
  const timed = flags === undefined ? wait !== undefined : (flags & IORING_REG_WAIT_TS) !== 0;
  return timed || (minWait ?? 0) > 0 ? undefined : "its entry of the region holds no time, so nothing would bound the wait: give wait or minWait";
}
