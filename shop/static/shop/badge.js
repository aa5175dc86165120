// The cart's badge, and whether somebody is logged in: what a page that is the same for everybody cannot know.

const cart = document.querySelector("[data-cart]");
const badge = cart?.querySelector("[data-badge]");
const account = document.querySelector("[data-account]");

function show({ count, signed_in: signedIn }) {
  badge.textContent = count > 99 ? "99+" : count;
  badge.hidden = count === 0;
  cart.setAttribute("aria-label", count === 0 ? "Cart, empty" : count === 1 ? "Cart, 1 piece" : `Cart, ${count} pieces`);
  if (account) account.textContent = signedIn ? "Account" : "Log in";
}

async function ask() {
  try {
    const answer = await fetch(cart.dataset.cart, { cache: "no-store", headers: { Accept: "application/json" } });
    if (answer.ok) show(await answer.json());
  } catch {
    // Without an answer the page stays as it is: the cart itself is one click away.
  }
}

if (badge) {
  ask();
  // A page that comes back from the browser's memory, or a tab from behind another, may be older than the cart.
  addEventListener("pageshow", (event) => event.persisted && ask());
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && ask());
}
