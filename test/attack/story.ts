// What a trace says of its requests by itself, without a model: which SQEs the application stored, and which of them
// are still under way. Only as much as meaning.ts needs.
import {
  IORING_OP_ASYNC_CANCEL, IORING_OP_NOP, IORING_OP_POLL_REMOVE, IORING_OP_TIMEOUT_REMOVE, IORING_SETUP_SQPOLL, IOSQE_ASYNC, IOSQE_IO_DRAIN,
  IOSQE_IO_HARDLINK, IOSQE_IO_LINK, IORING_CQE_F_MORE,
} from "../../src/spec/constants.gen.ts";
import { SQE } from "../../src/spec/codec.gen.ts";
import type { TraceEvent } from "../../src/program/trace.ts";

export interface StoredSqe {
  /** The event that stored it. */
  readonly at: number;
  readonly opcode: number;
  readonly flags: number;
  readonly userData: bigint;
  /** Number of its chain: those stored one after the other with a link between them share it. */
  readonly chain: number;
}

const LINKS = IOSQE_IO_LINK | IOSQE_IO_HARDLINK;
/** Requests that complete in the call that submits them, where nothing in their flags holds them back. */
const AT_ONCE: readonly number[] = [IORING_OP_NOP, IORING_OP_TIMEOUT_REMOVE, IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_REMOVE];

export class Story {
  readonly sqes: readonly StoredSqe[];
  /** A thread of the kernel submits. */
  readonly polled: boolean;
  private readonly drains: boolean;
  private readonly events: readonly TraceEvent[];

  constructor(events: readonly TraceEvent[]) {
    this.events = events;
    this.polled = events.some((event) => event.event === "setup" && ((event.params.flags ?? 0) & IORING_SETUP_SQPOLL) !== 0);
    const sqes: StoredSqe[] = [];
    let chain = 0;
    events.forEach((event, at) => {
      if (event.event !== "store" || event.region !== "sqes" || event.bytes.length < SQE.size) return;
      const view = new DataView(event.bytes.buffer, event.bytes.byteOffset);
      if (((sqes.at(-1)?.flags ?? 0) & LINKS) === 0) chain++;
      sqes.push({ at, opcode: view.getUint8(SQE.opcode), flags: view.getUint8(SQE.flags), userData: view.getBigUint64(SQE.user_data, true), chain });
    });
    this.sqes = sqes;
    this.drains = sqes.some(({ flags }) => (flags & IOSQE_IO_DRAIN) !== 0);
  }

  /** The SQEs that gave this user_data, stored before this event. */
  of(userData: bigint, before: number): readonly StoredSqe[] {
    return this.sqes.filter((sqe) => sqe.userData === userData && sqe.at < before);
  }

  /** May it complete at another time than in the call that submitted it, or in another's place? */
  mayBeLate({ opcode, flags, chain }: StoredSqe): boolean {
    if (this.polled || this.drains || (flags & (LINKS | IOSQE_ASYNC)) !== 0) return true;
    return !AT_ONCE.includes(opcode) || this.sqes.filter((sqe) => sqe.chain === chain).length > 1;
  }

  /** Is some request under way at this event that the thread in the call would not complete by itself? */
  underWay(at: number): boolean {
    const ended = new Map<bigint, number>();
    for (const event of this.events.slice(0, at)) {
      if (event.event !== "peek") continue;
      for (const { userData, flags } of event.cqes) if ((flags & IORING_CQE_F_MORE) === 0) ended.set(userData, (ended.get(userData) ?? 0) + 1);
    }
    const open = (sqe: StoredSqe): boolean => {
      const left = ended.get(sqe.userData) ?? 0;
      ended.set(sqe.userData, left - 1);
      return left <= 0;
    };
    return this.sqes.filter((sqe) => sqe.at < at).some((sqe) => open(sqe) && this.mayBeLate(sqe));
  }
}
