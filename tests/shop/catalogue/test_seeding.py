"""The made-up catalogue: the same for the same seed, whole, and as large as one likes."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from itertools import pairwise
from random import Random

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.utils import timezone
from PIL import Image

from shop import catalogue, changes, events
from shop.models import Category, Change, Event, Picture, Product, Variant
from shop.seeding import drawings, event_goods, filling, pictures
from shop.seeding.silhouettes import OF_NOUN
from shop.seeding.wording import ADJECTIVES, COLOURS, KINDS, PATTERNED
from tests.shop.conftest import small_shop

# Of the catalogue of seed 1. Another one means that every shop that was seeded before is another catalogue's: raise
# `pictures._DRAWN_AS` when drawings change, and think twice about the rest.
DIGEST = "500253f7a30d69e68b8e19d64bb2afd3b95b15c3b99962f1ce480659a66a0b9c"


def test_a_product_follows_from_seed_and_number_alone() -> None:
    assert filling.draft(seed=1, number=7) == filling.draft(seed=1, number=7)
    assert filling.draft(seed=1, number=7) != filling.draft(seed=2, number=7)


def test_1250_products_are_what_the_issue_asks_for() -> None:
    drafts = [filling.draft(seed=1, number=number) for number in range(1, 1_251)]
    shelves = Counter(one.kind for one in drafts)
    assert len(shelves) == 17 == len(KINDS)
    assert min(shelves.values()) >= 20
    assert len({one.slug for one in drafts}) == 1_250
    assert min(len(one.variants) for one in drafts) >= 1
    assert len({one.colour for one in (variant for one in drafts for variant in one.variants)}) >= 10
    assert all(one.was_cents is None or one.was_cents > min(v.price_cents for v in one.variants) for one in drafts)
    assert 80 < sum(one.was_cents is not None for one in drafts) < 180
    assert len({motif for one in drafts for motif in one.motifs}) == 3 * 1_250, "no two products share a picture"


def test_a_huge_catalogue_shares_pictures_and_nothing_else() -> None:
    drafts = [filling.draft(seed=1, number=number) for number in range(120_000, 121_000)]
    assert len({one.slug for one in drafts}) == 1_000
    assert all(one.motifs[0].colour == one.variants[0].colour for one in drafts)
    assert len({motif.series for one in drafts for motif in one.motifs}) == filling.SHARED_SERIES


@pytest.mark.django_db
def test_the_same_seed_makes_the_same_catalogue(catalogue_of_12: list[Product]) -> None:
    first = filling.digest()
    for model in (Event, Picture, Variant, Product, Category):
        model.objects.all().delete()
    small_shop()
    assert filling.digest() == first == DIGEST
    catalogue.set_price(variant_id=Variant.objects.all()[0].pk, price_cents=123)
    assert filling.digest() != first, "the digest sees a price"


@pytest.mark.django_db
def test_a_catalogue_grows_and_an_interrupted_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "AT_ONCE", 4)
    made: list[int] = []

    def stop_at_eight(there: int) -> None:
        made.append(there)
        if there == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filling.seed(products=12, seed=1, now=timezone.now(), kinds=3, progress=stop_at_eight)
    assert (made, Product.objects.count()) == ([4, 8], 8)
    assert len(small_shop()) == 12
    assert filling.digest() == DIGEST
    assert filling.seed(products=12, seed=1, now=timezone.now(), kinds=3) == 0


@pytest.mark.django_db
def test_another_seed_does_not_mix_two_catalogues(catalogue_of_12: list[Product]) -> None:
    before = filling.digest()
    with pytest.raises(filling.AnotherCatalogue):
        small_shop(seed=2)
    assert filling.digest() == before
    assert Category.objects.count() == 3


@pytest.mark.django_db
def test_what_is_seeded_is_told_and_reads_whole(catalogue_of_12: list[Product]) -> None:
    tags = set(Change.objects.values_list("tag", flat=True))
    assert {changes.product(row.pk) for row in catalogue_of_12} <= tags
    assert {changes.HOME, changes.DEALS, changes.EVENTS, changes.ANNOUNCEMENTS} <= tags
    for row in catalogue_of_12:
        facts = catalogue.product(row.slug)
        assert facts.card.price_cents == min(choice.price_cents for choice in facts.choices)
        assert len(facts.images) == 3


@pytest.mark.django_db
def test_events_that_go_on_are_shown_and_others_are_not(catalogue_of_12: list[Product]) -> None:
    now = timezone.now()
    assert len(events.current(now)) == 4
    assert len(events.announcements(now)) == 2
    assert [story.happening.slug for story in events.for_members(now)] == ["listening-room"]
    for not_for_all in ("last-train", "spring-outside", "listening-room"):
        with pytest.raises(catalogue.NotThere):
            events.event(not_for_all, now)


@pytest.mark.django_db
def test_an_event_shows_what_it_speaks_of() -> None:
    small_shop(products=200, kinds=len(KINDS))
    shelves = {told.slug: set(told.goods) for told in event_goods.EVENTS}
    assert set().union(*shelves.values()) <= {kind.slug for kind in KINDS}
    for row in Event.objects.all():
        goods = row.products.values_list("category__slug", flat=True)
        assert set(goods) == shelves[row.slug], row.slug
        assert event_goods.GOODS <= len(goods) < event_goods.GOODS + len(shelves[row.slug])


def test_a_title_says_what_its_pictures_show() -> None:
    """The pattern and the form, also of those that share their pictures."""
    for number in [*range(1, 400), *range(10_000, 10_100)]:
        one = filling.draft(seed=1, number=number)
        motif = one.motifs[0]
        pattern = drawings.pattern_of(form=motif.form, series=motif.series)
        assert one.title.startswith(PATTERNED.get(pattern, ADJECTIVES)), one.title
        named = {form for noun, form in OF_NOUN.items() if f" {noun} " in one.title}
        assert {motif.form} == (named or {KINDS[one.kind].form}), one.title


def test_the_pattern_that_is_named_is_the_one_that_is_drawn() -> None:
    """Bands differ from row to row and not along one; columns the other way round."""
    for pattern, along in (("bands", (1, 0)), ("columns", (0, 1))):
        series = next(f"{n}" for n in range(99) if drawings.pattern_of(form="poster", series=f"{n}") == pattern)
        picture = drawings.draw(form="poster", colour="teal", view="front", series=series, size=400)
        differences = [_steps(picture, step) for step in (along, along[::-1])]
        assert 10 * differences[0] < differences[1], (pattern, differences)


def test_a_pattern_is_seen_on_each_colour() -> None:
    """In a title it is named, so white on white, or a darker black, will not do."""
    for name, colour in COLOURS.items():
        for chances in (Random(number) for number in range(100)):
            second = drawings._beside(colour, chances)
            assert max(abs(one - other) for one, other in zip(colour, second, strict=True)) >= 20, name


def _steps(picture: Image.Image, step: tuple[int, int]) -> int:
    """The largest difference of two neighbours, in a part of the poster with nothing else on it."""
    places = [(120 + 2 * step[0] * n, 90 + 2 * step[1] * n) for n in range(40)]
    green = [picture.getpixel(place)[1] for place in places]  # type: ignore[index]
    return int(max(abs(one - other) for one, other in pairwise(green)))


@pytest.mark.django_db
def test_the_command_makes_the_shop_with_its_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("seed_shop", products=3, seed=7)
    said = capsys.readouterr().out
    assert "3 products in 17 categories" in said
    assert "9 pictures" in said
    names = list(Picture.objects.values_list("small", "large"))
    seen = set()
    for small, large in names:
        for name, size in ((small, pictures.SMALL), (large, pictures.LARGE)):
            with default_storage.open(name) as file:
                read = file.read()
            assert Image.open(BytesIO(read)).size == (size, size)
            assert len(read) < 90_000
            seen.add(read)
    assert len(seen) == 2 * len(names) == 18, "no two pictures are alike"
    call_command("seed_shop", products=3, seed=7)
    assert "nothing was changed" in capsys.readouterr().out
    with pytest.raises(CommandError, match="not of this seed"):
        call_command("seed_shop", products=3, seed=8)
    call_command("seed_shop", products=30, seed=8, if_empty=True)
    assert "nothing was changed" in capsys.readouterr().out
    assert Product.objects.count() == 3
    default_storage.delete(names[0][1])
    call_command("seed_shop", products=30, seed=7, only_pictures=True)
    assert default_storage.exists(names[0][1]), "a picture that is lost is drawn again"
    assert Product.objects.count() == 3
    with pytest.raises(CommandError, match="not of this seed"):
        call_command("seed_shop", products=3, seed=8, only_pictures=True)


@pytest.mark.django_db
@pytest.mark.parametrize("products", [0, -5, 10**9])
def test_the_command_refuses_absurd_numbers(products: int) -> None:
    with pytest.raises(CommandError, match="between 1 and"):
        call_command("seed_shop", products=products)
    assert not Category.objects.exists()
