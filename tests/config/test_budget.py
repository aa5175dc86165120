"""The budget of mails: the rate over any span of time, and the gate. The arithmetic without a database, the row with
two real connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from config import budget
from config.models import MailBudget
from tests.concurrency.rivals import together

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def most_over(sent: list[datetime], rate: int) -> float:
    """By how many mails the worst span of time exceeds `rate` times its length."""
    sent = sorted(sent)
    return max(
        last - first + 1 - rate * (sent[last] - sent[first]).total_seconds()
        for first in range(len(sent))
        for last in range(first, len(sent))
    )


@given(
    rate=st.integers(1, 500),
    steps=st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 50)), min_size=1, max_size=60),
)
def test_no_span_of_time_gets_more_than_its_turns(rate: int, steps: list[tuple[int, int]]) -> None:
    now, full_at, taken_at = NOON, NOON - timedelta(days=1), []
    for microseconds, wanted in steps:
        now += timedelta(microseconds=microseconds)
        taken = min(wanted, budget.available(full_at=full_at, rate=rate, now=now))
        if taken:
            full_at = budget.full_after(full_at=full_at, taken=taken, rate=rate, now=now)
        taken_at += [now] * taken
    assert not taken_at or most_over(taken_at, rate) <= budget.burst(rate)


@given(rate=st.integers(1, 500), taken=st.integers(1, 125))
def test_turns_are_there_when_they_are_said_to_be_and_not_before(rate: int, taken: int) -> None:
    taken = min(taken, budget.burst(rate))
    full_at = budget.full_after(full_at=NOON, taken=budget.burst(rate), rate=rate, now=NOON)
    assert budget.available(full_at=full_at, rate=rate, now=NOON) == 0
    ready = NOON + timedelta(seconds=budget.wait_for(taken, full_at=full_at, rate=rate, now=NOON))
    late = timedelta(microseconds=2)  # `wait_for` counts in floating seconds
    assert budget.available(full_at=full_at, rate=rate, now=ready + late) == taken
    assert budget.available(full_at=full_at, rate=rate, now=ready - late) == taken - 1


def test_a_quiet_hour_saves_nothing_up() -> None:
    full_at = budget.full_after(full_at=NOON, taken=25, rate=100, now=NOON)
    assert budget.available(full_at=full_at, rate=100, now=NOON + timedelta(hours=1)) == budget.burst(100) == 25


class Worker:
    """Sends mails as fast as it gets turns, by a clock that only its own pauses move."""

    def __init__(self, start: datetime) -> None:
        self.now = start
        self.sent: list[datetime] = []

    def send(self, wanted: int) -> int:
        before = len(self.sent)
        for _ in budget.turns(wanted, clock=lambda: self.now, pause=self._pause):
            self.sent.append(self.now)
        return len(self.sent) - before

    def _pause(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.mark.django_db
def test_a_worker_waits_for_turns_but_not_for_long(settings: Settings) -> None:
    settings.MAILS_PER_SECOND = 4
    worker = Worker(NOON)
    sent = worker.send(50)
    assert worker.now - NOON <= timedelta(seconds=budget.PATIENCE_SECONDS)
    assert sent == 4 * budget.PATIENCE_SECONDS + budget.burst(4) == 41
    turns = budget.places(9, now=worker.now)
    assert turns == sorted(set(turns))
    assert turns[-1] - worker.now == 9 / 4 * SECOND


@pytest.mark.django_db
def test_without_a_rate_everybody_goes_at_once(settings: Settings) -> None:
    settings.MAILS_PER_SECOND = 0
    worker = Worker(NOON)
    assert (worker.send(500), worker.now) == (500, NOON)
    assert budget.places(2, now=NOON) == [NOON, NOON]


@pytest.mark.django_db
def test_workers_are_given_what_they_can_send_soon(settings: Settings) -> None:
    def room(claimed: int) -> int:
        return budget.room(most=500, with_workers=lambda: claimed, now=NOON)

    settings.MAILS_PER_SECOND = 0
    assert (room(0), room(budget.MOST_AHEAD - 100), room(budget.MOST_AHEAD)) == (500, 100, 0)
    settings.MAILS_PER_SECOND = 14
    assert (room(0), room(100), room(1_000)) == (140, 40, 0)
    budget.close(why="away", now=NOON - SECOND)
    assert room(0) == 0
    later = NOON + timedelta(seconds=settings.MAIL_RETRY_SECONDS)
    assert budget.room(most=500, with_workers=lambda: 0, now=later) == budget.PROBE
    assert budget.room(most=500, with_workers=lambda: 1, now=later) == 0
    budget.went_through()
    assert budget.room(most=500, with_workers=lambda: 0, now=later) == 140


@pytest.mark.django_db
def test_the_gate_stays_closed_longer_each_time_up_to_a_minute_until_a_mail_goes_through() -> None:
    now, waits, fine = NOON, [], []
    for _ in range(6):
        closing = budget.close(why="away", now=now)
        assert budget.close(why="away too", now=now).until == closing.until  # who comes second changes nothing
        assert Worker(now).send(1) == 0
        waits.append((closing.until - now).total_seconds())
        fine.append(closing.server_was_fine)
        now = closing.until
        assert Worker(now).send(1) == 1
    assert waits == [5, 10, 20, 40, 60, 60]
    assert fine == [True] + [False] * 5
    MailBudget.objects.update(setbacks=100_000)  # months of it
    now = budget.close(why="away", now=now).until
    budget.went_through()
    assert (budget.close(why="away", now=now).until - now).total_seconds() == 5


# --- two workers at once --------------------------------------------------------------------------------------------
RATE = 200
FOR_SECONDS = 1.5


def race(*senders: Callable[[Callable[[], None]], None]) -> list[datetime]:
    """All at the same time, for a while. Returns when mails were sent."""
    sent: list[datetime] = []

    def run(sender: Callable[[Callable[[], None]], None]) -> None:
        ends = time.monotonic() + FOR_SECONDS
        while time.monotonic() < ends:
            sender(lambda: sent.append(timezone.now()))

    assert together(*(partial(run, sender) for sender in senders)) == []
    return sent


def by_the_budget(send: Callable[[], None]) -> None:
    for _ in budget.turns(10, clock=timezone.now, pause=time.sleep):
        send()


def by_a_bucket_of_its_own() -> Callable[[Callable[[], None]], None]:
    full_at = timezone.now()

    def sender(send: Callable[[], None]) -> None:
        nonlocal full_at
        now = timezone.now()
        taken = budget.available(full_at=full_at, rate=RATE, now=now)
        if taken:
            full_at = budget.full_after(full_at=full_at, taken=taken, rate=RATE, now=now)
        for _ in range(taken):
            send()
        time.sleep(budget.wait_for(1, full_at=full_at, rate=RATE, now=timezone.now()))

    return sender


ALLOWED = budget.burst(RATE) * 3  # the bucket's, and what each of two workers holds while the other runs


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_keep_to_one_rate(settings: Settings) -> None:
    settings.MAILS_PER_SECOND = RATE
    sent = race(by_the_budget, by_the_budget)
    assert most_over(sent, RATE) <= ALLOWED
    assert len(sent) > budget.burst(RATE)  # and turns come back; how fast, the next test says


def test_two_workers_with_a_bucket_each_do_not() -> None:
    """Negative control."""
    sent = race(by_a_bucket_of_its_own(), by_a_bucket_of_its_own())
    assert most_over(sent, RATE) > ALLOWED


@pytest.mark.django_db
def test_two_workers_by_turns_use_all_of_one_rate(settings: Settings) -> None:
    """By their own clocks, so that a slow machine is no excuse."""
    settings.MAILS_PER_SECOND = RATE
    workers = [Worker(NOON), Worker(NOON)]
    ends = NOON + 5 * SECOND
    while (next_one := min(workers, key=lambda worker: worker.now)).now < ends:
        assert next_one.send(10) == 10
    sent = [at for worker in workers for at in worker.sent]
    assert most_over(sent, RATE) <= ALLOWED
    assert sum(at < ends for at in sent) >= 0.95 * 5 * RATE


@pytest.mark.django_db
def test_a_rival_between_reading_and_taking_is_seen(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MAILS_PER_SECOND = RATE
    honest, rivals = budget._row, [1]
    rival, late = Worker(NOON), Worker(NOON)

    def read_and_be_overtaken() -> MailBudget:
        row = honest()
        if rivals:
            rivals.clear()
            assert rival.send(budget.burst(RATE)) == budget.burst(RATE)
        return row

    monkeypatch.setattr(budget, "_row", read_and_be_overtaken)
    monkeypatch.setattr(budget, "PATIENCE_SECONDS", 0)
    assert late.send(budget.burst(RATE)) == 0
