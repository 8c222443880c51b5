// What stands for a byte array in a state key: FNV-1a over its bytes, and its length. Good for arrays
// that are replaced and never written again, whose digest is kept with them.
const known = new WeakMap<Uint8Array, string>();

export function fnv(bytes: Uint8Array): number {
  let sum = 0x811c9dc5;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193);
  return sum;
}

export function digest(bytes: Uint8Array): string {
  let text = known.get(bytes);
  if (text === undefined) {
    text = `${bytes.length}#${fnv(bytes)}`;
    known.set(bytes, text);
  }
  return text;
}
