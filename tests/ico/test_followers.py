"""The follower's process in threads: who leads, and what one chain's trouble does to the other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ico import deposits, followers, leases, nodes
from ico.chains.base import Block, ChainUnavailable
from ico.chains.simulated import SimulatedChain
from ico.followers import Hand, Leadership
from ico.models import ChainCursor, ChainReading, Lease, Sale
from ico.steps import Progress, Steps
from tests.deadline import until

SECOND = timedelta(seconds=1)


@pytest.fixture
def chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, SimulatedChain]:
    found = {chain: SimulatedChain(tmp_path / f"{chain}.sqlite3", chain=chain) for chain in ("BTC", "ETH")}
    monkeypatch.setattr(deposits, "client_for", found.__getitem__)
    monkeypatch.setattr(nodes, "gauged", lambda: found["ETH"])
    monkeypatch.setattr(followers, "PAUSE_SECONDS", 0.02)
    return found


@contextmanager
def running() -> Iterator[threading.Event]:
    stop = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            followers.run(stop)
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(40)
        assert not thread.is_alive()
    assert raised == []


def height(chain: str) -> int:
    return ChainCursor.objects.filter(chain=chain).values_list("height", flat=True).first() or 0


# --- who leads --------------------------------------------------------------------------------------------------------
def test_one_leads_and_the_other_takes_over_when_the_lease_has_run_out(db: None, now: datetime) -> None:
    one, other = Leadership("ETH"), Leadership("ETH")
    assert one.held(now)
    assert not other.held(now)
    assert Leadership("BTC").held(now), "each chain has a leader of its own"
    over = now + timedelta(seconds=followers.LEASE_SECONDS)
    assert not other.held(over - SECOND)
    assert other.held(over)
    assert not one.held(over)


def test_whoever_gives_up_is_followed_at_once(db: None, now: datetime) -> None:
    one, other = Leadership("ETH"), Leadership("ETH")
    assert one.held(now)
    one.give_up()
    assert other.held(now)
    one.give_up()  # of what it does not hold any more
    assert not one.held(now)


def test_a_lease_that_was_just_renewed_is_not_asked_for_again(
    db: None, now: datetime, django_assert_num_queries: Callable[..., Any]
) -> None:
    one = Leadership("ETH")
    assert one.held(now)
    with django_assert_num_queries(0):
        assert one.held(now + timedelta(seconds=followers.RENEWED_SECONDS) - SECOND)
    with django_assert_num_queries(1):
        assert one.held(now + timedelta(seconds=followers.RENEWED_SECONDS))
    with django_assert_num_queries(1):
        assert one.held(now), "a clock that was put back"


def test_the_lease_outlives_the_time_without_a_question() -> None:
    assert 2 * followers.RENEWED_SECONDS < followers.LEASE_SECONDS


# --- the process ------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_both_chains_are_followed_and_the_leases_are_given_back(chains: dict[str, SimulatedChain]) -> None:
    for chain in chains.values():
        chain.mine(3)
    with running():
        until(lambda: height("BTC") == height("ETH") == 3, "both chains are followed")
        until(lambda: Lease.objects.filter(name__startswith="follow:").count() == 2, "both have a leader")
        until(lambda: ChainReading.objects.filter(chain="ETH").exists(), "the load is read")
    assert not Lease.objects.filter(name__startswith="follow:").exists()


@pytest.mark.django_db(transaction=True)
def test_a_node_that_hangs_does_not_hold_up_the_other_chain(
    chains: dict[str, SimulatedChain], monkeypatch: pytest.MonkeyPatch
) -> None:
    hang, hangs = threading.Event(), threading.Event()
    honest = chains["BTC"].tip

    def hanging() -> Block:
        hangs.set()
        hang.wait(60)
        return honest()

    monkeypatch.setattr(chains["BTC"], "tip", hanging)
    monkeypatch.setattr(followers, "STOP_SECONDS", 0.2)
    with running():
        assert hangs.wait(60)
        chains["ETH"].mine(5)
        until(lambda: height("ETH") == 5, "the other chain is followed meanwhile")
    # The step that hangs is left behind, and its chain is free for another process at once.
    assert not Lease.objects.filter(name="follow:BTC").exists()
    hang.set()
    until(lambda: not any(thread.name == "follow-BTC" for thread in threading.enumerate()), "the thread ends")


@pytest.mark.django_db(transaction=True)
def test_a_second_process_stands_by(chains: dict[str, SimulatedChain], now: datetime) -> None:
    assert leases.held("follow:ETH", holder="another", seconds=600, now=now)
    chains["BTC"].mine(1)
    chains["ETH"].mine(1)
    with running():
        until(lambda: height("BTC") == 1, "the chain that nobody leads is followed")
        assert not ChainCursor.objects.filter(chain="ETH", height__gt=0).exists()
        leases.give_up("follow:ETH", holder="another")
        until(lambda: height("ETH") == 1, "the other one is taken over")


def test_a_thread_that_ends_by_itself_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hand, "_run", lambda self: None)
    with pytest.raises(RuntimeError, match="BTC is not followed any more"):
        followers.run(threading.Event())


# --- what is told -----------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_trouble_is_told_once_and_its_end_too(
    chains: dict[str, SimulatedChain], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hand = Hand("ETH", threading.Event())

    def gone() -> Block:
        raise ChainUnavailable("nobody there")

    with monkeypatch.context() as patched:
        patched.setattr(chains["ETH"], "tip", gone)
        assert [round(hand._turn(), 2) for _ in range(3)] == [0.02, 0.04, 0.08]
    hand._turn()
    hand._turn()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == ["ETH was not followed: nobody there", "ETH is followed again"]
    assert all(record.exc_info is None for record in caplog.records)


def test_there_is_no_pause_while_blocks_are_missing(
    chains: dict[str, SimulatedChain], db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ico.sightings.MOST_BLOCKS", 4)
    steps = Steps("BTC")
    steps.take()
    chains["BTC"].mine(10)
    assert [steps.take() for _ in range(4)] == [True, True, False, False]


def test_catching_up_is_told_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = [100.0]
    monkeypatch.setattr("ico.steps.time.monotonic", lambda: clock[0])
    progress = Progress("ETH")
    for step in range(0, 13):
        progress.tell(deposits.Followed("ETH", height=200 * step, tip_height=2_400, blocks=200))
        clock[0] += 1.0
    progress.tell(deposits.Followed("ETH", height=2_401, tip_height=2_401, blocks=1))
    assert [record.getMessage() for record in caplog.records] == [
        "ETH lags by 2400 blocks",
        "ETH at block 1000 of 2400: 200.0 blocks/s, 1400 to go",
        "ETH at block 2000 of 2400: 200.0 blocks/s, 400 to go",
        "ETH has caught up, at block 2400",
    ]


def test_the_load_is_read_now_and_then_and_its_failure_holds_up_nothing(
    chains: dict[str, SimulatedChain], sale: Sale, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [100.0]
    monkeypatch.setattr("ico.steps.time.monotonic", lambda: clock[0])
    read: list[float] = []

    def failing(**where: object) -> None:
        read.append(clock[0])
        raise ChainUnavailable("no fees")

    monkeypatch.setattr(deposits, "read_load", failing)
    steps = Steps("ETH")
    for _ in range(11):
        steps.take()
        clock[0] += 1.0
    assert read == [100.0, 105.0, 110.0]
    assert [r.getMessage() for r in caplog.records if "load" in r.getMessage()] == [
        "the load of ETH was not read: no fees"
    ]


def test_once_tries_both_chains_and_answers_what_failed(
    chains: dict[str, SimulatedChain], sale: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> Block:
        raise ChainUnavailable("nobody\nthere")

    chains["ETH"].mine(2)
    with monkeypatch.context() as patched:
        patched.setattr(chains["BTC"], "tip", gone)
        assert list(followers.once()) == ["BTC"]
        assert height("ETH") == 2
        patched.setattr(chains["ETH"], "tip", lambda: 1 / 0)
        with pytest.raises(CommandError) as raised:
            call_command("follow_chains", once=True)
    assert str(raised.value) == (
        "BTC was not followed: nobody?there\nETH was not followed: ZeroDivisionError: division by zero"
    )
    call_command("follow_chains", once=True)
