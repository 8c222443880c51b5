// NOP, which does nothing but complete, as it is told to; and FSYNC, which on this world has nothing
// to flush. Follows io_uring/nop.c and io_uring/sync.c.
import {
  EBADF, EFAULT, EINVAL, IORING_CQE_F_32, IORING_FSYNC_DATASYNC, IORING_NOP_CQE32, IORING_NOP_FILE, IORING_NOP_FIXED_BUFFER,
  IORING_NOP_FIXED_FILE, IORING_NOP_INJECT_RESULT, IORING_NOP_TW, NOP_FLAGS,
  IORING_SETUP_CQE32, IORING_SETUP_CQE_MIXED,
} from "../spec/constants.gen.ts";
import { takeBuffer } from "./buffers.ts";
import { setFail } from "./completion.ts";
import { take } from "./descriptor.ts";
import { polls } from "./iopoll.ts";
import type { Operation } from "./operation.ts";
import { flagsOf, obeys } from "./profile.ts";
import { REQ } from "./request.ts";
import { addTaskWork } from "./task-work.ts";

export const nop: Operation = {
  prepare(m, r, sqe) {
    // [nop.flags-checked] [nop.ignores-fields] the only fields it looks at are nop_flags, len, fd and buf_index
    const known = flagsOf(m.profile, NOP_FLAGS);
    // [nop.flags-ignored] what a kernel does not look at does nothing
    if (obeys(m.profile, "nop.flags-ignored")) r.prepared = { ...r.prepared, opFlags: sqe.opFlags & known };
    else if ((sqe.opFlags & ~known) !== 0) return -EINVAL;
    const { opFlags } = r.prepared;
    if ((opFlags & IORING_NOP_CQE32) !== 0) {
      // [nop.cqe32-needs-room]
      if ((m.ring.flags & (IORING_SETUP_CQE32 | IORING_SETUP_CQE_MIXED)) === 0) return -EINVAL;
    }
    // [nop.zero]
    r.res = 0;
    // [nop.inject-result]
    if ((opFlags & IORING_NOP_INJECT_RESULT) !== 0) r.res = sqe.len | 0;
    return 0;
  },
  issue(m, r) {
    const { opFlags, fd, off, addr } = r.prepared;
    // [iopoll.nop] it completes as on any other ring [iopoll.nop-refused] but on older kernels
    if (polls(m) && obeys(m.profile, "iopoll.nop-refused")) return -EINVAL;
    // [nop.file]
    if ((opFlags & IORING_NOP_FILE) !== 0) {
      // [nop.fixed-file-either] either flag means a registered file, of which this part of the model has none
      const fixed = (opFlags & IORING_NOP_FIXED_FILE) !== 0 || (r.flags & REQ.FIXED_FILE) !== 0;
      r.file = fixed ? 0 : take(m, fd);
      if (r.file === 0) r.res = -EBADF;
    }
    if ((opFlags & IORING_NOP_FIXED_BUFFER) !== 0 && r.res !== -EBADF && !takeBuffer(m, r)) r.res = -EFAULT; // [nop.fixed-buffer]
    if ((opFlags & IORING_NOP_CQE32) !== 0) {
      // [nop.cqe32]
      r.big = [off, addr];
      if ((m.ring.flags & IORING_SETUP_CQE_MIXED) !== 0) r.cflags = IORING_CQE_F_32;
    }
    // [nop.inject-negative-fails]
    if (r.res < 0) setFail(r);
    // [nop.task-work]
    if ((opFlags & IORING_NOP_TW) !== 0) {
      addTaskWork(m, r, "complete");
      return "skip";
    }
    return "complete";
  },
};

export const fsync: Operation = {
  prepare(m, r, sqe) {
    if (sqe.addr !== 0n || sqe.bufIndex !== 0 || sqe.spliceFdIn !== 0) return -EINVAL;
    // [fsync.flags-checked]
    if ((sqe.opFlags & ~IORING_FSYNC_DATASYNC) !== 0) return -EINVAL;
    // [fsync.offset-negative]
    if (BigInt.asIntN(64, sqe.off) < 0n && obeys(m.profile, "fsync.offset-negative")) return -EINVAL;
    // [fsync.always-worker]
    r.flags |= REQ.FORCE_ASYNC;
    return 0;
  },
  issue(m, r) {
    const kind = m.world.inode(m.world.file(r.file).inode).kind;
    // [fsync.unsupported-file] [fsync.failure-keeps-chain] the result is not marked as a failure
    r.res = kind === "file" || kind === "directory" ? 0 : -EINVAL;
    // [fsync.failure-severs]
    if (r.res < 0 && obeys(m.profile, "fsync.failure-severs")) setFail(r);
    return "complete";
  },
};
