// What an open file leads to: a regular file, a directory, a pipe, an eventfd or a ring.
import { digest } from "./digest.ts";

/** A page of a pipe: `at` is where its data starts, merging goes on behind its end. */
export interface PipeBuffer {
  readonly at: number;
  readonly data: Uint8Array;
}

/** An eventfd's `unsure`: a run that follows a trace left open whether it was signalled so many times more. */
export type Inode =
  | { readonly kind: "file"; readonly id: number; data: Uint8Array }
  | { readonly kind: "directory"; readonly id: number; readonly entries: Map<string, number> }
  | { readonly kind: "pipe"; readonly id: number; buffers: readonly PipeBuffer[]; readers: number; writers: number; pollUsage: boolean }
  | { readonly kind: "eventfd"; readonly id: number; count: bigint; unsure: number; readonly semaphore: boolean }
  | { readonly kind: "ring"; readonly id: number };

/** The same for another fork; what is in it is replaced, never written. */
export function cloneInode<I extends Inode>(from: I): I {
  return from.kind === "directory" ? { ...from, entries: new Map(from.entries) } : { ...from };
}

/** Equal keys: nothing tells the two apart. */
export function inodeKey(i: Inode): string {
  switch (i.kind) {
    case "file":
      return `f${i.id}:${digest(i.data)};`;
    case "pipe": {
      const pages = i.buffers.map((b) => `${b.at}:${digest(b.data)}`).join("/");
      return `p${i.id}:${i.readers},${i.writers},${i.pollUsage ? 1 : 0},${pages};`;
    }
    case "eventfd":
      return `e${i.id}:${i.count}${i.unsure === 0 ? "" : `+${i.unsure}`};`;
    case "directory":
      return `d${i.id}:${[...i.entries].join()};`;
    case "ring":
      return "";
  }
}
