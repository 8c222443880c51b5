// Prints a program as a C program that stands alone: raw system calls, C11, no header of io_uring's. It does what
// program/interpreter.ts does, and prints what the program sees, a line each:
//
//   setup 0                io_uring_setup: 0 or -errno
//   enter 2                a call of the program and its result or -errno; of a read also FNV-1a of what it read
//   cqe 0x1 -125 0x0       a completion: user_data, res ("fd" where that is a new descriptor), flags
//   look b0 16 1a2b3c4d    at the end: a buffer, file, pipe or eventfd, how many bytes, and their FNV-1a
import { GETEVENTS_ARG } from "../../spec/codec.gen.ts";
import { IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, IORING_SETUP_CQE_MIXED, IORING_SETUP_SQPOLL, OPCODES, SQE_FLAGS } from "../../spec/constants.gen.ts";
import type { Address, Operation, Program, SqeSpec } from "../program.ts";
import { ringParams } from "../ring-params.ts";
import { memorySafe } from "../safety.ts";
import { RUNTIME } from "./runtime.ts";

const opcodes = new Map(OPCODES.map((o) => [o.name.replace("IORING_OP_", ""), o.value]));
const sqeFlags = new Map(SQE_FLAGS.map((f) => [f.name.replace("IOSQE_", ""), f.value]));

/** Why a program can't be emitted: one sentence; undefined: it can. */
export function emitFault(program: Program): string | undefined {
  const { flags = 0 } = ringParams(program.ring);
  if ((flags & IORING_SETUP_SQPOLL) !== 0) return "a thread of the kernel's submits (SQPOLL), and the C program's looks at the ring would be other moments than the trace's";
  if ((flags & IORING_SETUP_CQE_MIXED) !== 0) return "its completions take one slot or two (CQE_MIXED), and the C program reads slots of one size";
  const reads = program.ops.findIndex(({ op }) => op === "fdinfo");
  if (reads >= 0) return `operation ${reads} reads what procfs shows of the ring, which is not part of what the C program prints`;
  for (const [i, operation] of program.ops.entries()) {
    if (operation.op === "raise") return `operation ${i} sends a signal, and the C program sends none`;
    if (operation.op === "register") return `operation ${i} registers something (${operation.does.call}), and the C program makes no memory for that`;
    const left = operation.op === "enter" || operation.op === "submit" ? leftOut(operation) : undefined;
    if (left !== undefined) return `operation ${i} (${operation.op}) has ${left}, which the C program's calls have not`;
  }
  const fault = memorySafe(program);
  return fault === undefined ? undefined : `it is not safe to run: ${fault}`;
}

const leftOut = (operation: Operation & { op: "enter" | "submit" }): string | undefined =>
  (["index", "region", "minWait", "until", "signals"] as const).find((field) => field in operation && Reflect.get(operation, field) !== undefined);

