"""Who keeps the lead of a chain when a step takes long, or fails again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from ico import alarms, deposits, followers, leases, nodes
from ico.chains.base import BadAnswer, Block, ChainBusy, ChainError, ChainUnavailable, NodeBehind
from ico.chains.simulated import SimulatedChain
from ico.followers import Hand
from ico.models import ChainCursor, Lease
from ico.steps import ABSENT_SECONDS, Steps
from tests.deadline import until

pytestmark = pytest.mark.django_db(transaction=True)
LEASE = "follow:BTC"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("ico.followers.time.monotonic", found)
    return found


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedChain:
    found = SimulatedChain(tmp_path / "btc.sqlite3", chain="BTC")
    monkeypatch.setattr(deposits, "client_for", lambda chain: found)
    return found


@pytest.fixture
def hand(chain: SimulatedChain) -> Hand:
    return Hand("BTC", threading.Event())


def failing(chain: SimulatedChain, error: ChainError, patched: pytest.MonkeyPatch) -> None:
    def tip() -> Block:
        raise error

    patched.setattr(chain, "tip", tip)


def another_leads(now: datetime) -> bool:
    return leases.held(LEASE, holder="another", seconds=1, now=now)


# --- a step that takes long -------------------------------------------------------------------------------------------
@pytest.fixture
def hanging(chain: SimulatedChain, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set when the node hangs; it goes on at the end of the test."""
    hangs, go_on, honest = threading.Event(), threading.Event(), chain.tip

    def tip() -> Block:
        hangs.set()
        go_on.wait(60)
        return honest()

    monkeypatch.setattr(chain, "tip", tip)
    yield hangs
    go_on.set()
    until(lambda: not any(thread.name == "follow-BTC" for thread in threading.enumerate()), "the thread ends")


