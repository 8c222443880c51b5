// A ring that a stranger posted to before its program began is given up for another.
import { expect, test } from "vitest";
import type { Kernel, Ring } from "../../src/kernel.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { freshRing } from "../../src/program/fresh-ring.ts";

/** A model whose first rings have a completion in them. */
function haunted(rings: number): { readonly kernel: Kernel; readonly made: Ring[] } {
  const model = createModelKernel();
  const made: Ring[] = [];
  const setup: Kernel["setup"] = (entries, params) => {
    const ring = model.setup(entries, params);
    if (made.push(ring) <= rings) new DataView(ring.sqRing.buffer, ring.sqRing.byteOffset).setUint32(ring.params.cqOff.tail, 1, true);
    return ring;
  };
  return { kernel: { ...model, setup }, made };
}

test.each([[0, 1], [1, 2], [2, 3], [3, 3], [9, 3]])("of %i rings that are not empty: the one that is, or the third", (rings, tries) => {
  const { kernel, made } = haunted(rings);
  const ring = freshRing(kernel, 4, {});
  expect(made.length).toBe(tries);
  expect(ring).toBe(made.at(-1));
  expect(made.map(({ closed }) => closed)).toEqual([...Array<boolean>(tries - 1).fill(true), false]);
});

test("counters that begin elsewhere are no completion", () => {
  const kernel = createModelKernel({ counters: 0xffff_fff0 });
  const ring = freshRing(kernel, 4, {});
  expect(new DataView(ring.sqRing.buffer, ring.sqRing.byteOffset).getUint32(ring.params.cqOff.tail, true)).toBe(0xffff_fff0);
});
