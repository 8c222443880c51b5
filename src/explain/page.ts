// What runs in the browser: one function that fills the page of html.ts and steps through the timeline. Its
// compiled text is put into the page, so it uses nothing from outside itself; the few parts of the DOM that
// it needs are typed here, for the project has no browser's types.
import type { Timeline } from "./timeline.ts";

interface PageElement {
  textContent: string | null;
  hidden: boolean;
  disabled: boolean;
  value: string;
  max: string;
  setAttribute(name: string, value: string): void;
  getAttribute(name: string): string | null;
  append(...children: (PageElement | string)[]): void;
  replaceChildren(...children: (PageElement | string)[]): void;
  addEventListener(type: string, listener: (event: PageEvent) => void): void;
  scrollLeft: number;
  readonly clientWidth: number;
  getBoundingClientRect(): { readonly left: number };
}
interface PageEvent {
  readonly key: string;
  readonly altKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly clientX: number;
  readonly target: { readonly tagName?: string; readonly type?: string } | null;
  preventDefault(): void;
}
export interface PageDocument {
  getElementById(id: string): PageElement | null;
  createElement(tag: string): PageElement;
  createElementNS(namespace: string, tag: string): PageElement;
  addEventListener(type: string, listener: (event: PageEvent) => void): void;
}

