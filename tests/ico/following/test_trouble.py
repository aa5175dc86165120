"""What the follower writes down when a step fails, and what the panel and /metrics tell of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ico import books, cursors, deposits, figures
from ico.chains.base import Block, ChainUnavailable, MempoolUnread
from ico.models import Deposit, Invitation
from tests.ico.following.node import DEPTH, ETHER, Node, cursor, entries, pay, unavailable
from tests.ico.people import address_of


def test_the_same_trouble_is_written_once_and_cleared_when_it_is_over(
    node: Node, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "nobody there"

    def gone() -> Block:
        raise ChainUnavailable(said)

    with monkeypatch.context() as patched:
        patched.setattr(node, "tip", gone)
        for second in range(3):
            with (
                CaptureQueriesContext(
                    connection,
                ) as queries,
                pytest.raises(ChainUnavailable),
            ):
                follower.step(now + timedelta(seconds=second))
            writes = [query["sql"] for query in queries if query["sql"].startswith(("UPDATE", "INSERT", "DELETE"))]
            assert len(writes) == (1 if second == 0 else 0)
        assert (cursor().trouble, cursor().trouble_since) == ("nobody there", now)
        said = "still\nnobody\x00 " + "x" * 500
        with pytest.raises(ChainUnavailable):
            follower.step(now + timedelta(seconds=9))
        assert cursor().trouble == "still?nobody? " + "x" * (cursors.LONGEST_TROUBLE - 14)
        assert cursor().trouble_since == now, "since it is not followed"
    follower.step(now)
    assert (cursor().trouble, cursor().trouble_since) == ("", None)


def test_trouble_outlives_the_transaction_that_failed(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(node, person)
    with monkeypatch.context() as patched:
        patched.setattr(books, "settle", _raising(books.CapMoved("invitation 1")))
        with pytest.raises(books.CapMoved):
            follower.step(now)
    assert not Deposit.objects.exists()
    assert cursor().trouble == "invitation 1"
    follower.step(now)
    assert entries() == [30_000]


def test_what_the_mempool_told_a_failed_step_is_seen_by_the_next_one(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heard(step: Callable[[], object]) -> set[str]:
        node.send("0x" + "1" * 40, ETHER)
        txid = node.send(address_of(person, "ETH"), ETHER // 10)
        with monkeypatch.context() as patched:
            patched.setattr(books, "settle", _raising(books.CapMoved("moved")))
            with pytest.raises(books.CapMoved):
                step()
        step()
        return {txid} & set(Deposit.objects.filter(state="seen").values_list("txid", flat=True))

    assert heard(lambda: follower.step(now))
    # Negative control: a follower that forgets; the client does not tell it again.
    assert not heard(lambda: deposits.follow(chain="ETH", client=node, now=now))


def _raising(error: Exception) -> Callable[..., int]:
    def settle(**where: object) -> int:
        raise error

    return settle


def test_the_figures_tell_of_compensations_and_of_trouble(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    txid = pay(node, person)
    follower.step(now)
    node.reorg(DEPTH, dropped=[txid])
    follower.step(now)
    assert figures.compensated() == {"BTC": 0, "ETH": 1}
    counts = {(chain, state, review): count for chain, state, review, count in figures.deposits_by_state()}
    assert counts["ETH", "review", "reorg"] == 1
    assert sum(counts.values()) == 1
    assert len(counts) == 2 * (4 + 4 + 1)
    monkeypatch.setattr(node, "tip", unavailable)
    with pytest.raises(ChainUnavailable):
        follower.step(now - timedelta(seconds=60))
    found = {(figure.name, labels): value for figure, labels, value in figures._chains()}
    assert found["stampede_chain_trouble_seconds", ("ETH",)] >= 60


def test_blocks_are_followed_while_the_mempool_cannot_be_read(
    node: Node,
    person: Invitation,
    follower: deposits.Follower,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def unread() -> Any:
        raise MempoolUnread("20 million of them")

    waits = node.send(address_of(person, "ETH"), ETHER // 20)
    follower.step(now)
    with monkeypatch.context() as patched:
        patched.setattr(node, "appeared", unread)
        node.drop(waits)
        pay(node, person)
        for _ in range(3):
            follower.step(now)
    assert entries() == [30_000]
    assert cursor().trouble == ""
    assert Deposit.objects.get(txid=waits).state == "seen"  # nobody knows whether it was dropped
    assert caplog.text.count("20 million of them") == 1
    follower.step(now)
    assert Deposit.objects.get(txid=waits).state == "dropped"
