// Copy buttons. They stay hidden where the browser does not let a page copy (no script, or no secure connection).

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const label = button.textContent;
  const spoken = button.getAttribute("aria-label");
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent.trim();
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    button.setAttribute("aria-label", `${button.textContent}: ${spoken}`);
    setTimeout(() => {
      button.textContent = label;
      button.setAttribute("aria-label", spoken);
    }, 2000);
  });
}
