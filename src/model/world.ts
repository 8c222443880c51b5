// The model's world outside the ring: descriptors, open files, and the inodes they lead to. Follows
// fs/pipe.c, fs/eventfd.c and what a regular file does under read(2) and write(2). Sockets, devices,
// permissions and blocking are not in it: an operation that would block says -EAGAIN.
import {
  EAGAIN, EBADF, EEXIST, EFAULT, EINVAL, EISDIR, ENOENT, ENOTDIR, ESPIPE,
  EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM,
  O_ACCMODE, O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NONBLOCK, O_TRUNC, O_WRONLY, O_RDONLY,
} from "../spec/constants.gen.ts";

import { Unmodelled } from "../kernel.ts";
import { cloneInode, type Inode, inodeKey } from "./inode.ts";
import { AT_ONCE, PIPE_SLOTS, type PipeWrite, pipeRoom, readPipe, wakeNext, writePipe } from "./pipe.ts";
import { readQueue, URING_WAKE, writeQueue, type UserBuffers, type Wake } from "./queues.ts";
import { DescriptorTable } from "./descriptor-table.ts";
import { SharedMap } from "./shared-map.ts";

const EVENTFD_MAX = 0xffff_ffff_ffff_ffffn;

/** struct file: what a descriptor points to. */
export interface OpenFile {
  readonly id: number;
  readonly inode: number;
  readonly flags: number;
  readonly read: boolean;
  readonly write: boolean;
  pos: number;
  refs: number;
}

const filesKey = (files: ReadonlyMap<number, OpenFile>): string => {
  let text = "";
  for (const f of files.values()) text += `${f.id}:${f.inode}:${f.pos}:${f.refs};`;
  return text;
};

const inodesKey = (inodes: ReadonlyMap<number, Inode>): string => {
  let text = "";
  for (const i of inodes.values()) text += inodeKey(i);
  return text;
};

const waitersKey = (waiters: ReadonlyMap<number, readonly Waiter[]>): string => {
  let text = "";
  for (const [queue, list] of waiters) if (list.length > 0) text += `w${queue}:${list.map((w) => w.request).join()};`;
  return text;
};

const descriptorsKey = (fds: ReadonlyMap<number, number>): string => [...fds].join(";");

export interface Waiter {
  readonly request: number;
  readonly exclusive: boolean;
}

export class World {
  readonly inodes: SharedMap<number, Inode>;
  readonly files: SharedMap<number, OpenFile>;
  readonly fds: DescriptorTable;
  /** Open files that OPENAT made and whose number no completion has shown yet. */
  readonly unbound: number[];
  /** Numbers that turned out to be those of such files: the application was not told of them. */
  readonly guessed: SharedMap<number, true>;
  readonly waiters: SharedMap<number, readonly Waiter[]>;
  /** The open files of the rings that the thread registered, by their index. */
  readonly registeredRings: SharedMap<number, number>;
  /** The wake-ups of an eventfd are under way (task_struct.in_eventfd). */
  inEventfd = false;
  /** SIGNAL is pending for the application's thread. */
  signalled: boolean;
  /** The number of the inode or open file that is made next. */
  nextId: number;
  /** Inodes and open files that no other fork has; undefined: none yet. */
  private mine: Set<Inode | OpenFile> | undefined;

  /** `from`: what it has is shared until one of the two changes it. */
  constructor(from?: World) {
    this.inodes = new SharedMap(from?.inodes);
    this.files = new SharedMap(from?.files);
    this.fds = new DescriptorTable(from?.fds);
    this.unbound = from === undefined ? [] : [...from.unbound];
    this.guessed = new SharedMap(from?.guessed);
    this.waiters = new SharedMap(from?.waiters);
    this.registeredRings = new SharedMap(from?.registeredRings);
    this.signalled = from?.signalled ?? false;
    this.nextId = from?.nextId ?? 1;
    this.mine = undefined;
    if (from === undefined) this.addInode((id) => ({ kind: "directory", id, entries: new Map() }));
  }

