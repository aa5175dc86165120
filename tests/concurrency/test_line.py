"""Two real connections, and what happens when the guard between them is taken away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import pytest
from django.db.models import Count, Max

from config import emails
from ico import waitlist
from ico.models import Entrant, Sale
from tests.concurrency.rivals import broken, first, meanwhile, together, two_writers, without
from tests.ico.conftest import join

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_same_email_from_many_connections_is_one_place(sale: Sale, now: datetime) -> None:
    assert together(*[lambda: join(sale, "ada@example.org")] * 8) == []
    assert Entrant.objects.count() == 1
    waitlist.give_numbers(sale_id=sale.pk)
    assert broken(now) == set()


def test_a_hundred_signups_of_one_email_are_one_place_and_no_error(sale: Sale, now: datetime) -> None:
    def insist() -> None:
        for _ in range(10):
            join(sale, "ada@example.org")

    assert together(*[insist] * 10) == []
    assert Entrant.objects.count() == 1


def test_an_email_that_gets_free_in_the_same_moment_is_taken(
    sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The insert finds the email taken; its owner leaves before the one who asked has looked whose it is."""
    owner = join(sale, "ada@example.org")
    leaves = first(lambda: waitlist.leave(owner.ticket), Entrant.objects.only)
    monkeypatch.setattr(Entrant.objects, "only", leaves)
    assert join(sale, "ada@example.org").entrant_id != owner.entrant_id
    assert list(Entrant.objects.order_by("pk").values_list("state", flat=True)) == ["left", "waiting"]


def test_without_the_constraint_looking_before_inserting_gives_two_places(sale: Sale, now: datetime) -> None:
    """Negative control: what the unique digest prevents, and that the audit would see it."""
    looked = threading.Barrier(2)

    def look_then_insert() -> None:
        assert not Entrant.objects.filter(email="ada@example.org").exists()
        looked.wait(30)
        digest = emails.digest("ada@example.org")
        Entrant.objects.create(sale=sale, email="ada@example.org", email_digest=digest)

    with without(Entrant, "entrant_one_place_per_email"):
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

    with without(Entrant, "entrant_number_given_once"):
        assert together(lambda: number(places[0]), lambda: number(places[1])) == []
        assert Entrant.objects.aggregate(different=Count("number", distinct=True))["different"] == 1
        assert "numbers-dense" in broken(now)


@two_writers
def test_a_numberer_overtaken_between_looking_and_locking_numbers_the_rest(
    sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(10):
        join(sale, f"v{n}@example.org")
    rival = first(lambda: waitlist.give_numbers(sale_id=sale.pk, limit=4), waitlist.locks.entrants)
    monkeypatch.setattr(waitlist.locks, "entrants", rival)
    meanwhile(lambda: waitlist.give_numbers(sale_id=sale.pk))
    assert list(Entrant.objects.order_by("pk").values_list("number", flat=True)) == list(range(1, 11))
    assert broken(now) == set()


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
