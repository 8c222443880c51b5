// What procfs shows of a ring of the real kernel. Read by the thread that asks, so that it is that thread whose task
// work runs. Nothing here is io_uring's: node's own file calls do.
import { closeSync, openSync, readSync } from "node:fs";
import type { InfoFile } from "../kernel.ts";

/** Longer texts take several reads, all of the first one's text (fs/seq_file.c). */
const CHUNK_BYTES = 65_536;

/** Descriptors that are open for one ring: given back when it closes, or is dropped. */
export class InfoFiles {
  readonly #open = new Set<number>();

  /** Throws where /proc is not mounted. */
  open(ring: number): InfoFile {
    const fd = openSync(`/proc/self/fdinfo/${ring}`, "r");
    this.#open.add(fd);
    const isOpen = (): boolean => this.#open.has(fd);
    return {
      read: () => {
        if (!isOpen()) throw new Error("this fdinfo is closed: open another with ring.openInfo()");
        return readAll(fd);
      },
      close: () => {
        if (this.#open.delete(fd)) closeSync(fd);
      },
    };
  }

  close(): void {
    for (const fd of this.#open) closeSync(fd);
    this.#open.clear();
  }
}

/** From the start of the file: the first read makes the text, the others take what is left of it. */
function readAll(fd: number): string {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const count = readSync(fd, chunk, 0, CHUNK_BYTES, at);
    chunks.push(chunk.subarray(0, count));
    at += count;
    if (count < CHUNK_BYTES) return Buffer.concat(chunks).toString("utf8");
  }
}
