// The rules of spec/rule/: every id that the model or the oracle cites is one, and every one is sound.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { contradictionFaults } from "../../scripts/generate/contradictions.ts";
import { citations, coverageFaults, readCoverage, titles } from "../../scripts/generate/coverage.ts";
import { SpecError, loadSpec, parseSpec, readSpecFiles, specRoot } from "../../src/spec/load.ts";
import { RULES, type RuleId } from "../../src/spec/rules.gen.ts";
import { CHAPTERS, CONTRADICTIONS_MAX } from "../../src/spec/schema.ts";

const unknown = (ids: readonly string[]): string[] => ids.filter((id) => !Object.hasOwn(RULES, id));

function sources(folder: string): string[] {
  return readdirSync(join(specRoot(), folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name));
}

const spec = loadSpec();

describe("citations", () => {
  test("every id cited in the model and the oracle is a rule", () => {
    const cited = [...sources("src/model"), ...sources("src/oracle")].flatMap((file) =>
      citations(readFileSync(join(specRoot(), file), "utf8")).map((id) => ({ file, id })),
    );
    expect(new Set(cited.map(({ id }) => id)).size).toBeGreaterThan(90);
    const strangers = cited.filter(({ id }) => unknown([id]).length > 0).map(({ file, id }) => `${file}: ${id}`);
    expect(strangers, "add the rule to spec/rule/<chapter>.json, or fix the id").toEqual([]);
  });

  test("an unknown id is caught, in comments and in calls; code is no citation", () => {
    const text = [
      "// [cq.head-lies] [cq.head-tells] and OPS[r.opcode]",
      "/**",
      " * [quue.window-cached]",
      " */",
      'const op = OPS[r.opcode] ?? [this.next]; m.cite("sq.head-once"); m.cite("sq.head-twice", "constructor");',
    ].join("\n");
    expect(citations(text)).toEqual(["cq.head-lies", "cq.head-tells", "quue.window-cached", "sq.head-once", "sq.head-twice", "constructor"]);
    expect(unknown(citations(text))).toEqual(["cq.head-tells", "quue.window-cached", "sq.head-twice", "constructor"]);
  });
});

describe("coverage", () => {
  const [rule] = spec.rules.filter(({ id }) => id === "cq.head-lies");
  const one = { ...spec, rules: rule === undefined ? [] : [rule] };
  const id = "cq.head-lies";
  const shown = new Map([[id, ["test/integration/rule/cq.test.ts"]]]);

  test("titles name the rules that a test shows", () => {
    expect(titles('onBoth("[a.b] [c.d] text [e.f]", (on) => {});\nonBoth(\n  "[g.h] more", body);\nit("[i.j]")')).toEqual(["a.b", "c.d", "g.h"]);
  });

  test("a must without a citation, or without a test, is a fault; so is an excuse that is none", () => {
    expect(coverageFaults(one, { cited: new Set([id]), tests: shown })).toEqual([]);
    expect(coverageFaults(one, { cited: new Set(), tests: shown }).join()).toContain("no line of src/model");
    expect(coverageFaults(one, { cited: new Set([id]), tests: new Map() }).join()).toContain("no test shows on both kernels");
    const excused = { ...spec, rules: one.rules.map((r) => ({ ...r, untried: "needs a device" })) };
    expect(coverageFaults(excused, { cited: new Set([id]), tests: new Map() })).toEqual([]);
    expect(coverageFaults(excused, { cited: new Set([id]), tests: shown }).join()).toContain("drop one");
  });

  test("an id that is no rule is a fault, in the model and in a title", () => {
    expect(coverageFaults(one, { cited: new Set([id, "cq.no-rule"]), tests: new Map([...shown, ["sq.no-rule", ["x.test.ts"]]]) })).toHaveLength(2);
  });
});

