// Descriptors: which number a new one gets, and which file a number means. A run that follows a real
// kernel does not predict numbers: what OPENAT made stays unbound until its completion shows its
// number.
import type { Machine } from "./machine.ts";

/** Results at or below this stand for "the descriptor of open file (UNBOUND - result)". */
export const UNBOUND = -0x4000_0000;

/** Installs an open file; its number, or the mark of a number that only the kernel knows. */
export function newDescriptor(m: Machine, file: number): number {
  if (m.scheduler.choose(m, "fd.number", ["lowest", "unknown"]) === 0) {
    const fd = m.world.freeFd(3);
    m.world.fds.set(fd, file);
    return fd;
  }
  m.world.unbound.push(file);
  return UNBOUND - file;
}

/** The open file behind a number, without a reference; 0 where there is none. */
export function lookup(m: Machine, fd: number): number {
  const file = m.world.fds.get(fd);
  if (file !== undefined) return file;
  if (fd < 0 || m.world.unbound.length === 0) return 0;
  // The number may be the one that an open under way was given.
  const names = ["none", ...m.world.unbound.map((id) => `file ${id}`)];
  const pick = m.scheduler.choose(m, "fd.recycled", names);
  const unbound = pick === 0 ? undefined : m.world.unbound[pick - 1];
  if (unbound === undefined) return 0;
  bind(m, unbound, fd);
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
  if (file !== 0) m.world.file(file).refs++;
  return file;
}
