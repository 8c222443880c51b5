// A file that OPENAT made has a number that only the real kernel knows, until something shows it.
import { bind } from "../model/descriptor.ts";
import { type Machine, NOT_THIS_RUN } from "../model/machine.ts";

/** Its number was seen. Throws NOT_THIS_RUN where that is another file's. */
export function numberShown(m: Machine, file: number, fd: number): void {
  m.world.guessed.delete(fd);
  if (!m.world.unbound.includes(file)) return;
  if (m.world.fds.has(fd)) throw NOT_THIS_RUN;
  bind(m, file, fd);
}
