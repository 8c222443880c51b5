// What is true of every driver, whatever it is asked for: each request reaches the kernel once, in order and as it
// was asked for; each completion comes back once, in order and unchanged; what the driver says of its queues is so;
// what must come does. Kept by two ledgers, one at the driver's face and one at the port, that must agree.
import type { Completion } from "../../../src/driver.ts";
import { SQE } from "../../../src/spec/codec.gen.ts";
import {
  IORING_CQE_F_MORE, IORING_OP_ASYNC_CANCEL, IORING_OP_NOP, IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE, IORING_OP_READ, IORING_OP_READV, IORING_OP_TIMEOUT, IORING_OP_WRITE,
  IORING_OP_WRITEV, IORING_POLL_ADD_MULTI, IOSQE_IO_HARDLINK, IOSQE_IO_LINK,
} from "../../../src/spec/constants.gen.ts";
import type { SeenCqe } from "../../../src/program/trace.ts";
import type { RuleId } from "../bug.ts";

/** A law was broken: what was seen, what it should have been, and the rules that say so. */
export class BrokenLaw extends Error {
  readonly rules: readonly RuleId[];
  readonly allowed: string;
  constructor(rules: readonly RuleId[], seen: string, allowed: string) {
    super(seen);
    this.name = "BrokenLaw";
    this.rules = rules;
    this.allowed = allowed;
  }
}

/** What the application asked for: the SQE that says it. */
export interface Asked {
  /** 64 bytes; the address is 0 where it points to `pointee`. */
  readonly bytes: Uint8Array;
  /** What the SQE points to: an iovec, a path, a time. */
  readonly pointee?: Uint8Array;
}

/** An interest in readiness that the application has. */
export interface Interest {
  readonly events: number;
  readonly oneshot: boolean;
}

/** user_data of a driver's own requests. */
const POLLS = 0xfeedn;
const REMOVALS = 0xfeeen;
const tagOf = (userData: bigint): bigint => userData >> 48n;
export const isOwn = (userData: bigint): boolean => tagOf(userData) === POLLS || tagOf(userData) === REMOVALS;

const FIELDS = [
  ["opcode", SQE.opcode, 1], ["flags", SQE.flags, 1], ["ioprio", SQE.ioprio, 2], ["fd", SQE.fd, 4], ["off", SQE.off, 8], ["addr", SQE.addr, 8], ["len", SQE.len, 4],
  ["op_flags", SQE.op_flags, 4], ["user_data", SQE.user_data, 8], ["buf_index", SQE.buf_index, 2], ["personality", SQE.personality, 2], ["splice_fd_in", SQE.splice_fd_in, 4],
] as const;
type Field = (typeof FIELDS)[number][0] | "what it points to" | "reserved words";

/** The rule that says what a field means, where only that one is wrong. */
const RULE_OF: Partial<Record<Field, RuleId>> = {
  opcode: "submit.invalid-opcode", flags: "submit.invalid-flags", ioprio: "submit.ioprio", personality: "submit.personality", fd: "issue.bad-fd", user_data: "sq.user-data",
  "what it points to": "sq.stable-arguments",
};
/** The same for fields that each operation has its own use for. */
const RULE_OF_OPERATION: Readonly<Record<string, RuleId>> = {
  [`${IORING_OP_NOP} len`]: "nop.inject-result", [`${IORING_OP_NOP} op_flags`]: "nop.flags-checked", [`${IORING_OP_READ} off`]: "rw.current-position",
  [`${IORING_OP_WRITE} off`]: "rw.current-position", [`${IORING_OP_READV} off`]: "rw.current-position", [`${IORING_OP_WRITEV} off`]: "rw.current-position",
  [`${IORING_OP_READ} len`]: "rw.result-count", [`${IORING_OP_WRITE} len`]: "rw.result-count", [`${IORING_OP_READV} len`]: "rw.bad-vector", [`${IORING_OP_WRITEV} len`]: "rw.bad-vector",
  [`${IORING_OP_TIMEOUT} off`]: "timeout.count-satisfied", [`${IORING_OP_TIMEOUT} len`]: "timeout.len-one", [`${IORING_OP_TIMEOUT} op_flags`]: "timeout.flags-checked",
  [`${IORING_OP_POLL_ADD} op_flags`]: "poll.wake-mask", [`${IORING_OP_POLL_ADD} len`]: "poll.one-shot", [`${IORING_OP_ASYNC_CANCEL} op_flags`]: "cancel.keys",
  [`${IORING_OP_ASYNC_CANCEL} addr`]: "cancel.keys",
};
/** So many fields are not one mistake: the kernel was shown other memory. */
const OTHER_MEMORY = 3;

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, at) => byte === b[at]);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex").replace(/(00)+$/, "...");
const number64 = (bytes: Uint8Array, at: number): bigint => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(at, true);
const number32 = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at, true);

