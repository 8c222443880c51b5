// Makes the model's citations run. The model names the rule that it obeys in a comment, "[chapter.name]"; this
// writes dist/cited/, a copy of the compiled model and oracle in which such a place also says so (cite.js) when a
// run comes by. A verdict's rules are found with it (src/oracle/rules.ts); what judges campaigns is the original.
// An "if" behind a comment cites only where its condition holds. Plain JavaScript, like the build that calls it.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** Of dist/src, what the oracle is made of. */
const PARTS = ["kernel.js", "kernel.js.map", "fdinfo.js", "fdinfo.js.map", "model", "oracle", "program", "ring", "spec"];

/**
 * What a run has come by: each rule, and the requests that it came by it for, by their number (0: for none). A rule that is
 * denied is not obeyed where that can be done, at all such places or at one: a condition does not hold, a statement is
 * passed over. What then goes on for too long is ended.
 */
const BOOK = `export const cited = new Map();
export const deniable = new Map();
export const denied = { id: undefined, place: undefined, untilMs: 0 };
let calls = 0;
export function cite(request, ...ids) {
    for (const id of ids) {
        let requests = cited.get(id);
        if (requests === undefined)
            cited.set(id, requests = new Map());
        requests.set(request?.id ?? 0, request);
    }
    if (denied.id !== undefined && ++calls % 256 === 0 && Date.now() > denied.untilMs)
        throw new Error("without " + denied.id + " it takes too long");
    return true;
}
export function obey(place, request, ...ids) {
    cite(request, ...ids);
    for (const id of ids) {
        const places = deniable.get(id);
        if (places === undefined)
            deniable.set(id, new Set([place]));
        else
            places.add(place);
    }
    return denied.id === undefined || (denied.place !== undefined && denied.place !== place) || !ids.includes(denied.id);
}
export function whether(place, request, ...ids) {
    const obeyed = obey(place, request, ...ids);
    return (value) => typeof value === "boolean" ? obeyed === value : value;
}
`;

/** Places where a rule can be denied are numbered. */
let places = 0;

/** Names that the model gives to a request which a function is about. */
const REQUESTS = ["r", "timer", "target", "head", "first"];

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
  return `import { cite, obey, whether } from "./cite.js";\n${out.replace(/^\/\/# sourceMappingURL=.*$/m, "")}`;
}

/**
 * The rules that the comment in front of a node names, as arguments of a call.
 * @param {string} text
 * @param {ts.Node} node
 */
function citationOf(text, node) {
  if (node.parent !== undefined && node.parent.pos === node.pos && !ts.isSourceFile(node.parent)) return undefined; // the outermost has the comment
  const comments = (ts.getLeadingCommentRanges(text, node.pos) ?? []).map(({ pos, end }) => text.slice(pos, end)).join(" ");
  const ids = [...comments.matchAll(/\[([a-z-]+\.[a-z0-9-]+)\]/g)].map(([, id]) => JSON.stringify(id));
  return ids.length === 0 ? undefined : [requestOf(node), ...ids].join(", ");
}

/**
 * The parameter that says which request the code at a node is about, by the name that the model gives it.
 * @param {ts.Node} node
 * @returns {string}
 */
function requestOf(node) {
  const made = madeBy(node)?.parent;
  for (let at = made ?? node; at !== undefined; at = at.parent) {
    const found = ts.isBlock(at) ? declaredBefore(at, node) : undefined;
    if (found !== undefined) return found;
    if (!ts.isFunctionLike(at)) continue;
    const named = at.parameters.map(({ name }) => name.getText()).find((name) => REQUESTS.includes(name));
    if (named !== undefined) return named;
  }
  return "undefined";
}

/**
 * A constant of such a name that a block declares in front of a node.
 * @param {ts.Block} block
 * @param {ts.Node} node
 * @returns {string | undefined}
 */
function declaredBefore(block, node) {
  const before = block.statements.filter((statement) => ts.isVariableStatement(statement) && statement.end <= node.pos);
  const names = before.flatMap((statement) => (ts.isVariableStatement(statement) ? statement.declarationList.declarations.map(({ name }) => name.getText()) : []));
  return names.find((name) => name === "r" || name === "timer");
}

