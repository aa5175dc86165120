// The operator's panel: figures, decisions, and series kept by the page on top of the recorded releases.

import { plot } from "./plots.js";
import { poll } from "./polling.js";
import { counted, duration, timeOfDay, whole, zone } from "./words.js";

const KEPT = 2400; // two hours at one point every three seconds
const HELD = new Set(["not_open", "paused", "chain_busy", "gas_price"]);

const ops = document.getElementById("ops");
const find = (selector) => ops.querySelector(selector);
const money = (cents) => whole(Math.round(cents / 100));
const percent = (part) => `${(100 * part).toFixed(1)} %`;
const series = { line: [[], [], []], batches: [[], []], caps: [[], [], [], []], load: [[], [], [], []], price: [[], [], [], []], outbox: [[], [], []] };
const plots = {};
let lastBatch = 0;

function put(name, at, ...values) {
  const columns = series[name];
  [at, ...values].forEach((value, index) => columns[index].push(value));
  if (columns[0].length > KEPT) for (const column of columns) column.shift();
}

function remember({ history, caps }) {
  for (const past of history) {
    put("load", past.at, past.load, past.high, past.low);
    put("price", past.at, past.price, past.price_high, past.price_low);
    if (!past.size) continue;
    put("line", past.at, past.served, null);
    put("batches", past.at, past.size);
    put("caps", past.at, past.reserved / 100, null, caps.total / 100);
    lastBatch = past.at;
  }
}

function follow({ as_of, line, caps, outbox, gate, decisions }) {
  const now = Date.parse(as_of) / 1000;
  put("line", now, line.served, line.given);
  put("caps", now, caps.reserved / 100, caps.credited / 100, caps.total / 100);
  put("load", now, gate.load, gate.high, gate.low);
  put("price", now, gate.price, gate.price_high, gate.price_low);
  put("outbox", now, outbox.pending + outbox.claimed, outbox.parked);
  for (const decision of decisions.toReversed()) {
    const at = Date.parse(decision.decided_at) / 1000;
    if (!decision.size || at <= lastBatch) continue;
    put("batches", at, decision.size);
    lastBatch = at;
  }
}

const marks = (high, low, unit = "") => (high === null ? "no marks: never holds" : `holds above ${high}${unit}, goes on below ${low}${unit}`);

function figures({ line, caps, outbox, gate }) {
  const age = gate.age_seconds;
  return {
    waiting: whole(line.waiting),
    given: whole(line.given),
    served: whole(line.served),
    reserved: money(caps.reserved),
    share: percent(caps.total ? caps.reserved / caps.total : 0),
    total: money(caps.total),
    credited: money(caps.credited),
    outbox: whole(outbox.pending + outbox.claimed),
    parked: whole(outbox.parked),
    overdue: outbox.overdue_seconds < 1 ? "none overdue" : `oldest due ${whole(Math.round(outbox.overdue_seconds))} s ago`,
    load: gate.load === null ? "unknown" : gate.load.toFixed(2),
    "load-marks": marks(gate.high, gate.low),
    price: gate.price === null ? "unknown" : gate.price_text,
    "price-marks": marks(gate.price_high, gate.price_low),
    gate: gate.closed ? "closed" : "open",
    "gate-age": age === null ? "no reading yet: holds" : `read ${ago(age)}${age > gate.max_age_seconds ? ": too old, holds" : ""}`,
  };
}

function verdict({ line, decisions, hold, last_batch }) {
  const newest = decisions[0];
  if (!newest) return ["stopped", "No decision yet", "The releaser has not run. Is the clock at work?"];
  const silent = (Date.now() - Date.parse(newest.last_decided_at)) / 1000;
  if (silent > 60) return ["stopped", "The releaser is silent", `Its last decision is ${duration(silent)} old: ${newest.text}.`];
  const last = last_batch ? `Last batch: ${counted(last_batch.size, "person", "people")} at ${timeOfDay(last_batch.at)}.` : "Nobody was invited yet.";
  if (newest.size || newest.reason === "interval") return ["going", "People are being invited", last];
  if (newest.reason === "nobody_waiting") return ["going", last_batch ? "Everybody in line has been invited" : "Nobody is in line yet", last];
  const kind = HELD.has(newest.reason) ? "held" : "stopped";
  const first = hold.why === hold.at_first ? "" : `, at first because ${hold.at_first}`;
  const held = `Since ${timeOfDay(hold.since)} (${duration((Date.now() - Date.parse(hold.since)) / 1000)})${first}.`;
  return [kind, `Nobody is being invited: ${hold.why}`, `${held} ${last} ${whole(line.waiting)} waiting.`];
}

