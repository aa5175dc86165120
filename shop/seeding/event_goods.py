"""The events and announcements of a made-up catalogue."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from config.transactions import retried
from shop import changes, models

GOODS = 12  # of one event; a few more where its departments cannot share them evenly
CHOICE = 100  # of each department, the first ones


@dataclass(frozen=True, slots=True)
class Told:
    """An event: what it says, the departments its goods come from, on which days from now it begins and ends, and
    whether it is the fan club's alone."""

    slug: str
    title: str
    text: str
    goods: tuple[str, ...]
    days: tuple[int, int]
    members_only: bool = False


EVENTS = (
    Told(
        "winter-market",
        "Winter market",
        "Wool, lamps and everything warm, chosen by the people who pack your parcels.",
        ("jumpers", "scarves", "lamps", "hats", "cushions"),
        (-10, 50),
    ),
    Told(
        "tour-weekend",
        "Tour weekend",
        "What to wear and to carry when the band comes to town, and the poster afterwards.",
        ("t-shirts", "bags", "posters", "jackets"),
        (-5, 40),
    ),
    Told(
        "makers-week",
        "Makers' week",
        "Five workshops, five days: how a mug is thrown, a shoe is lasted, a scarf is woven.",
        ("mugs", "shoes", "scarves"),
        (-3, 60),
    ),
    Told(
        "small-flat",
        "The small flat",
        "Forty square metres, and room for all that matters. Our editors moved in and out.",
        ("lamps", "cushions", "posters", "mugs"),
        (-1, 30),
    ),
    Told(
        "last-train",
        "Stories from the last train",
        "What travellers had with them, and what they were glad about.",
        ("bags", "bottles", "scarves", "watches"),
        (-60, -2),
    ),
    Told(
        "spring-outside",
        "Spring outside",
        "First warm days: jackets without lining, bottles, hats and long walks.",
        ("jackets", "bottles", "hats", "shoes"),
        (20, 80),
    ),
    Told(
        "listening-room",
        "The listening room",
        "Before the record is out: what we wear, pour and sit on while we listen. Shown to the fan club alone.",
        ("t-shirts", "posters", "mugs", "cushions"),
        (-7, 70),
        members_only=True,
    ),
)
ANNOUNCEMENTS = (
    "Free delivery this week, wherever you are.",
    "The fan club has an event of its own: members find it on their page.",
)


@retried
def make(*, seed: int, now: datetime) -> None:
    """Four that go on, one of the fan club's, one that is over and one that has not begun, unless there
    are events already."""
    if models.Event.objects.exists():
        return
    day = timedelta(days=1)
    for told in EVENTS:
        row = models.Event.objects.create(
            slug=told.slug,
            title=told.title,
            text=told.text,
            starts_at=now + told.days[0] * day,
            ends_at=now + told.days[1] * day,
            members_only=told.members_only,
        )
        row.products.set(_goods(told, Random(f"{seed}:{told.slug}")))  # noqa: S311
    models.Announcement.objects.bulk_create(
        [models.Announcement(text=text, starts_at=now - day, ends_at=now + 60 * day) for text in ANNOUNCEMENTS]
    )
    changes.tell([changes.EVENTS, changes.ANNOUNCEMENTS, changes.HOME])


def _goods(told: Told, chance: Random) -> list[int]:
    """Of each of its departments about as many; of any when the shop has none of them."""
    shelves = models.Category.objects.filter(slug__in=told.goods) or models.Category.objects.all()
    each = -(-GOODS // len(shelves)) if shelves else 0
    found: list[int] = []
    for shelf in shelves:
        ids = list(shelf.products.order_by("pk").values_list("pk", flat=True)[:CHOICE])
        found += chance.sample(ids, k=min(each, len(ids)))
    return found
