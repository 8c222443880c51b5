// Each profile refuses what its release does not know, and knows what it has: every setup flag, enter flag, SQE flag,
// opcode, register opcode and flag of an operation, seen through a ring on the model of that profile.
import { afterEach, describe, expect, test } from "vitest";
import { Unmodelled, type KernelProfile, type SetupParams } from "../../src/kernel.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { has, PROFILES } from "../../src/model/profile.ts";
import { PROBE, PROBE_OP, RESTRICTION, RSRC_UPDATE } from "../../src/spec/codec.gen.ts";
import * as abi from "../../src/spec/constants.gen.ts";
import type { NamedValue } from "../../src/spec/constants.gen.ts";
import { OPS } from "../../src/spec/ops.gen.ts";
import { Bench, type SqeFields, type TestRing } from "../integration/rule/on-both.ts";

const benches: Bench[] = [];
afterEach(() => {
  for (const bench of benches.splice(0)) bench.kernel.close();
});

function benchOf(profile: KernelProfile): Bench {
  const bench = new Bench(createModelKernel({ profile }));
  benches.push(bench);
  return bench;
}

const knows = ({ version }: KernelProfile, { since }: { readonly since: string }): boolean => has(version, since);

/** What a flag is refused without. */
const NEEDS: ReadonlyMap<number, number> = new Map([
  [abi.IORING_SETUP_SQ_AFF, abi.IORING_SETUP_SQPOLL],
  [abi.IORING_SETUP_TASKRUN_FLAG, abi.IORING_SETUP_COOP_TASKRUN],
  [abi.IORING_SETUP_DEFER_TASKRUN, abi.IORING_SETUP_SINGLE_ISSUER],
  [abi.IORING_SETUP_REGISTERED_FD_ONLY, abi.IORING_SETUP_NO_MMAP],
  [abi.IORING_SETUP_HYBRID_IOPOLL, abi.IORING_SETUP_IOPOLL],
  [abi.IORING_SETUP_SQ_REWIND, abi.IORING_SETUP_NO_SQARRAY],
]);

const NOTHING_ALLOWED = { opcode: abi.IORING_RESTRICTION_SQE_FLAGS_ALLOWED, value: 0xff };

/** A ring that allows no opcode and no register opcode: what it knows it refuses with EACCES, what it does not with EINVAL. */
function closedRing(bench: Bench): TestRing {
  const ring = bench.ring(8, { flags: abi.IORING_SETUP_R_DISABLED });
  const bytes = new Uint8Array(RESTRICTION.size);
  new DataView(bytes.buffer).setUint16(RESTRICTION.opcode, NOTHING_ALLOWED.opcode, true);
  bytes[RESTRICTION.register_op] = NOTHING_ALLOWED.value;
  expect(ring.ring.register(abi.IORING_REGISTER_RESTRICTIONS, bench.buffer(bytes).addr, 1)).toBe(0);
  expect(ring.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0)).toBe(0);
  return ring;
}

const nop = (more: Partial<SqeFields> = {}): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData: 1n, ...more });

/** The result of one request, which is over when it was submitted; undefined: it is not over. */
function resultOf(ring: TestRing, sqe: SqeFields): number | undefined {
  ring.submit(sqe);
  return ring.reap()[0]?.res;
}