/** The text of the C program. Throws Error where `emitFault` says that there is none. */
export function emitC(program: Program): string {
  const fault = emitFault(program);
  if (fault !== undefined) throw new Error(`emitC: ${fault}`);
  const text = JSON.stringify(program.ops);
  const world = new World(program, text);
  return `${[
    `// A program of ringspec, as C. It does what the program below does, and prints each call's result and each completion:`,
    `//   setup <0 or -errno>; enter|read|write|close <result> [FNV-1a of what was read]; cqe <user_data> <res or fd> <flags>;`,
    `//   look <name> <bytes> <FNV-1a> at the end. Compile: cc -std=c11 -Wall -Wextra -Werror -o program program.c`,
    `// ${JSON.stringify(program)}`,
    RUNTIME,
    `int is_open(uint64_t user_data) {`,
    ...opens(program).map((userData) => `  if (user_data == ${userData}u) return 1;`),
    ...(opens(program).length === 0 ? ["  (void)user_data;"] : []),
    `  return 0;`,
    `}`,
    ``,
    `int main(void) {`,
    `  setvbuf(stdout, NULL, _IOLBF, 0);`,
    `  signal(SIGPIPE, SIG_IGN);`,
    `  const char *parent = getenv("TMPDIR");`,
    `  char directory[4096];`,
    `  int length = snprintf(directory, sizeof directory, "%s/ringspec-XXXXXX", parent == NULL ? "/tmp" : parent);`,
    `  if (length >= (int)sizeof directory || mkdtemp(directory) == NULL || chdir(directory) < 0) die("mkdtemp in TMPDIR");`,
    `  fault = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);`,
    `  if (fault == MAP_FAILED) die("mmap");`,
    ...world.opens(),
    ...setupLines(program),
    ...program.ops.flatMap((operation, i) => [`  // ${i}: ${operation.op}`, ...operationLines(operation, world)]),
    `  finish();`,
    ...world.looks(),
    `  close(ring);`,
    `  }`,
    ...world.removes(),
    `  return chdir("/") < 0 || rmdir(directory) < 0;`,
    `}`,
  ].join("\n")}\n`;
}

function opens(program: Program): readonly number[] {
  return program.ops.flatMap((op) => {
    const sqe = op.op === "slot" ? op.sqe : op;
    return "opcode" in sqe && sqe.opcode === "OPENAT" ? [sqe.userData] : [];
  });
}

const quoted = (text: string): string => `"${[...Buffer.from(text, "latin1")].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")}"`;

/** What the program names, made as program/world.ts makes it. */
class World {
  private readonly program: Program;
  private readonly text: string;

  constructor(program: Program, text: string) {
    this.program = program;
    this.text = text;
  }

  private named(name: string): boolean {
    return this.text.includes(`"${name}"`);
  }

  private get pipes(): readonly number[] {
    return this.program.world.pipes.flatMap((_, i) => (this.named(`p${i}r`) || this.named(`p${i}w`) ? [i] : []));
  }

  private get directory(): boolean {
    return this.named("dir") || this.named("closed") || this.text.includes('"OPENAT"');
  }

  opens(): string[] {
    const { files, pipes, eventfds, buffers } = this.program.world;
    const lines: string[] = [];
    for (const [i, size] of files.entries()) {
      if (!this.named(`f${i}`)) continue;
      lines.push(`  int f${i} = open("f${i}", O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0644);`, `  if (f${i} < 0) die("open");`);
      if (size > 0) lines.push(`  for (int i = 0; i < ${size}; i++) { uint8_t byte = (uint8_t)i; if (pwrite(f${i}, &byte, 1, i) != 1) die("pwrite"); }`);
    }
    for (const i of this.pipes) {
      lines.push(`  int p${i}[2];`, `  if (pipe2(p${i}, O_CLOEXEC) < 0) die("pipe2");`, `  int p${i}r = p${i}[0], p${i}w = p${i}[1];`, `  (void)p${i}r, (void)p${i}w;`);
      const held = pipes[i] ?? 0;
      if (held > 0) lines.push(`  { uint8_t *held = memory(${held}); memset(held, ${0x50 + i}, ${held}); if (move_bytes(p${i}w, held, ${held}, 1) < 0) die("write"); free(held); }`);
    }
    for (const [i, count] of eventfds.entries())
      if (this.named(`e${i}`)) lines.push(`  int e${i} = eventfd(${count}u, EFD_CLOEXEC);`, `  if (e${i} < 0) die("eventfd");`);
    if (this.directory) {
      lines.push(`  int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);`, `  int closed = fcntl(dir, F_DUPFD_CLOEXEC, 900);`);
      lines.push(`  if (closed < 0) die("dup");`, `  close(closed);`, `  (void)dir, (void)closed;`);
    }
    for (const [i, size] of buffers.entries()) lines.push(`  uint8_t *b${i} = memory(${size});`);
    return lines;
  }

