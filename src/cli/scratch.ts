// Removes the scratch directory that the children of a pool share. Several of them may do so at once, and
// the parent too: who comes second finds it gone, or half gone, and that is no error.
import { rmSync } from "node:fs";

export function removeScratch(directory: string): void {
  try {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  } catch {
    // Somebody else is at it, and has it for himself once we are done.
  }
}
