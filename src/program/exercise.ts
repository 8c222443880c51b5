// What a run exercised, counted from its program and its trace, so that a green run can show that it
// was not an empty one.
export interface Exercise {
  readonly operations: number;
  /** Requests by opcode name that the kernel consumed. */
  readonly opcodes: Record<string, number>;
  /** Times that an SQ or CQ index went round its ring (or past 2^32). */
  readonly wraps: number;
  /** Times that the backlog began (IORING_SQ_CQ_OVERFLOW was seen to rise). */
  readonly overflows: number;
  /** Chains of two or more requests that were submitted. */
  readonly chains: number;
  /** Requests with IOSQE_IO_DRAIN that were submitted. */
  readonly drains: number;
  /** Completions with -ECANCELED. */
  readonly cancels: number;
}
