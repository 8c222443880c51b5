// Descriptors: which number a new one gets, and which file a number means. A run that follows a real
// kernel does not predict numbers: what OPENAT made stays unbound until its completion shows its
// number.
import type { Machine } from "./machine.ts";

/** More descriptors than a process that runs programs ever has open. */
const FAR = 512;

/** Installs an open file: its number, or undefined where only the kernel knows it yet. */
export function newDescriptor(m: Machine, file: number): number | undefined {
  if (m.scheduler.choose(m, "fd.number", ["lowest", "unknown"]) === 0) {
    const fd = m.world.freeFd(3);
    m.world.fds.set(fd, file);
    return fd;
  }
  m.world.unbound.push(file);
  return undefined;
}

/** Too large a number to be the lowest free one. */
export const isFarOff = (m: Machine, fd: number): boolean => fd >= m.world.fds.size + FAR;

/** The open file behind a number, without a reference; 0 where there is none. */
export function lookup(m: Machine, fd: number): number {
  const file = m.world.fds.get(fd);
  if (file !== undefined) return file;
  // [openat.lowest-number] a new descriptor gets the lowest free number: one that is far off is not it
  if (fd < 0 || isFarOff(m, fd) || m.world.unbound.length === 0) return 0;
  // The number may be the one that an open under way was given.
  const names = ["none", ...m.world.unbound.map((id) => `file ${id}`)];
  const pick = m.scheduler.choose(m, "fd.recycled", names);
  const unbound = pick === 0 ? undefined : m.world.unbound[pick - 1];
  if (unbound === undefined) return 0;
  bind(m, unbound, fd);
  m.world.guessed.set(fd, true);
  return unbound;
}

/** A completion or a system call showed the number of a file that had none. */
export function bind(m: Machine, file: number, fd: number): void {
  const at = m.world.unbound.indexOf(file);
  if (at >= 0) m.world.unbound.splice(at, 1);
  m.world.fds.set(fd, file);
}

/** fget: with a reference. */
export function take(m: Machine, fd: number): number {
  const file = lookup(m, fd);
  if (file !== 0) m.world.ownFile(file).refs++;
  return file;
}