def test_a_step_that_takes_longer_than_the_lease_keeps_it(
    chain: SimulatedChain, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand("BTC", threading.Event())
    hand.thread.start()
    assert hanging.wait(60)
    later = timezone.now() + timedelta(seconds=followers.LEASE_SECONDS - 1)
    monkeypatch.setattr("ico.followers.timezone.now", lambda: later)
    hand.stay()
    assert not another_leads(later + timedelta(seconds=10))
    assert Lease.objects.get(name=LEASE).expires_at == later + timedelta(seconds=followers.LEASE_SECONDS)
    # A step that never ends gives the chain to another process.
    monkeypatch.setattr(followers, "TURN_SECONDS", 0.0)
    later += timedelta(seconds=followers.LEASE_SECONDS)
    hand.stay()
    assert another_leads(later)
    hand._stop.set()


def test_the_process_keeps_the_lead_of_a_step_that_takes_long(
    chain: SimulatedChain, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = SimulatedChain(tmp_path / "eth.sqlite3", chain="ETH")
    monkeypatch.setattr(deposits, "client_for", {"BTC": chain, "ETH": other}.__getitem__)
    monkeypatch.setattr(nodes, "gauged", lambda: other)
    monkeypatch.setattr(followers, "RENEWED_SECONDS", 0.0)
    monkeypatch.setattr(followers, "STOP_SECONDS", 0.2)
    stop = threading.Event()
    thread = threading.Thread(target=followers.run, args=[stop])
    thread.start()
    assert hanging.wait(60)
    began = Lease.objects.get(name=LEASE).expires_at
    until(lambda: Lease.objects.get(name=LEASE).expires_at > began, "the lease is renewed though the step goes on")
    stop.set()
    thread.join(60)
    assert not Lease.objects.filter(name=LEASE).exists()


def test_whoever_does_not_lead_renews_nothing(hand: Hand, now: datetime) -> None:
    assert another_leads(now)
    hand._turn_at = followers.time.monotonic()
    hand.stay()
    assert Lease.objects.get(name=LEASE).holder == "another"


def test_the_panel_says_that_a_step_takes_long_and_not_that_nobody_follows(now: datetime) -> None:
    for name in ("BTC", "ETH"):
        known = {"followed_at": now - timedelta(seconds=40)}
        ChainCursor.objects.create(chain=name, **known)
    assert leases.held(LEASE, holder="test", seconds=60, now=now)
    step, nobody = alarms._following(ChainCursor.objects.all(), now)
    assert (step.about, step.grave, step.since) == ("step", False, now - timedelta(seconds=40))
    assert (nobody.about, nobody.grave) == ("follower", True)


# --- failures ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("error", [ChainUnavailable("gone"), ChainBusy("slower")])
def test_a_node_that_does_not_answer_is_asked_more_and_more_seldom(
    hand: Hand, chain: SimulatedChain, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: ChainError
) -> None:
    with monkeypatch.context() as patched:
        failing(chain, error, patched)
        assert [hand._turn() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert hand._turn() == followers.PAUSE_SECONDS
    failing(chain, error, monkeypatch)
    assert hand._turn() == 1, "the next time it begins anew"


def test_what_is_wrong_with_the_answer_makes_no_longer_pause(
    hand: Hand, chain: SimulatedChain, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(chain, BadAnswer("a lie"), monkeypatch)
    assert [hand._turn() for _ in range(3)] == [followers.PAUSE_SECONDS] * 3


def test_the_network_is_asked_again_after_the_connection_was_lost_and_not_after_a_busy_answer(
    chain: SimulatedChain, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    honest = chain.network

    def network() -> str:
        asked.append("network")
        return honest()

    monkeypatch.setattr(chain, "network", network)
    follower = deposits.Follower(chain)
    follower.step(now)
    for error, times in ((ChainBusy("slower"), 1), (ChainUnavailable("gone"), 2)):
        with monkeypatch.context() as patched:
            failing(chain, error, patched)
            with pytest.raises(ChainError):
                follower.step(now)
        follower.step(now)
        assert len(asked) == times


def test_after_a_minute_of_failures_another_may_lead(
    hand: Hand, chain: SimulatedChain, clock: Clock, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(chain, BadAnswer("a lie"), monkeypatch)
    hand._turn()
    clock.seconds += followers.FAILING_SECONDS - 1
    hand._turn()
    assert not another_leads(now)
    clock.seconds += 1
    hand._turn()
    assert another_leads(timezone.now()), "the lease is free at once"
    clock.seconds += followers.LEASE_SECONDS - 1
    leases.give_up(LEASE, holder="another")
    hand._turn()
    assert not Lease.objects.filter(name=LEASE).exists(), "it stands back, whoever stands by"
    clock.seconds += 1
    hand._turn()
    assert Lease.objects.filter(name=LEASE).exists()


def test_a_failure_now_and_then_keeps_the_lead(
    hand: Hand, chain: SimulatedChain, clock: Clock, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        with monkeypatch.context() as patched:
            failing(chain, BadAnswer("a lie"), patched)
            hand._turn()
        clock.seconds += followers.FAILING_SECONDS
        hand._turn()
    assert not another_leads(now)


def test_when_all_nodes_are_behind_one_goes_on_looking(
    hand: Hand, chain: SimulatedChain, clock: Clock, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody's patience would ever be over."""
    failing(chain, NodeBehind("behind"), monkeypatch)
    for seconds in (followers.FAILING_SECONDS, followers.LEASE_SECONDS, followers.FAILING_SECONDS):
        hand._turn()
        clock.seconds += seconds
    hand._turn()
    assert not another_leads(now)


def test_who_was_away_for_long_has_all_its_patience(
    chain: SimulatedChain, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, interrupted = Steps("BTC"), []
    steps.take()
    monkeypatch.setattr(deposits.Follower, "interrupted", lambda self: interrupted.append(clock.seconds))
    for seconds in (followers.LONGEST_PAUSE_SECONDS, ABSENT_SECONDS, ABSENT_SECONDS + 1):
        clock.seconds += seconds
        steps.take()
    assert interrupted == [clock.seconds]
    assert ABSENT_SECONDS > followers.LONGEST_PAUSE_SECONDS + followers.LEASE_SECONDS
