// A ring that nobody posted to before its program began. A worker of the program before it may still have a message for
// that one's descriptor, whose number the new ring has got: what it posts is no part of this program.
import type { Kernel, Ring, SetupParams } from "../kernel.ts";

/** A ring that has something in it so often is what this kernel makes, and the trace says so. */
const TRIES = 3;

/** io_uring_setup. Throws what it throws. */
export function freshRing(kernel: Kernel, entries: number, params: SetupParams): Ring {
  for (let tries = 1; ; tries++) {
    const ring = kernel.setup(entries, params);
    const { sqOff, cqOff } = ring.params;
    const word = (at: number): number => Atomics.load(new Uint32Array(ring.sqRing.buffer, ring.sqRing.byteOffset + at, 1), 0);
    // Both begin with the same number.
    if (tries === TRIES || word(cqOff.tail) === word(sqOff.tail)) return ring;
    ring.close();
  }
}
