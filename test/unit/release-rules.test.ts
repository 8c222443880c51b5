// Rules that changed from one release to another: what a ring on each profile's model does, which is what that release's
// source says; and the trace of it, which the oracle takes as that release's and refuses as one that does otherwise.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryOf } from "../../src/cli/programs.ts";
import { WouldBlockForever } from "../../src/kernel.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { PROFILES } from "../../src/model/profile.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import type { Outcome } from "../../src/oracle/verdict.ts";
import { RecordedJudge } from "../../src/oracle/recorded.ts";
import { legalProgram } from "../../src/program/arbitrary.ts";
import type { Program } from "../../src/program/program.ts";
import { parseTrace, type TraceEvent } from "../../src/program/trace.ts";
import { GETEVENTS_ARG, PROBE, PROBE_OP } from "../../src/spec/codec.gen.ts";
import * as abi from "../../src/spec/constants.gen.ts";
import { RULES } from "../../src/spec/rules.gen.ts";
import { Recorder } from "../bugs/driver/recorder.ts";
import { Bench, pairs, type SqeFields, TestRing } from "../integration/rule/on-both.ts";

type Release = keyof typeof PROFILES;
const RELEASES = Object.keys(PROFILES) as Release[]; // they are its own
const { EBADF, EBUSY, ECANCELED, EINVAL, ENOENT, ETIME, IOSQE_IO_LINK: LINK } = abi;

interface Scenario {
  readonly rules: readonly string[];
  readonly title: string;
  readonly flags?: number;
  readonly run: (bench: Bench, ring: TestRing) => unknown;
  /** What each release does: where one is left out, as the one before it. */
  readonly does: Partial<Record<Release, unknown>>;
}

const nop = (userData: bigint, more: Partial<SqeFields> = {}): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, ...more });
/** Its operation refuses it: off must be 0. */
const refused = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_ASYNC_CANCEL, userData, off: 1n, flags });
/** Its opcode refuses it. */
const unknown = (userData: bigint, flags = 0): SqeFields => ({ opcode: 200, userData, flags });
const submitted = (ring: TestRing, ...sqes: readonly SqeFields[]): unknown => [ring.submit(...sqes), pairs(ring.reap())];