  /** A descriptor, as an expression. */
  fd(name: string | undefined): string {
    if (name === undefined || name === "none") return "-1";
    if (name === "ring") return "ring";
    if (name.startsWith("o")) return `opened_fd(${Number(name.slice(1))}, ${this.directory ? "closed" : "-1"})`;
    const { files, pipes, eventfds } = this.program.world;
    const i = Number(name[1]);
    const exists = name === "dir" || name === "closed" || (name.startsWith("f") ? i < files.length : name.startsWith("p") ? i < pipes.length : i < eventfds.length);
    return exists ? name : "-1";
  }

  /** A place in a buffer; where there is no such buffer, one that faults. */
  place(buffer: number, at: number): string {
    return buffer < this.program.world.buffers.length ? `b${buffer} + ${at}` : "fault";
  }

  looks(): string[] {
    const { files, eventfds, buffers } = this.program.world;
    return [
      ...buffers.map((size, i) => `  look_at_buffer("b${i}", b${i}, ${size});`),
      ...files.flatMap((_, i) => (this.named(`f${i}`) ? [`  look("f${i}", f${i}, 8192, 1);`] : [])),
      ...this.pipes.map((i) => `  look("p${i}r", p${i}r, 70000, 0);`),
      ...eventfds.flatMap((_, i) => (this.named(`e${i}`) ? [`  look("e${i}", e${i}, 8, 0);`] : [])),
    ];
  }

  removes(): string[] {
    const paths = new Set(this.program.world.files.flatMap((_, i) => (this.named(`f${i}`) ? [`f${i}`] : [])));
    for (const match of this.text.matchAll(/"path":"([^"./]+)"/g)) paths.add(match[1] ?? "");
    return [...paths].map((path) => `  unlink(${quoted(path)});`);
  }
}

function setupLines(program: Program): string[] {
  const { flags = 0, cqEntries = 0, sqThreadIdle = 0, resv = [0, 0, 0] } = ringParams(program.ring);
  const fields = `.flags = ${flags}u, .cq_entries = ${cqEntries}u, .sq_thread_idle = ${sqThreadIdle}u, .resv = { ${resv.map((word) => `${word}u`).join(", ")} }`;
  return [`  if (setup(${program.ring.entries}u, (struct params){ ${fields} })) {`];
}

function operationLines(operation: Operation, world: World): string[] {
  switch (operation.op) {
    case "sqe":
      return ["  {", "    int slot = next_slot();", "    if (slot >= 0) {", ...fillLines("(uint32_t)slot", operation, world, "      "), "    }", "  }"];
    case "slot":
      return ["  {", ...fillLines(`${operation.slot}u`, operation.sqe, world, "    "), "  }"];
    case "submit":
      return [`  submit(${operation.wait ?? 0}, ${operation.getevents === true ? "GETEVENTS" : "0"});`];
    case "settle":
      return ["  settle();"];
    case "reap":
      return [`  reap(${operation.max ?? "p.cq_entries"});`];
    case "write":
      return [`  call_write(${world.fd(operation.fd)}, ${operation.bytes}, ${operation.fill});`];
    case "read":
      return [`  call_read(${world.fd(operation.fd)}, ${operation.bytes});`];
    case "close":
      return [`  call_close(${world.fd(operation.fd)});`];
    case "store": {
      const at = WORD_FIELDS[operation.word];
      return [`  store(${at}, ${operation.value === undefined ? `load(${at}) + ${number(operation.add ?? 0)}` : `${operation.value}u`});`];
    }
    case "array":
      return [`  if (!(p.flags & NO_SQARRAY)) store(p.sq.array + 4 * (${operation.slot}u & (p.sq_entries - 1)), ${operation.index}u);`];
    case "enter":
      return enterLines(operation);
    case "fdinfo": case "register": case "raise":
      return [];
  }
}

const number = (value: number): string => `(uint32_t)${value}`;

const WORD_FIELDS = {
  sqHead: "p.sq.head", sqTail: "p.sq.tail", sqRingMask: "p.sq.ring_mask", sqRingEntries: "p.sq.ring_entries", sqDropped: "p.sq.dropped", sqFlags: "p.sq.flags",
  cqHead: "p.cq.head", cqTail: "p.cq.tail", cqRingMask: "p.cq.ring_mask", cqRingEntries: "p.cq.ring_entries", cqFlags: "p.cq.flags", cqOverflow: "p.cq.overflow",
} as const;

