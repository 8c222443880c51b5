// Chapter register: rings that are named by an index.
import { RSRC_UPDATE } from "../../../src/spec/codec.gen.ts";
import { abi, type Bench, expect, onBoth, type TestRing } from "./on-both.ts";

const { IORING_REGISTER_RING_FDS: REGISTER, IORING_UNREGISTER_RING_FDS: UNREGISTER, IORING_ENTER_REGISTERED_RING: BY_INDEX } = abi;
const USE_INDEX = abi.IORING_REGISTER_USE_REGISTERED_RING;
const ANY = 0xffff_ffff;

interface Entry {
  readonly slot: number;
  readonly fd?: number;
  readonly resv?: number;
}

/** What the call returned, and the slots that were written back. */
function change(on: Bench, ring: TestRing, opcode: number, ...entries: readonly Entry[]): [result: number, slots: number[]] {
  const region = on.buffer(RSRC_UPDATE.size * Math.max(entries.length, 1));
  const view = new DataView(region.bytes.buffer, region.bytes.byteOffset);
  for (const [i, { slot, fd = 0, resv = 0 }] of entries.entries()) {
    view.setUint32(i * RSRC_UPDATE.size + RSRC_UPDATE.offset, slot, true);
    view.setUint32(i * RSRC_UPDATE.size + RSRC_UPDATE.resv, resv, true);
    view.setBigUint64(i * RSRC_UPDATE.size + RSRC_UPDATE.data, BigInt.asUintN(64, BigInt(fd)), true);
  }
  const result = ring.ring.register(opcode, region.addr, entries.length);
  return [result, entries.map((_, i) => view.getUint32(i * RSRC_UPDATE.size, true))];
}
const add = (on: Bench, ring: TestRing, ...entries: readonly Entry[]): [number, number[]] => change(on, ring, REGISTER, ...entries);
const drop = (on: Bench, ring: TestRing, ...slots: readonly number[]): number => change(on, ring, UNREGISTER, ...slots.map((slot) => ({ slot })))[0];
const byIndex = (ring: TestRing, index: number, toSubmit = 0): number => ring.ring.enter(toSubmit, 0, BY_INDEX, undefined, index);

onBoth("[register.ring-fds] [enter.registered-index] slots that are named, and the lowest free one", (on) => {
  const [one, two] = [on.ring(), on.ring()];
  expect(add(on, one, { slot: 1, fd: one.fd })).toEqual([1, [1]]);
  expect(add(on, one, { slot: ANY, fd: two.fd }, { slot: ANY, fd: one.fd }, { slot: 15, fd: one.fd })).toEqual([3, [0, 2, 15]]);
  expect([1, 2, 15].map((index) => byIndex(one, index))).toEqual([0, 0, 0]);
  two.push({ opcode: abi.IORING_OP_NOP, userData: 7n });
  expect(byIndex(two, 0, 1)).toBe(1);
  expect(two.reap()).toEqual([{ userData: 7n, res: 0, flags: 0 }]);
  expect([3, 14].map((index) => byIndex(one, index))).toEqual([-abi.EBADF, -abi.EBADF]);
  expect([16, 17, 0x7fff_ffff, ANY].map((index) => byIndex(one, index))).toEqual(Array(4).fill(-abi.EINVAL));
  // One kernel's port lets a ring name itself alone.
  expect(() => byIndex(one, 0)).toThrow(/index 0 holds another ring/);
  expect(() => one.ring.enter(0, 0, 0, undefined, 1)).toThrow(/an index is given/);
});

onBoth("[register.ring-fds-count] counts that are refused", (on) => {
  const ring = on.ring();
  const many = on.buffer(RSRC_UPDATE.size * 17);
  for (const opcode of [REGISTER, UNREGISTER]) {
    for (const count of [0, 17]) expect(ring.ring.register(opcode, many.addr, count)).toBe(-abi.EINVAL);
    expect(ring.ring.register(opcode, null, 0)).toBe(-abi.EINVAL);
  }
  // All there are, at once.
  const slots = Array.from({ length: 16 }, (_, slot) => slot);
  expect(add(on, ring, ...slots.map(() => ({ slot: ANY, fd: ring.fd })))).toEqual([16, slots]);
  expect(drop(on, ring, ...slots)).toBe(16);
});