/** Typed apart from spec/. Features, setup and enter flags of 5.10, 6.1 and 6.12 are read from io_uring_create and io_uring_enter there. */
const LAST = {
  "5.10": { features: 0x7f, setup: 0x7f, enter: 0x7, sqe: 0x3f, opcode: abi.IORING_OP_TEE, register: abi.IORING_REGISTER_ENABLE_RINGS },
  "5.15": { features: 0x7ff, setup: 0x7f, enter: 0xf, sqe: 0x3f, opcode: abi.IORING_OP_LINKAT, register: abi.IORING_REGISTER_IOWQ_MAX_WORKERS },
  "6.1": { features: 0x1fff, setup: 0x3fff, enter: 0x1f, sqe: 0x7f, opcode: abi.IORING_OP_SENDMSG_ZC, register: abi.IORING_REGISTER_FILE_ALLOC_RANGE },
  "6.6": { features: 0x3fff, setup: 0x1ffff, enter: 0x1f, sqe: 0x7f, opcode: abi.IORING_OP_SENDMSG_ZC, register: abi.IORING_REGISTER_FILE_ALLOC_RANGE },
  "6.12": { features: 0xffff, setup: 0x1ffff, enter: 0x3f, sqe: 0x7f, opcode: abi.IORING_OP_LISTEN, register: abi.IORING_REGISTER_CLONE_BUFFERS },
  "6.18": { features: 0x3ffff, setup: 0x7ffff, enter: 0xff, sqe: 0x7f, opcode: abi.IORING_OP_PIPE, register: abi.IORING_REGISTER_QUERY },
} as const;

const NAMES = Object.keys(PROFILES) as (keyof typeof PROFILES)[]; // they are its own

