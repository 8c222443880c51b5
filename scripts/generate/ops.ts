// Emits src/spec/ops.gen.ts: one record per opcode, by number.

import type { Spec } from "../../src/spec/load.ts";
import { BANNER, quoted } from "./text.ts";

export function emitOpsFile(spec: Spec): string {
  const rows = spec.ops.map((op) => {
    const parts = [
      `name: ${quoted(op.opcode.replace(/^IORING_OP_/, ""))}`,
      `number: ${op.number}`,
      `since: ${quoted(op.since)}`,
      `needsFile: ${op.file === "fd"}`,
      `bufferSelect: ${op.bufferSelect}`,
      `ioprio: ${op.ioprio}`,
      `pollin: ${op.pollin}`,
      `pollout: ${op.pollout}`,
      `hashRegFile: ${op.hashRegFile}`,
      `unboundNonregFile: ${op.unboundNonregFile}`,
      `plug: ${op.plug}`,
      `iopoll: ${op.iopoll}`,
      `modelled: ${op.modelled}`,
    ];
    return `  { ${parts.join(", ")} },`;
  });
  return [
    `// ${BANNER}`,
    "// What the kernel's dispatch table says of each operation (io_uring/opdef.c).",
    "",
    "export interface OpRecord {",
    "  readonly name: string;",
    "  readonly number: number;",
    "  readonly since: string;",
    "  /** sqe.fd must name an open (or registered) file before the operation is prepared. */",
    "  readonly needsFile: boolean;",
    "  /** IOSQE_BUFFER_SELECT is allowed. */",
    "  readonly bufferSelect: boolean;",
    "  /** sqe.ioprio may be other than 0. */",
    "  readonly ioprio: boolean;",
    "  /** Waits for this readiness where it would block. */",
    "  readonly pollin: boolean;",
    "  readonly pollout: boolean;",
    "  /** Workers run it one at a time for each regular file. */",
    "  readonly hashRegFile: boolean;",
    "  readonly unboundNonregFile: boolean;",
    "  readonly plug: boolean;",
    "  /** Allowed on IORING_SETUP_IOPOLL rings. */",
    "  readonly iopoll: boolean;",
    "  /** The reference model executes it. */",
    "  readonly modelled: boolean;",
    "}",
    "",
    "/** By opcode number. */",
    "export const OPS: readonly OpRecord[] = [",
    ...rows,
    "];",
    "",
  ].join("\n");
}
