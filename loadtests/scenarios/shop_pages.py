"""What a visitor reads off a page of the shop: links, prices, what can be chosen, what a form carries. No decisions.

Pages that many people see are read once, as in `loadtests.browsing.pages`.
"""

import html
import re
from dataclasses import dataclass
from functools import lru_cache

from loadtests.browsing.pages import KEPT
from loadtests.steps import Untrue

_LINK = re.compile(r'href="(/shop/(p|c|events)/[^"/?#]+/)"')
_NAME = re.compile(r'<span class="name">([^<]+)</span>')
_WORD = re.compile(r"[A-Za-z]{4,}")
_COST = re.compile(r'<p class="cost figure">(.*?)</strong>', re.DOTALL)
_TAGS = re.compile(r"<[^>]+>")
_AMOUNT = re.compile(r"([\d,]+)\.(\d\d)")
_OFFER = re.compile(r'"price": "(\d+)\.(\d\d)"')
_CHOICE = re.compile(r'<input type="radio" name="variant" value="(\d+)"([^>]*)>')
_HELD = re.compile(r'<li class="card line" data-variant="(\d+)">')
_QUANTITY = re.compile(r'id="quantity-(\d+)"[^>]*\bvalue="(\d+)"')
_TOTAL = re.compile(r"<[^>]*\bdata-total>([^<]+)<")
_HIDDEN = re.compile(r'<input type="hidden" name="([a-z]+)" value="([^"]*)">')
_RADIO = re.compile(r'<input [^>]*name="(address|card)" type="radio" value="([^"]*)"([^>]*)>')
_ORDER = re.compile(r'data-order="([^"]+)"')
_STATE = re.compile(r'<section class="card" role="status" data-state="([a-z]+)">')
_GRAND_TOTAL = re.compile(r"<tfoot>.*?<strong(?: data-total)?>([^<]+)</strong>", re.DOTALL)
_CLUB = re.compile(r"data-club-number>(\d+)<")
_SEEN = re.compile(r'aria-labelledby="seen">(.*?)</section>', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Links:
    """Where one can go from here, as paths, and the names of the products that are shown."""

    products: tuple[str, ...]
    categories: tuple[str, ...]
    events: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(word.lower() for name in self.names for word in _WORD.findall(name)))


@dataclass(frozen=True, slots=True)
class Product:
    """A product's page. `offers`: what its variants cost, as machines read it; `choices`: those that are not sold out,
    by the number that the form sends."""

    price_cents: int
    offers: tuple[int, ...]
    choices: tuple[str, ...]


@lru_cache(maxsize=KEPT)
def links(body: bytes) -> Links:
    text = body.decode("utf-8", "replace")
    found: dict[str, dict[str, None]] = {"p": {}, "c": {}, "events": {}}
    for path, kind in _LINK.findall(text):
        found[kind][path] = None
    names = tuple(html.unescape(name) for name in _NAME.findall(text))
    return Links(tuple(found["p"]), tuple(found["c"]), tuple(found["events"]), names)


@lru_cache(maxsize=KEPT)
def product(body: bytes) -> Product:
    """Raises `Untrue` for a page that names no price."""
    text = body.decode("utf-8", "replace")
    cost = _COST.search(text)
    if cost is None:
        raise Untrue("the product's page names no price")
    choices = tuple(value for value, rest in _CHOICE.findall(text) if "disabled" not in rest)
    offers = tuple(int(units) * 100 + int(rest) for units, rest in _OFFER.findall(text))
    return Product(cents(_TAGS.sub(" ", cost[1])), offers, choices)


def cents(text: str) -> int:
    """The amount of money in these words, in hundredths. Raises `Untrue` if there is none."""
    amount = _AMOUNT.search(text)
    if amount is None:
        raise Untrue(f"no amount of money in {text[:40]!r}")
    return int(amount[1].replace(",", "")) * 100 + int(amount[2])


def cart(text: str) -> dict[str, int]:
    """What is in the cart: pieces by variant; 0 for what is no longer sold."""
    return dict.fromkeys(_HELD.findall(text), 0) | {variant: int(many) for variant, many in _QUANTITY.findall(text)}


def total(text: str) -> int:
    """The sum that a cart or a checkout says, in hundredths."""
    found = _TOTAL.search(text)
    return cents(found[1] if found else "")


def checkout_form(text: str) -> dict[str, str]:
    """What the form sends if nothing is changed in it."""
    form = {name: html.unescape(value) for name, value in _HIDDEN.findall(text)}
    chosen = {name: html.unescape(value) for name, value, rest in _RADIO.findall(text) if "checked" in rest}
    return form | chosen


def cards(text: str) -> tuple[str, ...]:
    return tuple(html.unescape(value) for name, value, _ in _RADIO.findall(text) if name == "card")


def orders(text: str) -> tuple[str, ...]:
    return tuple(_ORDER.findall(text))


def order_state(text: str) -> str:
    found = _STATE.search(text)
    return found[1] if found else ""


def order_total(text: str) -> int:
    found = _GRAND_TOTAL.search(text)
    return cents(found[1] if found else "")


def club_number(text: str) -> str:
    found = _CLUB.search(text)
    return found[1] if found else ""


def seen_by_reader(text: str) -> tuple[str, ...]:
    """The products that the widget says its reader has looked at."""
    found = _SEEN.search(text)
    return tuple(path for path, kind in _LINK.findall(found[1]) if kind == "p") if found else ()