const SCENARIOS: readonly Scenario[] = [
  {
    rules: ["nop.flags-ignored", "nop.flags-checked"], title: "a NOP with a flag that nobody knows",
    run: (_bench, ring) => submitted(ring, nop(1n, { opFlags: 0x40 })),
    does: { "5.10": [1, [[1n, 0]]], "6.12": [1, [[1n, -EINVAL]]] },
  },
  {
    rules: ["nop.ioprio-ignored", "submit.ioprio"], title: "a NOP with an ioprio",
    run: (_bench, ring) => submitted(ring, nop(1n, { ioprio: 1 })),
    does: { "5.10": [1, [[1n, 0]]], "6.1": [1, [[1n, -EINVAL]]] },
  },
  {
    rules: ["iopoll.nop-refused", "iopoll.nop"], title: "a NOP on a ring that is polled", flags: abi.IORING_SETUP_IOPOLL,
    run: (_bench, ring) => submitted(ring, nop(1n)),
    does: { "5.10": [1, [[1n, -EINVAL]]], "6.1": [1, [[1n, 0]]] },
  },
  {
    rules: ["cancel.user-data-only", "cancel.keys"], title: "a cancel with a len",
    run: (_bench, ring) => submitted(ring, { opcode: abi.IORING_OP_ASYNC_CANCEL, userData: 1n, addr: 9n, len: 1 }),
    does: { "5.10": [1, [[1n, -EINVAL]]], "6.1": [1, [[1n, -ENOENT]]] },
  },
  {
    rules: ["timeout.timespec-negative-fires", "timeout.timespec-negative"], title: "a timeout of less than nothing",
    run: (bench, ring) => {
      const count = ring.submit({ opcode: abi.IORING_OP_TIMEOUT, userData: 1n, addr: bench.timespec(-1n, 0n), len: 1 });
      ring.enter(0, 1, abi.IORING_ENTER_GETEVENTS);
      return [count, pairs(ring.reap())];
    },
    does: { "5.10": [1, [[1n, -ETIME]]], "6.1": [1, [[1n, -EINVAL]]] },
  },
  {
    rules: ["enter.min-complete-unsigned", "enter.min-complete-clamped"], title: "a wait for 2^32 - 1 completions",
    run: (_bench, ring) => ring.waitFor(0xffff_ffff, 1_000_000n),
    does: { "5.10": -EINVAL, "5.15": -ETIME, "6.18": 0 },
  },
  {
    rules: ["enter.pad-zero", "enter.min-wait-full"], title: "a wait of min_wait_usec, before there was any",
    run: (bench, ring) => {
      const region = bench.buffer(GETEVENTS_ARG.size);
      new DataView(region.bytes.buffer, region.bytes.byteOffset).setUint32(GETEVENTS_ARG.min_wait_usec, 1, true);
      ring.submit(nop(1n));
      return ring.enter(0, 1, abi.IORING_ENTER_GETEVENTS | abi.IORING_ENTER_EXT_ARG, { addr: region.addr, size: GETEVENTS_ARG.size });
    },
    does: { "5.10": -EINVAL, "5.15": 0, "6.1": -EINVAL, "6.12": 0 },
  },
  {
    rules: ["overflow.submit-busy", "overflow.submit-allowed"], title: "a submission with a backlog, and one after there is room again",
    run: (_bench, ring) => {
      for (let i = 0n; i < 3n; i++) ring.submit(...Array.from({ length: 8 }, (_unused, k) => nop(8n * i + BigInt(k))));
      const full = ring.submit(nop(50n));
      const kept = ring.reap().length;
      return [full, kept, ring.submit(...(full < 0 ? [] : [nop(51n)])), ring.reap().length];
    },
    does: { "5.10": [-EBUSY, 16, 1, 9], "5.15": [1, 16, 1, 0] },
  },
  {
    rules: ["link.prep-error-alone", "link.prep-error-cancels-all"], title: "a chain whose last member its operation refuses",
    run: (_bench, ring) => submitted(ring, nop(1n, { flags: LINK }), refused(2n), nop(3n)),
    does: { "5.10": [2, [[2n, -EINVAL], [1n, -ECANCELED]]], "5.15": [2, [[1n, -ECANCELED], [2n, -EINVAL]]] },
  },
  {
    rules: ["link.prep-error-alone", "link.prep-error-cancels-all"], title: "a chain whose last member has an unknown opcode",
    run: (_bench, ring) => submitted(ring, nop(1n, { flags: LINK }), unknown(2n), nop(3n)),
    does: { "5.10": [2, [[2n, -EINVAL], [1n, 0]]], "5.15": [2, [[1n, -ECANCELED], [2n, -EINVAL]]] },
  },
  {
    rules: ["link.head-prep-error", "link.prep-error-cancels-all"], title: "a chain whose first member its operation refuses",
    run: (_bench, ring) => submitted(ring, refused(1n, LINK), nop(2n)),
    does: { "5.10": [2, [[1n, -ECANCELED], [2n, -ECANCELED]]], "5.15": [2, [[1n, -EINVAL], [2n, -ECANCELED]]] },
  },
  {
    rules: ["submit.prep-error-goes-on", "submit.prep-error-stops"], title: "a request that its operation refuses, and one behind it",
    run: (_bench, ring) => submitted(ring, refused(1n), nop(2n)),
    does: { "5.10": [2, [[1n, -EINVAL], [2n, 0]]], "5.15": [1, [[1n, -EINVAL]]] },
  },
  {
    rules: ["issue.file-early", "issue.file-late"], title: "a read of a descriptor that is not open, and one behind it",
    run: (bench, ring) => submitted(ring, { opcode: abi.IORING_OP_READ, userData: 1n, fd: 999, addr: bench.buffer(8).addr, len: 8 }, nop(2n)),
    does: { "5.10": [1, [[1n, -EBADF]]], "6.1": [2, [[1n, -EBADF], [2n, 0]]] },
  },
];

function expected(scenario: Scenario, release: Release): unknown {
  const until = RELEASES.slice(0, RELEASES.indexOf(release) + 1).toReversed();
  const named = until.find((name) => name in scenario.does);
  if (named === undefined) throw new Error(`${scenario.title}: nothing is said of ${release}`);
  return scenario.does[named];
}

/** Runs it on the model of a release: what it showed, and the trace. */
function run(scenario: Pick<Scenario, "flags" | "run">, release: Release, seed?: number): { readonly outcome: unknown; readonly events: readonly TraceEvent[] } {
  const kernel = createModelKernel({ profile: PROFILES[release], ...(seed === undefined ? {} : { seed }) });
  const events: TraceEvent[] = [];
  const follower = { event: (event: TraceEvent) => events.push(structuredClone(event)), submission() {}, taken() {}, posted() {} };
  try {
    const recorder = new Recorder(kernel, follower, 8, { flags: scenario.flags ?? 0 });
    return { outcome: scenario.run(new Bench(recorder.kernel), new TestRing(recorder.kernel, recorder.ring)), events };
  } finally {
    kernel.close();
  }
}

