// What a page says while the server does not answer: seen, and read aloud.

/** Returns a function that shows a text in `box` and announces it. */
export function troubleBox(box, announce) {
  return (text) => {
    box.hidden = false;
    box.textContent = text;
    announce(text);
  };
}

export const tryingAgain = (seconds) =>
  `Trying again in ${seconds < 90 ? `${Math.ceil(seconds)} seconds` : "a few minutes"}.`;