export class Laws {
  readonly #load: (addr: bigint, size: number) => Uint8Array | undefined;
  readonly #asked: Asked[] = [];
  /** Requests of the application, and of the driver itself, that the kernel took. */
  taken = 0;
  ownTaken = 0;
  /** Completions that the kernel posted, of whatever. */
  posted = 0;
  /** Completions that the driver handed over, of whatever. */
  handedOver = 0;
  /** Completions of the application's requests. */
  readonly #posted: SeenCqe[] = [];
  #delivered = 0;
  readonly #ownPosted: SeenCqe[] = [];
  readonly interests = new Map<number, Interest>();
  /** Readiness polls that the kernel has, by user_data: the descriptor. */
  readonly #polls = new Map<bigint, number>();
  /** Those that the kernel was asked to remove. */
  readonly #removed = new Set<bigint>();
  /** The newest of each descriptor. */
  readonly #newest = new Map<number, bigint>();
  /** The SQE that was taken last is linked to the one behind it. */
  #linked = false;
  readonly #polled: boolean;

  /** `load`: what the driver's memory holds. `polled`: a thread of the kernel's takes SQEs. */
  constructor(polled: boolean, load: (addr: bigint, size: number) => Uint8Array | undefined) {
    this.#polled = polled;
    this.#load = load;
  }

  /** A call begins: no chain goes on in it. */
  submission(): void {
    this.#linked = false;
  }

  get asked(): number {
    return this.#asked.length;
  }
  /** Posted, and not handed to the application. */
  get unread(): number {
    return this.#posted.length - this.#delivered;
  }

  /** Grows with everything that happens. */
  get progress(): number {
    return this.posted + this.taken + this.ownTaken + this.handedOver;
  }

  ask(request: Asked): void {
    this.#asked.push(request);
  }

