// The page of a timeline: one file that needs no network. What it shows is filled in by page.ts, whose
// compiled text is put in here.
import { page } from "./page.ts";
import type { Timeline } from "./timeline.ts";

/** JSON that can stand in a script element. */
const embedded = (value: unknown): string => JSON.stringify(value).replaceAll("<", "\\u003c");
const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #57606a; --paper: #fff; --panel: #f6f8fa; --line: #d0d7de;
  --full: #9ecbff; --wait: #c9d1d9; --run: #54a0ff; --good: #1a7f37; --bad: #cf222e; --maybe: #9a6700; --here: #fff3b0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9aa4af; --paper: #0d1117; --panel: #161b22; --line: #30363d;
  --full: #1f4f82; --wait: #3d444d; --run: #388bfd; --good: #3fb950; --bad: #ff7b72; --maybe: #d29922; --here: #3b3410; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 72rem; margin: auto; display: grid; gap: .75rem; }
h1 { font-size: 1.15rem; margin: 0; } h2 { font-size: .95rem; margin: 0 0 .4rem; }
code, .mono, td { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .9em; }
header, .controls { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
.dim { color: var(--dim); }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .75rem; min-width: 0; }
.badge { padding: .05rem .5rem; border-radius: 1rem; border: 1px solid currentColor; font-weight: 600; font-size: .85rem; }
.legal { color: var(--good); } .illegal { color: var(--bad); } .unknown, .not-judged { color: var(--maybe); }
button { font: inherit; padding: .25rem .7rem; border: 1px solid var(--line); border-radius: 6px; background: var(--panel); color: inherit; cursor: pointer; }
button:disabled { opacity: .45; cursor: default; }
:focus-visible { outline: 3px solid var(--run); outline-offset: 1px; }
#slider { flex: 1; min-width: 8rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: .75rem; }
.rules { height: 26.5rem; overflow-y: auto; }
[hidden] { display: none; }
.queue { display: flex; gap: .75rem; align-items: center; flex-wrap: wrap; }
.queue svg { width: 9.5rem; height: 9.5rem; flex: none; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 500; color: var(--dim); padding-right: .8rem; } td { text-align: right; }
.slot { fill: var(--paper); stroke: var(--line); } .slot.full { fill: var(--full); }
svg text { fill: var(--ink); text-anchor: middle; dominant-baseline: central; font: 600 13px ui-monospace, monospace; }
.pointer { font-size: 15px !important; } .pointer.head { fill: var(--good); } .pointer.tail { fill: var(--bad); }
#rules, #allowed { margin: 0; padding-left: 1.1rem; } #event { overflow-wrap: anywhere; }
.timeline { display: grid; grid-template-columns: max-content 1fr; }
#lane-names { list-style: none; margin: 0; padding: 0 .75rem 0 0; } #lane-names li { height: 20px; line-height: 20px; white-space: nowrap; font-size: .85rem; }
.scroll { overflow-x: auto; } #lanes { display: block; cursor: pointer; }
#cursor { fill: var(--here); } .waiting { fill: var(--wait); } .running { fill: var(--run); opacity: .55; }
.cqe { fill: var(--good); stroke: var(--paper); } .cqe.failed { fill: var(--bad); }
`;

const queue = (id: "sq" | "cq", name: string): string => `
<section class="panel" aria-labelledby="${id}-name">
  <h2 id="${id}-name">${name}</h2>
  <div class="queue">
    <svg id="${id}-ring" viewBox="0 0 200 200" role="img" aria-labelledby="${id}-name"></svg>
    <table><tbody>
      <tr><th scope="row">head</th><td id="${id}-head"></td></tr>
      <tr><th scope="row">tail</th><td id="${id}-tail"></td></tr>
      <tr><th scope="row">mask</th><td id="${id}-mask"></td></tr>
      <tr><th scope="row">head &amp; mask</th><td id="${id}-head-slot"></td></tr>
      <tr><th scope="row">tail &amp; mask</th><td id="${id}-tail-slot"></td></tr>
    </tbody></table>
  </div>
</section>`;

/** The file. */
export function timelinePage(timeline: Timeline): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<title>${escaped(timeline.title)} - ringspec explain</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header><h1 id="title"></h1><span id="verdict"></span><span class="dim" id="by"></span><span class="dim" id="why"></span></header>
<noscript><p>Stepping needs JavaScript. The same timeline as text: <code>ringspec explain FILE</code>.</p></noscript>
<nav class="controls" aria-label="Steps">
  <button id="first" type="button" aria-keyshortcuts="Home">First</button>
  <button id="back" type="button" aria-keyshortcuts="ArrowLeft h">Back</button>
  <button id="forward" type="button" aria-keyshortcuts="ArrowRight l">Next</button>
  <button id="end" type="button" aria-keyshortcuts="End">Last</button>
  <button id="culprit" type="button" hidden>Illegal step</button>
  <input id="slider" type="range" min="0" value="0" aria-label="Step">
  <span class="dim">keys: arrows, Home, End</span>
</nav>
<section class="panel" aria-live="polite" aria-label="This step">
  <div class="controls"><span id="position"></span><span id="judged"></span><span class="dim" id="clock"></span></div>
  <p class="mono" id="event"></p>
  <p class="dim">sq.flags and counters: <span id="flags"></span>; ring flags: <span id="ring-flags"></span></p>
  <div id="divergence" hidden><p>seen: <span class="mono" id="seen"></span></p><p>allowed instead:</p><ul class="mono" id="allowed"></ul></div>
</section>
<div class="columns">
<div class="columns" id="queues">${queue("sq", "Submission queue")}${queue("cq", "Completion queue")}</div>
<section class="panel rules" aria-labelledby="rules-name" tabindex="0">
  <h2 id="rules-name">Rules that speak of this step</h2>
  <ul id="rules"></ul><p class="dim" id="no-rules">none</p>
</section>
</div>
<section class="panel" aria-labelledby="lanes-name">
  <h2 id="lanes-name">Requests</h2>
  <div class="timeline"><ol id="lane-names"></ol><div class="scroll" id="scroller" tabindex="0" role="group" aria-labelledby="lanes-name"><svg id="lanes" role="img" aria-labelledby="lanes-name"></svg></div></div>
  <p class="dim">grey: SQE stored, not taken yet; blue: under way; green and red: CQEs as they were seen. Queues are shown as last loaded or stored; the numbers in their slots are those of requests.</p>
</section>
</main>
<script type="application/json" id="timeline">${embedded(timeline)}</script>
<script>
${page.toString()}
page(document, JSON.parse(document.getElementById("timeline").textContent));
</script>
</body>
</html>
`;
}
