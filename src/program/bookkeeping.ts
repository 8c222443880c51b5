// What a run remembers of the requests it handed over: which descriptors completions gave and took.
import type { Kernel } from "../kernel.ts";
import type { SqeSpec } from "./program.ts";
import type { SeenCqe } from "./trace.ts";

export class Bookkeeping {
  /** Descriptors that OPENAT handed out, in the order in which their completions were seen. */
  readonly opened: number[] = [];
  /** A timer was submitted: waits may be waits for it. */
  timers = false;
  private readonly requests = new Map<bigint, { readonly opcode: SqeSpec["opcode"]; readonly fd: number }>();

  submitted(spec: SqeSpec, fd: number): void {
    if (spec.opcode === "TIMEOUT" || spec.opcode === "LINK_TIMEOUT") this.timers = true;
    this.requests.set(BigInt(spec.userData), { opcode: spec.opcode, fd });
  }

  completed(kernel: Kernel, cqe: SeenCqe): void {
    const request = this.requests.get(cqe.userData);
    if (request?.opcode === "OPENAT" && cqe.res > 2) {
      kernel.system.adopt(cqe.res);
      this.opened.push(cqe.res);
    } else if (request?.opcode === "CLOSE" && cqe.res === 0) {
      // Forgets the number where the file is another; an OPENAT that got it may have completed before.
      kernel.system.owns(request.fd);
    }
  }
}
