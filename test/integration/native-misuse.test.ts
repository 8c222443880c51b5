// Every native call against wrong types, wrong ranges, closed objects and descriptors that are not ours:
// an error each time, never a crash. A call without a row fails the first test.
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as abi from "../../src/spec/constants.gen.ts";
import { loadAddon } from "../../src/real/addon.ts";
import type { NativeAddon } from "../../src/real/addon.ts";
import { realOrSay } from "./real.ts";

type Kind = "kernel" | "ring" | "u32" | "fd" | "integer" | "boolean" | "address" | "path" | "bytes" | "function" | "registerArg" | "index";
type Callable = (...args: unknown[]) => unknown;

const rows: Record<string, readonly Kind[]> = {
  kernelOpen: ["path", "boolean"],
  kernelClose: ["kernel"],
  kernelDrop: ["kernel"],
  arenaGrow: ["kernel", "integer"],
  faultAddress: [],
  memoryStats: [],
  setup: ["kernel", "u32", "u32", "u32", "u32", "u32", "u32", "u32", "u32", "u32"],
  enter: ["ring", "u32", "u32", "u32"],
  enterArg: ["ring", "u32", "u32", "u32", "address", "u32", "index"],
  register: ["ring", "u32", "registerArg", "u32", "index"],
  registerElsewhere: ["ring", "u32", "registerArg", "u32", "index"],
  submitElsewhere: ["ring", "u32"],
  closeDescriptor: ["ring"],
  ringClose: ["ring"],
  ringDrop: ["ring"],
  waitStart: ["ring", "function"],
  waitStop: ["ring"],
  open: ["kernel", "path", "u32", "u32"],
  close: ["kernel", "fd"],
  pipe: ["kernel", "u32"],
  raise: ["kernel"],
  takeSignal: ["kernel"],
  eventfd: ["kernel", "u32", "u32"],
  dup: ["kernel", "fd", "u32"],
  read: ["kernel", "fd", "bytes"],
  write: ["kernel", "fd", "bytes"],
  pread: ["kernel", "fd", "bytes", "integer"],
  pwrite: ["kernel", "fd", "bytes", "integer"],
  ftruncate: ["kernel", "fd", "integer"],
  unlink: ["kernel", "path"],
  lseek: ["kernel", "fd", "integer", "u32"],
  size: ["kernel", "fd"],
  adopt: ["kernel", "fd"],
  disown: ["kernel", "fd"],
  owns: ["kernel", "fd"],
};

const hostile: readonly unknown[] = [
  undefined, null, true, false, "x", "", "a\0b", "/".repeat(5000), Symbol("s"), {}, [], [1], () => 0, 1n, -1n, 2n ** 64n,
  NaN, Infinity, -Infinity, -1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, new Uint16Array(4), new DataView(new ArrayBuffer(8)),
  new ArrayBuffer(8), new Proxy({}, {}), new Date(), Object.create(null),
];

const integer = (value: unknown, low: number, high: number) => Number.isInteger(value) && Number(value) >= low && Number(value) <= high;
/** Would the call be right to take this value? */
const accepts: Record<Kind, (value: unknown) => boolean> = {
  kernel: () => false,
  ring: () => false,
  u32: (value) => integer(value, 0, 2 ** 32 - 1),
  fd: (value) => integer(value, 0, 2 ** 31 - 1),
  integer: (value) => integer(value, -(2 ** 53 - 1), 2 ** 53 - 1),
  boolean: (value) => typeof value === "boolean",
  address: (value) => typeof value === "bigint" && value >= 0n && value < 2n ** 64n,
  path: (value) => typeof value === "string" && value !== "" && value.length < 4096 && !value.includes("\0"),
  bytes: (value) => value instanceof Uint8Array,
  function: (value) => typeof value === "function",
  registerArg: (value) => value === null || Number.isSafeInteger(value) || (typeof value === "bigint" && value >= 0n && value < 2n ** 64n),
  // A number needs a flag that none of these calls sets.
  index: (value) => value === null,
};
/** Closing what is not open is no error: a handle that is a number is ignored. */
const idempotent = new Set(["kernelClose", "kernelDrop", "ringClose", "ringDrop", "waitStop"]);
const takesFd = Object.entries(rows).filter(([, kinds]) => kinds[1] === "fd").map(([name]) => name);

let addon: NativeAddon;
let kernel: number;
let ring: number;
let available = false;
let missing = "the addon is not built";

