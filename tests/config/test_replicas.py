from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from config import watching
from config.replicas import Sightings, Watch, holds, position
from tests.deadline import until

MAX_LAG = 2.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock, caplog: pytest.LogCaptureFixture) -> Watch:
    """A primary and two replicas that hold the same, seen just now."""
    caplog.set_level("INFO")
    watch = Watch(["one", "two"], max_lag=MAX_LAG, clock=clock)
    everybody(watch, "0-1-100", clock)
    return watch


def everybody(watch: Watch, gtids: str, clock: Clock, *, but: str = "") -> None:
    for alias in ("default", "one", "two"):
        if alias == but:
            continue
        if alias == "default":
            watch.saw_primary(gtids, clock.now)
        else:
            watch.saw(alias, gtids)


def chosen(watch: Watch, *wanted: str) -> set[str | None]:
    return {watch.choose([position(gtids) for gtids in wanted]) for _ in range(60)}


def test_a_position_is_read_by_domain_and_without_the_server() -> None:
    assert position("0-1-5,1-22-7") == {0: 5, 1: 7}
    assert position("0-1-5,\n1-2-7") == {0: 5, 1: 7}
    assert position("") == {}


@pytest.mark.parametrize(
    ("reached", "wanted", "held"),
    [
        ("0-1-5", "0-1-5", True),
        ("0-2-6", "0-1-5", True),  # after a switch of the primary the number goes on
        ("0-1-4", "0-1-5", False),
        ("0-1-9", "1-1-1", False),  # of another domain it knows nothing
        ("0-1-9", "", True),
        ("", "0-1-1", False),
    ],
)
def test_a_server_holds_what_its_position_includes(reached: str, wanted: str, held: bool) -> None:
    assert holds(position(reached), position(wanted)) is held


def test_the_age_counts_from_the_last_moment_at_which_the_primary_was_no_further() -> None:
    seen = Sightings()
    for gtids, at in (("0-1-10", 1.0), ("0-1-10", 2.0), ("0-1-20", 3.0)):
        seen.add(position(gtids), at)
    assert seen.last_held(position("0-1-20")) == 3.0
    assert seen.last_held(position("0-1-25")) == 3.0  # it has what was written after the primary was asked
    assert seen.last_held(position("0-1-19")) == 2.0, "it held 10 when the primary was last seen at 10"
    assert seen.last_held(position("0-1-9")) is None, "older than anything that was seen"


def test_reads_are_spread_over_young_replicas(watch: Watch) -> None:
    assert chosen(watch) == {"one", "two"}


def test_a_replica_that_falls_behind_is_left_out_and_comes_back(watch: Watch, clock: Clock) -> None:
    for step in range(1, 5):
        clock.now += 1
        everybody(watch, f"0-1-{100 + step}", clock, but="two")
        watch.saw("two", "0-1-100")
    assert watch.age("two") == 4.0
    assert watch.age("one") == 0.0
    assert chosen(watch) == {"one"}
    watch.saw("two", "0-1-104")
    assert chosen(watch) == {"one", "two"}


