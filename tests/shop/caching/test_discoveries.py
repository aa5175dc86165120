"""What one process of the machine discovers all of them have discovered, at the same moment."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from shop import changes, page_cache
from shop.caching import discoveries
from shop.caching.discoveries import Discoveries, News
from shop.changes import Watch

pytestmark = pytest.mark.django_db
Told = list[tuple[set[str], float]]


class Hands:
    """A clock that is moved by hand."""

    at = 100.0

    def __call__(self) -> float:
        return self.at


def process(clock: Hands) -> tuple[Watch, Told]:
    watch, told = Watch(clock=clock), []  # type: tuple[Watch, Told]
    watch.listen(lambda tags, discovered: told.append((set(tags), discovered)))
    return watch, told


def two_looks() -> tuple[Told, Told]:
    clock = Hands()
    (one, told_one), (other, told_other) = process(clock), process(clock)
    changes.tell(["home"])
    one.look(connection)
    clock.at = 100.4
    other.look(connection)
    one.look(connection)
    return told_one, told_other


def test_a_change_has_one_moment_for_all_processes_and_is_told_once() -> None:
    assert two_looks() == ([({"home"}, 100.0)], [({"home"}, 100.0)])


def test_without_the_journal_a_page_that_one_made_looks_old_to_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def alone(self: Discoveries, names: list[str]) -> News:
        return News(tuple((self._clock(), name) for name in names), self._clock(), frozenset(names))

    monkeypatch.setattr(Discoveries, "exchange", alone)
    assert two_looks() == ([({"home"}, 100.0)], [({"home"}, 100.4)])


def test_what_another_process_discovered_is_heard_though_the_own_reading_of_rows_came_too_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is made from here on counts as younger than all that anybody had discovered by then."""
    clock = Hands()
    (one, _), (other, told) = process(clock), process(clock)
    rows = other._rows

    def too_early(connection: Any, above: int) -> Any:
        before = rows(connection, above)
        changes.tell(["home"])
        one.look(connection)
        return before

    monkeypatch.setattr(other, "_rows", too_early)
    other.look(connection)
    assert told == [({"home"}, 100.0)]
    assert other.heard_until == 100.0
    assert other.versions == one.versions != {}


def test_a_page_counts_as_young_as_what_its_process_has_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    changes.look_now()
    assert page_cache._heard_until() == changes.watch.heard_until


def test_a_process_that_begins_hears_what_the_machine_discovered_at_its_moment() -> None:
    clock = Hands()
    one, _ = process(clock)
    changes.tell(["home"])
    one.look(connection)
    clock.at = 3_650.0  # another hour's file
    changes.tell(["deals"])
    one.look(connection)
    new, told = process(clock)
    new.look(connection)
    assert told == [({"home"}, 100.0), ({"deals"}, 3_650.0)]
    assert new.versions == one.versions


def test_versions_are_the_same_in_whatever_order_changes_are_seen() -> None:
    clock = Hands()
    (one, _), (other, _) = process(clock), process(clock)
    one._count(["5|a|home", "6|a|home", "7|a|deals"])
    other._count(["6|a|home"])
    assert other.versions["home"] != one.versions["home"]
    other._count(["7|a|deals", "5|a|home"])
    assert one.versions == other.versions


def test_a_line_that_was_cut_off_costs_nothing_but_itself() -> None:
    clock = Hands()
    journal = Discoveries(clock)
    journal.exchange(["1|a|home"])
    with next(iter(files())).open("a") as file:
        file.write("100.0")
    assert journal.exchange(["2|a|home"]).heard == ((100.0, "2|a|home"),)
    assert Discoveries(clock).exchange([]).heard == ((100.0, "1|a|home"), (100.0, "2|a|home"))


def test_a_full_disk_leaves_each_process_with_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    name = "1|a|home"
    assert Discoveries(Hands()).exchange([name]) == News(((100.0, name),), 100.0, frozenset({name}))


def test_a_change_that_comes_in_twice_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was noted here while the disk was full, and by another process when there was room again: a version that went
    back would find the objects of before the change."""
    clock = Hands()
    (one, told), (other, _) = process(clock), process(clock)
    changes.tell(["home"])
    with monkeypatch.context() as patched:
        patched.setattr(one._discoveries, "_alone", full_disk)
        one.look(connection)
    seen = dict(one.versions)
    clock.at = 101.0
    other.look(connection)
    one.look(connection)
    assert one.versions == seen == other.versions != {}
    # But its other moment is told: until then the other process may have made pages of what was before.
    assert told == [({"home"}, 100.0), ({"home"}, 101.0)]


def full_disk() -> AbstractContextManager[None]:
    raise OSError(28, "No space left on device")


def test_a_journal_that_was_removed_is_begun_anew_and_heard() -> None:
    clock = Hands()
    one, other = Discoveries(clock), Discoveries(clock)
    one.exchange(["1|a|home", "2|a|home"])
    other.exchange([])
    shutil.rmtree(discoveries._folder())
    assert one.exchange(["3|a|home"]).first == {"3|a|home"}
    assert other.exchange([]).first == {"3|a|home"}


def test_files_of_long_ago_are_removed() -> None:
    clock = Hands()
    journal = Discoveries(clock)
    for clock.at in (100.0, 4_000.0, 8_000.0):
        journal.exchange([f"{clock.at}|a|home"])
    assert len(files()) == 2


def files() -> list[Path]:
    return list(discoveries._folder().glob("*-*"))
