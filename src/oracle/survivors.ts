// What is left of the runs of one window.
import type { Survivor } from "./run.ts";

/** One for each state. */
export function distinct(survivors: readonly Survivor[]): readonly Survivor[] {
  if (survivors.length < 2) return survivors;
  const byKey = new Map<string, Survivor>();
  for (const survivor of survivors) {
    const key = survivor.machine.key();
    if (!byKey.has(key)) byKey.set(key, survivor);
  }
  return [...byKey.values()];
}

/** At most `beam` of them, from all over the list: neighbours are much alike. */
export function narrow(survivors: readonly Survivor[], beam: number): readonly Survivor[] {
  if (survivors.length <= beam) return survivors;
  const stride = survivors.length / beam;
  return Array.from({ length: beam }, (_, i) => survivors[Math.floor(i * stride)]).filter((s) => s !== undefined);
}