describe.each(NAMES)("Linux %s", (name) => {
  const profile = PROFILES[name];
  const bits = (table: readonly NamedValue[]): number => table.reduce((all, flag) => (knows(profile, flag) ? (all | flag.value) >>> 0 : all), 0);

  test("the data agrees with what was written down apart from it: features, setup, enter and SQE flags, the last opcodes", () => {
    expect({
      features: bits(abi.FEATURES), setup: bits(abi.SETUP_FLAGS), enter: bits(abi.ENTER_FLAGS), sqe: bits(abi.SQE_FLAGS),
      opcode: Math.max(...OPS.filter((op) => knows(profile, op)).map((op) => op.number)),
      register: Math.max(...abi.REGISTER_OPCODES.filter((op) => knows(profile, op)).map((op) => op.value)),
    }).toEqual(LAST[name]);
  });

  test("[setup.flags-known] [setup.features] every setup flag", () => {
    const bench = benchOf(profile);
    const { fd, ring } = bench.ring();
    expect(ring.params.features).toBe(bits(abi.FEATURES));
    for (const flag of abi.SETUP_FLAGS) {
      const flags = (flag.value | (NEEDS.get(flag.value) ?? 0)) >>> 0;
      const params: SetupParams = {
        flags,
        ...(flag.value === abi.IORING_SETUP_CQSIZE ? { cqEntries: 8 } : {}), ...(flag.value === abi.IORING_SETUP_ATTACH_WQ ? { wqFd: fd } : {}),
      };
      // [setup.no-mmap-needs-memory]
      const known = (flags & abi.IORING_SETUP_NO_MMAP) === 0 ? 0 : abi.EFAULT;
      expect([flag.name, bench.setupErrno(4, params)]).toEqual([flag.name, knows(profile, flag) ? known : abi.EINVAL]);
    }
  });

  test("[enter.unknown-flag] every enter flag", () => {
    const bench = benchOf(profile);
    const { ring } = bench.ring();
    const slot = new Uint8Array(RSRC_UPDATE.size);
    new DataView(slot.buffer).setBigUint64(RSRC_UPDATE.data, BigInt(ring.fd), true);
    ring.register(abi.IORING_REGISTER_RING_FDS, bench.buffer(slot).addr, 1);
    for (const flag of abi.ENTER_FLAGS) {
      const index = flag.value === abi.IORING_ENTER_REGISTERED_RING && knows(profile, flag) ? 0 : undefined;
      expect([flag.name, ring.enter(0, 0, flag.value, undefined, index)]).toEqual([flag.name, knows(profile, flag) ? 0 : -abi.EINVAL]);
    }
    for (let bit = 8; bit < 32; bit++) expect([bit, ring.enter(0, 0, (1 << bit) >>> 0)]).toEqual([bit, -abi.EINVAL]);
  });

  test("[submit.invalid-flags] every SQE flag", () => {
    const bench = benchOf(profile);
    for (const flag of abi.SQE_FLAGS) {
      const ring = bench.ring();
      ring.submit(nop({ flags: flag.value }), nop({ userData: 2n }));
      ring.enter(0, 1, abi.IORING_ENTER_GETEVENTS);
      // [submit.buffer-select-unsupported] [skip.none-on-success]
      const known = flag.value === abi.IOSQE_BUFFER_SELECT ? -abi.EOPNOTSUPP : flag.value === abi.IOSQE_CQE_SKIP_SUCCESS ? undefined : 0;
      const seen = ring.reap().find(({ userData }) => userData === 1n);
      expect([flag.name, seen?.res]).toEqual([flag.name, knows(profile, flag) ? known : -abi.EINVAL]);
    }
    expect(resultOf(bench.ring(), nop({ flags: 0x80 }))).toBe(-abi.EINVAL);
  });

  test("[submit.invalid-opcode] [register.probe] every opcode, and what the probe says of it", () => {
    const bench = benchOf(profile);
    const probed = bench.buffer(PROBE.size + 256 * PROBE_OP.size);
    expect(bench.ring().ring.register(abi.IORING_REGISTER_PROBE, probed.addr, 256)).toBe(0);
    expect(probed.bytes[PROBE.last_op]).toBe(LAST[name].opcode);
    for (let opcode = 0; opcode < 80; opcode++) {
      const op = OPS[opcode];
      const known = op !== undefined && knows(profile, op);
      expect([opcode, resultOf(closedRing(bench), nop({ opcode }))]).toEqual([opcode, known ? -abi.EACCES : -abi.EINVAL]);
      expect([opcode, probed.bytes[PROBE.size + opcode * PROBE_OP.size + PROBE_OP.flags]]).toEqual([opcode, known ? abi.IO_URING_OP_SUPPORTED : 0]);
    }
  });

  test("[register.unknown-opcode] every register opcode, and by a registered ring's number", () => {
    const bench = benchOf(profile);
    const { ring } = closedRing(bench);
    for (let opcode = 0; opcode < 64; opcode++) {
      const known = abi.REGISTER_OPCODES.some((one) => one.value === opcode && knows(profile, one));
      expect([opcode, ring.register(opcode, null, 0)]).toEqual([opcode, known ? -abi.EACCES : -abi.EINVAL]);
    }
    const byIndex = (abi.IORING_REGISTER_PROBE | abi.IORING_REGISTER_USE_REGISTERED_RING) >>> 0;
    // [register.by-index]
    expect(ring.register(byIndex, null, 0, 3)).toBe(has(profile.version, "6.3") ? -abi.EBADF : -abi.EINVAL);
  });

  test("[cancel.flags-checked] every cancel flag", () => {
    const bench = benchOf(profile);
    for (const flag of abi.CANCEL_FLAGS) {
      const counts = flag.value === abi.IORING_ASYNC_CANCEL_ALL || flag.value === abi.IORING_ASYNC_CANCEL_ANY;
      const known = counts ? 0 : flag.value === abi.IORING_ASYNC_CANCEL_FD ? -abi.EBADF : -abi.ENOENT;
      const res = resultOf(bench.ring(), nop({ opcode: abi.IORING_OP_ASYNC_CANCEL, opFlags: flag.value, addr: 99n }));
      expect([flag.name, res]).toEqual([flag.name, knows(profile, flag) ? known : -abi.EINVAL]);
    }
  });

  test("[timeout.flags-checked] every timeout flag, of TIMEOUT and of TIMEOUT_REMOVE", () => {
    const bench = benchOf(profile);
    const addr = bench.timespec(1000n, 0n);
    const { IORING_TIMEOUT_UPDATE: update, IORING_LINK_TIMEOUT_UPDATE: linked, IORING_TIMEOUT_IMMEDIATE_ARG: immediate } = abi;
    for (const flag of abi.TIMEOUT_FLAGS) {
      const res = resultOf(bench.ring(), nop({ opcode: abi.IORING_OP_TIMEOUT, opFlags: flag.value, addr, len: 1 }));
      const pending = knows(profile, flag) && ![update, linked, immediate].includes(flag.value);
      // An absolute 1000 s has passed or not: the model's clock says.
      if (flag.value !== abi.IORING_TIMEOUT_ABS) expect([flag.name, res]).toEqual([flag.name, pending ? undefined : -abi.EINVAL]);
      const removes = resultOf(bench.ring(), nop({ opcode: abi.IORING_OP_TIMEOUT_REMOVE, opFlags: flag.value, addr: 99n, off: addr }));
      const known = knows(profile, flag) && (flag.value === update || flag.value === linked);
      expect([flag.name, removes]).toEqual([flag.name, known ? -abi.ENOENT : -abi.EINVAL]);
    }
  });

  test("[poll.level-refused] every poll flag, of POLL_ADD and of POLL_REMOVE", () => {
    const bench = benchOf(profile);
    const fd = bench.eventfd();
    for (const flag of abi.POLL_FLAGS) {
      const res = resultOf(bench.ring(), nop({ opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: abi.EPOLLIN, len: flag.value }));
      const multi = flag.value === abi.IORING_POLL_ADD_MULTI;
      expect([flag.name, res]).toEqual([flag.name, multi && knows(profile, flag) ? undefined : -abi.EINVAL]);
      const updates = flag.value === abi.IORING_POLL_UPDATE_EVENTS || flag.value === abi.IORING_POLL_UPDATE_USER_DATA;
      const removes = resultOf(bench.ring(), nop({ opcode: abi.IORING_OP_POLL_REMOVE, addr: 99n, len: flag.value }));
      expect([flag.name, removes]).toEqual([flag.name, updates && knows(profile, flag) ? -abi.ENOENT : -abi.EINVAL]);
    }
  });

  test("[nop.flags-checked] [nop.flags-ignored] every flag of NOP, and one that none knows", () => {
    const bench = benchOf(profile);
    const cqe32 = has(profile.version, "5.19") ? abi.IORING_SETUP_CQE32 : 0;
    const checks = has(profile.version, "6.10");
    for (const { name: flagName, value, since } of [...abi.NOP_FLAGS, { name: "none", value: 0x40, since: "9.99" }]) {
      const ring = bench.ring(8, { flags: cqe32 });
      const known = has(profile.version, since);
      ring.submit(nop({ opFlags: value, len: 5 }));
      ring.enter(0, 1, abi.IORING_ENTER_GETEVENTS);
      const asked = { [abi.IORING_NOP_INJECT_RESULT]: 5, [abi.IORING_NOP_FILE]: -abi.EBADF, [abi.IORING_NOP_FIXED_BUFFER]: -abi.EFAULT }[value] ?? 0;
      expect([flagName, ring.reap()[0]?.res]).toEqual([flagName, known ? asked : checks ? -abi.EINVAL : 0]);
    }
  });

  test("[msg-ring.flags-checked] a message's own flags", () => {
    if (!has(profile.version, "5.18")) return expect(profile.opcodes).not.toContain(abi.IORING_OP_MSG_RING);
    const ring = benchOf(profile).ring();
    const passes = has(profile.version, "6.3");
    ring.submit(nop({ opcode: abi.IORING_OP_MSG_RING, fd: ring.fd, off: 77n, opFlags: abi.IORING_MSG_RING_FLAGS_PASS, spliceFdIn: 8 }));
    expect(ring.reap().map(({ userData, res, flags }) => [userData, res, flags])).toEqual(passes ? [[77n, 0, 8], [1n, 0, 0]] : [[1n, -abi.EINVAL, 0]]);
  });

  test("what the model does not run it says so of, and never refuses as unknown", () => {
    const bench = benchOf(profile);
    const unmodelled = OPS.filter((op) => knows(profile, op) && !op.modelled);
    expect(unmodelled.length).toBeGreaterThan(10);
    for (const { number } of unmodelled) expect(() => bench.ring().submit(nop({ opcode: number, fd: bench.eventfd() }))).toThrow(Unmodelled);
  });
});
