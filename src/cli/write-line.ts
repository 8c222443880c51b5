// What a child says to its parent.
import { writeSync } from "node:fs";

/** How long it waits where the pipe is full, for the parent to read on. */
const FULL_MS = 1;

/** Writes a message as one line of JSON, whole, and blocks until the pipe has it. Throws what write(2) fails with, but for EAGAIN. */
export function writeLine(fd: number, message: object): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_MS);
    }
  }
}
