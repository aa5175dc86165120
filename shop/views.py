"""The catalogue's pages. Each is made without the request, so it shows the same to everybody, and names the tags of
what it shows: `page_cache` keeps it until one of them changes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from django.http import Http404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from shop import catalogue, changes, facets, filters, object_cache, structured, turning
from shop import events as editorial
from shop import search as index
from shop.catalogue import Card, Choice, NotThere
from shop.page_cache import Page, kept

Query = Mapping[str, str]

SORT_NAMES = (
    ("popular", "Most popular"),
    ("price", "Price, lowest first"),
    ("price-down", "Price, highest first"),
    ("new", "Newest"),
)
HOME_CARDS = 8
HOME_DEALS = 4
LEAD_CARDS = 3
MENU_SECONDS = 300
SHOWN_TEXT = 100  # characters of a search that was refused for its length


@kept("home")
def home(*, query: Query) -> Page:
    shown: dict[str, Any] = {
        "popular": catalogue.popular(HOME_CARDS),
        "newest": catalogue.newest(HOME_CARDS),
        "deals": catalogue.deals(page=1).cards[:HOME_DEALS],
    }
    tags = {changes.HOME, changes.DEALS, changes.EVENTS}.union(*map(_tags, shown.values()))
    now = timezone.now()
    current = editorial.current(now=now)
    shown["lead"] = editorial.event(current[0].slug, now=now).cards[:LEAD_CARDS] if current else ()
    tags |= _tags(shown["lead"])
    return _page("home.html", tags=tags, events=current, data=structured.document(structured.site()), **shown)


@kept("category")
def category(*, query: Query, category: str) -> Page:
    try:
        mark = catalogue.category(category)
    except NotThere as error:
        raise Http404(str(error)) from None
    trail = _trail((mark.name, reverse("shop:category", args=[mark.slug])))
    page: dict[str, Any] = {"category": mark, "trail": trail, "typed": query, "sorts": SORT_NAMES}
    tags = {changes.category(mark.id)}
    try:
        asked = filters.read(query)
        shelf = catalogue.shelf(
            category=mark, sort=asked.sort, low_cents=asked.low_cents, high_cents=asked.high_cents, page=asked.page
        )
    except filters.BadFilter as error:
        return _page("category.html", status=422, tags=tags, error=str(error), **page)
    except (NotThere, filters.NoSuchPage) as error:
        raise Http404(str(error)) from None
    data = structured.document(structured.trail(trail), structured.shelf(mark, shelf.cards))
    page |= {"shelf": shelf, "turn": turning.turn(asked, shelf.page, shelf.pages), "data": data}
    return _page("category.html", tags=tags | _tags(shelf.cards), prices=facets.of_shelf(asked), **page)


@kept("product")
def product(*, query: Query, product: str) -> Page:
    try:
        facts = catalogue.product(product)
    except NotThere as error:
        raise Http404(str(error)) from None
    trail = _trail(
        (facts.category.name, reverse("shop:category", args=[facts.category.slug])),
        (facts.card.title, reverse("shop:product", args=[facts.card.slug])),
    )
    return _page(
        "product.html",
        tags={changes.product(facts.card.id)},
        facts=facts,
        card=facts.card,
        trail=trail,
        colours=_by_colour(facts.choices),
        chosen=next((choice.id for choice in facts.choices if choice.left), None),
        one_price=len({choice.price_cents for choice in facts.choices}) <= 1,
        picture=structured.absolute(facts.card.picture_large) if facts.card.picture_large else "",
        data=structured.document(structured.trail(trail), structured.product(facts)),
    )


@kept("search")
def search(*, query: Query) -> Page:
    text, chosen = _words(query.get("q", "")), query.get("category", "")
    if chosen and chosen not in {mark["slug"] for mark in _menu()}:
        raise Http404("There is no such department.")
    page: dict[str, Any] = {"text": text[:SHOWN_TEXT], "chosen": chosen, "typed": query}
    try:
        asked = filters.read({**query, "sort": ""})
        found = index.find(
            text=text, category=chosen, low_cents=asked.low_cents, high_cents=asked.high_cents, page=asked.page
        )
    except filters.BadFilter as error:
        return _page("search.html", status=422, tags=(), error=str(error), **page)
    except index.BadSearch as error:
        return _page("search.html", status=400, tags=(), refused=str(error), **page)
    except index.NotReady:
        return _page("search.html", status=503, tags=(), not_ready=True, **page)
    except (NotThere, filters.NoSuchPage) as error:
        raise Http404(str(error)) from None
    page |= {
        "found": found,
        "turn": turning.turn(asked, found.page, found.pages, q=text, category=chosen),
        "departments": facets.departments(asked, found, text=text, category=chosen),
        "prices": facets.prices(asked, found, text=text, category=chosen),
    }
    return _page("search.html", tags=found.tags, **page)


@kept("deals")
def deals(*, query: Query) -> Page:
    try:
        asked = filters.Filters(page=filters.page(query))
        shelf = catalogue.deals(page=asked.page)
    except (NotThere, filters.NoSuchPage) as error:
        raise Http404(str(error)) from None
    trail = _trail(("Deals", reverse("shop:deals")))
    turn = turning.turn(asked, shelf.page, shelf.pages)
    return _page("deals.html", tags={changes.DEALS} | _tags(shelf.cards), shelf=shelf, turn=turn, trail=trail)


@kept("events")
def events(*, query: Query) -> Page:
    trail = _trail(("Events", reverse("shop:events")))
    return _page("events.html", tags={changes.EVENTS}, events=editorial.current(now=timezone.now()), trail=trail)


@kept("event")
def event(*, query: Query, event: str) -> Page:
    try:
        told = editorial.event(event, now=timezone.now())
    except NotThere as error:
        raise Http404(str(error)) from None
    trail = _trail(("Events", reverse("shop:events")), (told.happening.title, reverse("shop:event", args=[event])))
    tags = {changes.event(told.happening.id)} | _tags(told.cards)
    return _page(
        "event.html",
        tags=tags,
        event=told.happening,
        cards=told.cards,
        trail=trail,
        data=structured.document(structured.trail(trail)),
    )


def _page(template: str, *, tags: Iterable[str], status: int = 200, **context: Any) -> Page:
    context |= {"menu": _menu(), "announcements": editorial.announcements(now=timezone.now())}
    body = render_to_string(f"shop/{template}", context)
    return Page(body=body, tags=frozenset(tags) | {changes.ANNOUNCEMENTS, changes.DEPARTMENTS}, status=status)


def _menu() -> list[dict[str, str]]:
    """Every page shows it."""

    def make() -> list[dict[str, str]]:
        return [
            {"slug": mark.slug, "name": mark.name, "description": mark.description} for mark in catalogue.categories()
        ]

    return object_cache.get("menu", tags=(changes.DEPARTMENTS,), seconds=MENU_SECONDS, make=make)


def _words(text: str) -> str:
    """Without what no keyboard types and no page can show, such as NUL."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _tags(cards: Iterable[Card]) -> set[str]:
    return {changes.product(card.id) for card in cards}


def _trail(*steps: tuple[str, str]) -> structured.Trail:
    return (("Shop", reverse("shop:home")), *steps)


def _by_colour(choices: Iterable[Choice]) -> tuple[tuple[str, tuple[Choice, ...]], ...]:
    found: dict[str, list[Choice]] = defaultdict(list)
    for choice in choices:
        found[choice.colour].append(choice)
    return tuple((colour, tuple(of_it)) for colour, of_it in found.items())