/** Fills the page and listens to buttons and keys. */
export function page(document: PageDocument, timeline: Timeline): void {
  const { ring, lanes, steps } = timeline;
  const last = steps.length - 1;
  let at = 0;

  const by = (id: string): PageElement => {
    const element = document.getElementById(id);
    if (element === null) throw new Error(`the page has no #${id}`);
    return element;
  };
  const make = (tag: string, attributes: Record<string, string | number> = {}, ...children: (PageElement | string)[]): PageElement => {
    const svg = ["svg", "g", "path", "circle", "rect", "line", "text", "title"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
    element.append(...children);
    return element;
  };
  const letter = (lane: number): string => (lane < 0 ? "" : String(lane));
  const errno = (res: number): string => String(res);

  // A queue as a ring of slots, the first at the top, clockwise.
  const point = (turn: number, radius: number): string => {
    const angle = 2 * Math.PI * turn - Math.PI / 2;
    return `${(100 + radius * Math.cos(angle)).toFixed(2)} ${(100 + radius * Math.sin(angle)).toFixed(2)}`;
  };
  const sector = (from: number, to: number, inner: number, outer: number): string => {
    const long = to - from > 0.5 ? 1 : 0;
    const end = Math.min(to, from + 0.9999);
    return `M ${point(from, outer)} A ${outer} ${outer} 0 ${long} 1 ${point(end, outer)} L ${point(end, inner)} A ${inner} ${inner} 0 ${long} 0 ${point(from, inner)} Z`;
  };
  const place = (element: PageElement, turn: number, radius: number): PageElement => {
    const [x = "0", y = "0"] = point(turn, radius).split(" ");
    element.setAttribute("x", x);
    element.setAttribute("y", y);
    return element;
  };
  const drawRing = (id: "sq" | "cq", entries: number, mask: number): void => {
    const { head, tail, lanes: inside } = steps[at]?.[id] ?? { head: 0, tail: 0, lanes: [] };
    const used = Math.min((tail - head) >>> 0, entries);
    const svg = by(`${id}-ring`);
    const parts: PageElement[] = [];
    // A queue with more slots than can be told apart is drawn as one arc.
    if (entries <= 64) {
      for (let slot = 0; slot < entries; slot++) {
        const index = (slot - (head & mask)) & mask;
        const full = index < used;
        parts.push(
          make("path", {
            d: sector(slot / entries, (slot + 1) / entries, 52, 80),
            class: full ? "slot full" : "slot",
            "data-slot": slot,
            "data-lane": full ? (inside[index] ?? -1) : "",
          }),
        );
        const label = place(make("text", { class: "slot-label" }), (slot + 0.5) / entries, 66);
        label.append(full ? letter(inside[index] ?? -1) : "");
        parts.push(label);
      }
    } else {
      parts.push(make("path", { d: sector(0, 1, 52, 80), class: "slot" }));
      const from = (head & mask) / entries;
      if (used > 0) parts.push(make("path", { d: sector(from, from + used / entries, 52, 80), class: "slot full" }));
    }
    for (const [name, value, radius] of [
      ["head", head, 44],
      ["tail", tail, 90],
    ] as const) {
      const turn = ((value & mask) + 0.5) / entries;
      const label = place(make("text", { class: `pointer ${name}` }), turn, radius);
      label.append(name === "head" ? "H" : "T");
      parts.push(label);
    }
    svg.replaceChildren(
      make("title", {}, `${id.toUpperCase()}: head ${head}, tail ${tail}, mask ${mask}, ${used} of ${entries} slots in use`),
      ...parts,
    );
  };
  const drawQueue = (id: "sq" | "cq"): void => {
    const step = steps[at];
    if (step === undefined || ring === undefined) return;
    const mask = id === "sq" ? ring.sqMask : ring.cqMask;
    const { head, tail } = step[id];
    by(`${id}-head`).textContent = String(head);
    by(`${id}-tail`).textContent = String(tail);
    by(`${id}-mask`).textContent = String(mask);
    by(`${id}-head-slot`).textContent = String((head & mask) >>> 0);
    by(`${id}-tail-slot`).textContent = String((tail & mask) >>> 0);
    drawRing(id, id === "sq" ? ring.sqEntries : ring.cqEntries, mask);
  };

  const drawRules = (): void => {
    const rules = steps[at]?.rules ?? [];
    by("rules").replaceChildren(
      ...rules.map((id) => make("li", { "data-rule": id }, make("code", {}, id), ` ${timeline.rules[id] ?? ""}`)),
    );
    by("no-rules").hidden = rules.length > 0;
  };
  const drawStep = (): void => {
    const step = steps[at];
    if (step === undefined) return;
    by("position").textContent = `step ${at + 1} of ${steps.length}, line ${step.line}`;
    by("event").textContent = step.text;
    by("judged").textContent = step.judged;
    by("judged").setAttribute("class", `badge ${step.judged.replace(" ", "-")}`);
    by("clock").textContent = `at ${step.atUs.toFixed(3)} µs, took ${step.tookUs.toFixed(3)} µs`;
    by("flags").textContent =
      [
        ...step.flags,
        ...(step.dropped > 0 ? [`dropped ${step.dropped}`] : []),
        ...(step.overflow > 0 ? [`overflow ${step.overflow}`] : []),
      ].join(", ") || "none";
    by("divergence").hidden = step.judged !== "illegal";
    for (const side of ["sq", "cq"] as const) drawQueue(side);
    drawRules();
    for (const id of ["first", "back"]) by(id).disabled = at === 0;
    for (const id of ["forward", "end"]) by(id).disabled = at === last;
    by("slider").value = String(at);
    by("cursor").setAttribute("x", String(at * STEP_WIDTH));
    // Sideways only: the page itself must not jump.
    const scroller = by("scroller");
    const x = at * STEP_WIDTH;
    if (x < scroller.scrollLeft || x + STEP_WIDTH > scroller.scrollLeft + scroller.clientWidth)
      scroller.scrollLeft = x - scroller.clientWidth / 2;
  };
  const go = (to: number): void => {
    at = Math.max(0, Math.min(last, to));
    drawStep();
  };

  // Lanes: a row for each request, a column for each step.
  const STEP_WIDTH = 14;
  const ROW = 20;
  const bar = (from: number, to: number, row: number, kind: string): PageElement =>
    make("rect", {
      x: from * STEP_WIDTH + 2,
      y: row * ROW + 5,
      width: Math.max((to - from) * STEP_WIDTH, 0) + STEP_WIDTH - 4,
      height: ROW - 10,
      rx: 3,
      class: kind,
    });
  const drawLanes = (): void => {
    const names = by("lane-names");
    const svg = by("lanes");
    svg.setAttribute("width", String((last + 1) * STEP_WIDTH));
    svg.setAttribute("height", String(Math.max(lanes.length, 1) * ROW));
    svg.append(make("rect", { id: "cursor", x: 0, y: 0, width: STEP_WIDTH, height: Math.max(lanes.length, 1) * ROW }));
    for (const [row, lane] of lanes.entries()) {
      const linked = lane.behind === undefined ? "" : `, linked behind ${lane.behind}`;
      names.append(make("li", { title: lane.asks }, make("b", {}, letter(row)), ` ${lane.name}`));
      const group = make("g", { class: "lane", "data-lane": row }, make("title", {}, `${row} ${lane.name}: ${lane.asks}${linked}`));
      const taken = lane.takenAt ?? last + 1;
      if (lane.filledAt !== undefined) group.append(bar(lane.filledAt, Math.min(taken, last), row, "waiting"));
      if (lane.takenAt !== undefined) group.append(bar(lane.takenAt, lane.endedAt ?? last, row, "running"));
      for (const { step, res } of lane.cqes) {
        group.append(
          make(
            "circle",
            { cx: (step + 0.5) * STEP_WIDTH, cy: (row + 0.5) * ROW, r: 5, class: res < 0 ? "cqe failed" : "cqe" },
            make("title", {}, `CQE: ${errno(res)}`),
          ),
        );
      }
      svg.append(group);
    }
    svg.addEventListener("click", ({ clientX }) => go(Math.floor((clientX - svg.getBoundingClientRect().left) / STEP_WIDTH)));
  };

  by("title").textContent = timeline.title;
  by("by").textContent = `judged by ${timeline.by}`;
  by("verdict").textContent = timeline.verdict.verdict;
  by("verdict").setAttribute("class", `badge ${timeline.verdict.verdict}`);
  by("why").textContent = [timeline.verdict.why ?? "", timeline.leftOut > 0 ? `${timeline.leftOut} more events are not shown` : ""]
    .filter((text) => text !== "")
    .join("; ");
  by("seen").textContent = timeline.verdict.seen ?? "";
  by("allowed").replaceChildren(...timeline.verdict.allowed.map((one) => make("li", {}, one)));
  by("ring-flags").textContent = ring === undefined ? "no ring was made" : ring.flags.join(", ") || "none";
  by("queues").hidden = ring === undefined;
  by("slider").max = String(last);
  drawLanes();
  by("slider").addEventListener("input", () => go(Number(by("slider").value)));
  const moves: Record<string, () => void> = { first: () => go(0), back: () => go(at - 1), forward: () => go(at + 1), end: () => go(last) };
  for (const [id, move] of Object.entries(moves)) by(id).addEventListener("click", move);
  const illegal = steps.findIndex(({ judged }) => judged === "illegal");
  by("culprit").hidden = illegal < 0;
  by("culprit").addEventListener("click", () => go(illegal));
  const keys: Record<string, string> = { ArrowRight: "forward", ArrowLeft: "back", Home: "first", End: "end", l: "forward", h: "back" };
  document.addEventListener("keydown", (event) => {
    const name = keys[event.key];
    // The slider moves by itself.
    if (name === undefined || event.altKey || event.ctrlKey || event.metaKey || event.target?.type === "range") return;
    event.preventDefault();
    moves[name]?.();
  });
  drawStep();
}
