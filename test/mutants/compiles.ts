// Which mutants the compiler takes: one that it refuses could not be in the model, so it is not counted.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { packageRoot } from "../../src/real/addon.ts";
import type { Mutant } from "./instrument.ts";

/** Asks of one mutant after the other. Unused names and dead code are no errors here: tests would see to them as to all else. */
export function compilerCheck(): (mutant: Mutant) => boolean {
  const { config } = ts.readConfigFile(join(packageRoot, "tsconfig.json"), (path) => ts.sys.readFile(path)) as { config?: unknown };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, packageRoot);
  const changed = new Map<string, { version: number; text: string }>();
  const textOf = (path: string): string | undefined => changed.get(path)?.text ?? ts.sys.readFile(path);
  const model = join(packageRoot, "src", "model");
  const roots = ts.sys.readDirectory(model, [".ts"]);
  const service = ts.createLanguageService({
    getScriptFileNames: () => roots,
    getScriptVersion: (path) => String(changed.get(path)?.version ?? 0),
    getScriptSnapshot: (path) => {
      const text = textOf(path);
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
    },
    getCurrentDirectory: () => packageRoot,
    getCompilationSettings: () => ({ ...options, noEmit: true, noUnusedLocals: false, noUnusedParameters: false, allowUnreachableCode: true }),
    getDefaultLibFileName: (of) => ts.getDefaultLibFilePath(of),
    fileExists: (path) => ts.sys.fileExists(path),
    readFile: textOf,
    readDirectory: (...args) => ts.sys.readDirectory(...args),
    directoryExists: (path) => ts.sys.directoryExists(path),
    getDirectories: (path) => ts.sys.getDirectories(path),
  });
  return ({ file, span: [from, behind], replacement }) => {
    const path = join(model, file);
    const source = readFileSync(path, "utf8");
    const put = (text: string): unknown => changed.set(path, { version: (changed.get(path)?.version ?? 0) + 1, text });
    put(source.slice(0, from) + replacement + source.slice(behind));
    const faults = [...service.getSyntacticDiagnostics(path), ...service.getSemanticDiagnostics(path)];
    put(source);
    return faults.length === 0;
  };
}