beforeAll(() => {
  // Says why, or fails, where there is no real kernel.
  const real = realOrSay({
    skip: (reason: unknown) => {
      missing = String(reason);
      return undefined as never;
    },
  });
  if (real === undefined) return;
  real.close();
  const loaded = loadAddon();
  if (loaded.addon === undefined) return;
  addon = loaded.addon;
  available = true;
  ({ kernel, ring } = openBoth());
});
afterAll(() => {
  if (available) addon.kernelClose(kernel);
});

function openBoth(): { kernel: number; ring: number } {
  const opened = addon.kernelOpen(tmpdir(), false);
  if (typeof opened === "number") throw new Error(`kernelOpen: ${opened}`);
  const made = addon.setup(opened[0], 4, 0, 0, 0, 0, 0, 0, 0, 0);
  if (typeof made === "number") throw new Error(`setup: ${made}`);
  return { kernel: opened[0], ring: made[0] };
}

function call(name: string, args: readonly unknown[]): unknown {
  const native = (addon as unknown as Record<string, Callable>)[name]; // wrong on purpose
  if (native === undefined) throw new Error(`no native call ${name}`);
  return native(...args);
}

function fitting(kind: Kind): unknown {
  const values: Record<Kind, unknown> = {
    kernel, ring, u32: 0, fd: 1_000_000, integer: 8, boolean: false, address: 0n, path: "no-such-file", bytes: new Uint8Array(8),
    function: () => undefined, registerArg: null, index: null,
  };
  return values[kind];
}

test("every native call has a row", (context) => {
  if (!available) return context.skip(missing);
  expect(Object.keys(addon).sort()).toEqual(Object.keys(rows).sort());
});

