// Comforts of the pages: the departments close again, filters leave no empty words in the address, a product's small
// pictures turn the large ones.

const menu = document.querySelector("[data-menu]");
if (menu) {
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
}

const filters = document.querySelector("[data-filters]");
if (filters) {
  // On a wide screen they stand beside the shelf and nothing folds them; see shop.css.
  const wide = matchMedia("(min-width: 60rem)");
  const fold = () => wide.matches && (filters.open = true);
  wide.addEventListener("change", fold);
  fold();
  // A field without a value is none; the addresses stay the ones that the links have, and those are kept by caches.
  filters.querySelector("form").addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
  });
}

const gallery = document.querySelector("[data-gallery]");
if (gallery) {
  const slides = gallery.querySelector(".slides");
  const links = [...gallery.querySelectorAll(".thumbs a")];
  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault(); // the address would jump, and the back button would count pictures
      slides.scrollTo({ left: slides.querySelector(link.hash).offsetLeft - slides.offsetLeft });
    });
  }
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const link = links.find((one) => one.hash === `#${target.id}`);
        if (isIntersecting) link?.setAttribute("aria-current", "true");
        else link?.removeAttribute("aria-current");
      }
    },
    { root: slides, threshold: 0.6 },
  );
  for (const slide of slides.children) seen.observe(slide);
}
