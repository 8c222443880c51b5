// Chapter register.
import { abi, expect, onBoth } from "./on-both.ts";

/** A struct io_uring_sync_cancel_reg that matches nothing: user_data 0, no fd, no time. */
const SYNC_CANCEL_SIZE = 64;

onBoth("[register.unknown-opcode] opcodes that the kernel does not have", (on) => {
  const { ring } = on.ring();
  for (const opcode of [200, 1000, 0x7fff_ffff]) {
    expect(ring.register(opcode, null, 0)).toBe(-abi.EINVAL);
    expect(ring.register(opcode, null, 1)).toBe(-abi.EINVAL);
  }
});

onBoth("[register.sync-cancel-arg] SYNC_CANCEL has one argument", (on) => {
  const { ring } = on.ring();
  const arg = on.buffer(SYNC_CANCEL_SIZE);
  new DataView(arg.bytes.buffer, arg.bytes.byteOffset).setInt32(8, -1, true);
  // A time of -1, -1 is none.
  arg.bytes.fill(0xff, 16, 32);
  expect(ring.register(abi.IORING_REGISTER_SYNC_CANCEL, null, 0)).toBe(-abi.EINVAL);
  expect(ring.register(abi.IORING_REGISTER_SYNC_CANCEL, null, 1)).toBe(-abi.EINVAL);
  for (const count of [0, 2, 0xffff_ffff]) expect(ring.register(abi.IORING_REGISTER_SYNC_CANCEL, arg.addr, count)).toBe(-abi.EINVAL);
  // There is nothing to cancel, but the argument is right.
  expect(ring.register(abi.IORING_REGISTER_SYNC_CANCEL, arg.addr, 1)).toBe(-abi.ENOENT);
});
