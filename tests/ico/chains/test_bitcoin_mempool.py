"""A mempool that is long is looked at now and then, and following goes on where it cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from ico.chains import bitcoin_mempool
from ico.chains.base import MempoolUnread
from ico.chains.bitcoin import BitcoinNode
from ico.chains.rpc import Rpc
from tests.nodes import lying
from tests.nodes.knots import Knots, knots
from tests.nodes.lying import Liar, Lie, Reply

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knots]:
    with knots(tmp_path_factory.mktemp("bitcoin")) as running:
        running.mine(103)
        running.send(running.address(), 123_456)
        yield running


@pytest.fixture
def liar(node: Knots) -> Iterator[Liar]:
    with lying.before(node.url) as between:
        yield between


def asked(liar: Liar, method: str) -> int:
    return sum(called == method for called, _ in liar.calls)


def test_a_large_mempool_is_looked_at_now_and_then_and_only_after_a_change(
    liar: Liar, node: Knots, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(bitcoin_mempool, "time", clock)
    client = BitcoinNode(Rpc(urlsplit(liar.url), seconds=30), mempool_seconds=5)
    before = asked(liar, "getrawmempool")
    seen = {transfer.txid for transfer in client.appeared()}
    assert seen == set(node.rpc("getrawmempool"))
    sent = node.send(node.address(), 345_678)
    assert (list(client.appeared()), asked(liar, "getrawmempool")) == ([], before + 1)
    clock.now += 5
    assert {transfer.txid for transfer in client.appeared()} == {sent}
    clock.now += 5
    assert (list(client.appeared()), asked(liar, "getrawmempool")) == ([], before + 2)  # nothing changed
    attentive = BitcoinNode(Rpc(urlsplit(liar.url), seconds=30))  # the negative control
    for _ in range(3):
        attentive.appeared()
    assert asked(liar, "getrawmempool") == before + 5


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("lie", "named"),
    [
        (lying.changed("getrawmempool", by=lambda told, parameters: ["ab" * 32] * 200_000), "more than 1000000 bytes"),
        (lying.error(-32601, "Method not found"), "Method not found"),
        (lying.always(Reply(status=403)), "refused the credentials"),
    ],
)
def test_a_mempool_that_cannot_be_read_is_said_until_it_can(
    lie: Lie, named: str, liar: Liar, node: Knots, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(bitcoin_mempool, "time", clock)
    client = BitcoinNode(Rpc(urlsplit(liar.url), seconds=30, most_bytes=10**6), mempool_seconds=5)
    liar.lie = lie
    requests = liar.requests
    for _ in range(3):
        with pytest.raises(MempoolUnread, match=f"the mempool cannot be read: .*{named}"):
            client.appeared()
    assert liar.requests - requests <= 2
    liar.lie = None
    assert client.tip().height == node.height()
    clock.now += 5
    assert {transfer.txid for transfer in client.appeared()} == set(node.rpc("getrawmempool"))
