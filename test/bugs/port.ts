// Seeded bugs of a shim around a kernel that is right: what a sandbox, a compatibility layer or a library in between
// does wrong. They decorate the port and know no kernel; the hunt puts them around the model.
import type { Kernel, Ring, SetupParams } from "../../src/kernel.ts";
import { KernelError } from "../../src/kernel.ts";
import { CQE } from "../../src/spec/codec.gen.ts";
import { EINTR, EINVAL, ENOMEM, IORING_ENTER_GETEVENTS, IORING_SETUP_CQSIZE, IORING_SQ_CQ_OVERFLOW } from "../../src/spec/constants.gen.ts";
import type { PortBug } from "./bug.ts";

type Enter = Ring["enter"];

/** The ring with another enter(); everything else, its memory too, is asked of the ring itself. */
function withEnter(ring: Ring, enter: Enter, register: Ring["register"] = (...call) => ring.register(...call)): Ring {
  return new Proxy(ring, {
    get: (of, name) => {
      if (name === "enter") return enter;
      if (name === "register") return register;
      const value: unknown = Reflect.get(of, name, of);
      return typeof value === "function" ? value.bind(of) : value;
    },
  });
}

/** The kernel with another setup(). */
function withSetup(kernel: Kernel, setup: (entries: number, params: SetupParams) => Ring): Kernel {
  return new Proxy(kernel, {
    get: (of, name) => {
      if (name === "setup") return (entries: number, params: SetupParams = {}) => setup(entries, params);
      const value: unknown = Reflect.get(of, name, of);
      return typeof value === "function" ? value.bind(of) : value;
    },
  });
}

type Call = Readonly<Parameters<Enter>>;

/** Another enter() for every ring, made once for each. */
const around = (make: (ring: Ring) => (...call: Call) => number) => (kernel: Kernel): Kernel =>
  withSetup(kernel, (entries, params) => {
    const ring = kernel.setup(entries, params);
    return withEnter(ring, make(ring));
  });

const wordsOf = (ring: Ring): Uint32Array => new Uint32Array(ring.sqRing.buffer, ring.sqRing.byteOffset, 16);

/** Does something to the CQEs that a call has posted: `at` is the slot's byte, `nth` counts them. */
const onPosted = (change: (bytes: DataView, at: number, nth: number, count: number) => void) =>
  around((ring) => (...call) => {
    const tailAt = ring.params.cqOff.tail >>> 2;
    const words = wordsOf(ring);
    const before = words[tailAt] ?? 0;
    const result = ring.enter(...call);
    const { cqEntries, cqOff } = ring.params;
    const count = Math.min(((words[tailAt] ?? 0) - before) >>> 0, cqEntries);
    const bytes = new DataView(ring.sqRing.buffer, ring.sqRing.byteOffset, ring.sqRing.byteLength);
    // Of CQEs of 32 bytes nothing is touched: this shim was written before there were any.
    const short = ring.params.sqOff.array === 0 || ring.params.sqOff.array < cqOff.cqes + 32 * cqEntries;
    for (let nth = 0; short && nth < count; nth++) change(bytes, cqOff.cqes + CQE.size * ((before + nth) & (cqEntries - 1)), nth, count);
    return result;
  });

