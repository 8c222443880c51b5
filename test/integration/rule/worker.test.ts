// Chapter worker.
import { abi, expect, onBoth } from "./on-both.ts";

onBoth("[worker.async-flag] a NOP", (on) => {
  expect(on.ring().results({ opcode: abi.IORING_OP_NOP, flags: abi.IOSQE_ASYNC, userData: 1n })).toEqual([[1n, 0]]);
});