function enterLines({ toSubmit, minComplete, flags, wait, arg }: Operation & { op: "enter" }): string[] {
  let pointer = "NULL";
  let size = 0;
  if (arg === "fault") [pointer, size] = ["fault", GETEVENTS_ARG.size];
  else if (wait !== undefined || arg !== undefined) {
    pointer = `bound(${wait?.seconds ?? 0}, ${wait?.nanoseconds ?? 0}, ${arg === "time-fault" ? "fault" : "NULL"})`;
    size = arg === "size" ? GETEVENTS_ARG.size - 8 : GETEVENTS_ARG.size;
  }
  const all = (pointer === "NULL" ? flags & ~IORING_ENTER_EXT_ARG : flags | IORING_ENTER_EXT_ARG) >>> 0;
  const endless = (flags & IORING_ENTER_GETEVENTS) !== 0 && minComplete > 0 && wait === undefined ? ["  // nothing bounds this wait"] : [];
  return [...endless, `  say("enter", enter(${toSubmit}u, ${minComplete}u, ${all}u, ${pointer}, ${size}), NULL);`, "  peek();"];
}

function fillLines(slot: string, spec: SqeSpec, world: World, indent: string): string[] {
  let flags = spec.unknownFlags ?? 0;
  for (const name of spec.flags ?? []) flags |= sqeFlags.get(name) ?? 0;
  const before: string[] = [];
  const address = (of: Address | undefined, name: string): string => (of === undefined ? "0" : lowered(of, name, world, before));
  const off = spec.addr2 === undefined ? `(uint64_t)${spec.off ?? 0}LL` : address(spec.addr2, "addr2");
  const fields: (readonly [string, string])[] = [
    ["opcode", String(typeof spec.opcode === "number" ? spec.opcode : (opcodes.get(spec.opcode) ?? 0))], ["flags", String(flags)], ["ioprio", String(spec.ioprio ?? 0)],
    ["fd", spec.fd === undefined ? "0" : world.fd(spec.fd)], ["off", off], ["addr", address(spec.addr, "addr")], ["len", `${spec.len ?? 0}u`],
    ["op_flags", `${spec.opFlags ?? 0}u`], ["user_data", `${spec.userData}u`], ["buf_index", String(spec.bufIndex ?? 0)],
    ["personality", String(spec.personality ?? 0)], ["splice_fd_in", String(spec.spliceFdIn ?? 0)],
  ];
  const given = fields.filter(([name, value]) => name === "opcode" || !/^(0u?|\(uint64_t\)0LL)$/.test(value));
  const name = typeof spec.opcode === "number" ? "" : ` // ${spec.opcode}`;
  return [...before, `fill(${slot}, (struct sqe){ ${given.map(([field, value]) => `.${field} = ${value}`).join(", ")} });${name}`].map((line) => indent + line);
}

/** An address as an expression; what it points to is made by the lines before it. */
function lowered(address: Address, name: string, world: World, before: string[]): string {
  switch (address.is) {
    case "fault":
      return "at(fault)";
    case "number":
      return `${address.number}u`;
    case "buffer":
      return `at(${world.place(address.buffer, address.at)})`;
    case "path":
      before.push(`static const char ${name}[] = ${quoted(address.path)};`);
      return `at(${name})`;
    case "time":
      before.push(`static const struct timespec64 ${name} = { ${address.seconds}LL, ${address.nanoseconds}LL };`);
      return `at(&${name})`;
    case "deadline":
      return `at(deadline(${address.microseconds}LL))`;
    case "iovec":
      before.push(`struct iovec *${name} = memory(sizeof(struct iovec) * ${Math.max(address.places.length, 1)});`);
      for (const [i, { buffer, at, length }] of address.places.entries()) before.push(`${name}[${i}] = (struct iovec){ ${world.place(buffer, at)}, ${length} };`);
      return `at(${name})`;
  }
}
