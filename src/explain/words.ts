// One event, and one SQE, in a line for people.
import { describe } from "../oracle/explain.ts";
import type { StoreEvent, SystemEvent, TraceEvent } from "../program/trace.ts";
import { IORING_REGISTER_USE_REGISTERED_RING, REGISTER_OPCODES, SETUP_FLAGS, SQE_FLAGS } from "../spec/constants.gen.ts";
import type { NamedValue } from "../spec/constants.gen.ts";
import type { Facts, Lane, SqeFields } from "./replay.ts";

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** Names of the bits that are set, without their prefix. */
function names(bits: number, table: readonly NamedValue[], prefix: string): string[] {
  const known = table.filter(({ value }) => (bits & value) !== 0).map(({ name }) => name.replace(prefix, ""));
  const rest = table.reduce((left, { value }) => left & ~value, bits) >>> 0;
  return rest === 0 ? known : [...known, hex(rest)];
}

export const setupFlagNames = (flags: number): string[] => names(flags, SETUP_FLAGS, "IORING_SETUP_");

/** "READ 0xaaaa". */
export const laneName = ({ name, userData }: Pick<Lane, "name" | "userData">): string => `${name} ${hex(userData)}`;

/** What an SQE asks for beside its name. */
export function sqeWords({ fd, off, len, flags, opFlags }: SqeFields): string {
  const words = [`fd ${fd}`, `off ${off === 0xffff_ffff_ffff_ffffn ? "-1" : off}`, `len ${len}`];
  if (opFlags !== 0) words.push(`op_flags ${hex(opFlags)}`);
  return [...words, ...names(flags, SQE_FLAGS, "IOSQE_")].join(", ");
}

function storeWords({ region, at, bytes }: StoreEvent, { setup }: Facts): string {
  const filled = setup?.filled;
  if (region === "sqes") return `store ${bytes.length} bytes of SQEs at ${at}`;
  const first = filled === undefined ? -1 : (at - filled.sqOff.array) / 4;
  if (filled !== undefined && filled.sqOff.array > 0 && first >= 0 && bytes.length > 4)
    return `store sq.array from ${first} on: ${words32(bytes).join(", ")}`;
  const value = bytes.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) : undefined;
  if (filled === undefined || value === undefined) return `store ${bytes.length} bytes of the ring at ${at}`;
  const { sqOff, cqOff } = filled;
  for (const [side, offsets] of [
    ["sq", sqOff],
    ["cq", cqOff],
  ] as const)
    for (const [name, offset] of Object.entries(offsets))
      if (offset === at && name !== "array" && name !== "cqes") return `store ${side}.${name} = ${value}`;
  return sqOff.array > 0 && at >= sqOff.array
    ? `store sq.array[${(at - sqOff.array) >>> 2}] = ${value}`
    : `store ${hex(value)} into the ring at ${at}`;
}

function words32(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length >>> 2 }, (_, i) => view.getUint32(4 * i, true));
}

/** "write(26, 8 bytes) = 8". */
function systemWords(event: SystemEvent): string {
  const { request, second } = event;
  const words = Object.entries(request)
    .filter(([name]) => name !== "call")
    .map(([name, value]) => {
      if (value instanceof Uint8Array) return `${value.length} bytes`;
      return name === "size"
        ? `${String(value)} bytes`
        : name === "flags"
          ? hex(Number(value))
          : name === "offset"
            ? `at ${String(value)}`
            : JSON.stringify(value);
    });
  const [, result = ""] = describe(event).split(" = ");
  return `${request.call}(${words.join(", ")}) = ${result}${second === undefined ? "" : ` and ${second}`}`;
}

/** The event in a line. `filled`: the requests whose SQE it stored. */
export function stepWords(facts: Facts, filled: readonly Lane[]): string {
  const event: TraceEvent = facts.event;
  switch (event.event) {
    case "store": {
      const [lane] = filled;
      if (lane?.sqe === undefined || filled.length > 1) return storeWords(event, facts);
      return `SQE ${laneName(lane)}: ${sqeWords(lane.sqe)}`;
    }
    case "alloc":
      return `memory: ${event.size} bytes at ${hex(event.addr)}`;
    case "memory":
      return `store ${event.bytes.length} bytes of memory at ${hex(event.addr)}`;
    case "look":
      return `load ${event.bytes.length} bytes of memory at ${hex(event.addr)}`;
    case "enter":
      return `${describe(event)}${event.watchdog === true ? " (bounded by a watchdog)" : ""}`;
    case "register": {
      const name = REGISTER_OPCODES.find(({ value }) => value === (event.opcode & ~IORING_REGISTER_USE_REGISTERED_RING) >>> 0)?.name;
      const sizes = event.filled === undefined ? "" : `: an SQ of ${event.filled.sqEntries} and a CQ of ${event.filled.cqEntries}`;
      return `${describe(event)}${name === undefined ? "" : ` (${name}${sizes})`}`;
    }
    case "system":
      return systemWords(event);
    case "setup":
      return `${describe(event)}${event.params.flags === undefined || event.params.flags === 0 ? "" : ` (${setupFlagNames(event.params.flags).join(", ")})`}`;
    default:
      return describe(event);
  }
}
