// The waiting page: position, people ahead and estimate, kept fresh without a reload.

import { poll } from "./polling.js";
import { troubleBox, tryingAgain } from "./trouble.js";
import { clockTime, duration, whole } from "./words.js";

const MOVING = ["placing", "waiting"];
const HEADLINES = {
  invited: "It is your turn. Your invitation is in your mail.",
  joined: "You are taking part.",
  expired: "Your invitation has ended.",
  left: "You have left the line.",
  over: "The sale has closed.",
};

const line = document.getElementById("line");
const find = (selector) => line.querySelector(selector);
const title = document.title;
let state = line.dataset.state;
let announced = null;
const closes = Date.parse(line.dataset.closes);

function announce(text) {
  if (text !== announced) find("[data-announce]").textContent = announced = text;
}

function fill(place) {
  for (const name of ["position", "ahead", "waiting", "number"]) {
    if (place[name] !== null) find(`[data-fill="${name}"]`).textContent = whole(place[name]);
  }
  const estimate = place.estimated_wait_seconds;
  find('[data-fill="estimate"]').textContent = estimate === null ? "not known yet" : duration(estimate);
  const behind = Math.max(0, place.waiting - place.ahead);
  find("[data-bar]").setAttribute("width", behind ? Math.round((1000 * place.ahead) / (place.ahead + behind)) : 1000);
}

function show(place) {
  const now = MOVING.includes(place.state) && Date.parse(place.as_of) >= closes ? "over" : place.state;
  if (now !== state) {
    for (const section of line.querySelectorAll("[data-when]")) section.hidden = section.dataset.when !== now;
    state = line.dataset.state = now;
  }
  const moving = MOVING.includes(state);
  find("[data-moving]").hidden = !moving;
  find("[data-trouble]").hidden = true;
  find("[data-pulse]").textContent = `As of ${clockTime(place.as_of)}, kept up to date.`;
  if (state === "waiting") {
    fill(place);
    announce(`Your position is ${whole(place.position)}.`);
    document.title = `(${whole(place.position)}) ${title}`;
  } else if (HEADLINES[state]) {
    announce(HEADLINES[state]);
    document.title = HEADLINES[state];
  }
  return moving;
}

const trouble = troubleBox(find("[data-trouble]"), announce);

poll({
  url: line.dataset.url,
  pace: Number(line.dataset.pollAfter),
  onAnswer: show,
  onTrouble: (seconds) =>
    trouble(`The line could not be read just now; your place is safe. ${tryingAgain(seconds)}`),
  onGone: () => trouble("This place could not be found. Please reload the page."),
});