def test_lateness_is_told_once_and_by_name(watch: Watch, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for step in range(1, 6):
        clock.now += 1
        everybody(watch, f"0-1-{100 + step}", clock, but="two")
        watch.saw("two", "0-1-100")
    watch.saw("two", "0-1-105")
    told = [record.message for record in caplog.records if " two " in record.message]
    assert told[-2:] == [
        "database two is left out until it has caught up; it is behind: 3.0 s",
        "database two has caught up",
    ]
    assert sum("left out" in message for message in told) == 1


def test_an_idle_primary_makes_nobody_old(watch: Watch, clock: Clock) -> None:
    clock.now += 3600
    everybody(watch, "0-1-100", clock)
    assert watch.age("one") == 0.0


def test_nobody_is_read_from_before_it_was_seen_or_after_it_failed(watch: Watch, clock: Clock) -> None:
    assert Watch(["one"], max_lag=MAX_LAG, clock=clock).choose([]) is None
    watch.failed("one", "gone")
    assert chosen(watch) == {"two"}
    assert [(one.alias, one.answers, one.fault) for one in watch.standings()] == [
        ("default", True, ""),
        ("one", False, "gone"),
        ("two", True, ""),
    ]
    watch.failed("two", "gone")
    assert chosen(watch) == {None}
    watch.saw("one", "0-1-100")
    assert chosen(watch) == {"one"}


def test_watchers_that_have_stopped_lead_to_the_primary(watch: Watch, clock: Clock) -> None:
    clock.now += MAX_LAG + 0.1
    assert chosen(watch) == {None}


def test_whoever_wrote_reads_where_the_write_is(watch: Watch, clock: Clock) -> None:
    watch.saw_primary("0-1-101", clock.now)
    watch.saw("two", "0-1-101")
    assert chosen(watch, "0-1-101") == {"two"}
    assert chosen(watch, "0-1-100") == {"one", "two"}
    assert chosen(watch, "0-1-102") == {None}
    assert chosen(watch, "0-1-100", "0-1-101") == {"two"}, "of several writes the last counts"


def test_without_a_primary_the_furthest_replica_goes_on_whatever_its_age(watch: Watch, clock: Clock) -> None:
    watch.saw_primary("0-1-109", clock.now)
    watch.saw("two", "0-1-105")
    clock.now += 600
    assert chosen(watch) == {None}
    watch.failed("default", "gone")
    assert chosen(watch) == {"two"}
    assert watch.age("two") == 600.0
    assert chosen(watch, "0-1-106") == {None}, "what nobody holds is not made up"


def test_only_who_was_asked_can_be_gone(watch: Watch, clock: Clock) -> None:
    assert not Watch(["one"], max_lag=MAX_LAG, clock=clock).is_gone("default")
    assert not watch.is_gone("default")
    watch.failed("default", "gone")
    assert watch.is_gone("default")


# --- waiting for a write ----------------------------------------------------------------------------------------------
class Patience:
    """A clock that goes on with every look at it, and does `then` at the given look."""

    def __init__(self, now: float, looks: int = 0, then: Callable[[], None] = lambda: None) -> None:
        self.now, self._looks, self._then = now, looks, then

    def __call__(self) -> float:
        self.now += 0.01
        self._looks -= 1
        if self._looks == 0:
            self._then()
        return self.now


def test_a_write_is_waited_for_until_all_that_may_be_read_hold_it(watch: Watch, clock: Clock) -> None:
    watch.saw("one", "0-1-101")
    watch._clock = Patience(clock.now)
    assert not watch.wait_until_held("0-1-101", seconds=0.2), "two lacks it"
    watch._clock = Patience(clock.now, 9, lambda: watch.saw("two", "0-1-101"))
    assert watch.wait_until_held("0-1-101", seconds=1)


def test_who_does_not_answer_or_is_far_behind_is_not_waited_for(watch: Watch, clock: Clock) -> None:
    watch.saw("one", "0-1-101")
    watch.failed("two", "gone")
    assert watch.wait_until_held("0-1-101", seconds=1)
    watch.saw("two", "0-1-100")
    clock.now += 1.5 * MAX_LAG
    watch._clock = Patience(clock.now)
    assert not watch.wait_until_held("0-1-102", seconds=0.1), "too old here, and perhaps not so elsewhere"
    watch._clock = Patience(clock.now + MAX_LAG)
    assert watch.wait_until_held("0-1-102", seconds=0.1)


def test_a_process_that_does_not_watch_knows_nothing_of_any_write() -> None:
    assert not Watch(["one"], max_lag=MAX_LAG).wait_until_held("0-1-1", seconds=1)


# --- the threads ------------------------------------------------------------------------------------------------------
class Broken:
    """A connection whose every question and whose end raise something that no database means."""

    def __init__(self, alias: str, over: threading.Event) -> None:
        self.alias, self.connection, self._over = alias, object(), over

    def cursor(self) -> None:
        while self._over.is_set():  # the thread ends with the process; until then it rests
            time.sleep(60)
        raise SystemError("returned NULL without setting an exception")

    def close(self) -> None:
        raise ValueError("already closed")


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the threads that made themselves a connection, which is broken."""
    made: list[str] = []
    over = threading.Event()

    def broken(alias: str) -> Broken:
        made.append(threading.current_thread().name)
        return Broken(alias, over)

    monkeypatch.setattr(watching, "own_connection", broken)
    yield made
    over.set()


def test_a_watcher_goes_on_whatever_is_raised(looked: list[str]) -> None:
    watch = Watch(["one"], max_lag=0.04)
    watch.start()
    for _ in range(3):
        watch._faults = dict.fromkeys(watch._faults, "")
        until(lambda: all(one.fault for one in watch.standings()), "both have looked once more")
    assert "returned NULL" in watch.standings()[0].fault


def test_a_watch_is_started_once(looked: list[str]) -> None:
    watch = Watch(["one"], max_lag=0.04)
    for _ in range(3):
        watch.start()
    until(lambda: len(looked) >= 2, "the threads run")
    assert sorted(looked) == ["watch-default", "watch-one"]