/**
 * Where the call goes, and what becomes of the code where the rule is denied: nowhere, where a comment stands in front of
 * what does not run.
 * @param {ts.Node} node
 * @param {string} ids
 * @returns {{ at: number, text: string }[]}
 */
function placed(node, ids) {
  const atPlace = `${++places}, ${ids}`;
  const obey = `obey(${atPlace})`;
  /** @param {ts.Node} of @param {string} before @param {string} after */
  const around = (of, before, after) => [{ at: of.getStart(), text: before }, { at: of.getEnd(), text: after }];
  if (ts.isIfStatement(node)) return around(node.expression, "(", `) && ${obey}`);
  const made = madeBy(node);
  if (made !== undefined && ts.isBlock(made)) return [{ at: made.getStart() + 1, text: ` if (!${obey}) return;` }];
  if (made !== undefined) return decided(made, atPlace) ?? around(made, `(cite(${ids}), `, ")");
  const runs = ts.isStatement(node) && !ts.isSourceFile(node.parent) && (ts.isBlock(node.parent) || ts.isCaseOrDefaultClause(node.parent));
  if (!runs) return [];
  if (ts.isExpressionStatement(node) && ts.isBinaryExpression(node.expression) && node.expression.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
    const otherwise = decided(node.expression.right, atPlace);
    if (otherwise !== undefined) return otherwise;
  }
  if (ts.isExpressionStatement(node)) return around(node.expression, `${obey} && (`, ")");
  const value = ts.isReturnStatement(node) ? node.expression : ts.isVariableStatement(node) ? node.declarationList.declarations[0]?.initializer : undefined;
  return (value === undefined ? undefined : decided(value, atPlace)) ?? [{ at: node.getStart(), text: `cite(${ids}); ` }];
}

/**
 * An expression that decides: denied, it decides otherwise; of the least or the greatest it is the first.
 * @param {ts.Expression} of
 * @param {string} atPlace
 * @returns {{ at: number, text: string }[] | undefined}
 */
function decided(of, atPlace) {
  const otherwise = (/** @type {ts.Expression} */ it) => [{ at: it.getStart(), text: `(obey(${atPlace}) === Boolean(` }, { at: it.getEnd(), text: "))" }];
  if (ts.isParenthesizedExpression(of)) return decided(of.expression, atPlace);
  // An unsigned difference: denied, nothing is taken off.
  if (ts.isBinaryExpression(of) && of.operatorToken.kind === ts.SyntaxKind.GreaterThanGreaterThanGreaterThanToken) return decided(of.left, atPlace);
  if (ts.isBinaryExpression(of) && of.operatorToken.kind === ts.SyntaxKind.MinusToken) return [{ at: of.right.getStart(), text: `(!obey(${atPlace}) ? 0 : ` }, { at: of.right.getEnd(), text: ")" }];
  if (ts.isConditionalExpression(of)) return otherwise(of.condition);
  // "a || b" may be the first of two numbers that is not 0: that stays what it is.
  if (ts.isBinaryExpression(of) && DECIDES.has(of.operatorToken.kind)) return [{ at: of.getStart(), text: `whether(${atPlace})(` }, { at: of.getEnd(), text: ")" }];
  const first = ts.isCallExpression(of) && /^Math\.(min|max)$/.test(of.expression.getText()) ? of.arguments[0] : undefined;
  return first === undefined ? undefined : [{ at: of.getStart(), text: `(!obey(${atPlace}) ? ${first.getText()} : ` }, { at: of.getEnd(), text: ")" }];
}

const DECIDES = new Set([
  ts.SyntaxKind.EqualsEqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsEqualsToken, ts.SyntaxKind.LessThanToken, ts.SyntaxKind.LessThanEqualsToken,
  ts.SyntaxKind.GreaterThanToken, ts.SyntaxKind.GreaterThanEqualsToken, ts.SyntaxKind.AmpersandAmpersandToken, ts.SyntaxKind.BarBarToken,
]);

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
