// What a program's ring asks of io_uring_setup, in numbers.
import type { SetupParams } from "../kernel.ts";
import { SETUP_FLAGS } from "../spec/constants.gen.ts";
import type { Program } from "./program.ts";

const setupBits = new Map(SETUP_FLAGS.map((f) => [f.name.replace("IORING_SETUP_", ""), f.value]));

export function ringParams(spec: Program["ring"]): SetupParams {
  let flags = spec.unknownFlags ?? 0;
  for (const name of spec.flags) flags |= setupBits.get(name) ?? 0;
  return {
    flags: flags >>> 0,
    ...(spec.cqEntries === undefined ? {} : { cqEntries: spec.cqEntries }),
    ...(spec.sqThreadIdle === undefined ? {} : { sqThreadIdle: spec.sqThreadIdle }),
    ...(spec.resv === undefined ? {} : { resv: spec.resv }),
  };
}
