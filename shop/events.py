"""Editorial events and announcements: what is shown of them, and the telling when their time begins or ends."""

from dataclasses import dataclass
from datetime import datetime

from shop import catalogue, models
from shop.catalogue import Card, NotThere


@dataclass(frozen=True, slots=True)
class Happening:
    """An event as lists show it. Times are ISO 8601 in UTC, so that caches may keep it."""

    id: int
    slug: str
    title: str
    text: str
    starts_at: str
    ends_at: str


@dataclass(frozen=True, slots=True)
class Story:
    """An event's page: `cards` are those of its products that are still sold, the most popular first."""

    happening: Happening
    cards: tuple[Card, ...]


def current(now: datetime) -> tuple[Happening, ...]:
    """What goes on now, the oldest first."""
    rows = models.Event.objects.filter(starts_at__lte=now, ends_at__gt=now).order_by("starts_at", "pk")
    return tuple(_happening(row) for row in rows)


def event(slug: str, now: datetime) -> Story:
    """Raises `NotThere`, before its time and after it too."""
    row = models.Event.objects.filter(slug=slug, starts_at__lte=now, ends_at__gt=now).first()
    if row is None:
        raise NotThere(f"There is no event {slug[:80]} now.")
    ids = row.products.order_by("-popularity", "pk").values_list("pk", flat=True)
    found = catalogue.cards(ids)
    return Story(_happening(row), tuple(found[pk] for pk in ids if pk in found))


def announcements(now: datetime) -> tuple[str, ...]:
    """The lines for the top of each page, the oldest first."""
    rows = models.Announcement.objects.filter(starts_at__lte=now, ends_at__gt=now).order_by("starts_at", "pk")
    return tuple(rows.values_list("text", flat=True))


def _happening(row: models.Event) -> Happening:
    return Happening(row.pk, row.slug, row.title, row.text, row.starts_at.isoformat(), row.ends_at.isoformat())
