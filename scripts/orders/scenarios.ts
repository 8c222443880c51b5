// The scenarios of `npm run orders`: a small program for each exact order of section K in SEMANTICS.md, with
// what it is to show. `start` sets up once and gives back one repetition, which says what it saw.
import process from "node:process";
import type { Fd } from "../../src/kernel.ts";
import * as abi from "../../src/spec/constants.gen.ts";
import type { Bench, OrderRing, Request } from "./ring.ts";
import { runs } from "./ring.ts";

export interface Scenario {
  /** Its number in SEMANTICS.md, with a word for the case where there are several. */
  readonly order: string;
  /** The rule in spec/rule/ that says it, or that leaves it open. */
  readonly rule: string;
  readonly what: string;
  readonly expected: string;
  readonly start: (bench: Bench) => () => string;
}

const DEFER = { flags: abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER };
const LINK = abi.IOSQE_IO_LINK;
/** So long that it never ends by itself. */
const NEVER_NS = 1_000_000_000_000n;

const nop = (name: string, flags = 0): Request => ({ name, opcode: abi.IORING_OP_NOP, flags });
const poll = (name: string, fd: Fd, events = abi.POLLIN, res = events): Request => ({
  name, opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: events, res,
});
const read = (name: string, fd: Fd, addr: bigint, res: number, flags = 0): Request => ({
  name, opcode: abi.IORING_OP_READ, fd, addr, len: 1, res, flags,
});
const timeout = (name: string, addr: bigint, off: bigint, res: number): Request => ({
  name, opcode: abi.IORING_OP_TIMEOUT, addr, len: 1, off, res,
});
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

/** linux/futex.h: FUTEX2_SIZE_U32 | FUTEX2_PRIVATE, FUTEX_BITSET_MATCH_ANY. */
const FUTEX = { flags: 2 | 128, any: 0xffff_ffffn };
const AF_UNIX = 1;
const SOCK_STREAM = 1;

/** struct sockaddr_un of a name that no other process has, in no directory. */
const abstractName = (): Uint8Array => Uint8Array.of(AF_UNIX, 0, 0, ...new TextEncoder().encode(`ringspec-orders-${process.pid}`));

/** A socket that listens, and how to connect to it and close what came of it; requests on `ring` do it all. */
function listening(bench: Bench, ring: OrderRing): { readonly fd: number; readonly connect: () => number; readonly close: (fd: number) => void } {
  const name = abstractName();
  const addr = bench.bytes(name);
  const done = (request: Request): readonly number[] => {
    const said = ring.order(request);
    if (said !== request.name) throw new Error(`${said} failed`);
    return ring.took();
  };
  const socket = (): number => done({ name: "SOCKET", opcode: abi.IORING_OP_SOCKET, fd: AF_UNIX, off: BigInt(SOCK_STREAM), res: "descriptor" })[0] ?? -1;
  const fd = socket();
  done({ name: "BIND", opcode: abi.IORING_OP_BIND, fd, addr, off: BigInt(name.length) });
  done({ name: "LISTEN", opcode: abi.IORING_OP_LISTEN, fd, len: 8 });
  return {
    fd,
    connect: () => {
      const client = socket();
      done({ name: "CONNECT", opcode: abi.IORING_OP_CONNECT, fd: client, addr, off: BigInt(name.length) });
      return client;
    },
    close: (of) => void done({ name: "CLOSE", opcode: abi.IORING_OP_CLOSE, fd: of }),
  };
}

/** One call for all of them. */
const batch = (make: (bench: Bench) => readonly Request[]) => (bench: Bench) => {
  const ring = bench.ring(16);
  const requests = make(bench);
  return () => ring.order(...requests);
};

const chainAndTwo = [nop("A", LINK), nop("B"), nop("C"), nop("D")];

