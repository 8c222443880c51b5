// What procfs shows of a ring. Follows io_uring/fdinfo.c, and fs/seq_file.c for what a read(2) of it is.
import type { InfoCqe, InfoSqe, RingInfo } from "../fdinfo.ts";
import { CQE, SQE } from "../spec/codec.gen.ts";
import { IORING_CQE_F_32, IORING_OP_EPOLL_CTL, IORING_SETUP_CQE32, IORING_SETUP_NO_SQARRAY, IORING_SETUP_SQE128, OPCODE_NAMES } from "../spec/constants.gen.ts";
import { leaveCall } from "./enter.ts";
import { CQES, WORD } from "./layout.ts";
import type { Machine } from "./machine.ts";
import { load32, load64 } from "./memory.ts";
import { hashed } from "./poll.ts";
import { hasPollThread } from "./sqpoll.ts";

/** One read(2) of it, by the thread that uses the ring. */
export function readInfo(m: Machine): RingInfo {
  m.inCall = !hasPollThread(m);
  try {
    const info = ringInfo(m);
    // [fdinfo.changes-nothing] [fdinfo.runs-task-work] [fdinfo.not-deferred-work] only on the way back: what it shows is older
    leaveCall(m);
    return info;
  } finally {
    m.inCall = false;
  }
}

/** What is shown at this moment. */
export function ringInfo(m: Machine): RingInfo {
  const { ring } = m;
  const { bytes } = ring.ring;
  const sqHead = load32(bytes, WORD.sqHead);
  const sqTail = load32(bytes, WORD.sqTail);
  const cqHead = load32(bytes, WORD.cqHead);
  const cqTail = load32(bytes, WORD.cqTail);
  // [fdinfo.words] the masks and the cached indices are the kernel's own, the others as they stand in the ring
  const sqeCount = (sqTail - sqHead) >>> 0;
  const cqeCount = (cqTail - cqHead) >>> 0;
  // [fdinfo.overflow-list]
  const overflow = ring.overflow.map(({ userData, res, flags }) => ({ userData, res, flags }));
  return {
    sqMask: ring.sqEntries - 1, sqHead, sqTail, cachedSqHead: ring.cachedSqHead,
    cqMask: ring.cqEntries - 1, cqHead, cqTail, cachedCqTail: ring.cachedCqTail,
    sqeCount, sqes: sqes(m, sqHead, sqeCount), cqeCount, cqes: cqes(m, cqHead, cqeCount),
    // [fdinfo.no-sq-thread]
    sqThread: -1, sqThreadCpu: -1, sqTotalTime: 0, sqWorkTime: 0,
    // [fdinfo.nothing-registered] [fdinfo.no-personalities]
    userFileCount: 0, userFiles: [], userBufCount: 0, userBufs: [], personalities: [],
    // [fdinfo.poll-list] [fdinfo.task-works]
    polls: hashed(m).map((r) => ({ opcode: r.opcode, taskWorks: m.taskWorks.length > 0 })),
    overflow,
    napi: "disabled",
  };
}

/** [fdinfo.sqes] By the SQ array, an index out of range is passed over; without an array none is shown. */
export function sqes(m: Machine, head: number, count: number): InfoSqe[] {
  const { ring } = m;
  const found: InfoSqe[] = [];
  // [fdinfo.sqes-no-array]
  if ((ring.flags & IORING_SETUP_NO_SQARRAY) !== 0) return found;
  for (let i = 0; i < Math.min(count, ring.sqEntries); i++) {
    const slot = load32(ring.ring.bytes, ring.arrayOffset + 4 * ((head + i) & (ring.sqEntries - 1)));
    if (slot < ring.sqEntries) found.push(sqe(m, slot));
  }
  return found;
}

function sqe(m: Machine, slot: number): InfoSqe {
  const { ring } = m;
  const { bytes } = ring.sqes;
  const at = slot * ring.sqeSize;
  const extra = Array.from({ length: 8 }, (_, i) => load64(bytes, at + SQE.size + 8 * i));
  return {
    slot,
    opcode: opcodeName(m, bytes[at + SQE.opcode] ?? 0),
    fd: load32(bytes, at + SQE.fd) | 0,
    flags: bytes[at + SQE.flags] ?? 0,
    off: load64(bytes, at + SQE.off),
    addr: load64(bytes, at + SQE.addr),
    rwFlags: load32(bytes, at + SQE.op_flags),
    bufIndex: load32(bytes, at + SQE.buf_index) & 0xffff,
    userData: load64(bytes, at + SQE.user_data),
    ...((ring.flags & IORING_SETUP_SQE128) === 0 ? {} : { extra }),
  };
}

