// Chapter issue.
import { abi, expect, onBoth } from "./on-both.ts";

onBoth("[issue.bad-fd] a READ of a descriptor that is not open", (on) => {
  expect(on.ring().results({ opcode: abi.IORING_OP_READ, fd: -1, userData: 1n })).toEqual([[1n, -abi.EBADF]]);
});
