// What a real kernel was seen to do when the model did not allow it, or a run of the model when the oracle did
// not: a recorded trace for each rule that has come of it, corpus/<rule>.trace.jsonl, cut behind the event that was
// illegal then, or that judging did not come past; a rule's second one is <rule>.2.trace.jsonl.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { Checker } from "../../src/oracle/checker.ts";
import { judgeTrace } from "../../src/oracle/judge.ts";
import { parseTrace } from "../../src/program/trace.ts";
import { RULES } from "../../src/spec/rules.gen.ts";

const corpus = join(import.meta.dirname, "corpus");
const ENDING = ".trace.jsonl";
const ruleOf = (file: string): string => file.slice(0, -ENDING.length).replace(/\.\d+$/, "");

describe("recorded traces", () => {
  const files = readdirSync(corpus);

  test("each is named after a rule", () => {
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((file) => !file.endsWith(ENDING) || !Object.hasOwn(RULES, ruleOf(file)))).toEqual([]);
  });

  test.each(files.map((file) => ({ file, rule: ruleOf(file) })))("[$rule] is allowed to its end", ({ file }) => {
    const { events } = parseTrace(readFileSync(join(corpus, file), "utf8"));
    expect(judgeTrace(events, new Checker({ profile: PROFILE_6_18 }))).toMatchObject({ verdict: "legal" });
  });

  test("whoever watches hears of a search, event by event, and of nothing while there is none", () => {
    const { events } = parseTrace(readFileSync(join(corpus, `eventfd.disabled-flag${ENDING}`), "utf8"));
    let heard = 0;
    const checker = new Checker({ profile: PROFILE_6_18, onSearch: () => heard++ });
    for (const event of events) checker.event(event);
    expect(heard).toBe(0);
    // The last of them, which a look would follow, can't be explained without a search from the beginning.
    expect(checker.end().verdict).toBe("legal");
    expect(heard).toBeGreaterThanOrEqual(events.length - 1);
  });
});
