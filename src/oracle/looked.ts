// Looks at the ring that can't be: one that leaves out a completion which the tail counts would hide it from the
// search, for whatever the candidate posts there is as good as anything. A trace from a file can't have one
// (trace-order.ts); one that a driver or another program hands over can.
import type { IoUringParams } from "../kernel.ts";
import { peekFault } from "../program/trace-order.ts";
import type { TraceEvent } from "../program/trace.ts";

export class Looked {
  private filled: IoUringParams | undefined;
  /** cq.tail as the last look loaded it. */
  private cqTail = 0;

  /** What is wrong with this event, where it is a look: as "expected ..., got ...". */
  fault(event: TraceEvent): string | undefined {
    if (event.event === "setup" && event.filled !== undefined) {
      this.filled = event.filled;
      this.cqTail = event.counters ?? 0;
    }
    if (event.event === "register" && event.filled !== undefined) this.filled = event.filled;
    if (event.event !== "peek" || this.filled === undefined) return undefined;
    const before = this.cqTail;
    this.cqTail = event.cqTail;
    return peekFault(event, before, this.filled);
  }
}
