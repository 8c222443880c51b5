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
  /** Of an if. */
  readonly consequent?: Node;
  readonly alternate?: Node | null;
  /** Of a block. */
  readonly body?: readonly Node[];
  /** Of a throw. */
  readonly argument?: Node | null;
}

/**
 * A footprint that is wrong makes no behaviour legal or illegal: a search then leaves out orders that it should try, and
 * says unknown or illegal only where no order that it does try fits. That is looked for where orders are counted
 * (test/property/self-agreement.test.ts, npm run explore), and seldom shows in a corpus of quick traces.
 */
const FOOTPRINT = "what a step touches, by which a search leaves out orders that come to the same; it says nothing of what the kernel does";
/** Classes of errors; what they say is for people. */
const ERRORS = /(Error|^Unmodelled|^WouldBlockForever)$/;
/** Methods and functions that write a state as text or as a sum, by which a search drops a state that it has twice. */
const KEYS: ReadonlySet<string> = new Set(["key", "order", "digest", "checksum", "preparedSum", "inodeKey", "inodesKey", "waitersKey", "descriptorsKey", "pollThreadKey"]);

/** Classes, methods and functions that judging a trace does not run, in files of which it runs the rest. */
const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ["ModelSystem", "calls of the model as a kernel to run programs on; the oracle does not make them"],
  ["Simulation", "the scheduler of a run of the model's own; a search has another (src/oracle/guided.ts)"],
  ["stepId", "the number by which a search that leaves out orders knows a step"],
  ["random", "the seeded numbers of that scheduler"],
  ["checkIndex", "misuse of the port, which throws; a trace has none of it"],
  ["seek", "lseek of the model as a kernel to run programs on; the oracle does not make it"],
  ["remembered", "a cache: without it the same is worked out again"],
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
    case "VariableDeclarator":
      return KEYS.has(name) ? "text by which a search drops states that it has twice" : LEFT_OUT.get(name);
    case "ClassDeclaration":
      return LEFT_OUT.get(name);
    case "BlockStatement":
    case "IfStatement":
      return givesUp(node) ? "bounds of what the model knows: a trace past one is judged unknown, and is in no corpus" : undefined;
    case "ArrowFunctionExpression":
      return parentPath?.node.type === "CallExpression" && parentPath.node.callee?.property?.name === "before" ? FOOTPRINT : undefined;
    case "StringLiteral":
    case "TemplateLiteral":
      if (isPoint(node, parentPath)) return "names of choice points, by which reports and searches know them";
      return isAlternative(parentPath) ? "names of alternatives at a choice, for reports" : undefined;
    default:
      return undefined;
  }
}

/** throw new Unmodelled(...), behind an if without an else, and a block of nothing else. */
function givesUp({ type, argument, consequent, alternate, body = [] }: Node): boolean {
  switch (type) {
    case "ThrowStatement":
      return argument?.callee?.name === "Unmodelled";
    case "IfStatement":
      return consequent !== undefined && alternate == null && givesUp(consequent);
    case "BlockStatement":
      return body.length > 0 && body.every(givesUp);
    default:
      return false;
  }
}

/** choose(m, "here", [...]) */
function isPoint(node: Node, parent: Place | null | undefined): boolean {
  return parent?.node.type === "CallExpression" && parent.node.callee?.property?.name === "choose" && node.type === "StringLiteral";
}

/** choose(m, "point", ["here", "and here"]) */
function isAlternative(parent: Place | null | undefined): boolean {
  return parent?.node.type === "ArrayExpression" && parent.parentPath?.node.type === "CallExpression" && parent.parentPath.node.callee?.property?.name === "choose";
}

/** Files of the model on which no verdict depends. */
export const FILES_LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ["kernel.ts", "the model as a kernel to run programs on; the oracle does not load it"],
  ["choices.ts", "the list by which a report counts choices; no verdict depends on it"],
  ["footprint.ts", FOOTPRINT],
]);
