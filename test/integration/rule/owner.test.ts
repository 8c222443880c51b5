// Chapter setup: whose a ring with IORING_SETUP_SINGLE_ISSUER is, seen from another thread.
import { abi, expect, onBoth } from "./on-both.ts";

const NOP = { opcode: abi.IORING_OP_NOP, userData: 1n };
const SINGLE = abi.IORING_SETUP_SINGLE_ISSUER;

onBoth("[setup.single-issuer-owner] the thread that made the ring, though another submits first", (on) => {
  for (const flags of [SINGLE, SINGLE | abi.IORING_SETUP_DEFER_TASKRUN]) {
    const ring = on.ring(4, { flags });
    ring.push(NOP);
    expect(ring.ring.submitElsewhere(1)).toBe(-abi.EEXIST);
    expect(ring.ring.registerElsewhere(abi.IORING_REGISTER_PERSONALITY, null, 0)).toBe(-abi.EEXIST);
    // Nothing was consumed; it is still the maker's to submit.
    expect(ring.sq("head")).toBe(0);
    expect(ring.enter(1, 0, abi.IORING_ENTER_GETEVENTS)).toBe(1);
    expect(ring.reap().length).toBe(1);
  }
});

onBoth("[setup.single-issuer-owner] with R_DISABLED the thread that enabled it", (on) => {
  const flags = SINGLE | abi.IORING_SETUP_R_DISABLED;
  const mine = on.ring(4, { flags });
  expect(mine.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0)).toBe(0);
  mine.push(NOP);
  expect(mine.ring.submitElsewhere(1)).toBe(-abi.EEXIST);
  expect(mine.enter(1)).toBe(1);
  const other = on.ring(4, { flags });
  expect(other.ring.submitElsewhere(0)).toBe(-abi.EBADFD);
  expect(other.ring.registerElsewhere(abi.IORING_REGISTER_ENABLE_RINGS, null, 0)).toBe(0);
  other.push(NOP);
  expect(other.enter(1)).toBe(-abi.EEXIST);
  expect(other.ring.register(abi.IORING_REGISTER_PERSONALITY, null, 0)).toBe(-abi.EEXIST);
  expect(other.ring.submitElsewhere(1)).toBe(-abi.EEXIST);
});
