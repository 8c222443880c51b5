// Which strictness a kernel deserves where nobody says: the exact orders were verified on Linux 6.18
// with a file system whose habits are known, and on the model, which keeps them by making.
import type { Kernel } from "../kernel.ts";
import type { Strictness } from "../oracle/verdict.ts";

export function verifiedStrictness(kernel: Kernel): Strictness {
  const { version, file } = kernel.profile;
  const verified = version[0] === 6 && version[1] === 18 && file.readInline !== undefined && file.writeInline !== undefined;
  return verified ? "profile" : "spec";
}
