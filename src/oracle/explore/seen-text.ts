// What a program sees, as lines of text: the same for an exploration, a trace, and the C program that `emit` prints.
import { portable } from "../../program/lower-registration.ts";

/** FNV-1a of the bytes, eight hex digits. */
export function digestOf(bytes: Uint8Array): string {
  let sum = 0x811c9dc5;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193);
  return (sum >>> 0).toString(16).padStart(8, "0");
}

/** `opened`: the result is the number of a new descriptor, which is the kernel's to choose. The second half of a long one is left out. */
export const cqeLine = (cqe: { readonly userData: bigint; readonly res: number; readonly flags: number }, opened: boolean): string =>
  `cqe 0x${cqe.userData.toString(16)} ${opened && cqe.res >= 0 ? "fd" : cqe.res} 0x${(cqe.flags >>> 0).toString(16)}`;

/** A call of the program and what it returned; a read also brought bytes. */
export const callLine = (call: string, result: number, bytes?: Uint8Array): string =>
  bytes === undefined || result <= 0 ? `${call} ${result}` : `${call} ${result} ${digestOf(bytes.subarray(0, result))}`;

/** What was there at the end: a buffer, a file, a pipe, an eventfd. */
export const lookLine = (name: string, result: number, bytes: Uint8Array): string =>
  result <= 0 ? `look ${name} ${result}` : `look ${name} ${result} ${digestOf(bytes.subarray(0, result))}`;

/** What a call of io_uring_register left in its argument; addresses and descriptors in it (`hidden`) are a run's own. */
export const answerLine = (bytes: Uint8Array, hidden: readonly (readonly [number, number])[] = []): string => lookLine("memory", bytes.length, portable(bytes, hidden));