const bugs: readonly Omit<PortBug, "half">[] = [
  {
    id: "shim-reports-to-submit", title: "io_uring_enter returns to_submit, whatever was taken", origin: ["#9", "S17", "L#1071"], rules: ["enter.returns-consumed", "submit.prep-error-stops"],
    decorate: around((ring) => (toSubmit, ...rest) => {
      const result = ring.enter(toSubmit, ...rest);
      return result > 0 ? Math.max(result, Math.min(toSubmit, ring.params.sqEntries)) : result;
    }),
  },
  {
    id: "shim-submits-again", title: "a call that took fewer SQEs than asked is repeated", origin: ["#9", "#23"], rules: ["submit.prep-error-stops", "sq.dropped-stops", "enter.returns-consumed", "enter.short-submit-returns"],
    decorate: around((ring) => (toSubmit, minComplete, flags, ...rest) => {
      const result = ring.enter(toSubmit, minComplete, flags, ...rest);
      return result > 0 && result < toSubmit ? result + Math.max(0, ring.enter(toSubmit - result, minComplete, flags, ...rest)) : result;
    }),
  },
  {
    id: "shim-interrupt-hides-submit", title: "a call that submitted and was interrupted returns -EINTR", origin: ["#10", "L#1280"], rules: ["enter.submit-count-wins"],
    decorate: around((ring) => (toSubmit, minComplete, flags, ...rest) => {
      const result = ring.enter(toSubmit, minComplete, flags, ...rest);
      return result > 0 && minComplete > 0 && (flags & IORING_ENTER_GETEVENTS) !== 0 ? -EINTR : result;
    }),
  },
  {
    id: "shim-submits-apart", title: "a call that submits and waits is made two, and returns what the wait does", origin: ["#11"], 
    // A call that took fewer than asked goes on to its wait too, where it should return at once.
    rules: ["enter.submit-count-wins", "enter.returns-consumed", "enter.short-submit-returns"],
    decorate: around((ring) => (toSubmit, minComplete, flags, ...rest) => {
      if (toSubmit === 0 || (flags & IORING_ENTER_GETEVENTS) === 0) return ring.enter(toSubmit, minComplete, flags, ...rest);
      ring.enter(toSubmit, 0, 0);
      return ring.enter(0, minComplete, flags, ...rest);
    }),
  },
  {
    id: "shim-drops-getevents", title: "a call that asks for no number of completions loses IORING_ENTER_GETEVENTS", origin: ["#12", "#1", "T#263"], 
    // Task work that a call with the flag runs before it counts is not run either.
    rules: ["overflow.flush-getevents", "taskrun.defer-getevents", "taskrun.before-wait", "enter.getevents-waits"],
    decorate: around((ring) => (toSubmit, minComplete, flags, ...rest) =>
      minComplete === 0 ? ring.enter(toSubmit, 0, flags & ~IORING_ENTER_GETEVENTS, ...rest) : ring.enter(toSubmit, minComplete, flags, ...rest)),
  },
  {
    id: "shim-busy-while-backlog", title: "io_uring_enter returns -EBUSY while there is a backlog", origin: ["#23", "L#1511"], rules: ["overflow.submit-allowed", "overflow.getevents-not-busy"],
    decorate: around((ring) => (...call) => ((wordsOf(ring)[ring.params.sqOff.flags >>> 2] ?? 0) & IORING_SQ_CQ_OVERFLOW) !== 0 && call[0] > 0 ? -16 : ring.enter(...call)),
  },
  {
    id: "shim-flushes-always", title: "every call asks for completions", origin: ["#1", "#12"], rules: ["overflow.flush-getevents", "taskrun.defer-getevents"],
    decorate: around((ring) => (toSubmit, minComplete, flags, ...rest) => ring.enter(toSubmit, (flags & IORING_ENTER_GETEVENTS) === 0 ? 0 : minComplete, flags | IORING_ENTER_GETEVENTS, ...rest)),
  },
  {
    id: "shim-errno-lost", title: "a negative result becomes -1", origin: ["S14"], rules: ["submit.result-in-cqe"],
    decorate: onPosted((bytes, at) => bytes.setInt32(at + CQE.res, Math.max(-1, bytes.getInt32(at + CQE.res, true)), true)),
  },
  {
    id: "shim-completion-doubled", title: "of several CQEs the second is a copy of the first", origin: ["#1"], rules: ["submit.one-cqe-each"],
    decorate: onPosted((bytes, at, nth, count) => {
      if (nth === 0 || nth !== count - 1) return;
      for (let i = 0; i < CQE.size; i++) if (at >= CQE.size + 64) bytes.setUint8(at + i, bytes.getUint8(at - CQE.size + i));
    }),
  },
  {
    id: "shim-entry-torn", title: "the newest CQE is shown before its result is written", origin: ["#13", "S10"], rules: ["cq.tail-after-entry", "submit.result-in-cqe"],
    decorate: onPosted((bytes, at, nth, count) => {
      if (nth === count - 1) bytes.setInt32(at + CQE.res, 0, true);
    }),
  },
  {
    id: "shim-user-data-swapped", title: "two neighbours swap their user_data", origin: ["#3", "#17"], rules: ["sq.user-data", "submit.inline-order", "link.chain-order"],
    decorate: onPosted((bytes, at, nth, count) => {
      if (nth !== 1 || count !== 2 || at < CQE.size + 64) return;
      const mine = bytes.getBigUint64(at, true);
      bytes.setBigUint64(at, bytes.getBigUint64(at - CQE.size, true), true);
      bytes.setBigUint64(at - CQE.size, mine, true);
    }),
  },
  {
    id: "shim-wait-size-checked", title: "a wait for more than the CQ holds is refused", origin: ["#23"],
    // Of a call that does not wait min_complete is not looked at, and the shim refuses that too.
    rules: ["enter.min-complete-clamped", "enter.no-wait-without-getevents"],
    decorate: around((ring) => (toSubmit, minComplete, flags, ...rest) => (minComplete > ring.params.cqEntries ? -EINVAL : ring.enter(toSubmit, minComplete, flags, ...rest))),
  },
  {
    id: "shim-cancel-forgotten", title: "IORING_REGISTER_SYNC_CANCEL says 0 and does nothing", origin: ["#18", "#19"], rules: ["cancel.sync", "cancel.any-is-all", "cancel.all-counts"],
    decorate: (kernel) => withSetup(kernel, (entries, params) => {
      const ring = kernel.setup(entries, params);
      return withEnter(ring, (...call) => ring.enter(...call), () => 0);
    }),
  },
  {
    id: "shim-no-memory", title: "a ring of 8 entries is refused with -ENOMEM though the limit allows it, for the last one is not torn down", origin: ["#22", "L#157"], rules: ["setup.memlock"],
    decorate: (kernel) => withSetup(kernel, (entries, params) => {
      if (entries === 8) throw new KernelError("io_uring_setup", ENOMEM);
      return kernel.setup(entries, params);
    }),
  },
  {
    id: "shim-cq-size-given-always", title: "sizes are passed in cq_entries with IORING_SETUP_CQSIZE, where the kernel was to choose", origin: ["S7"], rules: ["setup.cq-default-twice", "setup.flags-echoed"],
    decorate: (kernel) => withSetup(kernel, (entries, params) =>
      ((params.flags ?? 0) & IORING_SETUP_CQSIZE) !== 0 ? kernel.setup(entries, params) : kernel.setup(entries, { ...params, flags: (params.flags ?? 0) | IORING_SETUP_CQSIZE, cqEntries: entries })),
  },
];

export const PORT: readonly PortBug[] = bugs.map((bug) => ({ ...bug, half: "port" }));
