"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
  const plots = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const figure = (value) => {
    if (value == null) return "–";
    if (value === 0 || Math.abs(value) >= 100) return whole.format(value);
    return String(Number(value.toPrecision(3)));
  };
  const seconds = (value) => (value == null ? "–" : `${figure(value)} s`);

  const duration = (ms) => {
    if (ms == null) return "";
    return ms >= 1000 ? `${figure(ms / 1000)} s` : `${figure(ms)} ms`;
  };

  const line = (label, name, more = {}) => ({
    label, width: 2, stroke: () => colour(name), value: (_, v) => figure(v), points: { size: 5 }, ...more,
  });
  const area = (label, name, more = {}) => line(label, name, { fill: () => `${colour(name)}2e`, ...more });

  const axis = (more = {}) => ({
    stroke: () => colour("quiet"),
    grid: { stroke: () => colour("grid"), width: 1 },
    ticks: { show: false },
    font: `12px ${colour("sans")}`,
    ...more,
  });
  const fromZero = (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.08)];

  // While nobody points into a plot, its legend names the curves and nothing else.
  const quiet = (plot) => plot.root.classList.toggle("idle", !(plot.cursor.left >= 0));

  const draw = (id, columns, series, more = {}, where = seconds) => {
    const place = document.getElementById(id);
    const height = parseInt(getComputedStyle(place).getPropertyValue("--height"), 10);
    const size = () => ({ width: place.clientWidth, height });
    const options = {
      ...size(),
      scales: { x: { time: false }, y: { range: fromZero } },
      axes: [
        axis({ size: 34, space: 60, values: (_, ticks) => ticks.map((t) => `${figure(t)} s`) }),
        axis({ size: 52, values: (_, ticks) => ticks.map(figure) }),
      ],
      padding: [8, 14, 0, 0],
      cursor: { sync: { key: "run" }, y: false, points: { size: 7 } },
      hooks: { ready: [quiet], setCursor: [quiet] },
      series: [{ label: "at", value: (_, v) => where(v) }, ...series],
      ...more,
    };
    const plot = new uPlot(options, columns, place);
    plots.push({ plot, size });
  };

  draw("latency", data.latency, [area("p50", "c1"), line("p95", "c2"), line("p99", "c3")]);
  draw("throughput", data.throughput, [area("right", "c1"), line("wrong", "c3")]);
  draw("arrivals", data.arrivals, [area("arrived", "c1", { points: { show: false } }), line("planned", "c2", { dash: [6, 6], points: { show: false } })]);
  draw("people", data.people, [area("visitors", "c4"), line("requests", "c2")]);
  draw("cpu", data.cpu, [area("% of a core", "c5")], {
    scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(100, high ?? 0)] } },
  });

  const { names, columns } = data.histogram;
  if (names.length) {
    const stepped = uPlot.paths.stepped({ align: -1 });
    const hues = ["c1", "c4", "c2", "c5", "c3", "c6"];
    draw("histogram", columns, names.map((name, at) => line(name, hues[at % hues.length], {
      fill: () => `${colour(hues[at % hues.length])}${names.length > 3 ? "12" : "2e"}`,
      paths: stepped, points: { show: false }, width: 1.5, value: (_, v) => (v == null ? "–" : `${figure(v)} %`),
    })), {
      scales: { x: { time: false, distr: 3, log: 10, range: (_, low, high) => [low, high] }, y: { range: fromZero } },
      cursor: { y: false, points: { size: 7 } },
      axes: [
        axis({ size: 34, space: 46, values: (_, ticks) => ticks.map(duration) }),
        axis({ size: 52, values: (_, ticks) => ticks.map((t) => `${figure(t)} %`) }),
      ],
    }, (v) => (v == null ? "–" : `to ${duration(v)}`));
  }

  const fit = () => plots.forEach(({ plot, size }) => plot.setSize(size()));
  let due = 0;
  addEventListener("resize", () => { cancelAnimationFrame(due); due = requestAnimationFrame(fit); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach(({ plot }) => plot.redraw(false)));
})();
