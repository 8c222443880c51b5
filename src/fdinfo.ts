// What /proc/<pid>/fdinfo/<ring> shows of a ring: the text of the kernel, or of the model, read into plain data. The
// lines of procfs itself (pos, flags, mnt_id, ino) say nothing of the ring and are left out. Follows io_uring/fdinfo.c.

/** An entry of the SQ that no call has taken yet. */
export interface InfoSqe {
  /** Its slot, by the SQ array. */
  readonly slot: number;
  /** The kernel's name of the opcode, INVALID for one that it does not know. */
  readonly opcode: string;
  readonly fd: number;
  readonly flags: number;
  readonly off: bigint;
  readonly addr: bigint;
  readonly rwFlags: number;
  readonly bufIndex: number;
  readonly userData: bigint;
  /** The second half as eight words, where an SQE has 128 bytes. */
  readonly extra?: readonly bigint[];
}

export interface InfoCqe {
  readonly slot: number;
  readonly userData: bigint;
  readonly res: number;
  readonly flags: number;
  /** The second half, where a CQE has 32 bytes. */
  readonly extra?: readonly [bigint, bigint];
}

/** A completion in the backlog. */
export interface InfoOverflow {
  readonly userData: bigint;
  readonly res: number;
  readonly flags: number;
}

export interface InfoPoll {
  /** Of the request that polls, by number. */
  readonly opcode: number;
  /** Has the thread that reads task work pending, of whatever kind? */
  readonly taskWorks: boolean;
}

export interface InfoBuffer {
  readonly index: number;
  /** undefined: an empty slot. */
  readonly addr?: bigint | undefined;
  readonly length: number;
}

/** One reading. Counts are as printed: entries may be fewer. */
export interface RingInfo {
  readonly sqMask: number;
  readonly sqHead: number;
  readonly sqTail: number;
  readonly cachedSqHead: number;
  readonly cqMask: number;
  readonly cqHead: number;
  readonly cqTail: number;
  readonly cachedCqTail: number;
  /** SqTail less SqHead, whatever these are. */
  readonly sqeCount: number;
  readonly sqes: readonly InfoSqe[];
  readonly cqeCount: number;
  readonly cqes: readonly InfoCqe[];
  /** Thread id and CPU of the thread that polls the SQ, its CPU time and its work in microseconds. */
  readonly sqThread: number;
  readonly sqThreadCpu: number;
  readonly sqTotalTime: number;
  readonly sqWorkTime: number;
  readonly userFileCount: number;
  readonly userFiles: readonly { readonly index: number; readonly path: string }[];
  readonly userBufCount: number;
  readonly userBufs: readonly InfoBuffer[];
  /** Ids of registered credentials; Linux 6.18 shows none. */
  readonly personalities: readonly number[];
  readonly polls: readonly InfoPoll[];
  readonly overflow: readonly InfoOverflow[];
  /** "disabled", or how it tracks; undefined on a kernel without busy polling. */
  readonly napi?: string | undefined;
}

type Draft = { -readonly [K in keyof RingInfo]: RingInfo[K] extends readonly (infer T)[] ? T[] : RingInfo[K] };

const NUMBERS: Record<string, keyof RingInfo> = {
  SqMask: "sqMask", SqHead: "sqHead", SqTail: "sqTail", CachedSqHead: "cachedSqHead", CqMask: "cqMask", CqHead: "cqHead",
  CqTail: "cqTail", CachedCqTail: "cachedCqTail", SQEs: "sqeCount", CQEs: "cqeCount", SqThread: "sqThread",
  SqThreadCpu: "sqThreadCpu", SqTotalTime: "sqTotalTime", SqWorkTime: "sqWorkTime", UserFiles: "userFileCount", UserBufs: "userBufCount",
};
const OF_PROC = new Set(["pos", "flags", "mnt_id", "ino"]);
const LISTS = new Set(["Personalities", "PollList", "CqOverflowList"]);

const SQE = /^(\d+): opcode:(\w+), fd:(-?\d+), flags:([0-9a-f]+), off:(\d+), addr:0x([0-9a-f]+), rw_flags:0x([0-9a-f]+), buf_index:(\d+),? user_data:(\d+)(.*)$/;
const CQE = /^(\d+): user_data:(\d+), res:(-?\d+), flags?:([0-9a-f]+)(?:, extra1:(\d+), extra2:(\d+))?$/;
const OVERFLOW = /^user_data=(\d+), res=(-?\d+), flags=([0-9a-f]+)$/;
const POLL = /^op=(\d+), task_works=(\d+)$/;
const BUFFER = /^(\d+): (?:0x([0-9a-f]+)\/(\d+)|<none>)$/;

