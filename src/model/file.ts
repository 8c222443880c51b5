// OPENAT and CLOSE. Follows io_uring/openclose.c.
import {
  EAGAIN, EBADF, EFAULT, EINVAL, ENOENT, ENOTDIR, ENXIO, O_CLOEXEC, O_CREAT, O_TMPFILE, O_TRUNC,
} from "../spec/constants.gen.ts";
import { Unmodelled } from "../kernel.ts";
import { setFail } from "./completion.ts";
import { lookup } from "./descriptor.ts";
import type { Operation } from "./operation.ts";
import { REQ } from "./request.ts";
import { releaseFile } from "./task-work.ts";
import { newDescriptor } from "./descriptor.ts";

const DIRECTORY_BIT = 0o200000;
/** __O_TMPFILE, which O_TMPFILE joins with O_DIRECTORY. */
const TMPFILE_BIT = O_TMPFILE & ~DIRECTORY_BIT;

export const openat: Operation = {
  prepare(m, r, sqe) {
    if (sqe.bufIndex !== 0) return -EINVAL;
    // [openat.fixed-file-refused]
    if ((r.flags & REQ.FIXED_FILE) !== 0) return -EBADF;
    // [openat.path-copied]
    const path = m.memory.readString(sqe.addr);
    if (path === undefined) return -EFAULT;
    if (path === "") return -ENOENT;
    if (sqe.spliceFdIn !== 0) {
      if ((sqe.opFlags & O_CLOEXEC) !== 0) return -EINVAL;
      throw new Unmodelled("OPENAT into a registered file slot");
    }
    if ((sqe.opFlags & TMPFILE_BIT) !== 0) throw new Unmodelled("OPENAT with O_TMPFILE");
    if (path.includes("/")) throw new Unmodelled("OPENAT of a path with more than one component");
    // [openat.create-worker] never tried inline
    if ((sqe.opFlags & (O_TRUNC | O_CREAT)) !== 0) r.flags |= REQ.FORCE_ASYNC;
    r.prepared = { ...r.prepared, path };
    return 0;
  },
  issue(m, r, how) {
    const { fd, path = "", opFlags } = r.prepared;
    if (how.nonblock && m.scheduler.choose(m, "openat.cached", ["inline", "worker"]) === 1) return -EAGAIN;
    // [openat.create-directory] refused before anything is looked up
    const contradicts = (opFlags & O_CREAT) !== 0 && (opFlags & DIRECTORY_BIT) !== 0;
    const dir = contradicts ? 0 : lookup(m, fd);
    let res: number;
    if (contradicts) res = -EINVAL;
    else if (dir === 0) res = -EBADF;
    else if (m.world.inode(m.world.file(dir).inode).kind !== "directory") res = -ENOTDIR;
    else res = m.world.open(dir, path, opFlags);
    // [openat.result-fd]
    if (res > 0) {
      const fd = newDescriptor(m, res);
      r.res = fd ?? 0;
      if (fd === undefined) r.opened = res;
    } else {
      r.res = res;
      setFail(r);
    }
    return "complete";
  },
};

export const close: Operation = {
  prepare(_m, r, sqe) {
    // [close.fields-zero]
    if (sqe.off !== 0n || sqe.addr !== 0n || sqe.len !== 0 || sqe.opFlags !== 0 || sqe.bufIndex !== 0) return -EINVAL;
    // [close.fixed-flag-refused]
    if ((r.flags & REQ.FIXED_FILE) !== 0) return -EBADF;
    // [close.slot-or-fd]
    if (sqe.spliceFdIn !== 0 && sqe.fd !== 0) return -EINVAL;
    r.prepared = { ...r.prepared, len: sqe.spliceFdIn };
    return 0;
  },
  issue(m, r) {
    if (r.prepared.len !== 0) {
      // [close.no-table]
      r.res = -ENXIO;
      setFail(r);
      return "complete";
    }
    const file = lookup(m, r.prepared.fd);
    if (file === 0 || m.world.inode(m.world.file(file).inode).kind === "ring") {
      // [close.bad-fd] [close.ring-refused]
      r.res = -EBADF;
      setFail(r);
      return "complete";
    }
    m.world.fds.delete(r.prepared.fd);
    m.world.guessed.delete(r.prepared.fd);
    // [close.keeps-pending] only the descriptor's reference goes
    releaseFile(m, file);
    r.res = 0;
    return "complete";
  },
};
