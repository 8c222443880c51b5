// Chapter register: what a ring is told beside its queues.
import { abi, type Bench, expect, onBoth, type SqeFields, type TestRing } from "./on-both.ts";

const nop = (userData: bigint, personality = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, personality });

onBoth("[register.no-argument] opcodes that take nothing", (on) => {
  const { ring } = on.ring(8, { flags: abi.IORING_SETUP_R_DISABLED });
  for (const opcode of [abi.IORING_REGISTER_ENABLE_RINGS, abi.IORING_UNREGISTER_EVENTFD, abi.IORING_REGISTER_PERSONALITY])
    expect(ring.register(opcode, null, 1)).toBe(-abi.EINVAL);
});

onBoth("[register.probe] which opcodes there are", (on) => {
  const { ring } = on.ring();
  const region = on.buffer(16 + 8 * 256);
  expect(ring.register(abi.IORING_REGISTER_PROBE, region.addr, 256)).toBe(0);
  const [last = 0, count = 0] = region.bytes;
  expect(count).toBe(last + 1);
  const supported = Array.from({ length: count }, (_, op) => region.bytes[16 + 8 * op + 2]);
  expect(on.kernel.profile.opcodes).toEqual(supported.flatMap((flag, op) => (flag === 0 ? [] : [op])));
  expect(region.bytes.subarray(16 + 8 * count).every((byte) => byte === 0)).toBe(true);
  const few = on.buffer(16 + 8 * 2);
  expect(ring.register(abi.IORING_REGISTER_PROBE, few.addr, 2)).toBe(0);
  expect([...few.bytes]).toEqual([last, 2, ...Array<number>(14).fill(0), 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
});

onBoth("[register.probe-zeroed] what a probe refuses", (on) => {
  const { ring } = on.ring();
  const region = on.buffer(16 + 8 * 257);
  expect(ring.register(abi.IORING_REGISTER_PROBE, region.addr, 257)).toBe(-abi.EINVAL);
  expect(ring.register(abi.IORING_REGISTER_PROBE, null, 1)).toBe(-abi.EINVAL);
  region.bytes[20] = 1;
  expect(ring.register(abi.IORING_REGISTER_PROBE, region.addr, 4)).toBe(-abi.EINVAL);
  region.bytes[20] = 0;
  expect(ring.register(abi.IORING_REGISTER_PROBE, region.addr, 4)).toBe(0);
});

onBoth("[register.personality-ids] [register.personality-unknown] numbers of personalities", (on) => {
  const { ring } = on.ring();
  const add = (): number => ring.register(abi.IORING_REGISTER_PERSONALITY, null, 0);
  const drop = (id: number): number => ring.register(abi.IORING_UNREGISTER_PERSONALITY, null, id);
  expect([add(), add()]).toEqual([1, 2]);
  expect([drop(1), drop(1), drop(7), drop(0)]).toEqual([0, -abi.EINVAL, -abi.EINVAL, -abi.EINVAL]);
  expect(add()).toBe(3);
  // The others stay.
  expect([drop(2), drop(3)]).toEqual([0, 0]);
});

onBoth("[register.personality-used] [submit.personality] a request with a personality", (on) => {
  const ring = on.ring();
  const id = ring.ring.register(abi.IORING_REGISTER_PERSONALITY, null, 0);
  expect(ring.results(nop(1n, id))).toEqual([[1n, 0]]);
  expect(ring.results(nop(2n, id + 1))).toEqual([[2n, -abi.EINVAL]]);
  ring.ring.register(abi.IORING_UNREGISTER_PERSONALITY, null, id);
  expect(ring.results(nop(3n, id))).toEqual([[3n, -abi.EINVAL]]);
});

function clock(on: Bench, ring: TestRing, id: number, reserved = 0, nrArgs = 0): number {
  const region = on.buffer(16);
  new DataView(region.bytes.buffer, region.bytes.byteOffset, 16).setUint32(0, id, true);
  region.bytes[8] = reserved;
  return ring.ring.register(abi.IORING_REGISTER_CLOCK, region.addr, nrArgs);
}

onBoth("[register.clock] the clock of waits", (on) => {
  const ring = on.ring();
  expect([clock(on, ring, abi.CLOCK_MONOTONIC), clock(on, ring, abi.CLOCK_BOOTTIME)]).toEqual([0, 0]);
  expect([clock(on, ring, abi.CLOCK_REALTIME), clock(on, ring, 99)]).toEqual([-abi.EINVAL, -abi.EINVAL]);
  expect([clock(on, ring, abi.CLOCK_MONOTONIC, 1), clock(on, ring, abi.CLOCK_MONOTONIC, 0, 1)]).toEqual([-abi.EINVAL, -abi.EINVAL]);
  expect(ring.ring.register(abi.IORING_REGISTER_CLOCK, null, 0)).toBe(-abi.EINVAL);
});
