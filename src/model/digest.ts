// What stands for a byte array in a state key: a checksum of its bytes, and its length. Good for arrays
// that are replaced and never written again, whose digest is kept with them.
const known = new WeakMap<Uint8Array, string>();

/** FNV-1a by words. Its product only carries upwards, so what differs in a word's upper bytes is folded down before the next. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0x811c9dc5;
  let at = 0;
  if ((bytes.byteOffset & 3) === 0) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    for (let i = 0; i < words.length; i++) {
      sum = Math.imul(sum ^ (words[i] ?? 0), 0x01000193);
      sum ^= sum >>> 15;
    }
    at = 4 * words.length;
  }
  for (; at < bytes.length; at++) {
    sum = Math.imul(sum ^ (bytes[at] ?? 0), 0x01000193);
    sum ^= sum >>> 15;
  }
  return sum;
}

export function digest(bytes: Uint8Array): string {
  let text = known.get(bytes);
  if (text === undefined) {
    text = `${bytes.length}#${checksum(bytes)}`;
    known.set(bytes, text);
  }
  return text;
}
