// Chapter nop.
import { abi, expect, onBoth } from "./on-both.ts";

onBoth("[nop.zero] a NOP without flags completes with 0", (on) => {
  expect(on.ring().results({ opcode: abi.IORING_OP_NOP, userData: 7n })).toEqual([[7n, 0]]);
});
