"""Editorial events and announcements: what is shown of them, and the telling when their time begins or ends."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from django.db.models import Prefetch, Q, QuerySet

from config.transactions import retried
from shop import catalogue, changes, models
from shop.catalogue import Card, NotThere

TURN_SECONDS = 600  # for so long the clock may be away without an event beginning unseen; changes are kept for longer


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
    """An event with its goods: `cards` are those of its products that are still sold, the most popular first."""

    happening: Happening
    cards: tuple[Card, ...]


def current(now: datetime) -> tuple[Happening, ...]:
    """What goes on now for everybody, the oldest first."""
    return tuple(_happening(row) for row in _on(now).filter(members_only=False))


def for_members(now: datetime) -> tuple[Story, ...]:
    """What goes on now for the fan club alone: told on its page, which no cache keeps, and on no other."""
    return _stories(_on(now).filter(members_only=True))


def event(slug: str, now: datetime) -> Story:
    """Raises `NotThere`, before its time and after it too, and for what is told to members alone."""
    found = _stories(_on(now).filter(slug=slug, members_only=False))
    if not found:
        raise NotThere(f"There is no event {slug[:80]} now.")
    return found[0]


def _on(now: datetime) -> QuerySet[models.Event]:
    return models.Event.objects.filter(starts_at__lte=now, ends_at__gt=now).order_by("starts_at", "pk")


def _stories(rows: QuerySet[models.Event]) -> tuple[Story, ...]:
    """As many queries for a hundred as for one."""
    best = models.Product.objects.only("pk").order_by("-popularity", "pk")
    goods = {
        row: [product.pk for product in row.products.all()] for row in rows.prefetch_related(Prefetch("products", best))
    }
    cards = catalogue.cards(chain.from_iterable(goods.values()))
    return tuple(Story(_happening(row), tuple(cards[pk] for pk in ids if pk in cards)) for row, ids in goods.items())


def announcements(now: datetime) -> tuple[str, ...]:
    """The lines for the top of each page, the oldest first."""
    rows = models.Announcement.objects.filter(starts_at__lte=now, ends_at__gt=now).order_by("starts_at", "pk")
    return tuple(rows.values_list("text", flat=True))


def _happening(row: models.Event) -> Happening:
    return Happening(row.pk, row.slug, row.title, row.text, row.starts_at.isoformat(), row.ends_at.isoformat())


# --- changing them ----------------------------------------------------------------------------------------------------
@retried
def publish(row: models.Event, *, product_ids: Iterable[int]) -> models.Event:
    """Save a new event or a changed one, with just these products. Raises Django's `ValidationError`."""
    row.full_clean()
    row.save()
    row.products.set(product_ids)
    changes.tell([changes.event(row.pk), changes.EVENTS])
    return row


@retried
def remove(*, event_id: int) -> None:
    models.Event.objects.filter(pk=event_id).delete()
    changes.tell([changes.event(event_id), changes.EVENTS])


@retried
def announce(row: models.Announcement) -> models.Announcement:
    """Save a new announcement or a changed one. Raises Django's `ValidationError`."""
    row.full_clean()
    row.save()
    changes.tell([changes.ANNOUNCEMENTS])
    return row


@retried
def silence(*, announcement_id: int) -> None:
    models.Announcement.objects.filter(pk=announcement_id).delete()
    changes.tell([changes.ANNOUNCEMENTS])


@retried
def tell_time(*, now: datetime) -> frozenset[str]:
    """Tell what began or ended a moment ago, unless it was told since: nobody changes a row then. Returns what is told.
    Run twice at the same time it tells twice, which makes pages anew and nothing worse."""
    told: set[str] = set()
    for pk, at in _turns(models.Event, now):
        told |= {changes.event(pk), changes.EVENTS} if not _was_told(changes.event(pk), at) else set()
    for _, at in _turns(models.Announcement, now):
        told |= {changes.ANNOUNCEMENTS} if not _was_told(changes.ANNOUNCEMENTS, at) else set()
    changes.tell(told)
    return frozenset(told)


def _turns(model: type[models.Event] | type[models.Announcement], now: datetime) -> Iterator[tuple[int, datetime]]:
    """Whose time began or ended within the last minutes, and when."""
    since = now - timedelta(seconds=TURN_SECONDS)
    rows = model.objects.filter(Q(starts_at__range=(since, now)) | Q(ends_at__range=(since, now)))
    for pk, *moments in rows.values_list("pk", "starts_at", "ends_at"):
        yield from ((pk, at) for at in moments if since <= at <= now)


def _was_told(tag: str, since: datetime) -> bool:
    return models.Change.objects.filter(tag=tag, at__gte=since).exists()