/** What [A->B] C D left in the CQ when the call returned, and behind a bar what came by a wait. */
const atReturn = (params: { readonly flags: number }) => (bench: Bench) => {
  const ring = bench.ring(8, params);
  return () => {
    ring.submit(...chainAndTwo);
    const first = ring.reap();
    const later = first.length < 4 ? ring.wait(4 - first.length) : [];
    return [...first, ...(later.length > 0 ? ["|", ...later] : [])].join(" ");
  };
};

/** A request that waits, and in a second call the one that takes it away. */
const takenAway = (target: (bench: Bench) => Request, opcode: number) => (bench: Bench) => {
  const ring = bench.ring(8);
  const request = target(bench);
  return () => {
    const [id = 0n] = ring.submit(request);
    ring.submit({ name: "cancel", opcode, addr: id });
    return ring.wait(2).join(" ");
  };
};
const cancelledPoll = (bench: Bench): Request => poll("target", bench.pipe().read, abi.POLLIN, -abi.ECANCELED);
const cancelledTimeout = (bench: Bench): Request => timeout("target", bench.timespec(NEVER_NS), 0n, -abi.ECANCELED);

const modes = [
  { mode: "default", params: { flags: 0 }, expected: "poll poll poll" },
  { mode: "COOP", params: { flags: abi.IORING_SETUP_COOP_TASKRUN }, expected: "poll poll poll" },
  { mode: "DEFER", params: DEFER, expected: "poll" },
];

/** A multishot poll, and three writes of one byte to its pipe. */
const threeWrites = (params: { readonly flags: number }) => (bench: Bench) => {
  const ring = bench.ring(8, params);
  const pipe = bench.pipe();
  ring.submit({ ...poll("poll", pipe.read), len: abi.IORING_POLL_ADD_MULTI, more: true });
  return () => {
    for (let i = 0; i < 3; i++) pipe.put();
    const seen = params === DEFER ? ring.wait(1) : ring.reap();
    pipe.take();
    const late = ring.reap();
    return [...seen, ...(late.length > 0 ? ["| after the read(2):", ...late] : [])].join(" ");
  };
};