  fork(): World {
    this.mine = undefined;
    return new World(this);
  }

  key(): string {
    const names = `${this.nextId}${this.signalled ? "!" : ""}|${this.fds.key(descriptorsKey)}|${this.unbound.join()}|${[...this.guessed.keys()].join()}|${this.registeredRings.key(descriptorsKey)}`;
    return `${names}|${this.files.key(filesKey)}${this.inodes.key(inodesKey)}${this.waiters.key(waitersKey)}`;
  }

  private own(one: Inode | OpenFile): void {
    (this.mine ??= new Set()).add(one);
  }

  get root(): number {
    return 1;
  }

  addInode(make: (id: number) => Inode): Inode {
    const inode = make(this.nextId++);
    this.inodes.set(inode.id, inode);
    this.own(inode);
    return inode;
  }

  /** To look at. Whoever changes one asks for its own. */
  inode(id: number): Readonly<Inode> {
    const inode = this.inodes.get(id);
    if (inode === undefined) throw new Error(`model: no inode ${id}`);
    return inode;
  }

  /** To look at, like an inode. */
  file(id: number): Readonly<OpenFile> {
    const file = this.files.get(id);
    if (file === undefined) throw new Error(`model: no open file ${id}`);
    return file;
  }

  /** An inode to change now: no other fork sees it. */
  ownInode<I extends Inode>(inode: Readonly<I>): I {
    this.inodes.touch();
    const there = inode as I;
    if (this.mine?.has(there) === true) return there;
    const own = cloneInode(there);
    this.own(own);
    this.inodes.set(own.id, own);
    return own;
  }

  /** An open file to change now. */
  ownFile(id: number): OpenFile {
    const file = this.file(id);
    this.files.touch();
    if (this.mine?.has(file) === true) return file;
    const own = { ...file };
    this.own(own);
    this.files.set(id, own);
    return own;
  }

  addFile(inode: number, flags: number): OpenFile {
    const mode = flags & O_ACCMODE;
    const file: OpenFile = {
      id: this.nextId++, inode, flags, read: mode !== O_WRONLY, write: mode !== O_RDONLY, pos: 0, refs: 1,
    };
    this.files.set(file.id, file);
    this.own(file);
    const found = this.inode(inode);
    if (found.kind === "pipe") {
      const of = this.ownInode(found);
      if (file.read) of.readers++;
      if (file.write) of.writers++;
    }
    return file;
  }

  /** The lowest number that no descriptor has, from `from` on. */
  freeFd(from: number): number {
    let fd = from;
    while (this.fds.has(fd)) fd++;
    return fd;
  }

  /** fget: the open file behind a descriptor, with a reference taken; 0 where there is none. */
  get(fd: number): number {
    const id = this.fds.get(fd);
    if (id === undefined) return 0;
    this.ownFile(id).refs++;
    return id;
  }

  /** fput: drops a reference; the last one releases the file, which may wake the other end of a pipe. */
  put(id: number, wake: Wake): void {
    const file = this.ownFile(id);
    if (--file.refs > 0) return;
    this.files.delete(id);
    const found = this.inode(file.inode);
    if (found.kind !== "pipe") return;
    const inode = this.ownInode(found);
    if (file.read) inode.readers--;
    if (file.write) inode.writers--;
    if ((inode.readers === 0) !== (inode.writers === 0)) {
      wake(readQueue(inode.id), 0);
      wake(writeQueue(inode.id), 0);
    }
  }

  /** eventfd_signal: one more, as long as there is room. */
  signal(id: number, wake: Wake): void {
    const inode = this.inode(this.file(id).inode);
    if (inode.kind !== "eventfd") return;
    if (inode.count < EVENTFD_MAX) this.ownInode(inode).count += 1n;
    this.wakeEventfd(inode.id, EPOLLIN | URING_WAKE, wake);
  }

