// The ordinary system calls of the real kernel, by the addon. None blocks: a read or write that would
// wait for its peer returns -EAGAIN, whether or not the descriptor is O_NONBLOCK. Ring descriptors are
// not among those that these calls take: a ring closed behind its mappings would not be closed at all.
import type { Fd, System } from "../kernel.ts";
import type { NativeAddon } from "./addon.ts";

export class RealSystem implements System {
  readonly #addon: NativeAddon;
  readonly #kernel: number;

  constructor(addon: NativeAddon, kernel: number) {
    this.#addon = addon;
    this.#kernel = kernel;
  }

  open(path: string, flags: number, mode = 0o644): number {
    return this.#addon.open(this.#kernel, path, flags, mode);
  }
  close(fd: Fd): number {
    return this.#addon.close(this.#kernel, fd);
  }
  pipe(flags = 0): { readonly read: Fd; readonly write: Fd } | number {
    const ends = this.#addon.pipe(this.#kernel, flags);
    return typeof ends === "number" ? ends : { read: ends[0], write: ends[1] };
  }
  eventfd(count: number, flags = 0): number {
    return this.#addon.eventfd(this.#kernel, count, flags);
  }
  dup(fd: Fd, atLeast = 0): number {
    return this.#addon.dup(this.#kernel, fd, atLeast);
  }
  takeSignal(): number {
    return this.#addon.takeSignal(this.#kernel);
  }
  raise(): number {
    return this.#addon.raise(this.#kernel);
  }
  read(fd: Fd, into: Uint8Array): number {
    return this.#addon.read(this.#kernel, fd, into);
  }
  write(fd: Fd, from: Uint8Array): number {
    return this.#addon.write(this.#kernel, fd, from);
  }
  pread(fd: Fd, into: Uint8Array, offset: number): number {
    return this.#addon.pread(this.#kernel, fd, into, offset);
  }
  pwrite(fd: Fd, from: Uint8Array, offset: number): number {
    return this.#addon.pwrite(this.#kernel, fd, from, offset);
  }
  ftruncate(fd: Fd, size: number): number {
    return this.#addon.ftruncate(this.#kernel, fd, size);
  }
  unlink(path: string): number {
    return this.#addon.unlink(this.#kernel, path);
  }
  lseek(fd: Fd, offset: number, whence: number): number {
    return this.#addon.lseek(this.#kernel, fd, offset, whence);
  }
  size(fd: Fd): number {
    return this.#addon.size(this.#kernel, fd);
  }
  /** 0, or -EBADF: only an open regular file, directory or FIFO above 2 can be what a completion handed out. */
  adopt(fd: Fd): number {
    return this.#addon.adopt(this.#kernel, fd);
  }
  disown(fd: Fd): void {
    this.#addon.disown(this.#kernel, fd);
  }
  owns(fd: Fd): boolean {
    return this.#addon.owns(this.#kernel, fd);
  }
}
