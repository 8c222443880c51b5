// Chapter rw: attr_type_mask and attr_ptr, the last words of an SQE. Memory with attributes is asked for one kind of
// them only (protection information), which none of these files takes.
import { abi, accepted, atSubmission, Bench, expect, onBoth, type SqeFields } from "./on-both.ts";
import { ATTR_PI } from "../../../src/spec/codec.gen.ts";
import { place, type Place } from "./rw-kit.ts";

const PI = BigInt(abi.IORING_RW_ATTR_FLAG_PI);

/** Every form of read and write, on a file that each of them takes. */
function forms(on: Bench, more: Partial<SqeFields>, at: Place = place(on, 8)): SqeFields[] {
  const fd = on.file(16);
  const addr = on.iovec(at);
  return [
    { opcode: abi.IORING_OP_READ, ...at }, { opcode: abi.IORING_OP_WRITE, ...at },
    { opcode: abi.IORING_OP_READV, addr, len: 1 }, { opcode: abi.IORING_OP_WRITEV, addr, len: 1 },
    { opcode: abi.IORING_OP_READ_FIXED, ...at }, { opcode: abi.IORING_OP_WRITE_FIXED, ...at },
    { opcode: abi.IORING_OP_READV_FIXED, addr, len: 1 }, { opcode: abi.IORING_OP_WRITEV_FIXED, addr, len: 1 },
  ].map((sqe) => ({ fd, userData: 1n, ...sqe, ...more }));
}

/** Attributes in memory, all zero but for what is given. */
function attributes(on: Bench, fill: (to: DataView) => void = () => {}): bigint {
  const { addr, bytes } = on.buffer(ATTR_PI.size);
  fill(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return addr;
}

onBoth("[rw.attribute-kinds] more than the one kind that there is", (on) => {
  for (const pad of [2n, 3n, 1n << 32n, 1n << 63n, (1n << 64n) - 1n]) {
    for (const sqe of forms(on, { pad, addr3: attributes(on) })) expect(atSubmission(on, sqe), `opcode ${sqe.opcode}, 0x${pad.toString(16)}`).toBe(-abi.EINVAL);
  }
});

onBoth("[rw.attribute-kinds] [rw.priority-checked] [rw.bad-vector] before the vector, and behind ioprio", (on) => {
  const bad = { opcode: abi.IORING_OP_READV, fd: on.file(16), addr: on.kernel.memory.faultAddress, len: 1, userData: 1n };
  expect(atSubmission(on, bad)).toBe(-abi.EFAULT);
  expect(atSubmission(on, { ...bad, pad: 2n })).toBe(-abi.EINVAL);
  const at = place(on, 8);
  const real = { opcode: abi.IORING_OP_READ, fd: on.file(16), ...at, userData: 1n, ioprio: 1, addr3: on.kernel.memory.faultAddress };
  expect(atSubmission(on, { ...real, pad: PI })).toBe(-abi.EINVAL);
});

onBoth("[rw.attribute-memory] memory that is not there, or not as it should be", (on) => {
  for (const addr3 of [0n, on.kernel.memory.faultAddress])
    for (const sqe of forms(on, { pad: PI, addr3 })) expect(atSubmission(on, sqe), `opcode ${sqe.opcode}`).toBe(-abi.EFAULT);
  for (const sqe of forms(on, { pad: PI, addr3: attributes(on, (to) => to.setBigUint64(ATTR_PI.rsvd, 1n, true)) }))
    expect(atSubmission(on, sqe), `opcode ${sqe.opcode}`).toBe(-abi.EINVAL);
  const far = (addr: bigint, len: number): bigint => attributes(on, (to) => {
    to.setBigUint64(ATTR_PI.addr, addr, true);
    to.setUint32(ATTR_PI.len, len, true);
  });
  for (const [addr, len] of [[1n << 63n, 1], [0x7fff_ffff_f000n, 1], [0x7fff_ffff_e000n, 0x1001]] as const)
    for (const sqe of forms(on, { pad: PI, addr3: far(addr, len) })) expect(atSubmission(on, sqe), `opcode ${sqe.opcode}`).toBe(-abi.EFAULT);
});

onBoth("[rw.attribute-files] attributes that are right, on files that take none", (on) => {
  const at = place(on, 8);
  const pipe = on.pipe();
  const right = { pad: PI, addr3: attributes(on) };
  for (const sqe of forms(on, right).slice(0, 4)) expect(accepted(on, sqe), `opcode ${sqe.opcode}`).toBe(-abi.EINVAL);
  expect(accepted(on, { opcode: abi.IORING_OP_WRITE, fd: pipe.write, ...at, userData: 1n, ...right })).toBe(-abi.EINVAL);
  expect(accepted(on, { opcode: abi.IORING_OP_READ, fd: pipe.read, ...at, userData: 1n, ...right })).toBe(-abi.EINVAL);
  expect(accepted(on, { opcode: abi.IORING_OP_WRITE, fd: on.eventfd(), ...at, userData: 1n, ...right })).toBe(-abi.EINVAL);
  // What is wrong with the file or the flags is said first.
  expect(accepted(on, { opcode: abi.IORING_OP_WRITE, fd: pipe.read, ...at, userData: 1n, ...right })).toBe(-abi.EBADF);
  expect(accepted(on, { opcode: abi.IORING_OP_READ, fd: pipe.read, ...at, userData: 1n, opFlags: 1 << 20, ...right })).toBe(-abi.EOPNOTSUPP);
  // The buffer of the attributes is not looked at.
  const far = attributes(on, (to) => {
    to.setBigUint64(ATTR_PI.addr, 0x7fff_ffff_e000n, true);
    to.setUint32(ATTR_PI.len, 0x1000, true);
  });
  expect(accepted(on, { opcode: abi.IORING_OP_READ, fd: pipe.read, ...at, userData: 1n, pad: PI, addr3: far })).toBe(-abi.EINVAL);
  // Without a kind the address says nothing.
  expect(accepted(on, { opcode: abi.IORING_OP_READ, fd: on.file(16), ...at, userData: 1n, addr3: 5n })).toBe(8);
});
