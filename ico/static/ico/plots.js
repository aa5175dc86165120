// The plots of the panel, drawn by uPlot in the page's own colours.

const HEIGHT = 230;
const WIDTH = 2;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const compact = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });
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
  outbox: () => [curve("to send", "--accent"), curve("parked", "--bad")],
};

function axis(extra = {}) {
  return { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, ...extra };
}

/** Draw one plot into `place`; the answer has `setData(columns)`. It follows the width of its place and the colour scheme. */
export function plot(name, place, columns) {
  const drawn = new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), name === "load" ? Math.max(1, high ?? 1) : Math.max(1, (high ?? 1) * 1.08)] } },
      series: [{}, ...KINDS[name]()],
      axes: [axis(), axis({ size: 56, values: (_, ticks) => ticks.map((tick) => compact.format(tick)) })],
      cursor: { drag: { x: true, y: false } },
    },
    columns,
    place,
  );
  new ResizeObserver(() => drawn.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.redraw());
  return drawn;
}