/** [fdinfo.opcode-names] */
function opcodeName(m: Machine, opcode: number): string {
  if (opcode > Math.max(...m.profile.opcodes)) return "INVALID";
  return opcode === IORING_OP_EPOLL_CTL ? "EPOLL" : (OPCODE_NAMES[opcode] ?? "INVALID");
}

/** [fdinfo.cqes] From the head on, as many as a CQ has: a head or tail that lies shows old ones. */
export function cqes(m: Machine, head: number, count: number): InfoCqe[] {
  const { ring } = m;
  const { bytes } = ring.ring;
  const found: InfoCqe[] = [];
  for (let i = 0; i < Math.min(count, ring.cqEntries); i++) {
    const slot = (head + i) & (ring.cqEntries - 1);
    // [fdinfo.cqe32-half] slots are taken for 16 bytes, however long they are
    const at = CQES + slot * CQE.size;
    const flags = load32(bytes, at + CQE.flags);
    const cqe = { slot, userData: load64(bytes, at + CQE.user_data), res: load32(bytes, at + CQE.res) | 0, flags };
    const big = (flags & IORING_CQE_F_32) !== 0 || (ring.flags & IORING_SETUP_CQE32) !== 0;
    found.push(big ? { ...cqe, extra: [load64(bytes, at + CQE.size), load64(bytes, at + CQE.size + 8)] } : cqe);
    if (big) i++;
  }
  return found;
}

const hex = (n: number | bigint): string => n.toString(16);
const indexed = (index: number, text: string): string => `${String(index).padStart(5)}: ${text}`;

/** The text of it, as the kernel prints it. */
export function formatInfo(info: RingInfo): string {
  const lines = [
    `SqMask:\t0x${hex(info.sqMask)}`, `SqHead:\t${info.sqHead}`, `SqTail:\t${info.sqTail}`, `CachedSqHead:\t${info.cachedSqHead}`,
    `CqMask:\t0x${hex(info.cqMask)}`, `CqHead:\t${info.cqHead}`, `CqTail:\t${info.cqTail}`, `CachedCqTail:\t${info.cachedCqTail}`,
    `SQEs:\t${info.sqeCount}`,
  ];
  for (const s of info.sqes) {
    const fields = `opcode:${s.opcode}, fd:${s.fd}, flags:${hex(s.flags)}, off:${s.off}, addr:0x${hex(s.addr)}, rw_flags:0x${hex(s.rwFlags)}`;
    const extra = (s.extra ?? []).map((word, i) => `, e${i}:0x${hex(word)}`).join("");
    lines.push(indexed(s.slot, `${fields}, buf_index:${s.bufIndex} user_data:${s.userData}${extra}`));
  }
  lines.push(`CQEs:\t${info.cqeCount}`);
  for (const c of info.cqes) {
    const extra = c.extra === undefined ? "" : `, extra1:${c.extra[0]}, extra2:${c.extra[1]}\n`;
    lines.push(indexed(c.slot, `user_data:${c.userData}, res:${c.res}, flag:${hex(c.flags)}${extra}`));
  }
  lines.push(`SqThread:\t${info.sqThread}`, `SqThreadCpu:\t${info.sqThreadCpu}`, `SqTotalTime:\t${info.sqTotalTime}`, `SqWorkTime:\t${info.sqWorkTime}`);
  lines.push(`UserFiles:\t${info.userFileCount}`, ...info.userFiles.map(({ index, path }) => indexed(index, path)));
  const buffer = (addr: bigint | undefined, length: number): string => (addr === undefined ? "<none>" : `0x${hex(addr)}/${length}`);
  lines.push(`UserBufs:\t${info.userBufCount}`, ...info.userBufs.map(({ index, addr, length }) => indexed(index, buffer(addr, length))));
  if (info.personalities.length > 0) lines.push("Personalities:", ...info.personalities.map((id) => String(id).padStart(5)));
  lines.push("PollList:", ...info.polls.map(({ opcode, taskWorks }) => `  op=${opcode}, task_works=${taskWorks ? 1 : 0}`));
  lines.push("CqOverflowList:", ...info.overflow.map(({ userData, res, flags }) => `  user_data=${userData}, res=${res}, flags=${hex(flags)}`));
  if (info.napi !== undefined) lines.push(`NAPI:\t${info.napi}`);
  return `${lines.join("\n")}\n`;
}
