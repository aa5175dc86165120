// The frame of recommendations is as high as what is in it; without script it can be scrolled.

function fit(frame) {
  const inside = frame.contentDocument?.body;
  if (!inside?.classList.contains("widget")) return; // an error's page, or another site's
  frame.style.height = `${inside.offsetHeight}px`;
}

for (const frame of document.querySelectorAll(".recommended")) {
  frame.addEventListener("load", () => fit(frame));
  addEventListener("resize", () => fit(frame));
  fit(frame);
}
