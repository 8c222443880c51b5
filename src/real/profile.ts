// What the running kernel has, found by asking it: never from its version. The file system's habits are
// asked of the kernel's own directory, by whether a completion is there right after a submission that
// runs no task work.
import { statSync } from "node:fs";
import { release } from "node:os";
import type { Fd, FileProfile, Kernel, KernelProfile, Ring } from "../kernel.ts";
import { KernelError } from "../kernel.ts";
import { GETEVENTS_ARG, KERNEL_TIMESPEC, PROBE, PROBE_OP, SQE } from "../spec/codec.gen.ts";
import {
  EINVAL, IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, IORING_OP_READ, IORING_OP_WRITE, IORING_REGISTER_PROBE,
  IORING_SETUP_ATTACH_WQ, IORING_SETUP_COOP_TASKRUN, IORING_SETUP_CQSIZE, IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_HYBRID_IOPOLL, IORING_SETUP_IOPOLL, IORING_SETUP_NO_MMAP, IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_REGISTERED_FD_ONLY, IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_SQPOLL, IORING_SETUP_SQ_AFF,
  IORING_SETUP_SQ_REWIND, IORING_SETUP_TASKRUN_FLAG, IO_URING_OP_SUPPORTED, O_CREAT, O_RDWR, SETUP_FLAGS,
} from "../spec/constants.gen.ts";

interface KernelFacts {
  readonly features: number;
  readonly setupFlags: number;
  readonly opcodes: readonly number[];
}

/** The kernel does not change while the process runs. */
let facts: KernelFacts | undefined;
/** By device number. */
const fileProfiles = new Map<number, FileProfile>();

export function probeProfile(kernel: Kernel): KernelProfile {
  const known = (facts ??= probeFacts(kernel));
  const device = statSync(kernel.directory).dev;
  let file = fileProfiles.get(device);
  if (file === undefined) {
    file = probeFiles(kernel, known.setupFlags);
    fileProfiles.set(device, file);
  }
  const [major = 0, minor = 0] = release().split(/[.-]/).map((part) => Number.parseInt(part, 10));
  return { release: release(), version: [major, minor], ...known, file };
}

/**
 * The first ring of a thread decides how many bounded workers all its rings have, ever: the smaller of
 * its entries and four a processor (io_uring/tctx.c io_init_wq_offload()). A small one would let one
 * request that blocks hold up every other.
 */
const FIRST_RING_ENTRIES = 256;

function probeFacts(kernel: Kernel): KernelFacts {
  const ring = kernel.setup(FIRST_RING_ENTRIES);
  try {
    return { features: ring.params.features, setupFlags: probeSetupFlags(kernel, ring), opcodes: probeOpcodes(kernel, ring) };
  } finally {
    ring.close();
  }
}

function probeOpcodes(kernel: Kernel, ring: Ring): number[] {
  const opsMax = 256;
  const region = kernel.memory.alloc(PROBE.size + opsMax * PROBE_OP.size);
  try {
    if (ring.register(IORING_REGISTER_PROBE, region.addr, opsMax) < 0) return []; // before 5.6
    const view = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.byteLength);
    const count = view.getUint8(PROBE.ops_len);
    return Array.from({ length: count }, (_, index) => PROBE.ops + index * PROBE_OP.size)
      .filter((at) => (view.getUint16(at + PROBE_OP.flags, true) & IO_URING_OP_SUPPORTED) !== 0)
      .map((at) => view.getUint8(at + PROBE_OP.op));
  } finally {
    kernel.memory.free(region);
  }
}

/** A flag that is refused alone, with what it needs. */
const prerequisites: ReadonlyMap<number, number> = new Map([
  [IORING_SETUP_SQ_AFF, IORING_SETUP_SQPOLL],
  [IORING_SETUP_TASKRUN_FLAG, IORING_SETUP_COOP_TASKRUN],
  [IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_SINGLE_ISSUER],
  [IORING_SETUP_REGISTERED_FD_ONLY, IORING_SETUP_NO_MMAP],
  [IORING_SETUP_HYBRID_IOPOLL, IORING_SETUP_IOPOLL],
  [IORING_SETUP_SQ_REWIND, IORING_SETUP_NO_SQARRAY],
]);

