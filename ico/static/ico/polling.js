// Ask an address again and again, at the pace the server names, calmly when it does not answer.

const JITTER = 0.15;
const LONGEST_PAUSE = 300;
const PATIENCE_MS = 15000;

const jittered = (seconds) => seconds * (1 - JITTER + 2 * JITTER * Math.random());

/**
 * `url` is an address or a function that names one; `first` is how soon to begin, else after one pause.
 * onAnswer(body) returns true to go on; onTrouble(seconds until the next try); onGone() when the address is no more.
 * Errors double the pause each time, up to five minutes; Retry-After is obeyed.
 */
export function poll({ url, first, pace, onAnswer, onTrouble, onGone }) {
  let failures = 0;
  let due = 0;
  let timer;

  function schedule(seconds) {
    due = Date.now() + seconds * 1000;
    clearTimeout(timer);
    timer = setTimeout(ask, seconds * 1000);
  }

  function pauseAfterTrouble(response) {
    failures += 1;
    const asked = Number(response?.headers.get("Retry-After")) || 0;
    const seconds = jittered(Math.max(asked, Math.min(LONGEST_PAUSE, Math.max(2, pace) * 2 ** (failures - 1))));
    onTrouble(seconds);
    schedule(seconds);
  }

  async function ask() {
    due = 0;
    let response, body;
    try {
      response = await fetch(typeof url === "function" ? url() : url, { cache: "no-store", headers: { Accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE_MS) });
      if (response.ok) body = await response.json();
    } catch {
      return pauseAfterTrouble();
    }
    if (response.status === 404 || response.status === 410) return onGone?.();
    if (!response.ok) return pauseAfterTrouble(response);
    failures = 0;
    pace = body.poll_after_seconds ?? pace;
    if (onAnswer(body)) schedule(jittered(pace));
  }

  // A phone that was asleep asks at once when it is looked at again, if its time had come meanwhile.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && due && Date.now() > due + 1000) schedule(0.2 * Math.random());
  });
  schedule(first ?? jittered(pace));
}