  /** Whoever waits for it. What that brings about may be a signal of another one. */
  private wakeEventfd(inode: number, mask: number, wake: Wake): void {
    this.inEventfd = true;
    try {
      wake(readQueue(inode), mask);
    } finally {
      this.inEventfd = false;
    }
  }

  /** vfs_poll without arming: what is ready now. */
  pollMask(id: number): number {
    const file = this.file(id);
    const inode = this.inode(file.inode);
    if (inode.kind === "pipe") {
      if (!inode.pollUsage) this.ownInode(inode).pollUsage = true;
      let mask = 0;
      if (file.read) {
        if (inode.buffers.length > 0) mask |= EPOLLIN | EPOLLRDNORM;
        if (inode.writers === 0) mask |= EPOLLHUP;
      }
      if (file.write) {
        if (inode.buffers.length < PIPE_SLOTS) mask |= EPOLLOUT | EPOLLWRNORM;
        if (inode.readers === 0) mask |= EPOLLERR;
      }
      return mask;
    }
    if (inode.kind === "eventfd") {
      let mask = 0;
      if (inode.count > 0n) mask |= EPOLLIN;
      if (inode.count === EVENTFD_MAX) mask |= EPOLLERR;
      if (EVENTFD_MAX - 1n > inode.count) mask |= EPOLLOUT;
      return mask;
    }
    return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
  }

  /** The wait queues that vfs_poll stands a waiter in, in order. Empty: this file has no ->poll. */
  pollQueues(id: number): readonly number[] {
    const file = this.file(id);
    const inode = this.inode(file.inode);
    if (inode.kind === "eventfd") return [readQueue(inode.id)];
    if (inode.kind !== "pipe") return [];
    const queues: number[] = [];
    if (file.read) queues.push(readQueue(inode.id));
    if (file.write) queues.push(writeQueue(inode.id));
    return queues;
  }

  /** add_wait_queue puts a waiter in front; add_wait_queue_exclusive behind. */
  addWaiter(queue: number, waiter: Waiter): void {
    const list = this.waiters.get(queue) ?? [];
    this.waiters.set(queue, waiter.exclusive ? [...list, waiter] : [waiter, ...list]);
  }

  removeWaiter(queue: number, request: number): void {
    const list = this.waiters.get(queue);
    if (list !== undefined) this.waiters.set(queue, list.filter((w) => w.request !== request));
  }

  /** read(2) at `pos`, or at the file's own position where undefined. Never blocks: -EAGAIN. */
  read(id: number, to: UserBuffers, pos: number | undefined, wake: Wake): number {
    const file = this.file(id);
    if (!file.read) return -EBADF;
    const inode = this.inode(file.inode);
    switch (inode.kind) {
      case "file": {
        const from = pos ?? file.pos;
        const data = inode.data.subarray(Math.min(from, inode.data.length), Math.min(from + to.size, inode.data.length));
        const stored = to.put(0, data);
        if (stored === 0 && data.length > 0) return -EFAULT;
        if (pos === undefined) this.ownFile(id).pos = from + stored;
        return stored;
      }
      case "pipe":
        return readPipe(this.ownInode(inode), to, wake);
      case "eventfd": {
        if (to.size < 8) return -EINVAL;
        if (inode.count === 0n) return -EAGAIN;
        if (inode.unsure > 0) throw new Unmodelled("an operation that reads how often a ring signalled, where batches may have been cut");
        const value = inode.semaphore ? 1n : inode.count;
        this.ownInode(inode).count -= value;
        this.wakeEventfd(inode.id, EPOLLOUT, wake);
        const bytes = new Uint8Array(8);
        new DataView(bytes.buffer).setBigUint64(0, value, true);
        return to.put(0, bytes) === 8 ? 8 : -EFAULT;
      }
      case "directory":
        return to.size === 0 ? 0 : -EISDIR;
      case "ring":
        // [setup.ring-fd-unreadable]
        return -EINVAL;
    }
  }

