// Chapter restriction, and those of register that enable a ring.
import { PROFILE_6_18, registerOpcodes } from "../../../src/model/profile.ts";
import { abi, type Bench, expect, onBoth, type SqeFields, type TestRing } from "./on-both.ts";

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
const disabled = (on: Bench): TestRing => on.ring(8, { flags: abi.IORING_SETUP_R_DISABLED });
const enable = (ring: TestRing): number => ring.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0);

/** Registers restrictions, each a kind and its value: what io_uring_register returned. */
function restrict(on: Bench, ring: TestRing, ...all: readonly (readonly [kind: number, value: number])[]): number {
  const region = on.buffer(Math.max(16 * all.length, 8));
  const to = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.length);
  for (const [i, [kind, value]] of all.entries()) {
    to.setUint16(16 * i, kind, true);
    to.setUint8(16 * i + 2, value);
  }
  return ring.ring.register(abi.IORING_REGISTER_RESTRICTIONS, region.addr, all.length);
}

const SQE_OP = abi.IORING_RESTRICTION_SQE_OP;
const REGISTER_OP = abi.IORING_RESTRICTION_REGISTER_OP;
const ALLOWED = abi.IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
const REQUIRED = abi.IORING_RESTRICTION_SQE_FLAGS_REQUIRED;

onBoth("[register.enable-once] [setup.disabled-enter] a disabled ring until it is enabled", (on) => {
  const ring = disabled(on);
  expect([ring.enter(0), ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS), ring.submit(nop(1n))]).toEqual([-abi.EBADFD, -abi.EBADFD, -abi.EBADFD]);
  expect(enable(ring)).toBe(0);
  expect(ring.submit()).toBe(1);
  expect(ring.reap().map(({ userData }) => userData)).toEqual([1n]);
  expect(enable(ring)).toBe(-abi.EBADFD);
  expect(enable(on.ring())).toBe(-abi.EBADFD);
});

onBoth("[restriction.disabled-ring-only] [restriction.once] when restrictions may be registered", (on) => {
  expect(restrict(on, on.ring(), [SQE_OP, abi.IORING_OP_NOP])).toBe(-abi.EBADFD);
  const ring = disabled(on);
  expect(restrict(on, ring, [SQE_OP, abi.IORING_OP_NOP])).toBe(0);
  expect(restrict(on, ring, [SQE_OP, abi.IORING_OP_NOP])).toBe(-abi.EBUSY);
});

onBoth("[restriction.checked-whole] as many as there are kinds, calls and opcodes, and one more", (on) => {
  const many = (count: number): number => restrict(on, disabled(on), ...Array.from({ length: count }, () => [SQE_OP, abi.IORING_OP_NOP] as const));
  const counts = Array.from({ length: 60 }, (_, i) => 80 + i);
  const accepted = counts.filter((count) => many(count) === 0);
  // Every count up to one of them.
  expect(accepted).toEqual(counts.slice(0, accepted.length));
  expect(accepted.at(-1)).toBe(4 + registerOpcodes(PROFILE_6_18).length + PROFILE_6_18.opcodes.length);
});

onBoth("[restriction.checked-whole] one bad restriction refuses them all", (on) => {
  const ring = disabled(on);
  expect(restrict(on, ring, [SQE_OP, abi.IORING_OP_NOP], [9, 0])).toBe(-abi.EINVAL);
  expect(restrict(on, ring, [SQE_OP, 200])).toBe(-abi.EINVAL);
  expect(restrict(on, ring, [REGISTER_OP, 200])).toBe(-abi.EINVAL);
  expect(ring.ring.register(abi.IORING_REGISTER_RESTRICTIONS, null, 1)).toBe(-abi.EINVAL);
  expect(restrict(on, ring, [SQE_OP, abi.IORING_OP_READ])).toBe(0);
  enable(ring);
  expect(ring.results(nop(1n))).toEqual([[1n, -abi.EACCES]]);
});

onBoth("[restriction.from-enabling] [restriction.register-op] register opcodes on a restricted ring", (on) => {
  const ring = disabled(on);
  restrict(on, ring, [REGISTER_OP, abi.IORING_REGISTER_PERSONALITY]);
  expect(ring.ring.register(abi.IORING_UNREGISTER_EVENTFD, null, 0)).toBe(-abi.ENXIO);
  expect(enable(ring)).toBe(0);
  expect(ring.ring.register(abi.IORING_UNREGISTER_EVENTFD, null, 0)).toBe(-abi.EACCES);
  expect(ring.ring.register(abi.IORING_REGISTER_PERSONALITY, null, 0)).toBe(1);
  expect(enable(ring)).toBe(-abi.EACCES);
});

onBoth("[restriction.sqe-op] opcodes on a restricted ring", (on) => {
  const ring = disabled(on);
  restrict(on, ring, [SQE_OP, abi.IORING_OP_NOP]);
  enable(ring);
  expect(ring.submit({ opcode: abi.IORING_OP_READ, userData: 1n }, nop(2n))).toBe(1);
  ring.submit();
  expect(ring.reap().map(({ userData, res }) => [userData, res])).toEqual([[1n, -abi.EACCES], [2n, 0]]);
});

onBoth("[restriction.sqe-flags] flags on a restricted ring", (on) => {
  const ring = disabled(on);
  restrict(on, ring, [SQE_OP, abi.IORING_OP_NOP], [ALLOWED, abi.IOSQE_IO_LINK], [REQUIRED, abi.IOSQE_ASYNC]);
  enable(ring);
  const of = (flags: number): number | undefined => ring.results(nop(BigInt(flags), flags))[0]?.[1];
  expect(of(0)).toBe(-abi.EACCES);
  expect(of(abi.IOSQE_ASYNC)).toBe(0);
  expect(of(abi.IOSQE_ASYNC | abi.IOSQE_IO_LINK)).toBe(0);
  expect(of(abi.IOSQE_ASYNC | abi.IOSQE_IO_DRAIN)).toBe(-abi.EACCES);
});

onBoth("[restriction.nothing-allowed] restrictions that name nothing", (on) => {
  const ring = disabled(on);
  expect(restrict(on, ring)).toBe(0);
  enable(ring);
  expect(ring.results(nop(1n))).toEqual([[1n, -abi.EACCES]]);
  expect(ring.ring.register(abi.IORING_REGISTER_PERSONALITY, null, 0)).toBe(-abi.EACCES);
});
