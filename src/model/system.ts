// The ordinary system calls on the modelled world. Each returns its result or -errno, as the call does.
import type { Fd, System } from "../kernel.ts";
import { EAGAIN, EBADF, EINVAL, EISDIR, ENOENT, O_DIRECTORY, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } from "../spec/constants.gen.ts";
import { SIGNAL, Unmodelled } from "../kernel.ts";
import type { Machine } from "./machine.ts";
import { hasPollThread } from "./sqpoll.ts";
import { runTaskWork } from "./task-work.ts";
import { wakeIn } from "./wake.ts";
import type { UserBuffers, Wake } from "./queues.ts";
import type { Inode } from "./inode.ts";
import type { World } from "./world.ts";

const EFD_SEMAPHORE = 1;
const EFD_NONBLOCK = O_NONBLOCK;

/** Application memory that a system call reads or writes, straight from JavaScript. */
export function direct(bytes: Uint8Array): UserBuffers {
  return {
    size: bytes.length,
    take: (from, size) => bytes.slice(from, from + size),
    put: (from, data) => {
      bytes.set(data, from);
      return data.length;
    },
  };
}

export class ModelSystem implements System {
  private readonly world: World;
  private readonly machines: readonly Machine[];
  private readonly settle: () => void;
  /** Numbers that this port handed out or adopted, and the open files behind them: what OPENAT made is the application's when it says so. */
  private readonly owned = new Map<Fd, number>();

  constructor(world: World, machines: readonly Machine[], settle: () => void) {
    this.world = world;
    this.machines = machines;
    this.settle = settle;
  }

  private get wake(): Wake {
    return wakeIn(this.world, (id) => this.machines.find((m) => m.requests.has(id)));
  }

  /** The end of a system call: task work runs, the workers go on. */
  private done(result: number): number {
    for (const m of this.machines) if (!hasPollThread(m)) runTaskWork(m);
    this.settle();
    return result;
  }

  private add(inode: number, flags: number, atLeast = 3): number {
    const file = this.world.addFile(inode, flags);
    const fd = this.world.freeFd(atLeast);
    this.world.fds.set(fd, file.id);
    this.owned.set(fd, file.id);
    return fd;
  }

  /** The open file behind a descriptor that is the application's. */
  private file(fd: Fd): number | undefined {
    const file = this.world.fds.get(fd);
    if (this.owned.get(fd) === file) return file;
    // CLOSE took it, and OPENAT may have given the number to another.
    this.owned.delete(fd);
    return undefined;
  }

  open(path: string, flags: number, _mode = 0o644): number {
    if (path.includes("/")) throw new Unmodelled(`open("${path}"): the model has one directory, paths are names in it`);
    const root = this.world.addFile(this.world.root, O_RDONLY | O_DIRECTORY);
    const file = this.world.open(root.id, path, flags);
    this.world.put(root.id, this.wake);
    if (file < 0) return file;
    const fd = this.world.freeFd(3);
    this.world.fds.set(fd, file);
    this.owned.set(fd, file);
    return this.done(fd);
  }

  close(fd: Fd): number {
    const file = this.file(fd);
    if (file === undefined || !this.owns(fd)) return -EBADF;
    this.owned.delete(fd);
    this.world.fds.delete(fd);
    this.world.put(file, this.wake);
    return this.done(0);
  }

  pipe(flags = 0): { readonly read: Fd; readonly write: Fd } | number {
    const inode = this.world.addInode((id) => ({ kind: "pipe", id, buffers: [], readers: 0, writers: 0, pollUsage: false }));
    const read = this.add(inode.id, O_RDONLY | flags);
    return { read, write: this.add(inode.id, O_WRONLY | flags) };
  }

  takeSignal(): number {
    const { signalled } = this.world;
    this.world.signalled = false;
    return this.done(signalled ? SIGNAL : -EAGAIN);
  }

  raise(): number {
    this.world.signalled = true;
    return this.done(0);
  }

  eventfd(count: number, flags = 0): number {
    if (count < 0 || count > 0xffff_ffff) return -EINVAL;
    const inode = this.world.addInode((id) => ({
      kind: "eventfd", id, count: BigInt(count), unsure: 0, semaphore: (flags & EFD_SEMAPHORE) !== 0,
    }));
    return this.add(inode.id, O_RDWR | (flags & EFD_NONBLOCK));
  }

  dup(fd: Fd, atLeast = 3): number {
    if (this.file(fd) === undefined) return -EBADF;
    const file = this.world.get(fd);
    const copy = this.world.freeFd(atLeast);
    this.world.fds.set(copy, file);
    this.owned.set(copy, file);
    return copy;
  }

  private use(fd: Fd, act: (file: number) => number): number {
    const file = this.file(fd);
    return file === undefined ? -EBADF : this.done(act(file));
  }

  read(fd: Fd, into: Uint8Array): number {
    return this.use(fd, (file) => this.world.read(file, direct(into), undefined, this.wake));
  }

  write(fd: Fd, from: Uint8Array): number {
    return this.use(fd, (file) => this.world.write(file, direct(from), undefined, this.wake));
  }

  pread(fd: Fd, into: Uint8Array, offset: number): number {
    return this.use(fd, (file) => this.world.read(file, direct(into), offset, this.wake));
  }

  pwrite(fd: Fd, from: Uint8Array, offset: number): number {
    return this.use(fd, (file) => this.world.write(file, direct(from), offset, this.wake));
  }

  private regular(fd: Fd): Readonly<Inode & { kind: "file" }> | number {
    const file = this.file(fd);
    if (file === undefined) return -EBADF;
    const inode = this.world.inode(this.world.file(file).inode);
    return inode.kind === "file" ? inode : -EINVAL;
  }

  ftruncate(fd: Fd, size: number): number {
    const inode = this.regular(fd);
    if (typeof inode === "number") return inode;
    const resized = new Uint8Array(size);
    resized.set(inode.data.subarray(0, size));
    this.world.ownInode(inode).data = resized;
    return this.done(0);
  }

  unlink(path: string): number {
    const root = this.world.inode(this.world.root);
    if (root.kind !== "directory") return -ENOENT;
    if (path === ".") return -EISDIR;
    return this.world.ownInode(root).entries.delete(path) ? 0 : -ENOENT;
  }

  lseek(fd: Fd, offset: number, whence: number): number {
    const file = this.file(fd);
    return file === undefined ? -EBADF : this.world.seek(file, offset, whence);
  }

  size(fd: Fd): number {
    const inode = this.regular(fd);
    return typeof inode === "number" ? (inode === -EINVAL ? 0 : inode) : inode.data.length;
  }

  adopt(fd: Fd): number {
    const file = this.world.fds.get(fd);
    if (file === undefined) return -EBADF;
    this.owned.set(fd, file);
    return 0;
  }

  disown(fd: Fd): void {
    this.owned.delete(fd);
  }

  owns(fd: Fd): boolean {
    const file = this.file(fd);
    return file !== undefined && this.world.inode(this.world.file(file).inode).kind !== "ring";
  }
}
