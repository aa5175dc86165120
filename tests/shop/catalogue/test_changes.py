"""What changed is told to every process that watches: late commits included, and after the database was away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from shop import changes
from shop.changes import Watch
from shop.models import Change
from tests.deadline import until

Heard = list[set[str]]


class Hands:
    """A clock that is moved by hand."""

    at = 100.0

    def __call__(self) -> float:
        return self.at


def listening(watch: Watch) -> Heard:
    heard: Heard = []
    watch.listen(lambda tags, discovered: heard.append(set(tags)))
    return heard


@contextmanager
def another_connection() -> Iterator[BaseDatabaseWrapper]:
    other = connections[DEFAULT_DB_ALIAS].copy()
    try:
        yield other
    finally:
        other.close()


@pytest.mark.django_db
def test_each_change_is_told_once_and_the_moment_with_it() -> None:
    clock, heard = Hands(), []
    watch = Watch(clock=clock)
    watch.listen(lambda tags, discovered: heard.append((tags, discovered)))
    changes.tell(["home", "product:1", "home"])
    watch.look(connection)
    clock.at = 101.0
    watch.look(connection)
    changes.tell(["product:2"])
    watch.look(connection)
    assert heard == [({"home", "product:1"}, 100.0), ({"product:2"}, 101.0)]


@pytest.mark.django_db
def test_what_became_visible_late_is_told_though_later_numbers_were_seen() -> None:
    clock = Hands()
    watch = Watch(clock=clock)
    heard = listening(watch)
    Change.objects.create(pk=10**6 + 5, tag="later")
    watch.look(connection)
    clock.at += changes.OVERLAP_SECONDS - 0.1
    Change.objects.create(pk=10**6, tag="slow")
    watch.look(connection)
    assert heard == [{"later"}, {"slow"}]
    clock.at += 1  # what is left behind is read no more: the guard that keeps a look small
    watch.look(connection)
    Change.objects.create(pk=10**6 + 1, tag="too late")
    watch.look(connection)
    assert heard == [{"later"}, {"slow"}]


@pytest.mark.django_db
def test_a_listener_that_fails_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    watch = Watch()

    def fail(tags: frozenset[str], discovered: float) -> None:
        raise ValueError("broken")

    watch.listen(fail)
    heard = listening(watch)
    changes.tell(["home"])
    watch.look(connection)
    assert heard == [{"home"}]
    assert "a listener failed on 1 changes" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_nothing_is_told_before_it_is_committed() -> None:
    watch = Watch()
    heard = listening(watch)
    with another_connection() as other:
        with transaction.atomic():
            changes.tell(["home"])
            watch.look(other)
            assert heard == []
        watch.look(other)
    assert heard == [{"home"}]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("another", [False, True])
def test_a_watch_that_runs_survives_a_database_that_goes(monkeypatch: pytest.MonkeyPatch, another: bool) -> None:
    """It tells all again when the one that comes back is another one, and not when it only did not answer."""
    monkeypatch.setattr(changes, "LOOK_SECONDS", 0.02)
    watch = Watch()
    heard, rows, gone = listening(watch), watch._rows, []

    def sometimes(own: BaseDatabaseWrapper, above: int) -> list[changes.Row]:
        if gone:
            raise OperationalError(2006, gone.pop())
        return rows(own, above)

    monkeypatch.setattr(watch, "_rows", sometimes)
    changes.tell(["home"])
    watch.start()
    watch.start()
    until(lambda: heard == [{"home"}], "the first look", seconds=10)
    if another:
        monkeypatch.setattr(changes, "_server", lambda own: "another")
    gone.append("gone")
    until(lambda: not gone, "a look that fails", seconds=10)
    changes.tell(["deals"])
    until(lambda: {"deals"} <= set().union(*heard[1:]), "a look after it", seconds=10)
    watch.stop()
    assert ({"home"} <= set().union(*heard[1:])) is another


def failed(watch: Watch) -> None:
    watch._doubted = True


@pytest.mark.django_db
def test_a_failed_look_at_the_same_database_costs_nothing() -> None:
    clock = Hands()
    watch = Watch(clock=clock)
    changes.tell(["home"])
    watch.look(connection)
    heard, versions = listening(watch), dict(watch.versions)
    clock.at += changes.OVERLAP_SECONDS + 1
    for _ in range(2):
        failed(watch)
        watch.look(connection)
    assert (heard, watch.versions) == ([], versions)


@pytest.mark.django_db
def test_a_row_of_long_ago_that_was_cleared_makes_no_other_database(now: datetime) -> None:
    watch = Watch()
    changes.tell(["home"])
    Change.objects.update(at=now - timedelta(seconds=changes.KEPT_SECONDS))
    watch.look(connection)
    heard = listening(watch)
    Change.objects.all().delete()
    failed(watch)
    watch.look(connection)
    assert heard == []


@pytest.mark.django_db
def test_a_database_without_rows_that_were_seen_is_another_one_and_told_once_by_all_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numbers are given anew there. What the lost changes were is not known: everything is told."""
    monkeypatch.setattr(changes.time, "time", lambda: 1_000.0)
    clock = Hands()
    one, other = Watch(clock=clock), Watch(clock=clock)
    changes.tell(["deals", "home"])
    one.look(connection)
    other.look(connection)
    heard, versions, lost = listening(other), dict(other.versions), Change.objects.get(tag="home")
    lost.delete()
    Change.objects.create(pk=lost.pk, tag="events")
    for watch in (one, other):
        failed(watch)
        clock.at += 1
        watch.look(connection)
    assert heard == [{"deals", "home", "events"}]
    assert all(other.versions[tag] != version for tag, version in versions.items())
    assert one.versions == other.versions


@pytest.mark.django_db
def test_old_ones_are_cleared(now: datetime) -> None:
    changes.tell(["old", "young"])
    Change.objects.filter(tag="old").update(at=now - timedelta(seconds=changes.KEPT_SECONDS + 1))
    assert changes.clear_old(now=now) == 1
    assert [row.tag for row in Change.objects.all()] == ["young"]
