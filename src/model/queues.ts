// What passes between a file and those who use it: user buffers one way, wake-ups the other.

/** EPOLL_URING_WAKE: a bit of a wake-up's mask that says that a ring's own signal brings it about. */
export const URING_WAKE = 1 << 27;

/** Called for each wake_up on a wait queue with its key (a poll mask, 0: none). */
export type Wake = (queue: number, mask: number) => void;

export interface UserBuffers {
  /** Total length that was asked for. */
  readonly size: number;
  /** Up to `size` bytes of the application's memory from `from`; shorter where it faults. */
  take(from: number, size: number): Uint8Array;
  /** Stores bytes into the application's memory at `from`; how many were stored before a fault. */
  put(from: number, bytes: Uint8Array): number;
}

/** Queues are numbered by inode: readers and writers of a pipe wait apart, an eventfd has one queue. */
export const readQueue = (inode: number): number => inode * 2;
export const writeQueue = (inode: number): number => inode * 2 + 1;
