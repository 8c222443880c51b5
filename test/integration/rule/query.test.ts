// Chapter register: what the kernel says of itself. IORING_REGISTER_QUERY, and the edges of IORING_REGISTER_PROBE.
import type { Region } from "../../../src/kernel.ts";
import { registerOpcodes } from "../../../src/model/profile.ts";
import { QUERY_HDR, QUERY_OPCODE } from "../../../src/spec/codec.gen.ts";
import { abi, type Bench, expect, onBoth } from "./on-both.ts";

const QUERY = abi.IORING_REGISTER_QUERY;

interface Asked {
  readonly op?: number;
  readonly room?: number;
  readonly result?: number;
  readonly reserved?: number;
  readonly data?: bigint;
}

/** A list of queries, each with 64 bytes for its answer that are all 0xaa. */
class List {
  readonly at: Region;
  readonly answers: Region;
  private readonly view: DataView;

  constructor(on: Bench, ...asked: readonly Asked[]) {
    this.at = on.buffer(QUERY_HDR.size * asked.length);
    this.answers = on.buffer(64 * asked.length);
    this.answers.bytes.fill(0xaa);
    this.view = new DataView(this.at.bytes.buffer, this.at.bytes.byteOffset);
    for (const [i, { op = 0, room = QUERY_OPCODE.size, result = 0, reserved = 0, data }] of asked.entries()) {
      const from = i * QUERY_HDR.size;
      if (i + 1 < asked.length) this.next(i, this.addr(i + 1));
      this.view.setBigUint64(from + QUERY_HDR.query_data, data ?? this.answers.addr + BigInt(64 * i), true);
      this.view.setUint32(from + QUERY_HDR.query_op, op, true);
      this.view.setUint32(from + QUERY_HDR.size_, room, true);
      this.view.setInt32(from + QUERY_HDR.result, result, true);
      this.view.setUint32(from + QUERY_HDR.__resv + 8, reserved, true);
    }
  }

  addr(i: number): bigint {
    return this.at.addr + BigInt(i * QUERY_HDR.size);
  }

  next(i: number, addr: bigint): void {
    this.view.setBigUint64(i * QUERY_HDR.size + QUERY_HDR.next_entry, addr, true);
  }

  /** Result and size of an entry. */
  said(i: number): [result: number, size: number] {
    const from = i * QUERY_HDR.size;
    return [this.view.getInt32(from + QUERY_HDR.result, true), this.view.getUint32(from + QUERY_HDR.size_, true)];
  }

  answer(i: number): Uint8Array {
    return this.answers.bytes.subarray(64 * i, 64 * i + 64);
  }
}

/** Is all of it this byte? */
const all = (bytes: Uint8Array, byte: number): boolean => bytes.every((other) => other === byte);

onBoth("[register.query] [register.query-opcodes] what the kernel has", (on) => {
  const { ring } = on.ring();
  const list = new List(on, {});
  expect(ring.register(QUERY, list.at.addr, 0)).toBe(0);
  expect(list.said(0)).toEqual([0, QUERY_OPCODE.size]);
  const words = new DataView(list.answers.bytes.buffer, list.answers.bytes.byteOffset);
  expect(words.getUint32(QUERY_OPCODE.nr_request_opcodes, true)).toBe(Math.max(...on.kernel.profile.opcodes) + 1);
  expect(words.getBigUint64(QUERY_OPCODE.feature_flags, true)).toBe(BigInt(on.kernel.profile.features));
  expect(words.getBigUint64(QUERY_OPCODE.ring_setup_flags, true)).toBe(BigInt(on.kernel.profile.setupFlags));
  expect(words.getUint32(QUERY_OPCODE.nr_register_opcodes, true)).toBe(Math.max(...registerOpcodes(on.kernel.profile)) + 1);
  const enter = Number(words.getBigUint64(QUERY_OPCODE.enter_flags, true));
  expect(enter & abi.IORING_ENTER_NO_IOWAIT).not.toBe(0);
  expect(ring.enter(0, 0, enter + 1)).toBe(-abi.EINVAL);
  expect(words.getBigUint64(QUERY_OPCODE.sqe_flags, true)).toBe(0x7fn);
  expect(words.getUint32(QUERY_OPCODE.nr_query_opcodes, true)).toBe(1);
  expect(ring.register(QUERY, null, 0)).toBe(0);
});

onBoth("[register.query-count] a count is refused", (on) => {
  const list = new List(on, {});
  expect(on.ring().ring.register(QUERY, list.at.addr, 1)).toBe(-abi.EINVAL);
  expect(on.ring().ring.register(QUERY, null, 1)).toBe(-abi.EINVAL);
  expect(all(list.answer(0), 0xaa)).toBe(true);
});

onBoth("[register.query-entry] what is wrong with one entry is told there, and the next is answered", (on) => {
  const { ring } = on.ring();
  const list = new List(on, { op: 1 }, { op: 99, reserved: 1 }, { reserved: 1 }, { result: 1 }, { room: 0 }, { room: 8 });
  expect(ring.register(QUERY, list.at.addr, 0)).toBe(0);
  expect([0, 1].map((i) => list.said(i))).toEqual(Array(2).fill([-abi.EOPNOTSUPP, 0]));
  expect([2, 3, 4].map((i) => list.said(i))).toEqual(Array(3).fill([-abi.EINVAL, 0]));
  expect(list.said(5)).toEqual([0, 8]);
  // The room of a refused entry is made zero all the same.
  for (const i of [0, 1, 2, 3]) expect(all(list.answer(i).subarray(0, QUERY_OPCODE.size), 0)).toBe(true);
  expect(all(list.answer(4), 0xaa)).toBe(true);
});

