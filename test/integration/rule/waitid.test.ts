// Chapter waitid.
import { abi, atSubmission, expect, onBoth } from "./on-both.ts";
import type { SqeFields } from "./on-both.ts";

onBoth("[waitid.fields-zero] no flags, not even that of a multishot accept", (on) => {
  const any: SqeFields = { opcode: abi.IORING_OP_WAITID, fd: 0, len: 0, userData: 1n };
  for (const more of [{ opFlags: abi.IORING_ACCEPT_MULTISHOT }, { opFlags: 0x8000_0000 }, { addr: 1n }, { bufIndex: 1 }, { addr3: 1n }])
    expect(atSubmission(on, { ...any, ...more })).toBe(-abi.EINVAL);
  // That flag is one of the accept's, in ioprio; here it is refused as such.
  expect(atSubmission(on, { ...any, ioprio: abi.IORING_ACCEPT_MULTISHOT })).toBe(-abi.EINVAL);
});