export const scenarios: readonly Scenario[] = [
  {
    order: "K1",
    rule: "submit.inline-order",
    what: "NOPs, ready POLL_ADDs and TIMEOUT_REMOVEs of nothing, in one call",
    expected: "0 1 2 3 4 5 6 7",
    start: batch((bench) => {
      const { write } = bench.pipe();
      const ready = (name: string): Request => poll(name, write, abi.POLLOUT);
      const missed = (name: string): Request => ({ name, opcode: abi.IORING_OP_TIMEOUT_REMOVE, addr: 0xffffn, res: -abi.ENOENT });
      return [nop("0"), ready("1"), missed("2"), nop("3"), nop("4"), missed("5"), ready("6"), nop("7")];
    }),
  },
  {
    order: "K2",
    rule: "link.successor-after-batch",
    what: "[A->B] C D, all NOPs",
    expected: "A C D B",
    start: batch(() => chainAndTwo),
  },
  {
    order: "K3",
    rule: "link.successor-after-batch",
    what: "three chains of three NOPs",
    expected: "0 10 20 1 11 21 2 12 22",
    start: batch(() => [0, 10, 20].flatMap((head) => [nop(`${head}`, LINK), nop(`${head + 1}`, LINK), nop(`${head + 2}`)])),
  },
  {
    order: "K4",
    rule: "link.severed-tail-order",
    what: "[bad->N2->N3] N5, bad is a READ of descriptor -1",
    expected: "bad N5 N2 N3",
    start: batch((bench) => [
      read("bad", -1, bench.buffer(1), -abi.EBADF, LINK),
      { ...nop("N2", LINK), res: -abi.ECANCELED },
      { ...nop("N3"), res: -abi.ECANCELED },
      nop("N5"),
    ]),
  },
  {
    order: "K5 default",
    rule: "taskrun.at-return",
    what: "[A->B] C D, what the call left when it returned",
    expected: "A C D B",
    start: atReturn({ flags: 0 }),
  },
  {
    order: "K5 DEFER",
    rule: "taskrun.defer-inline",
    what: "[A->B] C D, what the call left when it returned | what GETEVENTS brought",
    expected: "A C D | B",
    start: atReturn(DEFER),
  },
  {
    order: "K6 reads",
    rule: "poll.newest-first",
    what: "three READs of an empty pipe, three write(2) of a byte",
    expected: "2 0 1",
    start: (bench) => {
      const ring = bench.ring(8);
      const pipe = bench.pipe();
      const requests = numbers(3).map((name) => read(name, pipe.read, bench.buffer(1), 1));
      return () => {
        ring.submit(...requests);
        for (let i = 0; i < 3; i++) pipe.put();
        return ring.wait(3).join(" ");
      };
    },
  },
  {
    order: "K6 polls",
    rule: "poll.newest-first",
    what: "three POLL_ADDs of an empty pipe, one write(2)",
    expected: "2 1 0",
    start: (bench) => {
      const ring = bench.ring(8);
      const pipe = bench.pipe();
      const requests = numbers(3).map((name) => poll(name, pipe.read));
      return () => {
        ring.submit(...requests);
        pipe.put();
        const seen = ring.wait(3).join(" ");
        pipe.take();
        return seen;
      };
    },
  },
  {
    order: "K7 futex",
    rule: "submit.order-unspecified",
    what: "three FUTEX_WAITs on one word, three FUTEX_WAKEs of one each",
    expected: "A wake B wake C wake",
    start: (bench) => {
      const ring = bench.ring(8);
      const common = { fd: FUTEX.flags, addr: bench.buffer(4), addr3: FUTEX.any };
      const waits = ["A", "B", "C"].map((name) => ({ ...common, name, opcode: abi.IORING_OP_FUTEX_WAIT }));
      return () => {
        ring.submit(...waits);
        const seen: string[] = [];
        for (let i = 0; i < 3; i++) {
          ring.submit({ ...common, name: "wake", opcode: abi.IORING_OP_FUTEX_WAKE, off: 1n, res: 1 });
          // The waiter's completion is task work: it comes before the wake's or behind it.
          seen.push(...ring.wait(2).sort());
        }
        return seen.join(" ");
      };
    },
  },
  {
    order: "K7 accept",
    rule: "submit.order-unspecified",
    what: "three ACCEPTs of one socket, three CONNECTs to it",
    expected: "A B C",
    start: (bench) => {
      const ring = bench.ring(8);
      const accepting = bench.ring(8);
      const { fd, connect, close } = listening(bench, ring);
      const accepts = ["A", "B", "C"].map((name): Request => ({ name, opcode: abi.IORING_OP_ACCEPT, fd, res: "descriptor" }));
      return () => {
        accepting.submit(...accepts);
        const seen: string[] = [];
        const clients: number[] = [];
        for (let i = 0; i < 3; i++) {
          clients.push(connect());
          seen.push(...accepting.wait(1));
        }
        for (const of of [...clients, ...accepting.took()]) close(of);
        return seen.join(" ");
      };
    },
  },
  {
    order: "K8",
    rule: "timeout.count-satisfied",
    what: "TIMEOUTs A B C that count 2, then three NOPs in one call",
    expected: "0 1 2 A B C",
    start: (bench) => {
      const ring = bench.ring(8);
      const never = bench.timespec(NEVER_NS);
      const timeouts = ["A", "B", "C"].map((name) => timeout(name, never, 2n, 0));
      const nops = numbers(3).map((name) => nop(name));
      return () => {
        ring.submit(...timeouts);
        ring.submit(...nops);
        return ring.wait(6).join(" ");
      };
    },
  },
  {
    order: "K9 link timeout",
    rule: "link-timeout.etime-first",
    what: "[READ of an empty pipe->LINK_TIMEOUT of 100 us]",
    expected: "timer read",
    start: batch((bench) => [
      read("read", bench.pipe().read, bench.buffer(1), -abi.ECANCELED, LINK),
      { name: "timer", opcode: abi.IORING_OP_LINK_TIMEOUT, addr: bench.timespec(100_000n), len: 1, res: -abi.ETIME },
    ]),
  },
  {
    order: "K9 cancel",
    rule: "cancel.cqe-order",
    what: "a POLL_ADD that waits, then ASYNC_CANCEL",
    expected: "cancel target",
    start: takenAway(cancelledPoll, abi.IORING_OP_ASYNC_CANCEL),
  },
  {
    order: "K9 poll remove",
    rule: "cancel.cqe-order",
    what: "a POLL_ADD that waits, then POLL_REMOVE",
    expected: "cancel target",
    start: takenAway(cancelledPoll, abi.IORING_OP_POLL_REMOVE),
  },
  {
    order: "K9 timeout remove",
    rule: "cancel.cqe-order",
    what: "a TIMEOUT that waits, then TIMEOUT_REMOVE",
    expected: "cancel target",
    start: takenAway(cancelledTimeout, abi.IORING_OP_TIMEOUT_REMOVE),
  },
  {
    order: "K21",
    rule: "taskrun.defer-batches",
    what: "60 POLL_ADDs of one pipe on a DEFER_TASKRUN ring, one write(2), waits for one CQE each",
    expected: "20 20 20: 59-0",
    start: (bench) => {
      const ring = bench.ring(64, DEFER);
      const pipe = bench.pipe();
      const requests = numbers(60).map((name) => poll(name, pipe.read));
      return () => {
        ring.submit(...requests);
        pipe.put();
        const passes: string[][] = [];
        while (passes.flat().length < 60 && passes.length < 60) {
          ring.getEvents(1);
          passes.push(ring.reap());
        }
        pipe.take();
        return `${passes.map(({ length }) => length).join(" ")}: ${runs(passes.flat())}`;
      };
    },
  },
  {
    order: "K22 used window",
    rule: "cq.window-cached",
    what: "a CQ of 8: one NOP, the head set back to a full queue, three NOPs",
    expected: "1 and 3 posted",
    // Eight CQEs a repetition, so that each begins where a window begins.
    start: (bench) => {
      const ring = bench.ring(8, { flags: abi.IORING_SETUP_CQSIZE, cqEntries: 8 });
      const post = (count: number): number => {
        const before = ring.tail;
        for (let i = 0; i < count; i++) ring.submit(nop("NOP"));
        return (ring.tail - before) >>> 0;
      };
      return () => {
        const one = post(1);
        ring.head = ring.tail - 8;
        const three = post(3);
        const backlog = ring.overflown ? ", backlog" : "";
        ring.head = ring.tail - one - three;
        const names = ring.reap();
        post(4);
        names.push(...ring.reap());
        return `${one} and ${three} posted${backlog}${names.every((name) => name === "NOP") ? "" : `: ${names.join(" ")}`}`;
      };
    },
  },
  {
    order: "K22 fresh ring",
    rule: "cq.window-cached",
    what: "a new ring with a CQ of 8, the head set to -8, one NOP",
    expected: "0 posted, backlog",
    start: (bench) => () => {
      const ring = bench.freshRing(8, { flags: abi.IORING_SETUP_CQSIZE, cqEntries: 8 });
      ring.head = -8;
      ring.submit(nop("NOP"));
      const seen = `${ring.tail} posted${ring.overflown ? ", backlog" : ""}`;
      ring.close();
      return seen;
    },
  },
  ...modes.map(({ mode, params, expected }): Scenario => ({
    order: `K23 ${mode}`,
    rule: "poll.wakes-merge",
    what: "a multishot POLL_ADD of a pipe, three write(2) of a byte",
    expected,
    start: threeWrites(params),
  })),
];
