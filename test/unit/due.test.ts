// What a wait may be asked for (src/oracle/due.ts).
import { expect, test } from "vitest";
import { createModelKernel } from "../../src/model/kernel.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import type { Operation, Program } from "../../src/program/program.ts";
import { parseTrace } from "../../src/program/trace.ts";

const nop = (userData: number, opFlags = 0): Operation => ({ op: "sqe", opcode: "NOP", userData, opFlags });
const message = (userData: number, passes: number): Operation => ({ op: "sqe", opcode: "MSG_RING", userData, fd: "ring", off: 7, len: 5, opFlags: MSG_FLAGS_PASS, spliceFdIn: passes });
const NOP_CQE32 = 1 << 5;
const MSG_FLAGS_PASS = 2;
const CQE_F_32 = 1 << 15;

// Linux would go round in such a wait for ever. [cq.mixed-livelock]
test("nothing that is behind a long CQE for which there is one slot", () => {
  const program: Program = {
    version: 1, kind: "legal", ring: { entries: 4, flags: ["CQSIZE", "CQE_MIXED"], cqEntries: 4 }, world: { files: [], pipes: [], eventfds: [], buffers: [] },
    ops: [nop(1, NOP_CQE32), nop(2, NOP_CQE32), nop(3, NOP_CQE32), message(4, 0), message(5, 0), message(6, CQE_F_32)],
  };
  const kernel = createModelKernel();
  try {
    const { verdict, trace = "" } = runAndJudge(kernel, program, { keepTrace: true });
    expect(verdict.verdict).toBe("legal");
    const waits = parseTrace(trace).events.flatMap((event) => (event.event === "enter" && event.watchdog === true ? [event.to - event.from] : []));
    expect(waits.length).toBeGreaterThan(0);
    for (const ns of waits) expect(ns).toBeLessThan(400_000_000n);
  } finally {
    kernel.close();
  }
});
