// A form that is sent once: a second press while the first is under way does nothing, and the button says so. The server
// takes such a form once however often it comes; this only spares the wait for an answer that is not new.

for (const form of document.querySelectorAll("form[data-once]")) {
  const button = form.querySelector("button");
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    button.setAttribute("aria-disabled", "true");
  });
  // Who comes back to this page by the back button may press again; what becomes of it the server decides.
  addEventListener("pageshow", () => {
    delete form.dataset.sent;
    button.removeAttribute("aria-disabled");
  });
}

// The fields of another address unfold as it is chosen.
const another = document.querySelector(".other-address");
const choices = document.querySelectorAll("[name='address'][type='radio']");
for (const choice of choices) choice.addEventListener("change", () => (another.open = choice.value === "new"));