onBoth("[register.ring-fds-entry] what is wrong with an entry", (on) => {
  const ring = on.ring();
  expect(add(on, ring, { slot: 0, fd: ring.fd, resv: 1 })).toEqual([-abi.EINVAL, [0]]);
  expect(add(on, ring, { slot: 16, fd: ring.fd })).toEqual([-abi.EINVAL, [16]]);
  expect(add(on, ring, { slot: ANY - 1, fd: ring.fd })[0]).toBe(-abi.EINVAL);
  expect(add(on, ring, { slot: 0, fd: -1 })[0]).toBe(-abi.EBADF);
  expect(add(on, ring, { slot: 0, fd: 100_000 })[0]).toBe(-abi.EBADF);
  expect(add(on, ring, { slot: ANY, fd: on.pipe().read })).toEqual([-abi.EOPNOTSUPP, [ANY]]);
  expect(add(on, ring, { slot: ANY, fd: on.file(0) })[0]).toBe(-abi.EOPNOTSUPP);
  expect(ring.ring.register(REGISTER, on.kernel.memory.faultAddress, 1)).toBe(-abi.EFAULT);
  expect(ring.ring.register(REGISTER, null, 1)).toBe(-abi.EFAULT);
  expect(byIndex(ring, 0)).toBe(-abi.EBADF);
  // The reserved word is looked at before the descriptor.
  expect(add(on, ring, { slot: 0, fd: -1, resv: 1 })[0]).toBe(-abi.EINVAL);
});

onBoth("[register.ring-fds-taken] a slot that is taken, and a full table", (on) => {
  const [one, two] = [on.ring(), on.ring()];
  expect(add(on, one, { slot: 4, fd: one.fd })[0]).toBe(1);
  expect(add(on, one, { slot: 4, fd: two.fd })).toEqual([-abi.EBUSY, [4]]);
  expect(byIndex(one, 4)).toBe(0);
  expect(add(on, one, ...Array.from({ length: 15 }, () => ({ slot: ANY, fd: one.fd })))[0]).toBe(15);
  expect(add(on, one, { slot: ANY, fd: one.fd })).toEqual([-abi.EBUSY, [ANY]]);
  expect(drop(on, one, 9)).toBe(1);
  expect(add(on, one, { slot: ANY, fd: two.fd })).toEqual([1, [9]]);
  expect(byIndex(two, 9)).toBe(0);
});

onBoth("[register.ring-fds-partial] what went before the first failure stays", (on) => {
  const ring = on.ring();
  expect(add(on, ring, { slot: ANY, fd: ring.fd }, { slot: 7, fd: -1 }, { slot: 8, fd: ring.fd })).toEqual([1, [0, 7, 8]]);
  expect([0, 7, 8].map((index) => byIndex(ring, index))).toEqual([0, -abi.EBADF, -abi.EBADF]);
  expect(add(on, ring, { slot: 0, fd: ring.fd }, { slot: 1, fd: ring.fd })[0]).toBe(-abi.EBUSY);
  expect(byIndex(ring, 1)).toBe(-abi.EBADF);
});

onBoth("[register.unregister-ring-fds] emptying slots", (on) => {
  const ring = on.ring();
  add(on, ring, { slot: 0, fd: ring.fd }, { slot: 1, fd: ring.fd }, { slot: 2, fd: ring.fd });
  expect(drop(on, ring, 0, 5, 0)).toBe(3);
  expect([0, 1, 2].map((index) => byIndex(ring, index))).toEqual([-abi.EBADF, 0, 0]);
  expect(drop(on, ring, 1, 16, 2)).toBe(1);
  expect([1, 2].map((index) => byIndex(ring, index))).toEqual([-abi.EBADF, 0]);
  expect(drop(on, ring, 16)).toBe(-abi.EINVAL);
  expect(drop(on, ring, ANY)).toBe(-abi.EINVAL);
  expect(change(on, ring, UNREGISTER, { slot: 2, resv: 1 })[0]).toBe(-abi.EINVAL);
  expect(change(on, ring, UNREGISTER, { slot: 2, fd: ring.fd })[0]).toBe(-abi.EINVAL);
  expect(ring.ring.register(UNREGISTER, on.kernel.memory.faultAddress, 1)).toBe(-abi.EFAULT);
  expect(byIndex(ring, 2)).toBe(0);
});

