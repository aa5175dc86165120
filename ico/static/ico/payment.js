// The payment page: what has arrived, kept fresh without a reload.

import { poll } from "./polling.js";
import { troubleBox, tryingAgain } from "./trouble.js";
import { clockTime, grouped } from "./words.js";

const page = document.getElementById("payment");
const find = (selector) => page.querySelector(selector);
const status = find("[data-status]");
let announced = page.dataset.state;

function announce(text) {
  if (text === announced) return;
  announced = text;
  find("[data-announce]").textContent = text;
}

function showState(state) {
  page.dataset.state = status.dataset.state = state;
  for (const part of status.querySelectorAll("[data-when]")) part.hidden = part.dataset.when !== state;
}

function showWhy(reasons) {
  for (const part of status.querySelectorAll("[data-why]")) part.hidden = !reasons.includes(part.dataset.why);
}

function showAllowance(allowance, at) {
  for (const place of page.querySelectorAll("[data-allowance]")) {
    place.textContent = grouped(allowance[place.dataset.allowance]);
  }
  const over = Date.parse(at) > Date.parse(page.dataset.payUntil);
  const now = over ? "over" : Number(allowance.remaining) <= 0 ? "filled" : "open";
  for (const part of page.querySelectorAll("[data-while]")) part.hidden = !part.dataset.while.split(" ").includes(now);
}

const depth = (deposit) => Math.min(deposit.confirmations, deposit.required);

function showDeposit(deposit, amount) {
  const coin = find(`[data-chain="${deposit.chain}"]`);
  const shown = { ...deposit, depth: depth(deposit) };
  for (const place of coin.querySelectorAll("[data-deposit]")) place.textContent = shown[place.dataset.deposit];
  coin.querySelector("[data-amount]").textContent = amount;
  coin.querySelector("progress").value = shown.depth;
}

function moving(answer) {
  const on = answer.deposits.filter((deposit) => deposit.confirmations > 0 && deposit.confirmations < deposit.required);
  return on.map((d) => `${d.chain}: ${d.confirmations} of ${d.required} confirmations.`).join(" ");
}

function spoken(answer) {
  const headline = status.querySelector(`[data-when="${answer.state}"] h2`).textContent;
  return `${headline}. ${moving(answer)}`.trim();
}

function show(answer) {
  if (answer.state !== page.dataset.state) showState(answer.state);
  showWhy(answer.review);
  find("[data-moving]").textContent = moving(answer);
  showAllowance(answer.allowance, answer.as_of);
  for (const deposit of answer.deposits) showDeposit(deposit, answer.allowance[deposit.chain]);
  find("[data-trouble]").hidden = true;
  find("[data-pulse]").textContent = `As of ${clockTime(answer.as_of)}, kept up to date.`;
  announce(spoken(answer));
  return true; // paid is not the end: there may be a second payment, and a chain may reorganise
}

const trouble = troubleBox(find("[data-trouble]"), announce);

poll({
  url: page.dataset.url,
  pace: Number(page.dataset.pollAfter),
  onAnswer: show,
  onTrouble: (seconds) =>
    trouble(`The status could not be read just now; your payment is not affected. ${tryingAgain(seconds)}`),
  onGone: () => trouble("This payment page has ended. Please reload it to see why."),
});
