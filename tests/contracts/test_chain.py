"""What is asked of every `ChainClient`, held against each of them: the simulated chain in both its ways of writing,
Ethereum on anvil, Bitcoin on Knots. Who pays, mines and reorganises is a `Player`, who uses no client."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ico.chains.base import Block, ChainClient, ChainUnavailable, Transfer
from tests.nodes import anvil, knots
from tests.nodes.anvil_player import AnvilPlayer
from tests.nodes.knots_player import KnotsPlayer
from tests.nodes.players import Player, SimulatedPlayer

pytestmark = pytest.mark.process

REAL = ["anvil", "knots"]
AMOUNT = {"BTC": 1_234_567, "ETH": 10**19 + 7}  # more wei than 64 bits hold


@dataclass
class Place:
    """`address`: a new one, as blocks write it."""

    player: Player
    address: Callable[[], str]

    @property
    def amount(self) -> int:
        return AMOUNT[self.player.chain]

    def pay(self, address: str, *, fails: bool = False) -> str:
        [txid] = self.player.pay([(address, self.amount)], fails=fails)
        return txid


def an_ethereum_address() -> str:
    return f"0x{secrets.token_hex(20)}"


def simulated(stack: ExitStack, folder: Path, chain: str) -> Place:
    player = SimulatedPlayer(folder / "chain.sqlite3", chain=chain)
    stack.callback(player.stop)
    return Place(player, an_ethereum_address if chain == "ETH" else lambda: f"bcrt1{secrets.token_hex(19)}")


def on_anvil(stack: ExitStack, folder: Path) -> Place:
    return Place(AnvilPlayer(stack.enter_context(anvil.running(folder, keeps=True, wallets=100))), an_ethereum_address)


def on_knots(stack: ExitStack, folder: Path) -> Place:
    node = stack.enter_context(knots.knots(folder))
    return Place(KnotsPlayer(node), node.address)


PLACES: dict[str, Callable[[ExitStack, Path], Place]] = {
    "simulated-BTC": lambda stack, folder: simulated(stack, folder, "BTC"),
    "simulated-ETH": lambda stack, folder: simulated(stack, folder, "ETH"),
    "anvil": on_anvil,
    "knots": on_knots,
}


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        found = PLACES[request.param](stack, tmp_path_factory.mktemp(request.param))
        found.player.mine(5)
        yield found


@pytest.fixture
def client(place: Place) -> ChainClient:
    """As another process would make it."""
    return place.player.client()


def main_chain(client: ChainClient, heights: range) -> list[Block]:
    found = client.blocks(heights)
    assert None not in found
    return [block for block in found if block]


def to(address: str, transfers: Iterator[Transfer] | list[Transfer]) -> list[Transfer]:
    return [transfer for transfer in transfers if transfer.address == address]


def in_block(client: ChainClient, block: Block, address: str) -> list[Transfer]:
    return to(address, list(client.transfers([block])[0]))


def told(client: ChainClient, address: str) -> list[Transfer]:
    return to(address, list(client.appeared()))


def test_blocks_are_linked_and_end_at_the_tip(place: Place, client: ChainClient) -> None:
    tip = client.tip()
    assert (client.chain, tip.height) == (place.player.chain, place.player.height())
    blocks = main_chain(client, range(tip.height + 1))
    assert [block.height for block in blocks] == list(range(tip.height + 1))
    assert all(block.parent == parent.hash for parent, block in itertools.pairwise(blocks))
    assert len({block.hash for block in blocks}) == len(blocks)
    assert blocks[-1] == tip
    assert client.blocks([tip.height + 1, 0, tip.height]) == [None, blocks[0], tip]
    place.player.mine(2)
    assert client.tip().height == tip.height + 2
    assert client.blocks([tip.height]) == [tip]


def test_two_clients_see_one_chain(place: Place, client: ChainClient) -> None:
    other = place.player.client()
    assert (other.network(), other.tip(), other.blocks([0])) == (client.network(), client.tip(), client.blocks([0]))


def test_a_payment_appears_once_and_is_then_in_a_block(place: Place, client: ChainClient) -> None:
    address = place.address()
    txid = place.pay(address)
    [seen] = told(client, address)
    assert (seen.txid, seen.address, seen.amount) == (txid, address, place.amount)
    assert told(client, address) == []
    assert told(place.player.client(), address) == [seen]  # another process was told nothing yet
    assert client.waiting([txid]) == {txid}
    place.player.mine()
    block = client.tip()
    assert in_block(client, block, address) == [seen]
    assert client.moved(block, {txid}) == {txid}
    assert client.waiting([txid]) == {txid}
    assert told(client, address) == []
    place.player.mine()
    assert in_block(client, client.tip(), address) == []


def test_several_blocks_are_answered_in_their_order(place: Place, client: ChainClient) -> None:
    addresses = [place.address() for _ in range(3)]
    for address in addresses:
        place.pay(address)
        place.player.mine()
    tip = client.tip().height
    blocks = main_chain(client, range(tip - 2, tip + 1))
    found = [[t.address for t in transfers if t.address in addresses] for transfers in client.transfers(blocks)]
    assert found == [[address] for address in addresses]
    assert client.transfers([]) == []
    assert client.blocks([]) == []


def test_one_payment_of_several_addresses(place: Place, client: ChainClient) -> None:
    outputs = [(place.address(), place.amount), (place.address(), place.amount + 1)]
    place.player.pay(outputs)
    place.player.mine()
    found = [t for t in client.transfers([client.tip()])[0] if (t.address, t.amount) in outputs]
    assert sorted((t.address, t.amount) for t in found) == sorted(outputs)
    assert len({(t.txid, t.position) for t in found}) == 2


def test_what_nobody_knows_is_not_waiting(place: Place, client: ChainClient) -> None:
    nobody = "ab" * 32 if place.player.chain == "BTC" else "0x" + "ab" * 32
    txid = place.pay(place.address())
    assert client.waiting([nobody, txid]) == {txid}
    assert client.waiting([]) == set()
    place.player.mine()


def test_a_replaced_payment_is_gone_and_its_replacement_appears(place: Place, client: ChainClient) -> None:
    address = place.address()
    old = place.pay(address)
    assert [t.txid for t in told(client, address)] == [old]
    new = place.player.replace(old)
    assert client.waiting([old, new]) == {new}
    assert [(t.txid, t.amount) for t in told(client, address)] == [(new, place.amount)]
    place.player.mine()
    assert [t.txid for t in in_block(client, client.tip(), address)] == [new]
    assert client.waiting([old, new]) == {new}


def test_a_double_spend_leaves_nothing_of_the_first(place: Place, client: ChainClient) -> None:
    address, other = place.address(), place.address()
    old = place.pay(address)
    new = place.player.double_spend(old, other)
    place.player.mine()
    assert client.waiting([old, new]) == {new}
    assert in_block(client, client.tip(), address) == []
    assert [t.txid for t in in_block(client, client.tip(), other)] == [new]


def test_a_dropped_payment_is_gone(place: Place, client: ChainClient) -> None:
    txid = place.pay(place.address())
    assert client.waiting([txid]) == {txid}
    place.player.drop(txid)
    assert client.waiting([txid]) == set()


def test_a_reorg_puts_other_blocks_at_the_same_heights(place: Place, client: ChainClient) -> None:
    address = place.address()
    txid = place.pay(address)
    place.player.mine(2)
    tip = client.tip()
    old = main_chain(client, range(tip.height - 2, tip.height + 1))
    place.player.reorg(2, length=2, dropped=[txid])
    new = main_chain(client, range(tip.height - 2, tip.height + 1))
    assert client.tip() == new[2]
    assert new[0] == old[0]
    assert (new[1].hash != old[1].hash, new[2].hash != old[2].hash) == (True, True)
    assert [in_block(client, block, address) for block in new] == [[], [], []]
    assert client.waiting([txid]) == set()


def test_what_a_reorg_gives_back_waits_and_is_mined_again(place: Place, client: ChainClient) -> None:
    address = place.address()
    txid = place.pay(address)
    place.player.mine(2)
    place.player.reorg(2, length=3)
    assert in_block(client, client.tip(), address) == []
    assert client.waiting([txid]) == {txid}
    place.player.mine()
    assert [t.txid for t in in_block(client, client.tip(), address)] == [txid]
    assert client.moved(client.tip(), {txid}) == {txid}


def test_a_reorg_that_mines_again_at_once_moves_payments(place: Place, client: ChainClient) -> None:
    address = place.address()
    txid = place.pay(address)
    place.player.mine()
    old = client.tip()
    place.player.mine()
    place.player.reorg(2, length=2, mined_again=True)
    [new] = main_chain(client, range(old.height, old.height + 1))
    assert new.hash != old.hash
    assert [t.txid for t in in_block(client, new, address)] == [txid]
    assert client.moved(new, {txid}) == {txid}


@pytest.mark.parametrize("length", [0, 1])
def test_a_tip_can_go_down(place: Place, client: ChainClient, length: int) -> None:
    place.player.mine(2)
    before = client.tip()
    place.player.reorg(2, length=length)
    after = client.tip()
    assert after.height == before.height - 2 + length == place.player.height()
    assert client.blocks([after.height, before.height]) == [after, None]
    place.player.mine(3)
    assert client.tip().height == after.height + 3


def test_balances_are_what_addresses_hold_after_the_tip(place: Place, client: ChainClient) -> None:
    one, other, nothing = (place.address() for _ in range(3))
    for address in (one, other, one):
        place.pay(address)
    waiting = client.balances([one, other, nothing])
    assert waiting.amounts == (0, 0, 0)
    place.player.mine()
    found = client.balances([other, nothing, one])
    assert (found.block, found.amounts) == (client.tip(), (place.amount, 0, 2 * place.amount))
    assert sum(found.amounts) == place.player.held([one, other])


def test_only_ethereum_calls_blocks_final(place: Place, client: ChainClient) -> None:
    final = client.final_height()
    if place.player.chain == "BTC":
        assert final is None
    else:
        assert final is not None
        assert 0 <= final <= client.tip().height


@pytest.mark.parametrize("place", ["simulated-ETH", "anvil"], indirect=True)
def test_a_failed_payment_is_in_a_block_and_moved_nothing(place: Place, client: ChainClient) -> None:
    address = place.address()
    place.player.prepare([address])
    failed, good = place.pay(address, fails=True), place.pay(address)
    place.player.mine()
    block = client.tip()
    assert {t.txid for t in in_block(client, block, address)} == {failed, good}
    assert client.moved(block, {failed, good}) == {good}
    assert client.moved(block, {failed}) == client.moved(block, set()) == set()
    assert client.balances([address]).amounts == (place.amount,)


@pytest.mark.parametrize("place", REAL, indirect=True)
def test_a_client_outlives_a_restart_of_its_node(place: Place, client: ChainClient) -> None:
    address = place.address()
    place.pay(address)
    place.player.mine()
    block = client.tip()
    place.player.stop()
    for ask in (
        client.tip,
        client.network,
        client.appeared,
        lambda: client.blocks([0]),
        lambda: client.waiting(["0x"]),
    ):
        with pytest.raises(ChainUnavailable):
            ask()
    place.player.start()
    assert client.tip() == block
    assert [t.amount for t in in_block(client, block, address)] == [place.amount]
    assert client.balances([address]).amounts == (place.amount,)
