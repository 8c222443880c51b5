// Chapter setup: every pair of setup flags, alone and beside the modes that others need, accepted or refused
// alike by both kernels.
import { Unmodelled } from "../../../src/kernel.ts";
import { SETUP_FLAGS } from "../../../src/spec/constants.gen.ts";
import { abi, type Bench, expect, onBoth } from "./on-both.ts";

const BESIDE = [
  0, abi.IORING_SETUP_SINGLE_ISSUER, abi.IORING_SETUP_SINGLE_ISSUER | abi.IORING_SETUP_DEFER_TASKRUN, abi.IORING_SETUP_COOP_TASKRUN,
  abi.IORING_SETUP_SQPOLL, abi.IORING_SETUP_IOPOLL, abi.IORING_SETUP_CQSIZE,
];

/** The errno, 0 where the flags are accepted: those whose rings the model does not run are checked before it says so. */
function outcome(on: Bench, flags: number, wqFd: number): number {
  try {
    return on.setupErrno(4, { flags: flags >>> 0, cqEntries: 8, wqFd });
  } catch (error) {
    if (on.isModel && error instanceof Unmodelled) return 0;
    throw error;
  }
}

/** One line for each pair and mode: the table that both kernels must give. */
function table(on: Bench): string[] {
  const { fd } = on.ring();
  const lines: string[] = [];
  for (const [i, first] of SETUP_FLAGS.entries()) {
    for (const second of SETUP_FLAGS.slice(i)) {
      const outcomes = BESIDE.map((mode) => outcome(on, mode | first.value | second.value, fd));
      lines.push(`${first.name} ${second.name} ${outcomes.join(" ")}`);
    }
  }
  return lines;
}

let earlier: string[] | undefined;

onBoth("[setup.flags-known] [setup.flags-together] [setup.newer-flags] [setup.no-mmap-needs-memory] all pairs", (on) => {
  const lines = table(on);
  expect(lines).toHaveLength((SETUP_FLAGS.length * (SETUP_FLAGS.length + 1)) / 2);
  // Neither all accepted nor all refused, on either kernel.
  expect(lines.filter((line) => line.includes(" 0"))).not.toEqual([]);
  expect(lines.filter((line) => line.includes(` ${abi.EINVAL}`))).not.toEqual([]);
  if (earlier !== undefined) expect(lines).toEqual(earlier);
  earlier = lines;
});

onBoth("[setup.attach-wq-ring] [setup.attach-sqpoll] sharing another ring's workers", (on) => {
  const { fd: wqFd } = on.ring();
  expect(on.setupErrno(4, { flags: abi.IORING_SETUP_ATTACH_WQ, wqFd })).toBe(0);
  expect(on.setupErrno(4, { flags: abi.IORING_SETUP_ATTACH_WQ, wqFd: on.eventfd() })).toBe(abi.EINVAL);
  expect(on.setupErrno(4, { flags: abi.IORING_SETUP_ATTACH_WQ | abi.IORING_SETUP_SQPOLL, wqFd })).toBe(abi.EINVAL);
});