/** Tries every flag: a kernel that does not know it answers EINVAL. NO_MMAP, known, faults on the memory we don't name. */
function probeSetupFlags(kernel: Kernel, ring: Ring): number {
  let known = 0;
  for (const { value } of SETUP_FLAGS) {
    try {
      const flags = (value | (prerequisites.get(value) ?? 0)) >>> 0;
      kernel
        .setup(1, {
          flags,
          ...(value === IORING_SETUP_CQSIZE ? { cqEntries: 2 } : {}),
          ...(value === IORING_SETUP_ATTACH_WQ ? { wqFd: ring.fd } : {}),
        })
        .close();
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (error.errno === EINVAL) continue;
    }
    known |= value;
  }
  return known >>> 0;
}

const tries = 8;

function probeFiles(kernel: Kernel, setupFlags: number): FileProfile {
  const deferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const unknown: FileProfile = { readInline: undefined, writeInline: undefined };
  // On other rings a worker may post between the submission and our look.
  if ((setupFlags & deferred) !== deferred) return unknown;
  const fd = kernel.system.open("profile-probe", O_CREAT | O_RDWR);
  if (fd < 0) return unknown;
  const ring = kernel.setup(1, { flags: deferred });
  const buffer = kernel.memory.alloc(512);
  try {
    // Written just now, so the page cache holds it.
    kernel.system.pwrite(fd, new Uint8Array(8192), 0);
    const agree = (opcode: number) => {
      const seen = Array.from({ length: tries }, (_, index) => completesInline(kernel, ring, { opcode, fd, addr: buffer.addr, offset: index * 512 }));
      return seen.every((inline) => inline === seen[0]) ? seen[0] : undefined;
    };
    return { readInline: agree(IORING_OP_READ), writeInline: agree(IORING_OP_WRITE) };
  } finally {
    ring.close();
    kernel.memory.free(buffer);
    kernel.system.close(fd);
    kernel.system.unlink("profile-probe");
  }
}

interface Transfer {
  readonly opcode: number;
  readonly fd: Fd;
  readonly addr: bigint;
  readonly offset: number;
}

/** Submits one transfer of 512 bytes: is its completion there before any task work runs? undefined: it failed. */
function completesInline(kernel: Kernel, ring: Ring, transfer: Transfer): boolean | undefined {
  const { sqOff, cqOff } = ring.params;
  const sq = new DataView(ring.sqRing.buffer);
  const cq = new DataView(ring.cqRing.buffer);
  const sqe = new DataView(ring.sqes.buffer);
  ring.sqes.fill(0, 0, SQE.size);
  sqe.setUint8(SQE.opcode, transfer.opcode);
  sqe.setInt32(SQE.fd, transfer.fd, true);
  sqe.setBigUint64(SQE.off, BigInt(transfer.offset), true);
  sqe.setBigUint64(SQE.addr, transfer.addr, true);
  sqe.setUint32(SQE.len, 512, true);
  sq.setUint32(sqOff.tail, sq.getUint32(sqOff.tail, true) + 1, true);
  if (ring.enter(1, 0, 0) !== 1) return undefined;
  const posted = () => cq.getUint32(cqOff.tail, true) !== cq.getUint32(cqOff.head, true);
  const inline = posted();
  if (!inline) waitForOne(kernel, ring);
  if (!posted()) return undefined;
  cq.setUint32(cqOff.head, cq.getUint32(cqOff.tail, true), true);
  return inline;
}

/** One completion, or ten seconds: a disk may be slow, a probe must not hang. */
function waitForOne(kernel: Kernel, ring: Ring): void {
  const region = kernel.memory.alloc(GETEVENTS_ARG.size + KERNEL_TIMESPEC.size);
  const view = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.byteLength);
  view.setBigUint64(GETEVENTS_ARG.ts, region.addr + BigInt(GETEVENTS_ARG.size), true);
  view.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_sec, 10n, true);
  ring.enter(0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, { addr: region.addr, size: GETEVENTS_ARG.size });
  kernel.memory.free(region);
}
