"""Rows are locked in one order (docs/decisions/0011): read off the statements that each step really makes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection

from ico import addresses, deposits, invitations, release, waitlist
from ico.chains.simulated import SimulatedChain
from ico.models import Chain, DepositAddress, Invitation, Sale
from tests.concurrency.conftest import enters_wallets
from tests.concurrency.rivals import two_writers
from tests.ico.conftest import invite_all, join, numbered, read_load

pytestmark = [pytest.mark.django_db(transaction=True), two_writers]

ORDER = ("ico_lease", "ico_chaincursor", "ico_entrant", "ico_invitation", "ico_sale")
KINDS = {
    "pass over": re.compile(r"^SELECT .* FROM `(\w+)` .*FOR UPDATE SKIP LOCKED$", re.S),
    "lock": re.compile(r"^SELECT .* FROM `(\w+)` .*FOR UPDATE$", re.S),
    "change": re.compile(r"^(?:UPDATE|DELETE FROM) `(\w+)`"),
    "insert": re.compile(r"^INSERT INTO `(\w+)`"),
}

Touch = tuple[str, str]


def touches(step: Callable[[], object]) -> list[Touch]:
    """What a step locks and changes, in order, as (kind, table)."""
    found: list[Touch] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        for kind, pattern in KINDS.items():
            match = pattern.match(sql)
            if match:
                found.append((kind, match[1]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        step()
    return found


def out_of_order(found: list[Touch]) -> list[str]:
    """Tables whose rows are taken for the first time after those of a later one (new rows are nobody else's); and
    those that are written to before the sale's row, which comes last, is locked."""
    firsts = list(dict.fromkeys(table for kind, table in found if table in ORDER and kind != "insert"))
    wrong = [table for table, after in pairwise(firsts) if ORDER.index(after) < ORDER.index(table)]
    locked = found.index(("lock", "ico_sale")) if ("lock", "ico_sale") in found else 0
    return wrong + [table for kind, table in found[:locked] if kind != "lock" and table in ORDER[2:]]


@pytest.fixture
def line(sale: Sale, now: datetime) -> list[waitlist.Place]:
    places = [join(sale, f"v{n}@example.org") for n in range(4)]
    Sale.objects.update(batch_interval_seconds=0)
    read_load(0.5, now)
    return places


def test_numbering(line: list[waitlist.Place], sale: Sale) -> None:
    found = touches(lambda: waitlist.give_numbers(sale_id=sale.pk))
    assert ("lock", "ico_entrant") in found
    assert ("lock", "ico_sale") in found
    assert out_of_order(found) == []


def test_a_release(line: list[waitlist.Place], sale: Sale, now: datetime) -> None:
    numbered(sale)
    found = touches(lambda: release.release(sale_id=sale.pk, holder="one", now=now))
    assert ("insert", "ico_invitation") in found
    assert out_of_order(found) == []


def test_leaving_with_an_invitation(line: list[waitlist.Place], sale: Sale, now: datetime) -> None:
    invite_all(sale, now)
    found = touches(lambda: waitlist.leave(line[0].ticket))
    assert ("change", "ico_sale") in found
    assert out_of_order(found) == []


def test_running_out_unused(line: list[waitlist.Place], sale: Sale, now: datetime) -> None:
    made = invite_all(sale, now, batch_size=1)
    found = touches(lambda: invitations.expire(now=made[0].expires_at))
    assert ("change", "ico_sale") in found
    assert out_of_order(found) == []


@pytest.fixture
def chain(tmp_path: Any, settings: Any) -> SimulatedChain:
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 1}
    return SimulatedChain(tmp_path / "eth.sqlite3", chain="ETH")


def test_entering_wallets(accepted: list[Invitation]) -> None:
    for chain in Chain.values:
        addresses.derive(chain=chain, count=3)
    found = touches(enters_wallets(accepted[0]))
    assert found == [
        ("lock", "ico_entrant"),
        ("change", "ico_invitation"),
        ("change", "ico_entrant"),
        *[("pass over", "ico_depositaddress"), ("change", "ico_depositaddress")] * 2,  # and nothing is waited for
    ]


def test_entering_wallets_when_nothing_was_derived_ahead(
    accepted: list[Invitation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter comes before people, so it is moved while nobody's row is held."""
    honest, held = addresses.derive, []

    def noted(**what: Any) -> int:
        held.append(connection.in_atomic_block)
        return honest(**what)

    monkeypatch.setattr(addresses, "derive", noted)
    found = touches(enters_wallets(accepted[0]))
    assert held == [False, False]
    assert found.count(("change", "ico_chaincursor")) == 2
    assert found[-1] == ("change", "ico_depositaddress")


def test_deriving_ahead(accepted: list[Invitation]) -> None:
    found = touches(lambda: addresses.derive_ahead(chain="ETH", most=3))
    assert found == [
        ("insert", "ico_chaincursor"),
        ("change", "ico_chaincursor"),
        ("insert", "ico_depositaddress"),
    ]


def test_running_out_unpaid(accepted: list[Invitation], now: datetime, chain: SimulatedChain, tmp_path: Any) -> None:
    enters_wallets(accepted[0])()
    late = now + timedelta(days=29)
    Invitation.objects.filter(state="accepted").update(expires_at=late + timedelta(days=1))
    for client in (chain, SimulatedChain(tmp_path / "btc.sqlite3", chain="BTC")):
        client.mine(now=late.timestamp() + 1)  # payments are looked for until the newest block's whole second
        deposits.follow(chain=client.chain, client=client, now=late)
    found = touches(lambda: invitations.expire(now=late))
    assert ("change", "ico_sale") in found
    assert out_of_order(found) == []


def test_following_a_chain_through_a_reorg(accepted: list[Invitation], now: datetime, chain: SimulatedChain) -> None:
    enters_wallets(accepted[0])()
    step = lambda: deposits.follow(chain="ETH", client=chain, now=now)  # noqa: E731
    step()
    chain.send(DepositAddress.objects.get(chain="ETH").address, 10**15)
    chain.mine()
    booked = touches(step)
    chain.reorg(1, mined_again=True)
    undone = touches(step)
    for found in (booked, undone):
        assert found[0] == ("change", "ico_chaincursor")
        assert ("lock", "ico_invitation") in found
        assert out_of_order(found) == []


def test_the_order_is_read_off_the_statements() -> None:
    """Negative control."""
    assert out_of_order([("change", "ico_invitation"), ("change", "ico_entrant")]) == ["ico_invitation"]
    early = [("lock", "ico_entrant"), ("change", "ico_entrant"), ("lock", "ico_sale")]
    assert out_of_order(early) == ["ico_entrant"]
