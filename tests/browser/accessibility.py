"""What is asked of every page, whoever reads it and with whatever."""

from __future__ import annotations

from typing import Any

UNNAMED = """() => [...document.querySelectorAll(
    "input:not([type=hidden]), select, button, a, iframe, svg[role=img], progress")]
  .filter((element) => !(element.labels?.length || element.textContent.trim() || element.ariaLabel || element.title
    || element.getAttribute("aria-labelledby") || element.querySelector("title, img[alt]:not([alt=''])")))
  .map((element) => element.outerHTML)"""

# Text that is seen against what is painted behind it, by the rule of WCAG 2 (1.4.3): 4.5, or 3 for large letters.
# Whatever CSS calls a colour is painted to learn what it is.
FAINT = """() => {
  for (const change of document.getAnimations()) change.finish();
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const painted = (...colours) => {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const linear = (part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      layers.unshift(getComputedStyle(one).backgroundColor);
      if (painted(layers[0])[3] === 255) return layers;
    }
    return ["Canvas", ...layers];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement, style = getComputedStyle(element);
    if (!node.textContent.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest(".unseen, script, [aria-disabled=true], .chip:has(:disabled)")) continue;
    const back = behind(element);
    const [one, other] = [light(painted(...back)), light(painted(...back, style.color))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${style.color}: ${node.textContent.trim()}`);
  }
  return faint;
}"""

# What has the focus, by name, and whether one sees that it has it: itself, or what is drawn for it.
FOCUSED = """() => {
  const element = document.activeElement, outlined = (one) => one && getComputedStyle(one).outlineStyle !== "none";
  const name = (element.labels?.[0] ?? element).textContent.trim();
  return [name, outlined(element) || outlined(element.nextElementSibling)];
}"""


def in_order(page: Any, url: str) -> None:
    """As wide as its window, named, with one heading, and legible in the light and in the dark."""
    page.goto(url)
    page.wait_for_load_state("load")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0, url
    assert page.evaluate(UNNAMED) == [], url
    assert page.locator("h1:visible").count() == 1, url
    assert page.locator("main").count() == 1, url
    assert page.title(), url
    assert page.evaluate("document.documentElement.lang") == "en", url
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        faint = page.evaluate(FAINT)
        assert not faint, (url, scheme, faint)


def tab_to(page: Any, name: str, *, most: int = 40) -> None:
    """Press Tab until what is called so has the focus. Each step is seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        said, seen = page.evaluate(FOCUSED)
        assert seen, f"one does not see that {said!r} has the focus"
        if name in said:
            return
    raise AssertionError(f"{name!r} is not reached by the keyboard")
