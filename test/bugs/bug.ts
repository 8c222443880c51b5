// What a seeded bug is: a small, named defect of a kernel, of the port in front of one, or of a driver, and the
// rule that a verdict should name for it. None of them is in the product's code: a defect is a patch of a compiled
// copy (ADR 3), or a decorator of the port.
import type { Kernel, Ring } from "../../src/kernel.ts";
import type { RULES } from "../../src/spec/rules.gen.ts";

export type RuleId = keyof typeof RULES;

/** In `file`, a module of the folder that is copied, `from` occurs once; spaces and line ends count as one space. */
export interface Patch {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Which half of io_uring is broken. */
export type Half =
  /** The model, standing in as a faulty kernel: src/model, patched. */
  | "kernel"
  /** A shim between programs and a kernel that is right, such as a sandbox or a library might put there. */
  | "port"
  /** The userland half: src/ring, patched, or a Ring that misleads it. */
  | "driver";

interface Named {
  /** Kebab-case, and what is wrong, not what is broken by it. */
  readonly id: string;
  readonly title: string;
  /** Where it was seen: rows "#1" to "#23" and "S1" to "S25" of BUGS.md, or a test of liburing. */
  readonly origin: readonly string[];
  /** A verdict that names one of these names the right rule. */
  readonly rules: readonly [RuleId, ...RuleId[]];
  /** Why programs seldom find it, or never; printed where they did not. */
  readonly rare?: string;
}

export type KernelBug = Named & { readonly half: "kernel"; readonly patches: readonly Patch[] };
export type PortBug = Named & { readonly half: "port"; readonly decorate: (kernel: Kernel) => Kernel };
export type DriverBug = Named & {
  readonly half: "driver";
  readonly patches?: readonly Patch[];
  /** What the driver is given in the place of its ring. */
  readonly mislead?: (ring: Ring) => Ring;
};
export type Bug = KernelBug | PortBug | DriverBug;

/** Bugs of the model as a kernel. */
export const onModel = (bugs: readonly Omit<KernelBug, "half">[]): readonly KernelBug[] => bugs.map((bug) => ({ ...bug, half: "kernel" }));
