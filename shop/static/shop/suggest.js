// Ways to go on, as one types a search: a listbox below the field, chosen from with the arrows or the mouse.

const PAUSE_MS = 120;
const SHORTEST = 2;

const field = document.querySelector("[data-suggest]");
const list = document.createElement("ul");
let timer;
let asked;

const options = () => [...list.children];
const chosen = () => options().findIndex((option) => option.getAttribute("aria-selected") === "true");

function close() {
  list.hidden = true;
  list.replaceChildren();
  field.setAttribute("aria-expanded", "false");
  field.removeAttribute("aria-activedescendant");
}

function option(text, place) {
  const item = document.createElement("li");
  item.id = `suggestion-${place}`;
  item.role = "option";
  item.textContent = text;
  item.setAttribute("aria-selected", "false");
  return item;
}

function open(texts) {
  if (!texts.length || document.activeElement !== field) return close();
  list.replaceChildren(...texts.map(option));
  list.hidden = false;
  field.setAttribute("aria-expanded", "true");
}

function mark(place) {
  options().forEach((item, index) => item.setAttribute("aria-selected", String(index === place)));
  const item = options()[place];
  if (item) field.setAttribute("aria-activedescendant", item.id);
  else field.removeAttribute("aria-activedescendant");
}

function take(item) {
  field.value = item.textContent;
  close();
  field.form.requestSubmit();
}

async function ask() {
  const text = field.value.trim();
  asked?.abort();
  if (text.length < SHORTEST) return close();
  asked = new AbortController();
  try {
    const address = `${field.dataset.suggest}?${new URLSearchParams({ q: text })}`;
    const answer = await fetch(address, { headers: { Accept: "application/json" }, signal: asked.signal });
    open(answer.ok ? (await answer.json()).suggestions : []);
  } catch (error) {
    if (error.name !== "AbortError") close();
  }
}

function onKey(event) {
  const count = options().length;
  if (event.key === "Escape" && count) {
    event.preventDefault(); // or the field would be emptied
    close();
  } else if (count && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    // One more place than options: the one where none is marked.
    mark(((chosen() + 1 + step + count + 1) % (count + 1)) - 1);
  } else if (event.key === "Enter" && chosen() >= 0) {
    event.preventDefault();
    take(options()[chosen()]);
  }
}

if (field) {
  list.id = "suggestions";
  list.className = "suggestions";
  list.role = "listbox";
  list.hidden = true;
  list.setAttribute("aria-label", "Suggestions");
  field.after(list);
  for (const [name, value] of [["role", "combobox"], ["aria-controls", list.id], ["aria-autocomplete", "list"], ["aria-expanded", "false"]]) field.setAttribute(name, value);
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
  });
  field.addEventListener("keydown", onKey);
  field.addEventListener("blur", close);
  field.form.addEventListener("submit", () => {
    clearTimeout(timer);
    asked?.abort();
  });
  // The press comes before the blur that would close the list.
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const item = event.target.closest("li");
    if (item) take(item);
  });
}