/** The verdict on a trace as one of this release. The features word is made that release's: it would tell the two apart alone. */
function judge(events: readonly TraceEvent[], release: Release): { readonly verdict: string; readonly seen?: string | undefined } {
  const profile = PROFILES[release];
  const judging = new RecordedJudge({ profile, strictness: "spec" });
  for (const event of events)
    judging.event(event.event === "setup" && event.filled !== undefined ? { ...event, filled: { ...event.filled, features: profile.features } } : event);
  const { verdict, seen, unmodelled } = judging.end();
  return { verdict, seen: verdict === "illegal" ? undefined : (seen ?? unmodelled) };
}

describe.each(SCENARIOS)("[$rules.0] [$rules.1] $title", (scenario) => {
  test("the rules are there, and a release has one of them", () => {
    for (const id of scenario.rules) expect(RULES[id]).toBeDefined();
    expect(new Set(RELEASES.map((release) => JSON.stringify(expected(scenario, release), (_key, value: unknown) => (typeof value === "bigint" ? `${value}n` : value)))).size).toBeGreaterThan(1);
  });

  test.each(RELEASES)("Linux %s does what its source says, and its trace is legal", (release) => {
    const { outcome, events } = run(scenario, release);
    expect(outcome).toEqual(expected(scenario, release));
    expect(judge(events, release)).toEqual({ verdict: "legal", seen: undefined });
  });

  test.each(RELEASES)("a trace of Linux %s is illegal as one of a release that does otherwise, and legal else", (release) => {
    const { events } = run(scenario, release);
    const here = expected(scenario, release);
    for (const other of RELEASES) {
      let same = true;
      try {
        expect(expected(scenario, other)).toEqual(here);
      } catch {
        same = false;
      }
      expect([other, judge(events, other).verdict]).toEqual([other, same ? "legal" : "illegal"]);
    }
  });
});

test("[link.unterminated-inline] [link.unterminated-worker] a chain that the call cuts off is over at once where no worker runs it", () => {
  const cutOff = { run: (_bench: Bench, ring: TestRing) => submitted(ring, nop(1n, { flags: LINK })) };
  const runs = (release: Release): ReturnType<typeof run>[] => Array.from({ length: 40 }, (_unused, seed) => run(cutOff, release, seed));
  for (const release of ["5.10", "5.15"] as const)
    for (const { outcome, events } of runs(release)) expect([outcome, judge(events, release).verdict]).toEqual([[1, [[1n, 0]]], "legal"]);
  for (const release of ["6.1", "6.6", "6.12", "6.18"] as const) {
    const late = runs(release).filter(({ outcome }) => Array.isArray(outcome) && Array.isArray(outcome[1]) && outcome[1].length === 0);
    expect(late.length).toBeGreaterThan(0);
    for (const { events } of late) expect([judge(events, release).verdict, judge(events, "5.15").verdict, judge(events, "5.10").verdict]).toEqual(["legal", "illegal", "illegal"]);
  }
});

