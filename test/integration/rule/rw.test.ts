// Chapter rw.
import { abi, expect, onBoth } from "./on-both.ts";

onBoth("[rw.wrong-mode] a READ of a pipe's writing end", (on) => {
  expect(on.ring().results({ opcode: abi.IORING_OP_READ, fd: on.pipe().write, userData: 1n })).toEqual([[1n, -abi.EBADF]]);
});
