// Lets a child process of a test run our TypeScript as it is on a Node that does not strip types yet:
// `node --import ./ts-loader.mjs child.ts`. Plain JavaScript, for it is what makes TypeScript run.
import { readFileSync } from "node:fs";
import { register } from "node:module";
import { fileURLToPath } from "node:url";

const here = import.meta.url;
// Hooks run on a thread of their own, which imports this file too: it must not register again.
if (!new URL(here).searchParams.has("hooks")) register(`${here}?hooks`);

export async function load(url, context, next) {
  if (!url.startsWith("file:") || !url.endsWith(".ts")) return next(url, context);
  const { default: ts } = await import("typescript");
  const source = readFileSync(fileURLToPath(url), "utf8");
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, inlineSourceMap: true },
    fileName: fileURLToPath(url),
  });
  return { format: "module", source: outputText, shortCircuit: true };
}