describe.each(RELEASES)("Linux %s, with files", (release) => {
  const early = release === "5.10" || release === "5.15";
  const withBench = (body: (bench: Bench) => void): void => {
    const kernel = createModelKernel({ profile: PROFILES[release] });
    try {
      body(new Bench(kernel));
    } finally {
      kernel.close();
    }
  };

  test("[fsync.failure-severs] [fsync.failure-keeps-chain] an FSYNC that fails, and the member behind it", () => {
    withBench((bench) => {
      const ring = bench.ring();
      ring.submit({ opcode: abi.IORING_OP_FSYNC, userData: 1n, fd: bench.pipe().read, flags: LINK }, nop(2n));
      ring.enter(0, 2, abi.IORING_ENTER_GETEVENTS);
      expect(pairs(ring.reap())).toEqual([[1n, -EINVAL], [2n, early ? -ECANCELED : 0]]);
    });
  });

  test("[fsync.offset-negative] an FSYNC from an offset below zero", () => {
    withBench((bench) => {
      const ring = bench.ring();
      ring.submit({ opcode: abi.IORING_OP_FSYNC, userData: 1n, fd: bench.file(8), off: -1n });
      ring.enter(0, 1, abi.IORING_ENTER_GETEVENTS);
      expect(pairs(ring.reap())).toEqual([[1n, release === "6.18" ? -EINVAL : 0]]);
    });
  });

  test("[cancel.timers-before-polls] [cancel.search-order] a timer and a poll of one user_data", () => {
    withBench((bench) => {
      const ring = bench.ring();
      ring.submit({ opcode: abi.IORING_OP_TIMEOUT, userData: 5n, addr: bench.timespec(1000n, 0n), len: 1 });
      ring.submit({ opcode: abi.IORING_OP_POLL_ADD, userData: 5n, fd: bench.eventfd(), opFlags: abi.EPOLLIN });
      ring.submit({ opcode: abi.IORING_OP_ASYNC_CANCEL, userData: 6n, addr: 5n });
      // Which of the two is left: only a poll is found by POLL_REMOVE.
      ring.submit({ opcode: abi.IORING_OP_POLL_REMOVE, userData: 7n, addr: 5n });
      const left = pairs(ring.reap()).find(([userData]) => userData === 7n)?.[1];
      expect(left).toBe(early ? 0 : -ENOENT);
    });
  });

  test("[buffers.found-early] [buffers.found-late] a registered buffer that there is not, and a request behind it", () => {
    withBench((bench) => {
      const ring = bench.ring();
      const count = ring.submit({ opcode: abi.IORING_OP_READ_FIXED, userData: 1n, fd: bench.file(8), bufIndex: 3, len: 8 }, nop(2n));
      expect([count, ring.reap()[0]?.res]).toEqual([["6.1", "6.6", "6.12"].includes(release) ? 1 : 2, -abi.EFAULT]);
    });
  });

  test("[buffers.table-max-1024] [buffers.empty-refused] [buffers.table-max] [buffers.empty-slot] 1025 slots, and one that is empty", () => {
    withBench((bench) => {
      const iovecs = bench.buffer(1025 * 16);
      const register = (count: number): number => bench.ring().ring.register(abi.IORING_REGISTER_BUFFERS, iovecs.addr, count);
      expect([register(1), register(1025)]).toEqual(release === "5.10" ? [-abi.EFAULT, -EINVAL] : [0, 0]);
    });
  });

  test("[restriction.before-buffer-select] [submit.buffer-select-unsupported] what is forbidden, and takes no buffer of a group", () => {
    withBench((bench) => {
      const ring = bench.ring(8, { flags: abi.IORING_SETUP_R_DISABLED });
      const allowed = bench.buffer(16);
      new DataView(allowed.bytes.buffer, allowed.bytes.byteOffset).setUint16(0, abi.IORING_RESTRICTION_SQE_FLAGS_ALLOWED, true);
      expect(ring.ring.register(abi.IORING_REGISTER_RESTRICTIONS, allowed.addr, 1)).toBe(0);
      expect(ring.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0)).toBe(0);
      ring.submit(nop(1n, { flags: abi.IOSQE_BUFFER_SELECT }));
      expect(pairs(ring.reap())).toEqual([[1n, early ? -abi.EACCES : -abi.EOPNOTSUPP]]);
    });
  });

  test("[setup.attach-wq-ebadf] [setup.attach-wq-fd] ATTACH_WQ to a descriptor that is not open", () => {
    withBench((bench) => expect(bench.setupErrno(4, { flags: abi.IORING_SETUP_ATTACH_WQ, wqFd: 999 })).toBe(release === "5.10" ? EBADF : abi.ENXIO));
  });

  test("[register.probe-whole] [register.probe-clamped] a probe whose last entry is not zero", () => {
    withBench((bench) => {
      const region = bench.buffer(PROBE.size + 256 * PROBE_OP.size);
      region.bytes[PROBE.size + 255 * PROBE_OP.size] = 1;
      expect(bench.ring().ring.register(abi.IORING_REGISTER_PROBE, region.addr, 256)).toBe(early || release === "6.1" ? -EINVAL : 0);
    });
  });
});

function judgedRun(release: Release, program: Program): Outcome | "stuck" {
  const kernel = createModelKernel({ profile: PROFILES[release], seed: 7 });
  try {
    return runAndJudge(kernel, program, { keepTrace: true });
  } catch (error) {
    if (error instanceof WouldBlockForever) return "stuck";
    throw error;
  } finally {
    kernel.close();
  }
}

describe.each(RELEASES)("random programs on Linux %s", (release) => {
  test("the oracle takes each as one of that release's, and another release's oracle refuses some", { timeout: 60_000 }, () => {
    let differ = 0;
    let enters = 0;
    const other = release === "5.10" ? "6.18" : "5.10";
    // Half of them on a ring that every release knows; of the others many are refused.
    const programs = [legalProgram({ maxOps: 30 }), arbitraryOf("legal", { maxOps: 30, ringFlags: [] }), arbitraryOf("hostile", { maxOps: 30, ringFlags: [] })];
    let stuck = 0;
    for (const program of programs.flatMap((drawn) => fc.sample(drawn, { seed: 20261125, numRuns: 16 }))) {
      const judged = judgedRun(release, program);
      if (judged === "stuck") {
        stuck++;
        continue;
      }
      const { verdict, trace = "" } = judged;
      expect([verdict.verdict, verdict.seen, verdict.allowed]).toEqual(["legal", undefined, undefined]);
      const { events } = parseTrace(trace);
      enters += events.filter((event) => event.event === "enter" && (event.result ?? 0) > 0).length;
      if (judge(events, other).verdict === "illegal") differ++;
    }
    // A wait that was drawn for completions that this release never posts.
    expect(stuck).toBeLessThan(6);
    expect(enters).toBeGreaterThan(40);
    expect(differ).toBeGreaterThan(5);
  });
});
