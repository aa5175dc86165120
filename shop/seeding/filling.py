"""A made-up catalogue: the same seed makes the same one, and its first products are the same however many there are.

What a product is like follows from the seed and the product's number alone (`draft`), so a catalogue can grow later,
and a seeding that was interrupted goes on where it stopped.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random

from django.utils.text import slugify

from config.transactions import retried
from shop import changes, models
from shop.seeding import drawings, event_goods, pictures
from shop.seeding import wording as words
from shop.seeding.silhouettes import OF_NOUN
from shop.seeding.wording import KINDS, Kind

AT_ONCE = 500  # products in one transaction
TOLD_ONE_BY_ONE = 2_500  # more new products than this are found by a new index only
OWN_PICTURES = 2_500  # products with pictures of their own; those after them share some
SHARED_SERIES = 12  # of each form and colour
_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)  # when the first product came; a day later some of the others
_GOLDEN = 0.6180339887498949  # its multiples spread evenly: any stretch of numbers has each category's share

Progress = Callable[[int], None]


class AnotherCatalogue(Exception):
    """The shop has products already, and not of this seed."""


@dataclass(frozen=True, slots=True)
class DraftVariant:
    sku: str
    size: str
    colour: str
    price_cents: int
    stock: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A product that is not in the database yet. `motifs`: what its pictures show."""

    number: int
    kind: int
    slug: str
    title: str
    brand: str
    description: str
    attributes: dict[str, str]
    was_cents: int | None
    popularity: int
    age_hours: int
    variants: tuple[DraftVariant, ...]
    motifs: tuple[pictures.Motif, ...]


def draft(*, seed: int, number: int, kinds: int = len(KINDS)) -> Draft:
    """Product `number` (from 1) of the catalogue of this seed, in the first `kinds` categories."""
    place = _kind(number, kinds)
    kind, chance = KINDS[place], Random(f"{seed}:{number}:{kinds}")  # noqa: S311 (a catalogue, not a secret)
    noun, material, name = chance.choice(kind.nouns), chance.choice(kind.materials), chance.choice(words.NAMES)
    brand, use, origin = chance.choice(words.BRANDS), chance.choice(kind.uses), chance.choice(words.ORIGINS)
    form, care = OF_NOUN.get(noun, kind.form), chance.choice(words.CARES)
    title = f"{_adjective(form, _series(seed, number), chance)} {material.capitalize()} {noun} {name}"
    said = {"noun": noun.lower(), "material": material, "use": use, "origin": origin, "care": care, "brand": brand}
    texts = (chance.choice(some) for some in (words.OPENINGS, words.MIDDLES, words.CLOSINGS))
    description = " ".join(_sentence(text.format(name=name, **said)) for text in texts)
    colours = tuple(chance.sample(sorted(words.COLOURS), k=chance.choice((1, 2, 2, 3))))
    variants = _variants(kind, colours, chance, sku=f"{seed}-{number:06d}")
    lowest = min(one.price_cents for one in variants)
    return Draft(
        number=number,
        kind=place,
        slug=f"{slugify(title)}-{number}",
        title=title,
        brand=brand,
        description=description,
        attributes={"material": material, "made in": origin, "made for": use, "care": care},
        was_cents=_rounded(lowest * chance.uniform(1.15, 1.6)) if chance.random() < 0.1 else None,
        popularity=min(50_000, int(10 * chance.paretovariate(0.8))),
        age_hours=number * 3 + chance.randrange(240),
        variants=variants,
        motifs=_motifs(form, _series(seed, number), colours),
    )


def _kind(number: int, kinds: int) -> int:
    """Which category: each gets a share by its weight, at any number of products."""
    bounds = list(accumulate(kind.weight for kind in KINDS[:kinds]))
    mark = (number * _GOLDEN) % 1 * bounds[-1]
    return next(place for place, bound in enumerate(bounds) if mark < bound)


def _variants(kind: Kind, colours: tuple[str, ...], chance: Random, *, sku: str) -> tuple[DraftVariant, ...]:
    base = _rounded(kind.low + (kind.high - kind.low) * chance.random() ** 2)
    first = chance.randrange(max(1, len(kind.sizes) - 3))
    sizes = kind.sizes[first : first + 4] or ("",)
    sold_out = chance.random() < 0.02
    return tuple(
        DraftVariant(
            sku=f"{sku}-{place:02d}",
            size=size,
            colour=colour,
            price_cents=base + kind.grows * sizes.index(size),
            stock=0 if sold_out or chance.random() < 0.06 else chance.randrange(3, 80),
        )
        for place, (colour, size) in enumerate((colour, size) for colour in colours for size in sizes)
    )


