// The operator's panel: figures, decisions, and series kept by the page on top of the recorded releases.

import { plot } from "./plots.js";
import { poll } from "./polling.js";
import { counted, duration, timeOfDay, whole, zone } from "./words.js";

const KEPT = 2400; // two hours at one point every three seconds
const HELD = new Set(["not_open", "interval", "nobody_waiting", "paused"]);

const ops = document.getElementById("ops");
const find = (selector) => ops.querySelector(selector);
const money = (cents) => whole(Math.round(cents / 100));
const percent = (part) => `${(100 * part).toFixed(1)} %`;
const series = { line: [[], [], []], batches: [[], []], caps: [[], [], [], []], load: [[], [], [], []], outbox: [[], [], []] };
const plots = {};
let lastBatch = 0;

function put(name, at, ...values) {
  const columns = series[name];
  [at, ...values].forEach((value, index) => columns[index].push(value));
  if (columns[0].length > KEPT) for (const column of columns) column.shift();
}

function remember({ history, caps, chains }) {
  for (const batch of history) {
    put("line", batch.at, batch.served, null);
    put("batches", batch.at, batch.size);
    put("caps", batch.at, batch.reserved / 100, null, caps.total / 100);
    put("load", batch.at, batch.load, chains.high, chains.low);
    lastBatch = batch.at;
  }
}

function follow({ as_of, line, caps, outbox, chains, decisions }) {
  const now = Date.parse(as_of) / 1000;
  put("line", now, line.served, line.given);
  put("caps", now, caps.reserved / 100, caps.credited / 100, caps.total / 100);
  put("load", now, chains.load, chains.high, chains.low);
  put("outbox", now, outbox.pending + outbox.claimed, outbox.parked);
  for (const decision of decisions.toReversed()) {
    const at = Date.parse(decision.decided_at) / 1000;
    if (!decision.size || at <= lastBatch) continue;
    put("batches", at, decision.size);
    lastBatch = at;
  }
}

function figures({ line, caps, outbox, chains }) {
  const age = chains.load_age_seconds;
  return {
    waiting: whole(line.waiting),
    given: whole(line.given),
    served: whole(line.served),
    reserved: `${money(caps.reserved)} ${caps.currency}`,
    share: percent(caps.total ? caps.reserved / caps.total : 0),
    total: money(caps.total),
    credited: `${money(caps.credited)} ${caps.currency}`,
    outbox: whole(outbox.pending + outbox.claimed),
    parked: whole(outbox.parked),
    overdue: outbox.overdue_seconds < 1 ? "none overdue" : `oldest due ${whole(Math.round(outbox.overdue_seconds))} s ago`,
    load: chains.load === null ? "unknown" : chains.load.toFixed(2),
    gate: age === null ? "no reading yet" : `invitations ${chains.gate_closed ? "held" : "may go out"}, read ${Math.round(age)}\u00a0s ago${age > chains.load_max_age_seconds ? ": too old" : ""}`,
  };
}

function verdict({ line, decisions }) {
  const newest = decisions[0];
  if (!newest) return ["stopped", "No decision yet", "The releaser has not run. Is the worker with its beat running?"];
  const silent = (Date.now() - Date.parse(newest.last_decided_at)) / 1000;
  if (silent > 60) return ["stopped", "The releaser is silent", `Its last decision is ${duration(silent)} old: ${newest.text}.`];
  const batch = decisions.find((decision) => decision.size);
  const last = batch ? `Last batch: ${counted(batch.size, "person", "people")} at ${timeOfDay(batch.decided_at)}.` : "Nobody was invited yet.";
  if (newest.size || newest.reason === "interval") return ["going", "People are being invited", last];
  if (newest.reason === "nobody_waiting") return ["going", batch ? "Everybody in line has been invited" : "Nobody is in line yet", last];
  const kind = HELD.has(newest.reason) ? "held" : "stopped";
  return [kind, `Nobody is being invited: ${newest.text}`, `${last} Since ${timeOfDay(newest.decided_at)}, ${whole(line.waiting)} waiting.`];
}

function showVerdict(answer) {
  const [kind, headline, detail] = verdict(answer);
  find("[data-verdict]").dataset.verdict = kind;
  if (find('[data-fill="verdict"]').textContent !== headline) find("[data-announce]").textContent = headline;
  find('[data-fill="verdict"]').textContent = headline;
  find('[data-fill="verdict-detail"]').textContent = detail;
}

function showRows(name, rows, cells) {
  find(`[data-rows="${name}"]`).replaceChildren(
    ...rows.map((row) => {
      const line = document.createElement("tr");
      line.dataset.reason = row.reason ?? "";
      for (const text of cells(row)) line.append(Object.assign(document.createElement("td"), { textContent: text }));
      return line;
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
  showRows("cursors", answer.chains.cursors, (row) => [
    row.chain, whole(row.height), whole(row.behind), whole(row.addresses), row.age_seconds === null ? "never" : `${Math.round(row.age_seconds)} s ago`,
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
