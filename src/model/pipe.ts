// A pipe: pages of data, a reader's and a writer's way with them, and whom they wake. Follows
// fs/pipe.c. Nothing here waits: -EAGAIN instead.
import { EAGAIN, EFAULT, EPIPE, EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM } from "../spec/constants.gen.ts";
import type { Inode } from "./inode.ts";
import { readQueue, type UserBuffers, type Wake, writeQueue } from "./queues.ts";

type Pipe = Inode & { kind: "pipe" };

const PAGE = 4096;
export const PIPE_SLOTS = 16;

/** How a pipe is written: by a writer that may wait for room, and that goes on after it did. */
export interface PipeWrite {
  readonly waits: boolean;
  readonly resumed: boolean;
}

export const AT_ONCE: PipeWrite = { waits: false, resumed: false };

export function readPipe(inode: Pipe, to: UserBuffers, wake: Wake): number {
  if (to.size === 0) return 0;
  let done = 0;
  let wakeWriters = false;
  let error = 0;
  while (done < to.size) {
    const [first, ...rest] = inode.buffers;
    if (first === undefined) break;
    const chunk = first.data.subarray(0, to.size - done);
    if (to.put(done, chunk) < chunk.length) {
      error = -EFAULT;
      break;
    }
    done += chunk.length;
    if (chunk.length === first.data.length) {
      wakeWriters ||= inode.buffers.length === PIPE_SLOTS;
      inode.buffers = rest;
    } else {
      inode.buffers = [{ at: first.at + chunk.length, data: first.data.subarray(chunk.length) }, ...rest];
    }
  }
  if (wakeWriters) wake(writeQueue(inode.id), EPOLLOUT | EPOLLWRNORM);
  if (done > 0) return done;
  if (error !== 0) return error;
  return inode.writers === 0 ? 0 : -EAGAIN;
}

/** Who waited inside a pipe and leaves something for the next one wakes that, and those who poll. [rw.pipe-wakes-next] */
export function wakeNext(inode: Pipe, as: "reader" | "writer", wake: Wake): void {
  if (as === "reader" && inode.buffers.length > 0) wake(readQueue(inode.id), EPOLLIN | EPOLLRDNORM);
  if (as === "writer" && inode.buffers.length < PIPE_SLOTS) wake(writeQueue(inode.id), EPOLLOUT | EPOLLWRNORM);
}

export function writePipe(inode: Pipe, from: UserBuffers, wake: Wake, how: PipeWrite): number {
  if (from.size === 0) return 0;
  if (inode.readers === 0) {
    if (inode.pollUsage) wake(readQueue(inode.id), EPOLLIN | EPOLLRDNORM);
    return -EPIPE;
  }
  const wasEmpty = inode.buffers.length === 0;
  const result = fillPipe(inode, from, !wasEmpty && !how.resumed);
  const goesToWait = how.waits && result < from.size && inode.buffers.length >= PIPE_SLOTS;
  if (wasEmpty || (inode.pollUsage && !goesToWait)) wake(readQueue(inode.id), EPOLLIN | EPOLLRDNORM);
  return result;
}

function fillPipe(inode: Pipe, from: UserBuffers, merges: boolean): number {
  let done = 0;
  const odd = from.size & (PAGE - 1);
  const last = inode.buffers[inode.buffers.length - 1];
  if (odd !== 0 && merges && last !== undefined && last.at + last.data.length + odd <= PAGE) {
    const chunk = from.take(0, odd);
    if (chunk.length < odd) return -EFAULT;
    const merged = new Uint8Array(last.data.length + odd);
    merged.set(last.data);
    merged.set(chunk, last.data.length);
    inode.buffers = [...inode.buffers.slice(0, -1), { at: last.at, data: merged }];
    done = odd;
  }
  while (done < from.size) {
    if (inode.buffers.length >= PIPE_SLOTS) return done > 0 ? done : -EAGAIN;
    const want = Math.min(PAGE, from.size - done);
    const chunk = from.take(done, want);
    if (chunk.length < want) return done > 0 ? done : -EFAULT;
    inode.buffers = [...inode.buffers, { at: 0, data: chunk.slice() }];
    done += want;
  }
  return done;
}

/** How much of `size` bytes it takes now without waiting. */
export function pipeRoom(inode: Pipe, size: number): number {
  const last = inode.buffers[inode.buffers.length - 1];
  const odd = size & (PAGE - 1);
  const merges = odd !== 0 && last !== undefined && last.at + last.data.length + odd <= PAGE;
  return Math.min(size, (PIPE_SLOTS - inode.buffers.length) * PAGE + (merges ? odd : 0));
}