onBoth("[register.query-size] little room, much room, and room that faults", (on) => {
  const { ring } = on.ring();
  const list = new List(on, { room: 3 }, { room: 40 }, { room: 60 });
  expect(ring.register(QUERY, list.at.addr, 0)).toBe(0);
  expect([0, 1, 2].map((i) => list.said(i))).toEqual([[0, 3], [0, 40], [0, QUERY_OPCODE.size]]);
  expect([...list.answer(0).subarray(0, 5)]).toEqual([Math.max(...on.kernel.profile.opcodes) + 1, 0, 0, 0xaa, 0xaa]);
  expect(all(list.answer(1).subarray(40), 0xaa)).toBe(true);
  expect(all(list.answer(2).subarray(QUERY_OPCODE.size, 60), 0)).toBe(true);
  expect(all(list.answer(2).subarray(60), 0xaa)).toBe(true);
  const data = on.kernel.memory.faultAddress;
  const faults = new List(on, {}, { data }, {});
  expect(ring.register(QUERY, faults.at.addr, 0)).toBe(-abi.EFAULT);
  // The first was answered, the one that faults is as it was, and the last was not reached.
  expect([0, 1, 2].map((i) => all(faults.answer(i), 0xaa))).toEqual([false, true, true]);
  expect(faults.said(1)).toEqual([0, QUERY_OPCODE.size]);
  expect(ring.register(QUERY, new List(on, { op: 99, data }).at.addr, 0)).toBe(-abi.EFAULT);
  expect(ring.register(QUERY, data, 0)).toBe(-abi.EFAULT);
});

onBoth("[register.query-list] how long a list may be", (on) => {
  const { ring } = on.ring();
  const long = (count: number): List => new List(on, ...Array.from({ length: count }, () => ({ room: 4 })));
  const list = long(999);
  expect(ring.register(QUERY, list.at.addr, 0)).toBe(0);
  const longer = long(1000);
  expect(ring.register(QUERY, longer.at.addr, 0)).toBe(-abi.ERANGE);
  expect(all(longer.answer(999).subarray(0, 4), 0xaa)).toBe(false);
});

onBoth("[register.query-list] a list that comes round to its beginning", (on) => {
  const { ring } = on.ring();
  const round = new List(on, { room: 4 }, { room: 4 });
  round.next(1, round.addr(0));
  expect(ring.register(QUERY, round.at.addr, 0)).toBe(-abi.ERANGE);
});

onBoth("[register.query-blind] without a ring", (on) => {
  const { ring } = on.ring(4, { flags: abi.IORING_SETUP_R_DISABLED });
  const blind = (opcode: number, arg: bigint | null, count = 0): number =>
    ring.register((opcode | abi.IORING_REGISTER_USE_REGISTERED_RING) >>> 0, arg, count, 0xffff_ffff);
  const list = new List(on, {}, { op: 99 });
  expect(blind(QUERY, list.at.addr)).toBe(0);
  expect([list.said(0), list.said(1)]).toEqual([[0, QUERY_OPCODE.size], [-abi.EOPNOTSUPP, 0]]);
  expect(blind(QUERY, list.at.addr, 1)).toBe(-abi.EINVAL);
  expect([abi.IORING_REGISTER_PERSONALITY, abi.IORING_REGISTER_ENABLE_RINGS, 200].map((opcode) => blind(opcode, null))).toEqual(Array(3).fill(-abi.EINVAL));
  // Nor does it ask a ring that the descriptor is.
  expect(ring.closeDescriptor()).toBe(0);
  expect(blind(QUERY, new List(on, {}).at.addr)).toBe(0);
  expect(ring.register(QUERY, null, 0)).toBe(-abi.EBADF);
});

onBoth("[register.probe-clamped] [register.probe-zeroed] memory behind the last opcode, and no entries at all", (on) => {
  const { ring } = on.ring();
  const region = on.buffer(16 + 8 * 256);
  const count = Math.max(...on.kernel.profile.opcodes) + 1;
  region.bytes[16 + 8 * count] = 1;
  expect(ring.register(abi.IORING_REGISTER_PROBE, region.addr, 256)).toBe(0);
  expect([...region.bytes.subarray(0, 2)]).toEqual([count - 1, count]);
  region.bytes.fill(0);
  region.bytes[16 + 8 * count - 1] = 1;
  expect(ring.register(abi.IORING_REGISTER_PROBE, region.addr, 256)).toBe(-abi.EINVAL);
  region.bytes.fill(0);
  expect(ring.register(abi.IORING_REGISTER_PROBE, region.addr, 0)).toBe(0);
  expect([...region.bytes.subarray(0, 20)]).toEqual([count - 1, ...Array<number>(19).fill(0)]);
  expect(ring.register(abi.IORING_REGISTER_PROBE, on.kernel.memory.faultAddress, 8)).toBe(-abi.EFAULT);
});
