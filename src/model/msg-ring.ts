// MSG_RING: a completion for another ring, or for the own one. Follows io_uring/msg_ring.c.
import {
  EAGAIN, EBADF, EBADFD, EINVAL, IORING_MSG_DATA, IORING_MSG_RING_FLAGS_PASS, IORING_MSG_SEND_FD, MSG_RING_FLAGS,
} from "../spec/constants.gen.ts";
import { postAside, setFail } from "./completion.ts";
import { polls } from "./iopoll.ts";
import type { Machine } from "./machine.ts";
import type { Operation } from "./operation.ts";
import { flagsOf } from "./profile.ts";
import { Request } from "./request.ts";
import { addTaskWork, defersTaskWork } from "./task-work.ts";

/** The ring behind an open file, in this world. */
function ringOf(m: Machine, file: number): Machine | undefined {
  const { inode } = m.world.file(file);
  return [m, ...m.peers].find((other) => other.ringInode === inode);
}

export const msgRing: Operation = {
  prepare(m, r, sqe) {
    // [msg-ring.fields-zero]
    if (sqe.bufIndex !== 0 || sqe.personality !== 0) return -EINVAL;
    // [msg-ring.flags-checked]
    if ((sqe.opFlags & ~flagsOf(m.profile, MSG_RING_FLAGS)) !== 0) return -EINVAL;
    r.prepared = { ...r.prepared, message: { command: Number(sqe.addr & 0xffff_ffffn), source: Number(sqe.addr3 & 0xffff_ffffn), target: sqe.spliceFdIn } };
    return 0;
  },
  issue(m, r, how) {
    const target = ringOf(m, r.file);
    // [msg-ring.own-polled-ring] its lock is held already: a worker sends it
    if (target === m && polls(m) && how.nonblock) return -EAGAIN;
    // [msg-ring.not-a-ring]
    const result = target === undefined ? -EBADFD : send(m, r, target);
    if (result < 0) setFail(r);
    r.res = result;
    return "complete";
  },
};

function send(m: Machine, r: Request, target: Machine): number {
  const command = r.prepared.message?.command;
  if (command === IORING_MSG_DATA) return sendData(r, target);
  // [msg-ring.command]
  return command === IORING_MSG_SEND_FD ? sendDescriptor(m, r, target) : -EINVAL;
}

/** io_msg_ring_data. [msg-ring.data] [msg-ring.before-own] [msg-ring.flags-pass] */
function sendData(r: Request, target: Machine): number {
  const { message, opFlags, len, off } = r.prepared;
  const passes = (opFlags & IORING_MSG_RING_FLAGS_PASS) !== 0;
  // [msg-ring.data-fields]
  if (message?.source !== 0 || (opFlags & ~IORING_MSG_RING_FLAGS_PASS) !== 0) return -EINVAL;
  // [msg-ring.data-fields]
  if (!passes && message.target !== 0) return -EINVAL;
  // [msg-ring.disabled-target]
  if (target.ring.disabled) return -EBADFD;
  const cqe = { userData: off, res: len | 0, flags: passes ? message.target >>> 0 : 0 };
  if (!defersTaskWork(target)) {
    // [msg-ring.full-target]
    postAside(target, cqe);
    return 0;
  }
  // [msg-ring.defer-target]
  const carrier = new Request(target.ids.next++);
  carrier.userData = cqe.userData;
  carrier.res = cqe.res;
  carrier.cflags = cqe.flags;
  target.requests.set(carrier.id, carrier);
  addTaskWork(target, carrier, "message", "lazy");
  return 0;
}

/** io_msg_send_fd, up to the file table, which this part of the model has not. [msg-ring.descriptor-refused] */
function sendDescriptor(m: Machine, r: Request, target: Machine): number {
  if (r.prepared.len !== 0 || target === m) return -EINVAL;
  return target.ring.disabled ? -EBADFD : -EBADF;
}