def _rounded(cents: float) -> int:
    """A price that ends in 90 cents, at least 90."""
    return max(0, int(cents) // 100) * 100 + 90


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _series(seed: int, number: int) -> str:
    return f"{seed}:{number}" if number <= OWN_PICTURES else f"{seed}:shared:{number % SHARED_SERIES}"


def _adjective(form: str, series: str, chance: Random) -> str:
    """Titles say what the pictures show."""
    return chance.choice(words.PATTERNED.get(drawings.pattern_of(form=form, series=series), words.ADJECTIVES))


def _motifs(form: str, series: str, colours: tuple[str, ...]) -> tuple[pictures.Motif, ...]:
    """The first colour, the second if there is one, and a closer look."""
    views = ((colours[0], "front"), (colours[-1], "front" if len(colours) > 1 else "side"), (colours[0], "near"))
    return tuple(pictures.Motif(form, colour, view, series) for colour, view in views)


def seed(
    *, products: int, seed: int, now: datetime, kinds: int = len(KINDS), progress: Progress = lambda made: None
) -> int:
    """Make the catalogue of this seed up to so many products, and its events. Returns how many products are new; their
    pictures are drawn by `pictures.draw_missing`. `progress` is told how many there are. Raises `AnotherCatalogue`."""
    there = seeded(seed=seed)
    shelves = _make_categories(kinds)
    for first in range(there + 1, products + 1, AT_ONCE):
        last = min(first + AT_ONCE, products + 1)
        _make_products([draft(seed=seed, number=number, kinds=kinds) for number in range(first, last)], shelves)
        progress(last - 1)
    event_goods.make(seed=seed, now=now)
    return max(0, products - there)


def seeded(*, seed: int) -> int:
    """How many products of this seed's catalogue are there. Raises `AnotherCatalogue`."""
    last = models.Variant.objects.filter(sku__startswith=f"{seed}-").order_by("-sku").values_list("sku", flat=True)
    newest = last.first()
    if newest is None and models.Product.objects.exists():
        raise AnotherCatalogue("The shop has products already, and not of this seed; nothing was changed.")
    return int(newest.split("-")[1]) if newest else 0


@retried
def _make_categories(kinds: int) -> list[models.Category]:
    rows = [
        models.Category(slug=kind.slug, name=kind.name, description=kind.description, position=place)
        for place, kind in enumerate(KINDS[:kinds])
    ]
    before = models.Category.objects.count()
    models.Category.objects.bulk_create(rows, ignore_conflicts=True)
    if models.Category.objects.count() > before:
        changes.tell([changes.DEPARTMENTS])
    known = {row.slug: row for row in models.Category.objects.filter(slug__in=[row.slug for row in rows])}
    return [known[row.slug] for row in rows]


@retried
def _make_products(drafts: list[Draft], shelves: list[models.Category]) -> None:
    rows = models.Product.objects.bulk_create([_product(one, shelves[one.kind]) for one in drafts])
    pairs = list(zip(rows, drafts, strict=True))
    models.Variant.objects.bulk_create(
        [models.Variant(product=row, **asdict(variant)) for row, one in pairs for variant in one.variants],
        batch_size=2_000,
    )
    models.Picture.objects.bulk_create([picture for row, one in pairs for picture in _pictures(row, one)])
    told = [changes.product(row.pk) for row in rows] if drafts[-1].number <= TOLD_ONE_BY_ONE else []
    changes.tell([*told, *{changes.category(row.category_id) for row in rows}, changes.HOME, changes.DEALS])


def _product(one: Draft, shelf: models.Category) -> models.Product:
    return models.Product(
        slug=one.slug,
        category=shelf,
        title=one.title,
        brand=one.brand,
        description=one.description,
        attributes=one.attributes,
        price_cents=min(variant.price_cents for variant in one.variants),
        was_cents=one.was_cents,
        popularity=one.popularity,
        created_at=_EPOCH + timedelta(hours=one.age_hours),
    )


def _pictures(row: models.Product, one: Draft) -> Iterator[models.Picture]:
    for position, motif in enumerate(one.motifs):
        alt = f"{one.title} in {motif.colour}" + (", a closer look" if motif.view == "near" else "")
        yield models.Picture(
            product=row, position=position, small=pictures.small(motif), large=pictures.large(motif), alt=alt
        )


def digest() -> str:
    """Of all that a seed decides of the catalogue in the database, whatever numbers the rows have."""
    said = hashlib.sha256()
    products = models.Product.objects.order_by("created_at", "slug").select_related("category")
    for row in products.prefetch_related("variants", "pictures").iterator(chunk_size=1_000):
        facts = [row.slug, row.category.slug, row.title, row.brand, row.description, row.attributes, row.price_cents]
        facts += [row.was_cents, row.popularity, row.created_at.isoformat()]
        facts += [[one.sku, one.size, one.colour, one.price_cents, one.stock] for one in row.variants.all()]
        facts += [[one.position, one.small, one.large, one.alt] for one in row.pictures.all()]
        said.update(json.dumps(facts, sort_keys=True).encode())
    for event in models.Event.objects.order_by("slug"):
        slugs = sorted(event.products.values_list("slug", flat=True))
        said.update(json.dumps([event.slug, event.title, event.text, event.members_only, slugs]).encode())
    return said.hexdigest()
