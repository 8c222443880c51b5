// Chapter taskrun.
import { abi, expect, onBoth } from "./on-both.ts";

onBoth("[taskrun.at-return] a NOP that completes as task work", (on) => {
  const ring = on.ring();
  ring.submit({ opcode: abi.IORING_OP_NOP, opFlags: abi.IORING_NOP_TW, userData: 1n });
  expect(ring.reap()).toEqual([{ userData: 1n, res: 0, flags: 0 }]);
});
