// A program for people: one compact line for each operation, in the words of io_uring_enter(2).
import type { Address, Operation, Program, RegisterOperation, SqeSpec } from "../program/program.ts";

export function programLines(program: Program): string[] {
  return program.ops.map((op, index) => `${String(index).padStart(3)}  ${describe(op)}`);
}

/** The ring in one line. */
export function ringLine({ ring, world }: Program): string {
  const extra = [
    ring.cqEntries === undefined ? "" : `, cq_entries ${ring.cqEntries}`,
    ring.unknownFlags === undefined ? "" : `, unnamed flags ${hex(ring.unknownFlags)}`,
    ring.resv === undefined ? "" : `, resv ${ring.resv.join(",")}`,
  ].join("");
  const sizes = (["files", "pipes", "eventfds", "buffers"] as const).filter((what) => world[what].length > 0);
  const flags = ring.flags.length === 0 ? "no flags" : ring.flags.join("|");
  return `${ring.entries} entries, ${flags}${extra}; ${sizes.map((what) => `${what} ${world[what].join(",")}`).join("; ") || "no files"}`;
}

function describe(op: Operation): string {
  switch (op.op) {
    case "sqe": return `sqe ${describeSqe(op)}`;
    case "slot": return `slot ${op.slot} = ${describeSqe(op.sqe)}`;
    case "store": return `store ${op.word} ${op.value === undefined ? `+= ${op.add ?? 0}` : `= ${hex(op.value)}${op.add === undefined ? "" : ` + ${op.add}`}`}`;
    case "array": return `array[${op.slot}] = ${op.index}`;
    case "enter": {
      const more = [
        op.minWait === undefined ? "" : `, all for ${op.minWait}us`,
        op.until === undefined ? "" : `, until now+${op.until}us`,
        op.region === undefined ? "" : `, entry at ${op.region.offset} of the region${op.region.flags === undefined ? "" : `, flags ${hex(op.region.flags)}`}${op.region.size === undefined ? "" : `, size ${op.region.size}`}`,
        indexWords(op.index),
      ].join("");
      const bound = op.wait === undefined ? "" : `, for ${op.wait.seconds}s ${op.wait.nanoseconds}ns`;
      return `enter(${op.toSubmit}, ${op.minComplete}, ${hex(op.flags)}${bound}${op.arg === undefined ? "" : `, argument: ${op.arg}`}${more}${op.signals === true ? ", signals let in" : ""})`;
    }
    case "register": return describeRegister(op);
    case "write": return `write ${op.fd} ${op.bytes} bytes of ${hex(op.fill)}`;
    case "read": return `read ${op.fd} ${op.bytes} bytes`;
    case "close": return `close ${op.fd}`;
    case "submit": return `submit${op.getevents === true ? " GETEVENTS" : ""}${op.wait === undefined ? "" : `, wait for ${op.wait}`}${indexWords(op.index)}${op.signals === true ? ", signals let in" : ""}`;
    case "settle": return "settle";
    case "fdinfo": return "fdinfo";
    case "raise": return "raise";
    case "reap": return `reap${op.max === undefined ? "" : ` at most ${op.max}`}`;
  }
}

const indexWords = (index: number | undefined): string => (index === undefined ? "" : `, by index ${index}`);

function describeRegister({ does, index, count, arg }: RegisterOperation): string {
  const { call, ...fields } = does;
  const words = Object.entries(fields).map(([name, value]) => ` ${name} ${JSON.stringify(value)}`);
  return `register ${call}${words.join("")}${count === undefined ? "" : `, count ${count}`}${arg === undefined ? "" : `, argument: ${arg}`}${indexWords(index)}`;
}

function describeSqe(sqe: SqeSpec): string {
  const { opcode, flags = [], userData, addr, addr2, fd, unknownFlags, opFlags, ...numbers } = sqe;
  const words = [String(opcode), `user_data=${hex(userData)}`];
  if (fd !== undefined) words.push(`fd=${fd}`);
  if (addr !== undefined) words.push(`addr=${describeAddress(addr)}`);
  if (addr2 !== undefined) words.push(`addr2=${describeAddress(addr2)}`);
  for (const field of ["len", "off", "ioprio", "bufIndex", "personality", "spliceFdIn"] as const) {
    if (numbers[field] !== undefined) words.push(`${field}=${numbers[field]}`);
  }
  if (opFlags !== undefined) words.push(`op_flags=${hex(opFlags)}`);
  if (flags.length > 0) words.push(flags.join("|"));
  if (unknownFlags !== undefined) words.push(`flags|=${hex(unknownFlags)}`);
  return words.join(" ");
}

function describeAddress(addr: Address): string {
  switch (addr.is) {
    case "buffer": return `b${addr.buffer}+${addr.at}`;
    case "iovec": return `[${addr.places.map((place) => `b${place.buffer}+${place.at}:${place.length}`).join(" ")}]`;
    case "path": return JSON.stringify(addr.path);
    case "time": return `${addr.seconds}s${addr.nanoseconds}ns`;
    case "deadline": return `now+${addr.microseconds}us`;
    case "number": return hex(addr.number);
    case "fault": return "fault";
  }
}

function hex(value: number): string {
  return value < 10 ? String(value) : `0x${value.toString(16)}`;
}
