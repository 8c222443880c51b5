// Makes the model's citations run. The model names the rule that it obeys in a comment, "[chapter.name]"; this
// writes dist/cited/, a copy of the compiled model and oracle in which such a place also says so (cite.js) when a
// run comes by. A verdict's rules are found with it (src/oracle/rules.ts); what judges campaigns is the original.
// An "if" behind a comment cites only where its condition holds. Plain JavaScript, like the build that calls it.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** Of dist/src, what the oracle is made of. */
const PARTS = ["kernel.js", "kernel.js.map", "fdinfo.js", "fdinfo.js.map", "model", "oracle", "program", "ring", "spec"];

/** What a run has come by. */
const BOOK = `export const cited = new Set();
export function cite(...ids) {
    for (const id of ids)
        cited.add(id);
    return true;
}
`;

/** @param {string} dist */
export function writeCited(dist) {
  const to = join(dist, "cited");
  rmSync(to, { recursive: true, force: true });
  for (const part of PARTS) cpSync(join(dist, "src", part), join(to, part), { recursive: true, filter: (file) => !file.endsWith(".d.ts") });
  const model = join(to, "model");
  for (const name of readdirSync(model)) if (name.endsWith(".js")) writeFileSync(join(model, name), withCitations(readFileSync(join(model, name), "utf8"), name));
  writeFileSync(join(model, "cite.js"), BOOK);
}

/**
 * @param {string} text of a compiled module
 * @param {string} name
 */
function withCitations(text, name) {
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
  /** @type {{ at: number, text: string }[]} */
  const added = [];
  /** @param {ts.Node} node */
  const visit = (node) => {
    const call = citationOf(text, node);
    if (call !== undefined) added.push(...placed(node, call));
    ts.forEachChild(node, visit);
  };
  visit(file);
  if (added.length === 0) return text;
  added.sort((a, b) => b.at - a.at);
  let out = text;
  for (const { at, text: what } of added) out = out.slice(0, at) + what + out.slice(at);
  return `import { cite } from "./cite.js";\n${out.replace(/^\/\/# sourceMappingURL=.*$/m, "")}`;
}

/**
 * The rules that the comment in front of a node names, as a call.
 * @param {string} text
 * @param {ts.Node} node
 */
function citationOf(text, node) {
  if (node.parent !== undefined && node.parent.pos === node.pos && !ts.isSourceFile(node.parent)) return undefined; // the outermost has the comment
  const comments = (ts.getLeadingCommentRanges(text, node.pos) ?? []).map(({ pos, end }) => text.slice(pos, end)).join(" ");
  const ids = [...comments.matchAll(/\[([a-z-]+\.[a-z0-9-]+)\]/g)].map(([, id]) => JSON.stringify(id));
  return ids.length === 0 ? undefined : `cite(${ids.join(", ")})`;
}

/**
 * Where the call goes: nowhere, where a comment stands in front of what does not run.
 * @param {ts.Node} node
 * @param {string} call
 * @returns {{ at: number, text: string }[]}
 */
function placed(node, call) {
  if (ts.isIfStatement(node))
    return [{ at: node.expression.getStart(), text: "(" }, { at: node.expression.getEnd(), text: `) && ${call}` }];
  const made = madeBy(node);
  if (made !== undefined)
    return ts.isBlock(made) ? [{ at: made.getStart() + 1, text: ` ${call};` }] : [{ at: made.getStart(), text: `(${call}, ` }, { at: made.getEnd(), text: ")" }];
  const runs = ts.isStatement(node) && !ts.isSourceFile(node.parent) && (ts.isBlock(node.parent) || ts.isCaseOrDefaultClause(node.parent));
  return runs ? [{ at: node.getStart(), text: `${call}; ` }] : [];
}

/**
 * The body of the function that a node declares.
 * @param {ts.Node} node
 * @returns {ts.Block | ts.Expression | undefined}
 */
function madeBy(node) {
  if (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node) || ts.isArrowFunction(node)) return node.body;
  if (ts.isPropertyAssignment(node)) return madeBy(node.initializer);
  const first = ts.isVariableStatement(node) && ts.isSourceFile(node.parent) ? node.declarationList.declarations[0]?.initializer : undefined;
  return first === undefined ? undefined : madeBy(first);
}
