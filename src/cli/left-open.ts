// Descriptors that a program leaves behind: of an OPENAT that completed in silence, or whose completion was lost, nobody
// knows the number. Thousands of programs would fill the table with them.
import { closeSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { sep } from "node:path";

/** Open descriptors of this process that are files in a directory, or the directory itself. */
function openIn(directory: string): number[] {
  const real = realpathSync(directory);
  return readdirSync("/proc/self/fd").map(Number).filter((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path === real || path.startsWith(real + sep);
    } catch {
      return false; // that of the listing itself, closed by now
    }
  });
}

/** Closes what is opened in a directory from now on, whenever it is asked to, and nothing else. */
export class LeftOpen {
  private readonly directory: string;
  private readonly before: ReadonlySet<number>;

  constructor(directory: string) {
    this.directory = directory;
    this.before = new Set(openIn(directory));
  }

  close(): void {
    for (const fd of openIn(this.directory)) if (!this.before.has(fd)) closeSync(fd);
  }
}