const hex = (digits: string | undefined): number => Number.parseInt(digits ?? "0", 16);

function sqeOf(match: RegExpExecArray): InfoSqe {
  const [, slot, opcode = "", fd, flags, off = "0", addr = "0", rwFlags, bufIndex, userData = "0", rest = ""] = match;
  const extra = [...rest.matchAll(/e\d:0x([0-9a-f]+)/g)].map(([, word]) => BigInt(`0x${word}`));
  return {
    slot: Number(slot), opcode, fd: Number(fd), flags: hex(flags), off: BigInt(off), addr: BigInt(`0x${addr}`), rwFlags: hex(rwFlags),
    bufIndex: Number(bufIndex), userData: BigInt(userData), ...(extra.length === 0 ? {} : { extra }),
  };
}

function cqeOf(match: RegExpExecArray): InfoCqe {
  const [, slot, userData = "0", res, flags, first, second] = match;
  const extra = first === undefined || second === undefined ? {} : { extra: [BigInt(first), BigInt(second)] as const };
  return { slot: Number(slot), userData: BigInt(userData), res: Number(res), flags: hex(flags), ...extra };
}

/** Adds one entry of the list that `section` heads; false where it is none. */
function entry(info: Draft, section: string, line: string): boolean {
  let match: RegExpExecArray | null = null;
  switch (section) {
    case "SQEs":
      if ((match = SQE.exec(line)) !== null) info.sqes.push(sqeOf(match));
      break;
    case "CQEs":
      if ((match = CQE.exec(line)) !== null) info.cqes.push(cqeOf(match));
      break;
    case "UserFiles":
      if ((match = /^(\d+): (.*)$/.exec(line)) !== null) info.userFiles.push({ index: Number(match[1]), path: match[2] ?? "" });
      break;
    case "UserBufs":
      if ((match = BUFFER.exec(line)) !== null)
        info.userBufs.push({ index: Number(match[1]), addr: match[2] === undefined ? undefined : BigInt(`0x${match[2]}`), length: Number(match[3] ?? 0) });
      break;
    case "Personalities":
      // What each may do is no business of the ring's.
      if ((match = /^(\d+)$|^(?:Uid|Gid|Groups|CapEff):/.exec(line)) !== null && match[1] !== undefined) info.personalities.push(Number(match[1]));
      break;
    case "PollList":
      if ((match = POLL.exec(line)) !== null) info.polls.push({ opcode: Number(match[1]), taskWorks: match[2] !== "0" });
      break;
    case "CqOverflowList":
      if ((match = OVERFLOW.exec(line)) !== null) info.overflow.push({ userData: BigInt(match[1] ?? 0), res: Number(match[2]), flags: hex(match[3]) });
      break;
    case "NAPI":
      match = /^napi[ _]/.exec(line);
      break;
  }
  return match !== null;
}

/** Reads the text of one ring. undefined: the ring was locked, and nothing of it is shown. Throws an Error that quotes a line it can't read. */
export function parseFdinfo(text: string): RingInfo | undefined {
  const info: Draft = {
    sqMask: 0, sqHead: 0, sqTail: 0, cachedSqHead: 0, cqMask: 0, cqHead: 0, cqTail: 0, cachedCqTail: 0, sqeCount: 0, sqes: [], cqeCount: 0,
    cqes: [], sqThread: -1, sqThreadCpu: -1, sqTotalTime: 0, sqWorkTime: 0, userFileCount: 0, userFiles: [], userBufCount: 0, userBufs: [],
    personalities: [], polls: [], overflow: [], napi: undefined,
  };
  const counts = info as unknown as Record<string, number>;
  let section = "";
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "") continue;
    const [, name = "", value = ""] = /^(\w+):\s*(.*)$/.exec(raw) ?? [];
    const field = NUMBERS[name];
    if (field !== undefined) counts[field] = Number(value);
    else if (name === "NAPI") info.napi = value;
    else if (!LISTS.has(name)) {
      if (OF_PROC.has(name) || entry(info, section, line)) continue;
      throw new Error(`fdinfo of a ring: can't read the line ${JSON.stringify(raw)}${section === "" ? "" : ` below ${section}`}`);
    }
    section = name;
  }
  return section === "" ? undefined : info;
}
