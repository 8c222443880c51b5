// What a window showed: its completions, all of them in order. A run that follows the trace posts them
// one after the other; what is next says which steps are worth taking.
import { cqeOf, isLong } from "../model/completion.ts";
import { type Cqe, type Machine } from "../model/machine.ts";
import { REQ, type Request } from "../model/request.ts";
import { IORING_CQE_F_SKIP } from "../spec/constants.gen.ts";

/** What is known of the completions of a window: all of them in order, or nothing. */
export type Expected = readonly Cqe[] | undefined;

export class Expectation {
  private readonly list: Expected;
  private readonly of: string;
  /** How many of them were posted. */
  next = 0;

  /** `of`: what is looked at, where that is not what the window posts. */
  constructor(list: Expected, of = "") {
    this.list = list;
    this.of = of;
  }

  /** How far it has come: two runs in one state go on alike only where they look for the same. */
  get place(): string {
    return `${this.of}${this.next}`;
  }

  /** Nothing is known: whatever is posted is as good as anything. */
  get open(): boolean {
    return this.list === undefined;
  }

  get missing(): number {
    return this.list === undefined ? 0 : this.list.length - this.next;
  }

  /** The completion that comes next, or `ahead` places behind it. */
  upcoming(ahead = 0): Cqe | undefined {
    return this.list?.[this.next + ahead];
  }

  /** Those still to come. */
  rest(): readonly Cqe[] {
    return this.list?.slice(this.next) ?? [];
  }

  matches(cqe: Cqe): boolean {
    const e = this.upcoming();
    return this.list === undefined || (e !== undefined && same(e, cqe));
  }

  /** It comes next, or a filler in front of it does. `full`: nothing need come, where a long one may have no room. [cq.mixed-filler] */
  comes(cqe: Cqe, full = false): boolean {
    const e = this.upcoming();
    return this.matches(cqe) || (isLong(cqe) && (e === undefined ? full : e.flags === IORING_CQE_F_SKIP));
  }

  comesNext(r: Request, res: number): boolean {
    const e = this.upcoming();
    return e !== undefined && e.userData === r.userData && e.res === res;
  }

  /** Is a completion of this request among those still to come? */
  awaits(r: Request): boolean {
    for (let i = this.next; i < (this.list?.length ?? 0); i++) if (this.list?.[i]?.userData === r.userData) return true;
    return false;
  }

  /** The one completion still to come that shows the user_data of `r`, which no other request could post. */
  only(m: Machine, r: Request): Cqe | undefined {
    if ((r.flags & REQ.CQE_SKIP) !== 0) return undefined;
    let only: Cqe | undefined;
    for (let i = this.next; i < (this.list?.length ?? 0); i++) {
      const e = this.list?.[i];
      if (e?.userData !== r.userData) continue;
      if (only !== undefined) return undefined;
      only = e;
    }
    return only !== undefined && alone(m, r) ? only : undefined;
  }

  /** Does the result of `r` differ from what it shows? */
  contradicts(m: Machine, r: Request): boolean {
    const only = this.only(m, r);
    return only !== undefined && !same(only, cqeOf(r));
  }
}

/** Is `e`, which was seen, the completion `cqe`? The number of a new descriptor is the kernel's to choose. */
export const same = (e: Cqe, cqe: Cqe): boolean =>
  e.userData === cqe.userData && (cqe.opened === undefined ? e.res === cqe.res : e.res >= 0) && e.flags === cqe.flags;

/** No other request can post a completion with this user_data. */
function alone(m: Machine, r: Request): boolean {
  if (m.ring.overflow.some((c) => c.userData === r.userData)) return false;
  for (const other of m.requests.values())
    if (other !== r && other.userData === r.userData && other.state !== "done" && !other.posted) return false;
  return true;
}
