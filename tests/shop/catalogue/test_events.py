"""Events and announcements: their time, and who is told of it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError

from shop import catalogue, changes, events, tasks
from shop.models import Announcement, Change, Event, Product

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def an_event(now: datetime, *, starts: timedelta = -HOUR, ends: timedelta = HOUR, ids: tuple[int, ...] = ()) -> Event:
    row = Event(slug="fair", title="Fair", text="Come.", starts_at=now + starts, ends_at=now + ends)
    return events.publish(row, product_ids=ids)


def told() -> set[str]:
    tags = set(Change.objects.values_list("tag", flat=True))
    Change.objects.all().delete()
    return tags


def test_an_event_shows_its_products_in_its_time(catalogue_of_12: list[Product], now: datetime) -> None:
    told()
    row = an_event(now, ids=(catalogue_of_12[0].pk, catalogue_of_12[1].pk))
    assert told() == {changes.event(row.pk), changes.EVENTS}
    catalogue.withdraw(product_id=catalogue_of_12[0].pk)
    assert [card.id for card in events.event("fair", now).cards] == [catalogue_of_12[1].pk]
    with pytest.raises(catalogue.NotThere):
        events.event("fair", now + HOUR)
    with pytest.raises(catalogue.NotThere):
        events.event("fair", now - HOUR - timedelta(seconds=1))
    events.remove(event_id=row.pk)
    with pytest.raises(catalogue.NotThere):
        events.event("fair", now)


def test_an_event_that_ends_before_it_begins_is_refused_and_told_to_nobody(now: datetime) -> None:
    with pytest.raises(ValidationError):
        an_event(now, starts=HOUR, ends=-HOUR)
    assert not Event.objects.exists()
    assert told() == set()


def test_what_begins_or_ends_by_itself_is_told_once(now: datetime) -> None:
    row = an_event(now, starts=HOUR, ends=2 * HOUR)
    events.announce(Announcement(text="Soon.", starts_at=now + HOUR, ends_at=now + 3 * HOUR))
    Change.objects.all().update(at=now)
    assert events.tell_time(now=now + HOUR - timedelta(seconds=1)) == frozenset()
    began = events.tell_time(now=now + HOUR)
    assert began == {changes.event(row.pk), changes.EVENTS, changes.ANNOUNCEMENTS}
    Change.objects.all().update(at=now + HOUR)
    assert events.tell_time(now=now + HOUR + timedelta(seconds=5)) == frozenset()
    assert events.tell_time(now=now + 2 * HOUR) == {changes.event(row.pk), changes.EVENTS}


def test_the_tick_tells_and_clears(now: datetime) -> None:
    row = an_event(now, starts=-timedelta(seconds=3))
    Change.objects.all().update(at=now - timedelta(hours=2))
    tasks.turn()
    assert told() == {changes.event(row.pk), changes.EVENTS}