function showVerdict(answer) {
  const [kind, headline, detail] = verdict(answer);
  find("[data-verdict]").dataset.verdict = kind;
  if (find('[data-fill="verdict"]').textContent !== headline) find("[data-announce]").textContent = headline;
  find('[data-fill="verdict"]').textContent = headline;
  find('[data-fill="verdict-detail"]').textContent = detail;
}

// Whatever is shown is set as text: some of it is what a node said.
function cell(text) {
  const made = Object.assign(document.createElement("td"), { textContent: text });
  if (text.length > 40) made.dataset.cell = "text";
  return made;
}

function showRows(name, rows, cells) {
  find(`[data-rows="${name}"]`).replaceChildren(
    ...rows.map((row) => {
      const line = document.createElement("tr");
      line.dataset.reason = row.reason ?? "";
      line.append(...cells(row).map(cell));
      return line;
    }),
  );
}

const known = (number) => (number === null ? "–" : whole(number));
const ago = (seconds) => (seconds === null ? "never" : seconds < 120 ? `${Math.round(seconds)}\u00a0s ago` : `${duration(seconds)} ago`);
const since = (at) => (at === null ? "" : ` since ${timeOfDay(at)}`);

function showAlarms(alarms) {
  find(".alarms").hidden = !alarms.length;
  find('[data-list="alarms"]').replaceChildren(
    ...alarms.map(({ grave, text, since: at, url }) => {
      const item = document.createElement("li");
      item.className = grave ? "notice bad" : "notice warm";
      item.append(at === null ? text : `${text} Since ${timeOfDay(at)}.`);
      if (url) item.append(" ", Object.assign(document.createElement("a"), { href: url, textContent: "Show them" }));
      return item;
    }),
  );
}

function show(answer) {
  if (answer.history) remember(answer);
  follow(answer);
  for (const [name, text] of Object.entries(figures(answer))) find(`[data-fill="${name}"]`).textContent = text;
  showVerdict(answer);
  showRows("decisions", answer.decisions, (row) => [
    timeOfDay(row.decided_at), timeOfDay(row.last_decided_at), row.text, whole(row.size), whole(row.served_after), counted(row.repeats, "time"),
  ]);
  showAlarms(answer.alarms);
  showRows("chains", answer.chains, (row) => [
    row.chain, row.network, known(row.height), known(row.tip), row.tip_age_seconds === null ? "–" : ago(row.tip_age_seconds),
    row.trouble ? "unknown" : known(row.behind), ago(row.age_seconds),
    whole(row.given), known(row.highest), whole(row.ahead), whole(row.gap_limit), row.trouble ? `${row.trouble}${since(row.since)}` : "none",
  ]);
  for (const name of Object.keys(series)) {
    plots[name] ??= plot(name, find(`[data-plot="${name}"]`), series[name]);
    plots[name].setData(series[name]);
  }
  find("[data-trouble]").hidden = true;
  return true;
}

document.querySelector("[data-zone]").textContent = ` (${zone()})`;
const refresh = Number(ops.dataset.refresh);
poll({
  url: () => `${ops.dataset.url}${plots.line ? "" : "?history=1"}`,
  first: 0,
  pace: refresh,
  onAnswer: show,
  onTrouble(seconds) {
    find("[data-trouble]").hidden = false;
    find("[data-trouble]").textContent = `The figures could not be read. Trying again in ${Math.ceil(seconds)} seconds.`;
  },
});