  /** The kernel took this SQE. */
  take(sqe: Uint8Array): void {
    const userData = number64(sqe, SQE.user_data);
    if (isOwn(userData) && this.#linked)
      throw new BrokenLaw(["link.in-sequence", "link.collects"], `${describe(sqe)}, which nobody asked for, stands in a chain of the application's`, "a chain holds what was asked for");
    if (isOwn(userData)) return this.#takeOwn(sqe, userData);
    // Where a batch of a thread that polls ends, nobody sees.
    this.#linked = !this.#polled && ((sqe[SQE.flags] ?? 0) & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)) !== 0;
    const asked = this.#asked[this.taken];
    const isPollOfInterest = sqe[SQE.opcode] === IORING_OP_POLL_ADD && this.interests.has(number32(sqe, SQE.fd) | 0);
    if (isPollOfInterest && asked?.bytes[SQE.opcode] !== IORING_OP_POLL_ADD)
      throw new BrokenLaw(["sq.user-data"], `a readiness poll has user_data that is not the driver's own: ${describe(sqe)}`, "one of 0xfeed...");
    if (asked === undefined) throw new BrokenLaw(["sq.tail-clamped"], `the kernel was given ${describe(sqe)}, which nobody asked for`, "each request is submitted once");
    const wrong = this.#wrongField(sqe, asked);
    if (wrong !== undefined) this.#wrong(sqe, asked, wrong);
    this.taken++;
  }

  #wrong(sqe: Uint8Array, asked: Asked, field: Field): never {
    const isOther = (at: number): boolean => {
      const other = this.#asked[at];
      return other !== undefined && this.#wrongField(sqe, other) === undefined;
    };
    const text = `request ${this.taken} reached the kernel as ${describe(sqe)}: ${field} differs`;
    const allowed = `${describe(asked.bytes)}${asked.pointee === undefined ? "" : ` pointing to ${hex(asked.pointee)}`}`;
    for (let at = 0; at < this.taken; at++) if (isOther(at)) throw new BrokenLaw(["sq.tail-clamped", "sq.free-running"], `${text}, for it is request ${at} again`, allowed);
    for (let at = this.taken + 1; at < this.#asked.length; at++) if (isOther(at)) throw new BrokenLaw(["sq.array-index", "liveness.due"], `${text}, for it is request ${at}`, allowed);
    const wrong = FIELDS.filter(([name, at, size]) => (name !== "addr" || asked.pointee === undefined) && !same(sqe.subarray(at, at + size), asked.bytes.subarray(at, at + size)));
    if (wrong.length >= OTHER_MEMORY) throw new BrokenLaw(this.#polled ? ["mapping.sqes-apart", "sqpoll.sqe-torn"] : ["mapping.sqes-apart"], `${text}, as do ${wrong.length - 1} more`, allowed);
    throw new BrokenLaw([RULE_OF[field] ?? RULE_OF_OPERATION[`${asked.bytes[SQE.opcode]} ${field}`] ?? "sq.entry-reusable"], text, allowed);
  }

  #wrongField(sqe: Uint8Array, { bytes, pointee }: Asked): Field | undefined {
    for (const [name, at, size] of FIELDS) {
      if (name === "addr" && pointee !== undefined) continue;
      if (!same(sqe.subarray(at, at + size), bytes.subarray(at, at + size))) return name;
    }
    if (!same(sqe.subarray(48, 64), bytes.subarray(48, 64))) return "reserved words";
    if (pointee === undefined || pointee.length === 0) return undefined;
    const there = this.#load(number64(sqe, SQE.addr), pointee.length);
    return there !== undefined && same(there, pointee) ? undefined : "what it points to";
  }

  /** A readiness poll or its removal: of an interest, with user_data of its own. */
  #takeOwn(sqe: Uint8Array, userData: bigint): void {
    this.ownTaken++;
    const opcode = sqe[SQE.opcode];
    if (tagOf(userData) === REMOVALS) {
      const plain = opcode === IORING_OP_POLL_REMOVE && number64(sqe, SQE.off) === 0n && number32(sqe, SQE.len) === 0 && number32(sqe, SQE.op_flags) === 0;
      if (plain) {
        this.#removed.add(number64(sqe, SQE.addr));
        return;
      }
      throw new BrokenLaw(["sq.entry-reusable"], `a readiness poll is removed by ${describe(sqe)}`, "a POLL_REMOVE with nothing but an address");
    }
    const fd = number32(sqe, SQE.fd) | 0;
    const events = number32(sqe, SQE.poll32_events);
    const len = number32(sqe, SQE.len);
    const plain = opcode === IORING_OP_POLL_ADD && number64(sqe, SQE.addr) === 0n && number64(sqe, SQE.off) === 0n && (len & ~IORING_POLL_ADD_MULTI) === 0 && events !== 0;
    if (!plain) throw new BrokenLaw(["poll.wake-mask", "sq.entry-reusable"], `readiness is asked for by ${describe(sqe)}`, "a POLL_ADD with events, and no address");
    if (this.#polls.has(userData)) throw new BrokenLaw(["sq.user-data", "multishot.more-flag"], `two readiness polls share user_data 0x${userData.toString(16)}`, "each has its own");
    const interest = this.interests.get(fd);
    if (interest !== undefined && (interest.events !== events || interest.oneshot !== (len === 0)))
      throw new BrokenLaw(["poll.wake-mask", "poll.one-shot"], `readiness of ${fd} is asked for by ${describe(sqe)}`, `events 0x${interest.events.toString(16)}`);
    this.#polls.set(userData, fd);
    this.#newest.set(fd, userData);
  }

  /** The kernel posted this CQE. */
  post(cqe: SeenCqe): void {
    this.posted++;
    if (!isOwn(cqe.userData)) {
      this.#posted.push(cqe);
      return;
    }
    this.#ownPosted.push(cqe);
    if ((cqe.flags & IORING_CQE_F_MORE) === 0) this.#polls.delete(cqe.userData);
  }

  /** The driver handed this completion to the application. */
  deliver(completion: Completion): void {
    this.handedOver++;
    if (isOwn(completion.userData)) return this.#deliverOwn(completion);
    const next = this.#posted[this.#delivered];
    if (next !== undefined && equal(next, completion)) {
      this.#delivered++;
      return;
    }
    const seen = `completion ${this.#delivered} came as ${text(completion)}`;
    const allowed = next === undefined ? "none: the kernel posted no other" : text(next);
    if (next !== undefined && next.userData === completion.userData && next.res !== completion.res) throw new BrokenLaw(["submit.result-in-cqe"], seen, allowed);
    if (next !== undefined && next.userData === completion.userData) throw new BrokenLaw(["multishot.more-flag"], seen, allowed);
    if (next !== undefined && next.res === completion.res && halfEqual(next.userData, completion.userData) && !this.#posted.some((other) => equal(other, completion))) throw new BrokenLaw(["sq.user-data"], seen, allowed);
    const at = this.#posted.findIndex((other) => equal(other, completion));
    if (at >= 0 && at < this.#delivered) throw new BrokenLaw(["submit.one-cqe-each", "cq.free-running"], `${seen}, as completion ${at} did`, allowed);
    if (at >= 0) throw new BrokenLaw(["cq.free-running"], `${seen}, which is completion ${at}`, allowed);
    throw new BrokenLaw(["setup.offsets", "cq.free-running"], `${seen}, which the kernel did not post`, allowed);
  }

  /** Of the driver's own polls some completions are nobody's; those that come, come in order. */
  #deliverOwn(completion: Completion): void {
    const at = this.#ownPosted.findIndex((cqe) => equal(cqe, completion));
    if (at < 0 && this.#ownPosted.some((cqe) => cqe.userData === completion.userData && cqe.res === completion.res))
      throw new BrokenLaw(["multishot.more-flag"], `readiness came as ${text(completion)}`, "the flags that the kernel posted it with");
    if (at < 0) throw new BrokenLaw(["cq.free-running"], `readiness came as ${text(completion)}`, "what the kernel posted of it, once");
    this.#ownPosted.splice(0, at + 1);
    const fd = Number(completion.userData & 0xffff_ffffn);
    const ended = (completion.flags & IORING_CQE_F_MORE) === 0;
    if (ended && this.#newest.get(fd) === completion.userData && (completion.res < 0 || this.interests.get(fd)?.oneshot === true)) this.interests.delete(fd);
  }

  /** Nothing more is asked for, and everything is submitted and taken out. */
  atRest(queued: number): void {
    if (this.taken + queued !== this.asked)
      throw new BrokenLaw(this.#polled ? ["sqpoll.need-wakeup", "sqpoll.submits", "liveness.due"] : ["enter.returns-consumed"], `${this.asked} requests were asked for, ${this.taken} reached the kernel and ${queued} are said to be queued`, "none is lost");
    this.#allRead();
  }

  #allRead(): void {
    if (this.unread !== 0) {
      const next = this.#posted[this.#delivered];
      throw new BrokenLaw(["cq.free-running", "liveness.due"], `the driver shows no completion`, next === undefined ? "" : `${text(next)}, and ${this.unread - 1} behind it`);
    }
  }

  /** Everything is taken out, and what that gave rise to is submitted: who asked for readiness has one poll. */
  interestsKept(): void {
    this.#allRead();
    for (const [userData, fd] of this.#polls) {
      if (this.interests.has(fd) || this.#removed.has(userData)) continue;
      throw new BrokenLaw(["poll.remove-results", "poll.removed-ecanceled"], `the kernel still polls descriptor ${fd}, which is not registered for readiness`, "its poll is removed");
    }
    for (const [fd, { oneshot }] of this.interests) {
      const polls = [...this.#polls].filter(([userData, of]) => of === fd && !this.#removed.has(userData)).length;
      if (oneshot || polls === 1) continue;
      throw new BrokenLaw(["multishot.more-flag"], `the kernel has ${polls} polls of descriptor ${fd}, which is registered for readiness`, "one");
    }
  }
}

/** One half is the same, and not because there is nothing in either; the other is not. */
function halfEqual(a: bigint, b: bigint): boolean {
  const [low, high] = [BigInt.asUintN(32, a), a >> 32n];
  return low === BigInt.asUintN(32, b) ? high !== b >> 32n && low !== 0n : high === b >> 32n && high !== 0n;
}
const equal = (seen: SeenCqe, { userData, res, flags }: Completion): boolean => seen.userData === userData && seen.res === res && seen.flags === flags;
const text = ({ userData, res, flags }: Completion | SeenCqe): string => `{0x${userData.toString(16)} ${res}${flags === 0 ? "" : ` flags 0x${flags.toString(16)}`}}`;

function describe(sqe: Uint8Array): string {
  const parts = FIELDS.map(([name, at, size]) => [name, Buffer.from(sqe.slice(at, at + size).reverse()).toString("hex").replace(/^0+/, "")] as const);
  return `{${parts.filter(([, value]) => value !== "").map(([name, value]) => `${name} 0x${value}`).join(" ")}}`;
}
