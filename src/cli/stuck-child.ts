// Frees a process that not even SIGKILL ends. Where a program stored into cq.tail, Linux (seen on 6.18) can
// go round in io_cqring_wait for ever: the backlog can't be flushed because the kernel thinks the CQ full, the
// wait can't end because the application's tail says otherwise, and signals are looked at only behind that.
// Advancing cq.head through /proc/<pid>/mem makes room: the flush succeeds and the signal is taken.
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, writeSync } from "node:fs";

/** struct io_rings starts with sq.head, sq.tail, cq.head, cq.tail, 32 bits each. */
const CQ_HEAD_AT = 8;

/** Makes room in the CQ of every ring of a process: "self" or its number. Nothing happens where /proc does not allow it. */
export function unstick(pid: number | "self"): void {
  try {
    const maps = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n").filter((line) => line.includes("[io_uring]"));
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      if (maps.length > 0 && linkOf(`/proc/${pid}/fd/${fd}`).includes("[io_uring]")) makeRoom(pid, maps, readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"));
    }
  } catch {
    // The process is gone, or nobody may look into it.
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // closed in between
  }
}

function makeRoom(pid: number | "self", maps: readonly string[], fdinfo: string): void {
  const inode = /^ino:\s*(\d+)/m.exec(fdinfo)?.[1];
  const tail = /^CachedCqTail:\s*(\d+)/m.exec(fdinfo)?.[1];
  if (inode === undefined || tail === undefined) return;
  for (const line of maps) {
    // start-end perms offset device inode: the rings are mapped at offset 0 (IORING_OFF_SQ_RING).
    const [range = "", , offset = "", , ino] = line.split(/\s+/);
    if (ino !== inode || Number.parseInt(offset, 16) !== 0) continue;
    const word = new Uint8Array(4);
    new DataView(word.buffer).setUint32(0, Number(tail) >>> 0, true);
    const memory = openSync(`/proc/${pid}/mem`, "r+");
    try {
      writeSync(memory, word, 0, 4, Number.parseInt(range, 16) + CQ_HEAD_AT);
    } finally {
      closeSync(memory);
    }
  }
}
