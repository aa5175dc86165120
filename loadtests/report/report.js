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
    if (ms == null) return "–";
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

  // Every panel shows the whole run, so that what stands above each other happened at the same time.
  const whole_run = () => [0, data.until];

  // What happened, and the phases that are cut away from the plateau's figures.
  const marks = (plot) => {
    const { ctx, bbox } = plot;
    const x = (second) => plot.valToPos(second, "x", true);
    ctx.save();
    ctx.fillStyle = colour("cut");
    data.phases.filter(([name]) => name !== "plateau").forEach(([, from, to]) => {
      ctx.fillRect(x(from), bbox.top, Math.max(0, x(Math.min(to, data.until)) - x(from)), bbox.height);
    });
    ctx.strokeStyle = colour("quiet");
    ctx.setLineDash([4, 4]);
    data.events.forEach(([second]) => {
      ctx.beginPath();
      ctx.moveTo(x(second), bbox.top);
      ctx.lineTo(x(second), bbox.top + bbox.height);
      ctx.stroke();
    });
    ctx.restore();
  };

  const draw = (id, columns, series, more = {}, where = seconds) => {
    const place = document.getElementById(id);
    const height = parseInt(getComputedStyle(place).getPropertyValue("--height"), 10);
    const size = () => ({ width: place.clientWidth, height });
    const options = {
      ...size(),
      scales: { x: { time: false, range: whole_run }, y: { range: fromZero } },
      axes: [
        axis({ size: 34, space: 60, values: (_, ticks) => ticks.map((t) => `${figure(t)} s`) }),
        axis({ size: 60, values: (_, ticks) => ticks.map(figure) }),
      ],
      padding: [8, 14, 0, 0],
      cursor: { sync: { key: "run", scales: ["x", null] }, y: false, points: { size: 7 } },
      hooks: { ready: [quiet], setCursor: [quiet], drawClear: [marks] },
      series: [{ label: "at", value: (_, v) => where(v) }, ...series],
      ...more,
    };
    const plot = new uPlot(options, columns, place);
    plots.push({ plot, size });
  };

  const hues = ["c1", "c2", "c4", "c3", "c5", "c6", "c7", "c8"];
  const units = {
    "": figure, "%": (v) => `${figure(v)} %`, MB: (v) => (v >= 1000 ? `${figure(v / 1000)} GB` : `${figure(v)} MB`), ms: duration,
  };
  data.panels.forEach((panel, at) => {
    const said = (v) => (v == null ? "–" : units[panel.unit](v));
    const long = panel.columns[0].length > 90;  // so many dots would be a second curve
    const curves = panel.curves.map((curve, nth) => {
      const points = { size: 5, show: !long && curve.look !== "dashed" };
      const more = { value: (_, v) => said(v), points, spanGaps: true };
      if (curve.look === "dashed") more.dash = [6, 5];
      return (curve.look === "area" ? area : line)(curve.label, curve.colour || hues[nth % hues.length], more);
    });
    draw(`plot-${at}`, panel.columns, curves, {
      scales: { x: { time: false, range: whole_run }, y: { range: (_, low, high) => [0, Math.max(panel.least, (high ?? 0) * 1.08)] } },
      axes: [
        axis({ size: 34, space: 60, values: (_, ticks) => ticks.map((t) => `${figure(t)} s`) }),
        axis({ size: 60, values: (_, ticks) => ticks.map(units[panel.unit]) }),
      ],
    });
  });

  const { names, columns } = data.histogram;
  if (names.length) {
    const stepped = uPlot.paths.stepped({ align: -1 });
    draw("histogram", columns, names.map((name, at) => line(name, hues[at % hues.length], {
      fill: () => `${colour(hues[at % hues.length])}${names.length > 3 ? "12" : "2e"}`,
      paths: stepped, points: { show: false }, width: 1.5, value: (_, v) => (v == null ? "–" : `${figure(v)} %`),
    })), {
      scales: { x: { time: false, distr: 3, log: 10, range: (_, low, high) => [low, high] }, y: { range: fromZero } },
      cursor: { y: false, points: { size: 7 } },
      hooks: { ready: [quiet], setCursor: [quiet] },
      axes: [
        axis({ size: 34, space: 46, values: (_, ticks) => ticks.map((t) => (t == null ? "" : duration(t))) }),
        axis({ size: 52, values: (_, ticks) => ticks.map((t) => `${figure(t)} %`) }),
      ],
    }, (v) => (v == null ? "–" : `to ${duration(v)}`));
  }

  const fit = () => plots.forEach(({ plot, size }) => plot.setSize(size()));
  let due = 0;
  addEventListener("resize", () => { cancelAnimationFrame(due); due = requestAnimationFrame(fit); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach(({ plot }) => plot.redraw(false)));
})();
