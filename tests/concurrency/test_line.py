"""Two real connections, and what happens when the guard between them is taken away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from django.db import connection, connections
from django.db.models import Count, Max

from config import audit
from ico import emails, waitlist
from ico.models import Entrant, OutboxMessage, Sale
from tests.ico.conftest import join

pytestmark = pytest.mark.django_db(transaction=True)


def together(*steps: Callable[[], object]) -> list[BaseException]:
    """Run each step in a thread with a connection of its own, all let go at one moment. Returns what they raised."""
    start = threading.Barrier(len(steps))
    raised: list[BaseException] = []

    def run(step: Callable[[], object]) -> None:
        try:
            start.wait(30)
            step()
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


@contextmanager
def without(name: str) -> Iterator[None]:
    """Take one constraint of the line's table away, and put it back at the end (over an empty table)."""
    kept = Entrant._meta.constraints
    guard = next(constraint for constraint in kept if constraint.name == name)
    # SQLite makes the table anew from the model, so the model must lose the constraint as well.
    Entrant._meta.constraints = [constraint for constraint in kept if constraint is not guard]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Entrant, guard)
    try:
        yield
    finally:
        OutboxMessage.objects.all().delete()
        Entrant.objects.all().delete()
        Entrant._meta.constraints = kept
        with connection.schema_editor() as editor:
            editor.add_constraint(Entrant, guard)


def broken(now: datetime) -> set[str]:
    return {result.name for result in audit.run(audit.Evidence(now=now)).results if not result.holds}


def test_the_same_email_from_many_connections_is_one_place(sale: Sale, now: datetime) -> None:
    assert together(*[lambda: join(sale, "ada@example.org")] * 8) == []
    assert Entrant.objects.count() == 1
    waitlist.give_numbers(sale_id=sale.pk)
    assert broken(now) == set()


def test_without_the_constraint_looking_before_inserting_gives_two_places(sale: Sale, now: datetime) -> None:
    """Negative control: what the unique digest prevents, and that the audit would see it."""
    looked = threading.Barrier(2)

    def look_then_insert() -> None:
        assert not Entrant.objects.filter(email="ada@example.org").exists()
        looked.wait(30)
        digest = emails.digest("ada@example.org")
        Entrant.objects.create(sale=sale, email="ada@example.org", email_digest=digest)

    with without("entrant_one_place_per_email"):
        assert together(look_then_insert, look_then_insert) == []
        assert Entrant.objects.count() == 2
        assert "one-place-per-email" in broken(now)


def test_two_numberers_give_each_number_once(sale: Sale, now: datetime) -> None:
    for n in range(60):
        join(sale, f"v{n}@example.org")

    def number_all() -> None:
        while waitlist.give_numbers(sale_id=sale.pk, limit=7):
            pass

    assert together(number_all, number_all) == []
    assert list(Entrant.objects.order_by("pk").values_list("number", flat=True)) == list(range(1, 61))
    assert broken(now) == set()


def test_without_the_lock_two_numberers_give_the_same_number(sale: Sale, now: datetime) -> None:
    """Negative control: read the highest number, then write the next, without the lock and without the constraint."""
    places = [join(sale, f"v{n}@example.org") for n in range(2)]
    read = threading.Barrier(2)

    def number(place: waitlist.Place) -> None:
        highest = Entrant.objects.aggregate(last=Max("number"))["last"] or 0
        read.wait(30)
        Entrant.objects.filter(pk=place.entrant_id).update(number=highest + 1)

    with without("entrant_number_given_once"):
        assert together(lambda: number(places[0]), lambda: number(places[1])) == []
        assert Entrant.objects.aggregate(different=Count("number", distinct=True))["different"] == 1
        assert "numbers-dense" in broken(now)


def test_signups_leavers_and_numberers_at_once_keep_the_books(sale: Sale, now: datetime) -> None:
    def crowd(name: str) -> Callable[[], None]:
        def live() -> None:
            for n in range(15):
                place = join(sale, f"{name}{n}@example.org")
                if n % 5 == 0:
                    waitlist.leave(place.ticket)

        return live

    def number() -> None:
        for _ in range(30):
            waitlist.give_numbers(sale_id=sale.pk)

    assert together(crowd("a"), crowd("b"), number, number) == []
    waitlist.give_numbers(sale_id=sale.pk)
    sale.refresh_from_db()
    assert (Entrant.objects.count(), sale.last_number) == (30, 30)
    assert broken(now) == set()
