// Pages are the same for everybody, so they say UTC. Here each time also gets the reader's own zone, as a tooltip, and
// as text when the reader's clock differs from UTC.

const local = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
});

for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.valueOf()) || at.getTimezoneOffset() === 0) continue;
  time.title = time.textContent;
  time.textContent = local.format(at);
  time.dataset.local = "";
}
