// The same words as templatetags/words.py, for what changes without a reload.

const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"]];
const clockWithZone = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const whole = (number) => number.toLocaleString("en-GB");

/** What the reader's time zone is called now, CET. */
export const zone = () => clockWithZone.formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;

export function grouped(amount) {
  const [units, rest = ""] = amount.split(".");
  const thousands = units.replace(/\B(?=(\d{3})+$)/g, ",");
  return /[1-9]/.test(rest) ? `${thousands}.${rest}` : thousands;
}

/** In the reader's time zone and saying which, 14:05:09 CET. */
export const clockTime = (at) => clockWithZone.format(new Date(at));

/** The same where the zone is said elsewhere, 14:05:09. */
export const timeOfDay = (at) => clock.format(new Date(at));

export const counted = (number, one, many = `${one}s`) => `${whole(number)} ${number === 1 ? one : many}`;

export function duration(seconds) {
  if (seconds < 50) return "less than a minute";
  const [size, unit] = UNITS.find(([size]) => seconds >= size * 0.9) ?? UNITS.at(-1);
  const count = Math.max(1, Math.floor(seconds / size + 0.5));
  return `about ${count} ${unit}${count > 1 ? "s" : ""}`;
}
