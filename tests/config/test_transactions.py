"""Transactions that the database gave up for another."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection, transaction

from config import transactions
from ico.models import Lease
from tests.concurrency.rivals import together, two_writers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "FIRST_PAUSE_SECONDS", 0)


def given_up(*numbers: int) -> Callable[[], int]:
    """Writes a row, and is given up once for each of these numbers before it gets through. Returns its attempts."""
    left, attempts = list(numbers), []

    def work() -> int:
        attempts.append(1)
        Lease.objects.create(name="job", holder="me", expires_at="2026-11-21T10:00:00Z")
        if left:
            raise OperationalError(left.pop(0), "try restarting transaction")
        return len(attempts)

    return work


@pytest.mark.parametrize(("numbers", "attempts"), [((1213, 1213, 1213), 4), ((1205,), 2), ((1205, 1213), 3)])
def test_it_is_tried_again_from_the_beginning(numbers: tuple[int, ...], attempts: int) -> None:
    assert transactions.retried(given_up(*numbers))() == attempts
    assert Lease.objects.count() == 1  # what the lost attempts wrote is gone


def test_it_is_not_tried_for_ever() -> None:
    with pytest.raises(OperationalError, match="restarting"):
        transactions.retried(given_up(*[1213] * 6))()
    with pytest.raises(OperationalError, match="restarting"):
        transactions.retried(given_up(1205, 1205))()
    assert Lease.objects.count() == 0


def test_other_errors_are_not_tried_again() -> None:
    with pytest.raises(OperationalError):
        transactions.retried(given_up(2013))()
    assert Lease.objects.count() == 0


def test_inside_a_transaction_the_outermost_is_tried_again() -> None:
    work = given_up(1213)
    with pytest.raises(OperationalError), transaction.atomic():
        transactions.retried(work)()
    outer = transactions.retried(lambda: transactions.retried(work)())
    assert outer() == 2


def crosswise(first: str, second: str, both_have_one: threading.Barrier) -> Callable[[], None]:
    """Locks two rows, the second once the rival has its first; in the first attempt only."""
    attempts = []

    def work() -> None:
        attempts.append(1)
        Lease.objects.filter(name=first).update(holder=first)
        if len(attempts) == 1:
            both_have_one.wait(30)
        Lease.objects.filter(name=second).update(holder=first)

    return work


@pytest.fixture
def _two_rows() -> None:
    for name in "ab":
        Lease.objects.create(name=name, holder="", expires_at="2026-11-21T10:00:00Z")


@two_writers
@pytest.mark.usefixtures("_two_rows")
def test_two_that_lock_crosswise_both_get_through() -> None:
    both = threading.Barrier(2)
    a, b = crosswise("a", "b", both), crosswise("b", "a", both)
    assert together(transactions.retried(a), transactions.retried(b)) == []
    assert len(set(Lease.objects.values_list("holder", flat=True))) == 1  # one after the other


@two_writers
@pytest.mark.usefixtures("_two_rows")
def test_without_a_second_try_one_of_them_fails() -> None:
    """Negative control."""
    both = threading.Barrier(2)
    steps = [transaction.atomic(work) for work in (crosswise("a", "b", both), crosswise("b", "a", both))]
    (error,) = together(*steps)
    assert isinstance(error, OperationalError)
    assert error.args[0] == transactions.DEADLOCK


@two_writers
def test_one_moment_ends_with_its_block() -> None:
    """What is read after it is what is committed after it, and may be written again."""
    with transactions.one_moment():
        assert Lease.objects.count() == 0
        (error,) = _refused_to_write()
    assert error == 1792  # a transaction that only reads
    Lease.objects.create(name="a", holder="", expires_at="2026-11-21T10:00:00Z")
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@tx_isolation")
        assert cursor.fetchone() == ("READ-COMMITTED",)


def _refused_to_write() -> list[object]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM ico_lease")
    except OperationalError as error:
        return [error.args[0]]
    return []
