// What an open file leads to: a regular file, a directory, a pipe, an eventfd or a ring.

/** A page of a pipe: `at` is where its data starts, merging goes on behind its end. */
export interface PipeBuffer {
  readonly at: number;
  readonly data: Uint8Array;
}

export type Inode =
  | { readonly kind: "file"; readonly id: number; data: Uint8Array }
  | { readonly kind: "directory"; readonly id: number; readonly entries: Map<string, number> }
  | { readonly kind: "pipe"; readonly id: number; buffers: readonly PipeBuffer[]; readers: number; writers: number; pollUsage: boolean }
  | { readonly kind: "eventfd"; readonly id: number; count: bigint; readonly semaphore: boolean }
  | { readonly kind: "ring"; readonly id: number };

/** The same for a fork; what is in it is replaced, never written. */
export const cloneInode = (from: Inode): Inode =>
  from.kind === "directory" ? { ...from, entries: new Map(from.entries) } : { ...from };
