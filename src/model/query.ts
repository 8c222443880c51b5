// IORING_REGISTER_QUERY: what the kernel has, asked entry by entry along a list. Follows io_uring/query.c.
import {
  EFAULT, EINVAL, ENTER_FLAGS, EOPNOTSUPP, ERANGE, QUERY_OPS, SQE_FLAGS,
} from "../spec/constants.gen.ts";
import { QUERY_HDR, QUERY_OPCODE } from "../spec/codec.gen.ts";
import type { Machine } from "./machine.ts";
import { load32, load64, store32, store64 } from "./memory.ts";
import { flagBits, has, registerOpcodes } from "./profile.ts";

const ENTRIES_MAX = 1000;

/** io_query. [register.query] [register.query-count] */
export function query(m: Machine, addr: bigint, nrArgs: number): number {
  if (nrArgs !== 0) return -EINVAL;
  let answered = 0;
  for (let at = addr; at !== 0n; ) {
    const entry = m.memory.read(at, QUERY_HDR.size);
    if (entry === undefined || !answerEntry(m, at, entry)) return -EFAULT;
    // [register.query-list]
    at = load64(entry, QUERY_HDR.next_entry);
    if (++answered >= ENTRIES_MAX) return -ERANGE;
  }
  return 0;
}

/** io_handle_query_entry: false where memory faults. [register.query-entry] [register.query-size] */
function answerEntry(m: Machine, at: bigint, entry: Uint8Array): boolean {
  const room = load32(entry, QUERY_HDR.size_);
  const data = load64(entry, QUERY_HDR.query_data);
  const reserved = entry.subarray(QUERY_HDR.__resv).some((byte) => byte !== 0);
  let answer: Uint8Array = new Uint8Array(0);
  let result = -EINVAL;
  if (load32(entry, QUERY_HDR.query_op) >= queryOps(m)) {
    result = -EOPNOTSUPP;
  } else if (!reserved && load32(entry, QUERY_HDR.result) === 0 && room !== 0) {
    answer = opcodes(m).slice(0, room);
    result = 0;
  }
  store32(entry, QUERY_HDR.result, result);
  store32(entry, QUERY_HDR.size_, answer.length);
  // What of the room is not filled is made zero.
  const whole = new Uint8Array(room);
  whole.set(answer);
  return m.memory.write(data, whole) && m.memory.write(at, entry);
}

const queryOps = (m: Machine): number => QUERY_OPS.filter((op) => has(m.profile.version, op.since)).length;

/** struct io_uring_query_opcode. [register.query-opcodes] */
function opcodes(m: Machine): Uint8Array {
  const bytes = new Uint8Array(QUERY_OPCODE.size);
  store32(bytes, QUERY_OPCODE.nr_request_opcodes, Math.max(...m.profile.opcodes) + 1);
  store32(bytes, QUERY_OPCODE.nr_register_opcodes, Math.max(...registerOpcodes(m.profile)) + 1);
  store64(bytes, QUERY_OPCODE.feature_flags, BigInt(m.profile.features));
  store64(bytes, QUERY_OPCODE.ring_setup_flags, BigInt(m.profile.setupFlags));
  store64(bytes, QUERY_OPCODE.enter_flags, BigInt(flagBits(m.profile.version, ENTER_FLAGS)));
  store64(bytes, QUERY_OPCODE.sqe_flags, BigInt(flagBits(m.profile.version, SQE_FLAGS)));
  store32(bytes, QUERY_OPCODE.nr_query_opcodes, queryOps(m));
  return bytes;
}
