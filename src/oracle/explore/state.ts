// One state of an exploration: the kernel's half is a machine of the model, the application's half says how far the
// program has come, and what it saw is part of it, for two histories are two outcomes.
import type { Machine } from "../../model/machine.ts";
import type { Line } from "./history.ts";
import type { Asleep } from "./reduction.ts";

/** How far the application is. Replaced, never written. */
export interface Application {
  /** The operation that comes next; as many as there are: the end of the program. */
  readonly at: number;
  /** How far within that. */
  readonly stage: number;
  readonly round: number;
  /** sq.tail as handed out, and as published. */
  readonly tail: number;
  readonly published: number;
  /** cq.head. */
  readonly head: number;
  /** Completions that are being taken out. */
  readonly taking: number;
  /** sq.head as it was loaded last, where that matters. */
  readonly sqHead: number;
  /** Of the descriptors that completions brought, how many it saw when it looked last; -1: it has not looked since its last call. */
  readonly shown: number;
  /** Operations whose request found no room, and was left out. */
  readonly left: readonly number[];
  /** The operation that registered the memory region of its waits; -1: none did. */
  readonly region: number;
  /** A wait for what had to come was in vain. */
  readonly overdue: boolean;
}

export interface State {
  readonly m: Machine;
  readonly app: Application;
  readonly calls: Line;
  readonly seen: Line;
  readonly opened: readonly number[];
  /** Of its steps, those that need not be tried from here. */
  readonly asleep: Asleep;
  /** What must come from here, where it was reckoned. */
  readonly due: number | undefined;
  /** A call that never returns, or what the model has not: nothing comes after it. */
  readonly end: string | undefined;
}