describe("contradictions", () => {
  const coverage = readCoverage(specRoot());
  const without = (number: string) => ({ ...spec, rules: spec.rules.filter(({ contradicts }) => contradicts?.number !== number) });

  test("each number has a rule that was tried, or says why not", () => {
    expect(contradictionFaults(spec, coverage)).toEqual([]);
  });

  test("one that has none is named, whichever it is", () => {
    for (let i = 1; i <= CONTRADICTIONS_MAX; i++) expect(contradictionFaults(without(`X${i}`), coverage).join()).toMatch(new RegExp(`^X${i}: no rule has`));
    expect(contradictionFaults(spec, { ...coverage, tests: new Map() }).join()).toContain("X1: no test shows cancel.any-is-all");
  });
});

describe("rules", () => {
  test("there is a chapter for each name, with rules in it", () => {
    expect(spec.chapters.map(({ chapter }) => chapter)).toEqual([...CHAPTERS]);
    expect(spec.rules.length).toBeGreaterThan(200);
  });

  test("every rule has a source, and its id is its own", () => {
    expect(spec.rules.filter((rule) => rule.sources.length === 0)).toEqual([]);
    const ids = spec.rules.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const texts = spec.rules.map(({ text }) => text);
    expect(new Set(texts).size).toBe(texts.length);
  });

  test("the generated table holds exactly these rules", () => {
    expect(Object.keys(RULES)).toEqual(spec.rules.map(({ id }) => id));
    for (const { id, force, text, shows, since, until } of spec.rules) {
      expect(RULES[id]).toEqual(until === undefined ? { force, text, shows, since } : { force, text, shows, since, until });
    }
    const known: RuleId = "cq.head-lies";
    expect(RULES[known].force).toBe("must");
    expect(RULES["cq.no-such-rule"]).toBeUndefined();
  });

  test("what changed between kernels has an end", () => {
    expect(RULES["overflow.drops-when-full"].until).toBe("5.4");
    expect(RULES["overflow.backlog"]).toMatchObject({ since: "5.5" });
  });
});

describe("loader", () => {
  const refusals: readonly { title: string; file: string; from: string; to: string; names: readonly string[] }[] = [
    { title: "a doubled id", file: "cq", from: '"cq.head-lies"', to: '"cq.window-cached"', names: ["cq.window-cached", "named twice"] },
    { title: "an id of another chapter", file: "cq", from: '"cq.head-lies"', to: '"sq.head-lies"', names: ["sq.head-lies", "another chapter"] },
    { title: "a chapter in another's file", file: "cq", from: '"chapter": "cq"', to: '"chapter": "sq"', names: ["file of its name"] },
    { title: "an unknown chapter", file: "cq", from: '"chapter": "cq"', to: '"chapter": "cqs"', names: ["chapter"] },
    { title: "since after until", file: "overflow", from: '"until": "5.4"', to: '"until": "5.0"', names: ["overflow.drops-when-full", "after until"] },
    { title: "a rule without source", file: "cq", from: '["io_uring/io_uring.c io_cqe_cache_refill()"]', to: "[]", names: ["cq.window-cached", "needs a source"] },
    { title: "a source that is none", file: "cq", from: '["io_uring/io_uring.c io_cqe_cache_refill()"]', to: '["the mailing list"]', names: ["cq.window-cached", "a source such as"] },
    { title: "an unknown force", file: "cq", from: '"force": "must"', to: '"force": "should"', names: ["force"] },
    { title: "an unknown key", file: "cq", from: '"id": "cq.head-lies"', to: '"colour": "red", "id": "cq.head-lies"', names: ["cq.head-lies", "colour"] },
  ];
  test.each(refusals)("refuses $title, by name", ({ file, from, to, names }) => {
    const path = `spec/rule/${file}.json`;
    const files = readSpecFiles();
    const text = readFileSync(join(specRoot(), path), "utf8");
    expect(text).toContain(from);
    files.set(path, JSON.parse(text.replace(from, to)));
    let faults: readonly string[] = [];
    try {
      parseSpec(files);
    } catch (error) {
      if (!(error instanceof SpecError)) throw error;
      faults = error.faults;
    }
    expect(faults.some((fault) => [path, ...names].every((name) => fault.includes(name))), faults.join("\n") || "no fault").toBe(true);
  });
});
