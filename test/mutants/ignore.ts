// What of the model is not mutated, and why: each of these changes nothing that the model says of a kernel. They are
// counted in the report by reason, never left out in silence.

/** What the instrumenter shows of a place in the code: as much as is asked for here. */
export interface Place {
  readonly node: Node;
  readonly parentPath?: Place | null;
}

interface Node {
  readonly type: string;
  readonly callee?: { readonly name?: string; readonly property?: { readonly name?: string } };
  readonly key?: { readonly name?: string };
  readonly id?: { readonly name?: string } | null;
}

/** Classes of errors; what they say is for people. */
const ERRORS = /(Error|^Unmodelled|^WouldBlockForever)$/;
/** Methods and functions that write a state as text, by which a search drops a state that it has twice. */
const KEYS: ReadonlySet<string> = new Set(["key", "digest", "fnv", "inodeKey"]);

/** Classes, methods and functions that judging a trace does not run, in files of which it runs the rest. */
const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ["ModelSystem", "calls of the model as a kernel to run programs on; the oracle does not make them"],
  ["Simulation", "the scheduler of a run of the model's own; a search has another (src/oracle/guided.ts)"],
  ["random", "the seeded numbers of that scheduler"],
  ["checkIndex", "misuse of the port, which throws; a trace has none of it"],
  ["seek", "lseek of the model as a kernel to run programs on; the oracle does not make it"],
  ["formatInfo", "the text that the model's own procfs shows; the oracle compares the numbers"],
]);

/** Why nothing at or below this place is mutated; undefined: it is. */
export function reasonToIgnore({ node, parentPath }: Place): string | undefined {
  const name = node.key?.name ?? node.id?.name ?? "";
  switch (node.type) {
    case "NewExpression":
      return ERRORS.test(node.callee?.name ?? "") ? "text of an error" : undefined;
    case "ClassMethod":
    case "FunctionDeclaration":
      return KEYS.has(name) ? "text by which a search drops states that it has twice" : LEFT_OUT.get(name);
    case "ClassDeclaration":
      return LEFT_OUT.get(name);
    case "StringLiteral":
    case "TemplateLiteral":
      return isAlternative(parentPath) ? "names of alternatives at a choice, for reports" : undefined;
    default:
      return undefined;
  }
}

/** choose(m, "point", ["here", "and here"]) */
function isAlternative(parent: Place | null | undefined): boolean {
  return parent?.node.type === "ArrayExpression" && parent.parentPath?.node.type === "CallExpression" && parent.parentPath.node.callee?.property?.name === "choose";
}

/** Files of the model on which no verdict depends. */
export const FILES_LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ["kernel.ts", "the model as a kernel to run programs on; the oracle does not load it"],
  ["choices.ts", "the list by which a report counts choices; no verdict depends on it"],
  ["footprint.ts", "what a request touches, by which a search leaves out orders that come to the same; it says nothing of what the kernel does"],
]);
