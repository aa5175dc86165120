// The payment page: what has arrived, kept fresh without a reload.

import { poll } from "./polling.js";
import { troubleBox, tryingAgain } from "./trouble.js";
import { clockTime, counted, grouped } from "./words.js";

// With the day: what is not kept up to date may be of yesterday.
const dayAndTime = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });

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

function showSight(unseen) {
  if (unseen.length) find("[data-unseen]").textContent = unseen.map((chain) => find(`[data-chain="${chain}"]`).dataset.coin).join(" and ");
  for (const part of page.querySelectorAll("[data-sight]")) part.hidden = (part.dataset.sight === "blind") !== unseen.length > 0;
}

const finalized = (deposit) => deposit.final === "finalized";
const open = (deposit) => deposit.confirmations > 0 && deposit.seen !== deposit.confirmed;
const depth = (deposit) => finalized(deposit) ? deposit.confirmations : Math.min(deposit.confirmations, deposit.required);

function showDeposit(deposit, amount) {
  const coin = find(`[data-chain="${deposit.chain}"]`);
  const shown = { ...deposit, depth: depth(deposit) };
  for (const place of coin.querySelectorAll("[data-deposit]")) place.textContent = shown[place.dataset.deposit];
  coin.querySelector("[data-amount]").textContent = amount;
  if (finalized(deposit)) coin.querySelector("[data-goal]").hidden = !open(deposit);
  else coin.querySelector("progress").value = shown.depth;
}

function moves(deposit) {
  if (finalized(deposit)) return open(deposit);
  return deposit.confirmations > 0 && deposit.confirmations < deposit.required;
}

function sentence(deposit) {
  if (finalized(deposit)) return `${deposit.chain}: ${counted(deposit.confirmations, "confirmation")}, until the chain calls the block final.`;
  return `${deposit.chain}: ${deposit.confirmations} of ${deposit.required} confirmations.`;
}

const moving = (answer) => answer.deposits.filter(moves).map(sentence).join(" ");

function spoken(answer) {
  const headline = status.querySelector(`[data-when="${answer.state}"] h2`).textContent;
  const blind = answer.unseen.length ? find(".notice[data-sight]").textContent : "";
  return `${headline}. ${moving(answer)} ${blind}`.trim();
}

const asOf = (answer) => answer.unseen.length ? `As of ${dayAndTime.format(new Date(answer.as_of))}.` : `As of ${clockTime(answer.as_of)}, kept up to date.`;

function show(answer) {
  if (answer.state !== page.dataset.state) showState(answer.state);
  showWhy(answer.review);
  showSight(answer.unseen);
  find("[data-moving]").textContent = moving(answer);
  showAllowance(answer.allowance, answer.now);
  for (const deposit of answer.deposits) showDeposit(deposit, answer.allowance[deposit.chain]);
  find("[data-trouble]").hidden = true;
  find("[data-pulse]").textContent = asOf(answer);
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
