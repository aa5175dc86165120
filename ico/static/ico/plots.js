// The plots of the panel, drawn by uPlot in the page's own colours.

import { timeOfDay } from "./words.js";

const HEIGHT = 230;
const WIDTH = 2;
const COUNTED = new Set(["line", "batches", "outbox"]); // people and mails come whole
const WHOLE_STEPS = [...Array(7).keys()].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const SHORTEST = 60; // seconds on the time axis, so that a fresh page is no microscope
const FONT = "12px sans-serif";
const compact = new Intl.NumberFormat("en-GB", { notation: "compact", maximumSignificantDigits: 3 });
const steps = () => uPlot.paths.stepped({ align: 1 });
const bars = () => uPlot.paths.bars({ size: [0.7, 24] });

function curve(label, stroke, options = {}) {
  return { label, stroke: () => colour(stroke), width: WIDTH, spanGaps: true, points: { show: false }, ...options };
}

const KINDS = {
  line: () => [curve("served", "--accent", { paths: steps() }), curve("given", "--quiet")],
  batches: () => [curve("invited", "--accent", { paths: bars(), fill: () => colour("--accent"), width: 0 })],
  caps: () => [
    curve("reserved", "--accent", { paths: steps() }),
    curve("credited", "--focus", { paths: steps() }),
    curve("total", "--bad", { dash: [6, 5] }),
  ],
  load: () => [curve("load", "--accent"), curve("hold above", "--bad", { dash: [6, 5] }), curve("go on below", "--quiet", { dash: [2, 4] })],
  price: () => [curve("gas price", "--accent"), curve("hold above", "--bad", { dash: [6, 5] }), curve("go on below", "--quiet", { dash: [2, 4] })],
  outbox: () => [curve("to send", "--accent"), curve("parked", "--bad")],
};

/** While nobody points into a plot, its legend says the newest values. */
function sayNewest(drawn) {
  if (drawn.data[0].length && !(drawn.cursor.left >= 0)) drawn.setLegend({ idx: drawn.data[0].length - 1 }, false);
}

function timeRange(_, from, to) {
  const shown = Math.max(SHORTEST, to - from);
  return [to - shown * 1.03, to + shown * 0.03];
}

/** From zero, with some air above; the load's scale always shows the whole of 0 to 1, a price may be a part of a gwei. */
function valueRange(name) {
  if (name === "load") return (_, low, high) => [0, Math.max(1, high ?? 1)];
  return (_, low, high) => [0, name === "price" ? (high || 1) * 1.08 : Math.max(1, (high ?? 1) * 1.08)];
}

function axis(extra = {}) {
  return { font: FONT, stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, ...extra };
}

/** Draw one plot into `place`; the answer has `setData(columns)`. It follows the width of its place and the colour scheme. */
export function plot(name, place, columns) {
  const drawn = new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      scales: { x: { range: timeRange }, y: { range: valueRange(name) } },
      series: [{ value: (_, at) => (at == null ? "–" : timeOfDay(at * 1000)) }, ...KINDS[name]()],
      axes: [
        axis({ space: 80, values: (_, ticks) => ticks.map((tick) => timeOfDay(tick * 1000)) }),
        axis({ size: 56, incrs: COUNTED.has(name) ? WHOLE_STEPS : undefined, values: (_, ticks) => ticks.map((tick) => compact.format(tick)) }),
      ],
      cursor: { drag: { x: true, y: false } },
      hooks: { ready: [sayNewest], setCursor: [sayNewest], setData: [sayNewest] },
    },
    columns,
    place,
  );
  new ResizeObserver(() => drawn.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.redraw());
  return drawn;
}