onBoth("[register.by-index] registering by an index", (on) => {
  const { ring } = on.ring();
  const of = { ring } as TestRing;
  const personality = (index?: number): number => ring.register((abi.IORING_REGISTER_PERSONALITY | USE_INDEX) >>> 0, null, 0, index);
  expect(add(on, of, { slot: 3, fd: ring.fd })[0]).toBe(1);
  expect([personality(3), personality(3)]).toEqual([1, 2]);
  expect([personality(4), personality(16), personality(ANY)]).toEqual([-abi.EBADF, -abi.EINVAL, -abi.EINVAL]);
  // Without an index the descriptor is taken for one.
  if (ring.fd !== 3) expect(personality()).toBe(ring.fd >= 16 ? -abi.EINVAL : -abi.EBADF);
  expect(ring.register((200 | USE_INDEX) >>> 0, null, 0, 4)).toBe(-abi.EINVAL);
  expect(() => ring.register(abi.IORING_REGISTER_PERSONALITY, null, 0, 3)).toThrow(/an index is given/);
  const other = on.ring();
  expect(() => other.ring.register((abi.IORING_REGISTER_PERSONALITY | USE_INDEX) >>> 0, null, 0, 3)).toThrow(/holds another ring/);
});

onBoth("[register.ring-fds-keep] [mapping.keeps-ring] a ring whose descriptor is closed", (on) => {
  const [ring, other] = [on.ring(), on.ring()];
  add(on, ring, { slot: 2, fd: ring.fd });
  expect(ring.ring.closeDescriptor()).toBe(0);
  expect(ring.ring.enter(0, 0, 0)).toBe(-abi.EBADF);
  ring.push({ opcode: abi.IORING_OP_NOP, userData: 5n });
  expect(byIndex(ring, 2, 1)).toBe(1);
  expect(ring.reap()).toEqual([{ userData: 5n, res: 0, flags: 0 }]);
  const by = (opcode: number): number => (opcode | USE_INDEX) >>> 0;
  expect(ring.ring.register(by(abi.IORING_REGISTER_PERSONALITY), null, 0, 2)).toBe(1);
  expect(ring.ring.register(abi.IORING_REGISTER_PERSONALITY, null, 0)).toBe(-abi.EBADF);
  // Closing it gives the slot back.
  ring.ring.close();
  expect(byIndex(other, 2)).toBe(-abi.EBADF);
});

onBoth("[enter.registered-index] [setup.disabled-enter] a disabled ring", (on) => {
  const ring = on.ring(4, { flags: abi.IORING_SETUP_R_DISABLED });
  expect(add(on, ring, { slot: ANY, fd: ring.fd })).toEqual([1, [0]]);
  expect(byIndex(ring, 0)).toBe(-abi.EBADFD);
  expect(ring.ring.register((abi.IORING_REGISTER_ENABLE_RINGS | USE_INDEX) >>> 0, null, 0, 0)).toBe(0);
  expect(byIndex(ring, 0)).toBe(0);
});

onBoth("[register.ring-fds-per-thread] what another thread registered, and can name", (on) => {
  const ring = on.ring();
  const region = on.buffer(RSRC_UPDATE.size);
  const view = new DataView(region.bytes.buffer, region.bytes.byteOffset);
  view.setUint32(RSRC_UPDATE.offset, ANY, true);
  view.setBigUint64(RSRC_UPDATE.data, BigInt(ring.fd), true);
  add(on, ring, { slot: 0, fd: ring.fd });
  // Its lowest free slot is 0, though that is taken here.
  expect(ring.ring.registerElsewhere(REGISTER, region.addr, 1)).toBe(1);
  expect(view.getUint32(RSRC_UPDATE.offset, true)).toBe(0);
  expect(drop(on, ring, 0)).toBe(1);
  expect(byIndex(ring, 0)).toBe(-abi.EBADF);
  add(on, ring, { slot: 0, fd: ring.fd });
  expect(ring.ring.registerElsewhere((abi.IORING_REGISTER_PERSONALITY | USE_INDEX) >>> 0, null, 0, 0)).toBe(-abi.EINVAL);
});

onBoth("[restriction.register-op] a restricted ring that is closed gives its slot back", (on) => {
  const [ring, other] = [on.ring(4, { flags: abi.IORING_SETUP_R_DISABLED }), on.ring()];
  add(on, ring, { slot: 6, fd: ring.fd });
  const none = on.buffer(16);
  new DataView(none.bytes.buffer, none.bytes.byteOffset).setUint16(0, abi.IORING_RESTRICTION_SQE_OP, true);
  expect(ring.ring.register(abi.IORING_REGISTER_RESTRICTIONS, none.addr, 1)).toBe(0);
  expect(ring.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0)).toBe(0);
  expect(drop(on, ring, 6)).toBe(-abi.EACCES);
  ring.ring.close();
  expect(byIndex(other, 6)).toBe(-abi.EBADF);
});
