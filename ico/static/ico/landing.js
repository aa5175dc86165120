// The figures of the line on the landing page. They come from the public board, the same bytes for everybody.

import { poll } from "./polling.js";
import { whole } from "./words.js";

const board = document.querySelector("[data-board]");

poll({
  url: board.dataset.board,
  pace: 10,
  onAnswer(answer) {
    for (const figure of board.querySelectorAll("[data-figure]")) figure.textContent = whole(answer[figure.dataset.figure]);
    return true;
  },
  onTrouble() {}, // the figures stay as they were; the form is what this page is for
});