  /** write(2) at `pos`, or at the file's own position where undefined. Never blocks: -EAGAIN. */
  write(id: number, from: UserBuffers, pos: number | undefined, wake: Wake, how: PipeWrite = AT_ONCE): number {
    const file = this.file(id);
    if (!file.write) return -EBADF;
    const inode = this.inode(file.inode);
    switch (inode.kind) {
      case "file": {
        const at = (file.flags & O_APPEND) !== 0 ? inode.data.length : (pos ?? file.pos);
        if (from.size === 0) return 0;
        const data = from.take(0, from.size);
        if (data.length === 0) return -EFAULT;
        const grown = new Uint8Array(Math.max(inode.data.length, at + data.length));
        grown.set(inode.data);
        grown.set(data, at);
        this.ownInode(inode).data = grown;
        if (pos === undefined) this.ownFile(id).pos = at + data.length;
        return data.length;
      }
      case "pipe":
        return writePipe(this.ownInode(inode), from, wake, how);
      case "eventfd": {
        if (from.size !== 8) return -EINVAL;
        const bytes = from.take(0, 8);
        if (bytes.length < 8) return -EFAULT;
        const value = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
        if (value === EVENTFD_MAX) return -EINVAL;
        if (EVENTFD_MAX - inode.count <= value) return -EAGAIN;
        this.ownInode(inode).count += value;
        this.wakeEventfd(inode.id, EPOLLIN, wake);
        return 8;
      }
      case "directory":
        return -EBADF;
      case "ring":
        // [setup.ring-fd-unreadable]
        return -EINVAL;
    }
  }

  /** A worker that waited inside a pipe is done there. */
  wakeNext(id: number, as: "reader" | "writer", wake: Wake): void {
    const inode = this.inode(this.file(id).inode);
    if (inode.kind === "pipe") wakeNext(inode, as, wake);
  }

  /** How much of `size` bytes a pipe takes now without waiting. */
  pipeRoom(id: number, size: number): number {
    const inode = this.inode(id);
    return inode.kind === "pipe" ? pipeRoom(inode, size) : size;
  }

  /** openat(2) below `dir` (an open file): the new open file's id, or -errno. One path component only. */
  open(dir: number, path: string, flags: number): number {
    const at = this.inode(this.file(dir).inode);
    if (path === "") return -ENOENT;
    if (at.kind !== "directory") return -ENOTDIR;
    const found = path === "." ? at.id : at.entries.get(path);
    if (found === undefined) {
      if ((flags & O_CREAT) === 0) return -ENOENT;
      if ((flags & O_DIRECTORY) !== 0) return -EINVAL;
      const made = this.addInode((id) => ({ kind: "file", id, data: new Uint8Array(0) }));
      this.ownInode(at).entries.set(path, made.id);
      return this.addFile(made.id, flags).id;
    }
    if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) return -EEXIST;
    const inode = this.inode(found);
    if (inode.kind === "directory" && ((flags & O_ACCMODE) !== O_RDONLY || (flags & O_CREAT) !== 0)) return -EISDIR;
    if (inode.kind !== "directory" && (flags & O_DIRECTORY) !== 0) return -ENOTDIR;
    if (inode.kind === "file" && (flags & O_TRUNC) !== 0) this.ownInode(inode).data = new Uint8Array(0);
    return this.addFile(found, flags).id;
  }

  /** Does a blocking read or write of this file return at once, whatever it returns? */
  nonblocking(id: number): boolean {
    return (this.file(id).flags & O_NONBLOCK) !== 0;
  }

  /** lseek(2). */
  seek(id: number, offset: number, whence: number): number {
    const file = this.file(id);
    const inode = this.inode(file.inode);
    if (inode.kind !== "file") return -ESPIPE;
    const base = whence === 0 ? 0 : whence === 1 ? file.pos : inode.data.length;
    if (base + offset < 0) return -EINVAL;
    this.ownFile(id).pos = base + offset;
    return base + offset;
  }
}
