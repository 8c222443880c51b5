// WAITID, of which only what preparation refuses is modelled: this world has no child processes. Follows
// io_uring/waitid.c.
import { EINVAL } from "../spec/constants.gen.ts";
import { Unmodelled } from "../kernel.ts";
import type { Operation } from "./operation.ts";

export const waitid: Operation = {
  prepare(_m, _r, sqe) {
    // [waitid.fields-zero]
    if (sqe.addr !== 0n || sqe.bufIndex !== 0 || sqe.addr3 !== 0n || sqe.opFlags !== 0) return -EINVAL;
    throw new Unmodelled("IORING_OP_WAITID");
  },
  issue() {
    throw new Unmodelled("IORING_OP_WAITID");
  },
};