test("a wrong type or range throws, names the call, and says what came", (context) => {
  if (!available) return context.skip(missing);
  let refused = 0;
  for (const [name, kinds] of Object.entries(rows)) {
    for (const [position, kind] of kinds.entries()) {
      for (const value of hostile) {
        if (accepts[kind](value)) continue;
        const handle = kind === "kernel" || kind === "ring";
        if (handle && idempotent.has(name) && integer(value, 0, 2 ** 32 - 1)) continue;
        const args = kinds.map((other, index) => (index === position ? value : fitting(other)));
        expect(() => call(name, args), `${name}, argument ${position}: ${String(typeof value)}`).toThrow(new RegExp(`^${name}: .{20,}`));
        refused++;
      }
      // Missing from here on.
      const short = kinds.slice(0, position).map(fitting);
      expect(() => call(name, short), `${name} with ${position} arguments`).toThrow(new RegExp(`^${name}: `));
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(1000);
});

test("a closed kernel and a closed ring are refused by every call, also after their slots are used again", (context) => {
  if (!available) return context.skip(missing);
  const gone = openBoth();
  addon.kernelClose(gone.kernel);
  const next = openBoth();
  expect(next.kernel).not.toBe(gone.kernel);
  expect(next.ring).not.toBe(gone.ring);
  for (const [name, kinds] of Object.entries(rows)) {
    if (kinds[0] !== "kernel" && kinds[0] !== "ring") continue;
    const args = [gone[kinds[0]], ...kinds.slice(1).map(fitting)];
    if (idempotent.has(name)) expect(call(name, args), name).toBeUndefined();
    else expect(() => call(name, args), name).toThrow(/is closed; /);
  }
  expect(addon.enter(next.ring, 0, 0, 0)).toBe(0);
  addon.kernelClose(next.kernel);
});

test("a descriptor that this kernel did not open is refused: 0, 1, 2, Node's own, another kernel's, a ring's, a closed one", (context) => {
  if (!available) return context.skip(missing);
  const other = openBoth();
  const foreign = addon.open(other.kernel, "/dev/null", abi.O_RDWR, 0);
  expect(foreign).toBeGreaterThan(2);
  const fds = [...readdirSync("/proc/self/fd").map(Number), foreign, 999_999];
  const trusted = new Set(["adopt", "disown", "owns"]);
  for (const name of takesFd.filter((row) => !trusted.has(row))) {
    const kinds = rows[name] ?? [];
    for (const fd of fds) {
      expect(call(name, [kernel, fd, ...kinds.slice(2).map(fitting)]), `${name} of ${fd}`).toBe(-abi.EBADF);
    }
  }
  for (const fd of fds) expect(addon.owns(kernel, fd), `owns ${fd}`).toBe(false);
  for (const fd of [0, 1, 2, 999_999]) expect(addon.adopt(kernel, fd)).toBe(-abi.EBADF);
  addon.kernelClose(other.kernel);
});

test("addresses outside the arena and the fault page are refused, also those that wrap", (context) => {
  if (!available) return context.skip(missing);
  const grown = addon.arenaGrow(kernel, 4096);
  if (typeof grown === "number") throw new Error(`arenaGrow: ${grown}`);
  const [buffer, start] = grown;
  const end = start + BigInt(buffer.byteLength);
  const outside: readonly (readonly [bigint, number])[] = [
    [1n, 24], [start - 1n, 24], [end - 23n, 24], [end + 1n, 0], [2n ** 64n - 1n, 24], [2n ** 64n - 8n, 2 ** 32 - 1],
    [start, buffer.byteLength + 1], [addon.faultAddress() + 4096n, 1], [addon.faultAddress() - 1n, 2],
  ];
  for (const [addr, size] of outside) {
    expect(() => addon.enterArg(ring, 0, 0, abi.IORING_ENTER_EXT_ARG, addr, size, null), `${addr}+${size}`).toThrow(RangeError);
  }
  expect(() => addon.register(ring, abi.IORING_REGISTER_PROBE, end - 16n, 256, null)).toThrow(/touches 2064 bytes/);
  expect(() => addon.register(ring, abi.IORING_REGISTER_PROBE, start, 2 ** 32 - 1, null)).toThrow(RangeError);
  expect(() => addon.register(ring, 250, start, 1, null)).toThrow(/not in the specification/);
  expect(addon.register(ring, 250, null, 0, null)).toBe(-abi.EINVAL);
  // A list of buffers names memory of its own.
  const list = new DataView(buffer);
  for (const [addr, size] of [[start - 1n, 2n], [end - 8n, 9n], [8n, 1n], [2n ** 64n - 8n, 16n]] as const) {
    list.setBigUint64(16, addr, true);
    list.setBigUint64(24, size, true);
    expect(() => addon.register(ring, abi.IORING_REGISTER_BUFFERS, start, 2, null), `${addr}+${size}`).toThrow(/buffer 1 has/);
  }
  expect(() => addon.register(ring, abi.IORING_REGISTER_BUFFERS, end - 16n, 2, null)).toThrow(/touches 32 bytes/);
  expect(addon.register(ring, abi.IORING_REGISTER_BUFFERS, addon.faultAddress(), 1, null)).toBe(-abi.EFAULT);
  // What the port lets through is the kernel's to refuse.
  expect(addon.enterArg(ring, 0, 1, abi.IORING_ENTER_GETEVENTS | abi.IORING_ENTER_EXT_ARG, addon.faultAddress(), 24, null)).toBe(-abi.EFAULT);
});

test("a list of queries stays in the arena, and no answer may change it", (context) => {
  if (!available) return context.skip(missing);
  const grown = addon.arenaGrow(kernel, 4096);
  if (typeof grown === "number") throw new Error(`arenaGrow: ${grown}`);
  const [buffer, start] = grown;
  const end = start + BigInt(buffer.byteLength);
  const write = (next: bigint, data: bigint, size: number, at = 0): void => {
    const view = new DataView(buffer, at);
    view.setBigUint64(0, next, true);
    view.setBigUint64(8, data, true);
    new Uint8Array(buffer, at + 16, 24).fill(0);
    view.setUint32(20, size, true);
  };
  const query = (next: bigint, data: bigint, size: number): number => {
    write(next, data, size);
    return Number(addon.register(ring, abi.IORING_REGISTER_QUERY, start, 0, null));
  };
  expect(query(0n, start + 64n, 48)).toBe(0);
  for (const next of [8n, start - 8n, end - 39n, 2n ** 64n - 8n]) expect(() => query(next, start + 256n, 48), `${next}`).toThrow(/entry 1 at address/);
  for (const data of [8n, start - 1n, end - 47n, 2n ** 64n - 8n]) expect(() => query(0n, data, 48), `${data}`).toThrow(/48 bytes for its answer/);
  expect(() => query(0n, start + 64n, 2 ** 32 - 1)).toThrow(RangeError);
  expect(() => query(0n, start + 39n, 48)).toThrow(/overlaps an entry/);
  expect(() => query(start + 8n, start + 256n, 48)).toThrow(/overlaps another entry/);
  write(0n, start + 39n, 1, 512);
  expect(() => query(start + 512n, start + 256n, 48)).toThrow(/overlaps an entry/);
  // Round and round, and into a page that faults.
  expect(query(start, start + 256n, 48)).toBe(-abi.ERANGE);
  expect(query(addon.faultAddress(), start + 256n, 48)).toBe(-abi.EFAULT);
});

test("a region stays in the arena, and a wait by an entry of it needs a bound", (context) => {
  if (!available) return context.skip(missing);
  const { IORING_REGISTER_MEM_REGION: REGION, IORING_REGISTER_ENABLE_RINGS: ENABLE, IORING_SETUP_R_DISABLED: DISABLED } = abi;
  const made = addon.setup(kernel, 4, DISABLED, 0, 0, 0, 0, 0, 0, 0);
  const grown = addon.arenaGrow(kernel, 3 << 20);
  if (typeof made === "number" || typeof grown === "number") throw new Error("setup or arenaGrow");
  const [buffer, start] = grown;
  const end = start + BigInt(buffer.byteLength);
  const view = new DataView(buffer);
  const register = (desc: bigint, addr: bigint, size: bigint): number => {
    view.setBigUint64(0, desc, true);
    view.setBigUint64(8, 1n, true);
    view.setBigUint64(64, addr, true);
    view.setBigUint64(72, size, true);
    view.setUint32(80, 1, true);
    return Number(addon.register(made[0], REGION, start, 1, null));
  };
  for (const desc of [0n, 8n, start - 8n, end - 63n]) expect(() => register(desc, start + 4096n, 4096n), `${desc}`).toThrow(/description at address/);
  for (const [addr, size] of [[4096n, 4096n], [start - 4096n, 8192n], [end - 4096n, 8192n], [end, 4096n]] as const)
    expect(() => register(start + 64n, addr, size), `${addr}`).toThrow(/bytes at address/);
  expect(register(start + 64n, start + 4096n, 4096n)).toBe(0);
  expect(addon.register(made[0], ENABLE, null, 0, null)).toBe(0);
  const wait = (offset: number): number => addon.enterArg(made[0], 0, 1, 1 | 8 | 64, BigInt(offset), 64, null);
  expect(() => wait(0)).toThrow(/no bound/);
  view.setUint32(4096 + 64 + 16, 1000, true);
  expect(wait(64)).toBe(-abi.ETIME);
  // Of the last entry the kernel reads the first, which has no bound.
  view.setUint32(8192 - 64 + 16, 1000, true);
  expect(() => wait(4096 - 64)).toThrow(/no bound/);
  expect(wait(4096)).toBe(-abi.EFAULT);
  addon.ringClose(made[0]);
});

test("a ring that is resized shows its new memory, and its old views are empty", (context) => {
  if (!available) return context.skip(missing);
  const made = addon.setup(kernel, 4, abi.IORING_SETUP_SINGLE_ISSUER | abi.IORING_SETUP_DEFER_TASKRUN, 0, 0, 0, 0, 0, 0, 0);
  const grown = addon.arenaGrow(kernel, 4096);
  if (typeof made === "number" || typeof grown === "number") throw new Error("setup or arenaGrow");
  const [buffer, start] = grown;
  const resize = (entries: number, nrArgs = 1): unknown => {
    new Uint8Array(buffer, 0, 120).fill(0);
    new DataView(buffer).setUint32(0, entries, true);
    return addon.register(made[0], abi.IORING_REGISTER_RESIZE_RINGS, start, nrArgs, null);
  };
  expect([resize(0), resize(8, 2)]).toEqual([-abi.EINVAL, -abi.EINVAL]);
  expect(made.slice(3).every((part) => (part as ArrayBuffer).byteLength > 0)).toBe(true);
  let old: readonly unknown[] = made;
  for (const entries of [4096, 1, 32768, 2]) {
    const parts = resize(entries);
    if (!Array.isArray(parts)) throw new Error(`resize: ${String(parts)}`);
    expect(parts.slice(0, 2)).toEqual(made.slice(0, 2));
    expect(old.slice(3).map((part) => (part as ArrayBuffer).byteLength)).toEqual([0, 0, 0]);
    const [sq, , sqes] = parts.slice(3) as ArrayBuffer[]; // as the addon's own type says
    expect(sqes?.byteLength).toBe(64 * entries);
    // Every byte of it is there, the array's too.
    for (const memory of [sq, sqes]) new Uint8Array(memory ?? new ArrayBuffer(0)).subarray(64).fill(0xff);
    old = parts;
  }
  expect(() => addon.register(made[0], abi.IORING_REGISTER_RESIZE_RINGS, 8n, 1, null)).toThrow(/touches 120 bytes/);
  expect(() => addon.registerElsewhere(made[0], abi.IORING_REGISTER_RESIZE_RINGS, start, 1, null)).toThrow(/by its own thread/);
  expect(addon.closeDescriptor(made[0])).toBe(0);
  expect(resize(8)).toBe(-abi.EBADF);
  addon.ringClose(made[0]);
  expect(old.slice(3).map((part) => (part as ArrayBuffer).byteLength)).toEqual([0, 0, 0]);
});

test("an index names its own ring or nothing, and slots hold rings of their own kernel", (context) => {
  if (!available) return context.skip(missing);
  const other = openBoth();
  const same = addon.setup(kernel, 4, 0, 0, 0, 0, 0, 0, 0, 0);
  const grown = addon.arenaGrow(kernel, 4096);
  const grownElsewhere = addon.arenaGrow(other.kernel, 4096);
  if (typeof same === "number" || typeof grown === "number" || typeof grownElsewhere === "number") throw new Error("setup or arenaGrow");
  const [sibling, siblingFd] = same;
  const [buffer, start] = grown;
  const entry = (of: ArrayBuffer, slot: number, fd: number): void => {
    new DataView(of).setUint32(0, slot, true);
    new DataView(of).setBigUint64(8, BigInt(fd), true);
  };
  entry(buffer, 3, siblingFd);
  expect(addon.register(ring, abi.IORING_REGISTER_RING_FDS, start, 1, null)).toBe(1);
  const { IORING_ENTER_REGISTERED_RING: BY_INDEX, IORING_REGISTER_USE_REGISTERED_RING: USE } = abi;
  for (const wrong of [ring, other.ring]) {
    expect(() => addon.enterArg(wrong, 0, 0, BY_INDEX, 0n, 0, 3)).toThrow(/holds another ring/);
    expect(() => addon.register(wrong, abi.IORING_REGISTER_PERSONALITY | USE, null, 0, 3)).toThrow(RangeError);
    expect(() => addon.register(wrong, (abi.IORING_REGISTER_PERSONALITY | USE) >>> 0, null, 0, 3)).toThrow(/holds another ring/);
  }
  expect(addon.enterArg(sibling, 0, 0, BY_INDEX, 0n, 0, 3)).toBe(0);
  expect(() => addon.enterArg(sibling, 0, 0, 0, 0n, 0, 3)).toThrow(/an index is given/);
  // Another kernel can neither empty the slot, nor register this kernel's ring, nor what is nobody's.
  entry(grownElsewhere[0], 3, 0);
  expect(() => addon.register(other.ring, abi.IORING_UNREGISTER_RING_FDS, grownElsewhere[1], 1, null)).toThrow(/not this kernel's/);
  for (const fd of [siblingFd, 0, 1]) {
    entry(grownElsewhere[0], 4, fd);
    expect(() => addon.register(other.ring, abi.IORING_REGISTER_RING_FDS, grownElsewhere[1], 1, null), `${fd}`).toThrow(/not this kernel's/);
  }
  // A ring that closes gives its slot back.
  addon.ringClose(sibling);
  expect(addon.enterArg(ring, 0, 0, BY_INDEX, 0n, 0, 3)).toBe(-abi.EBADF);
  addon.kernelClose(other.kernel);
});

test("an arena of absurd size is refused", (context) => {
  if (!available) return context.skip(missing);
  for (const size of [0, -1, 2 ** 30 + 1, 2 ** 53 - 1]) expect(() => addon.arenaGrow(kernel, size)).toThrow(RangeError);
});

test("a detached Uint8Array is empty, not a crash", (context) => {
  if (!available) return context.skip(missing);
  const fd = addon.open(kernel, "/dev/null", abi.O_RDWR, 0);
  const bytes = new Uint8Array(8);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  expect(addon.write(kernel, fd, bytes)).toBe(0);
  expect(addon.pread(kernel, fd, bytes, 0)).toBe(0);
  addon.close(kernel, fd);
});
