"""The player on Bitcoin Knots. Each payment spends a coin of its own out of a fan of many, so that each can be dropped,
replaced or mined without the others; blocks are put together by hand, so that a reorg leaves nothing to chance."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from urllib.parse import urlsplit

from ico.chains.base import ChainClient
from ico.chains.bitcoin import BitcoinNode
from ico.chains.rpc import Rpc
from tests.nodes.knots import COIN, Knots, coins
from tests.nodes.players import REPLACEMENT, Arrived, Key

SECRET = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN9wHZo77nNv"  # of the private key 12345, in regtest's writing
FAN = 600
EACH = 8_000_000  # satoshi; 600 of them are nearly all of one block's reward
FEE = 5_000
MATURE = 101
REPLACEABLE = (0xFFFFFFFD).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Payment:
    coin: Key
    outputs: tuple[tuple[str, int], ...]
    fee: int


class KnotsPlayer:
    chain = "BTC"

    def __init__(self, node: Knots) -> None:
        self.node = node
        self._sent: dict[str, Payment] = {}
        self._scripts: dict[str, str] = {}
        self._numbers = count(1)
        self._blocks: dict[str, tuple[str, Arrived]] = {}  # by hash: the parent and everything that the block pays
        self._coins = self._fan()

    def client(self) -> ChainClient:
        return BitcoinNode(Rpc(urlsplit(self.node.url)))

    def prepare(self, addresses: Collection[str]) -> None:
        pass

    def pay(self, outputs: Sequence[tuple[str, int]], *, fails: bool = False) -> list[str]:
        assert not fails
        return [self._send(Payment(next(self._coins), tuple(outputs), FEE))]

    def mine(self, count: int = 1) -> None:
        self.node.rpc("generatetodescriptor", count, self._somebody())

    def height(self) -> int:
        return self.node.height()

    def waiting(self) -> list[str]:
        return [txid for txid in self.node.rpc("getrawmempool") if txid in self._sent]

    def newest(self, depth: int) -> list[str]:
        hashes = [self.node.rpc("getblockhash", self.height() - n) for n in reversed(range(depth))]
        return [txid for one in hashes for txid in self.node.rpc("getblock", one)["tx"] if txid in self._sent]

    def reorg(self, depth: int, *, length: int, dropped: Collection[str] = (), mined_again: bool = False) -> None:
        self.node.give_up(depth)
        instead = [self._conflict(txid) for txid in dropped]
        if not length:
            for raw in instead:
                self.node.rpc("sendrawtransaction", raw)
            return
        again = [txid for txid in self.node.rpc("getrawmempool") if txid not in dropped] if mined_again else []
        for contents in [instead + again] + [[]] * (length - 1):
            self.node.rpc("generateblock", self._somebody(), contents)

    def replace(self, txid: str) -> str:
        old = self._sent[txid]
        return self._send(Payment(old.coin, old.outputs, int(old.fee * REPLACEMENT)))

    def double_spend(self, txid: str, address: str) -> str:
        old = self._sent[txid]
        amount = sum(amount for _, amount in old.outputs)
        return self._send(Payment(old.coin, ((address, amount),), old.fee * 4))

    def drop(self, txid: str) -> None:
        """Nobody can make a node forget a transaction; a block with another one out of the same coin does."""
        self.node.rpc("generateblock", self._somebody(), [self._conflict(txid)])

    def stop(self) -> None:
        self.node.stop()

    def start(self) -> None:
        self.node.start()

    def arrived(self, addresses: Collection[str], *, up_to: int) -> Arrived:
        block_hash = self.node.rpc("getblockhash", up_to)
        found: dict[Key, tuple[str, int]] = {}
        while block_hash:
            block_hash, paid = self._block(block_hash)
            found |= {key: (address, amount) for key, (address, amount) in paid.items() if address in addresses}
        return found

    def held(self, addresses: Collection[str]) -> int:
        """As the node's own set of unspent coins has it."""
        told = self.node.rpc("scantxoutset", "start", [f"addr({address})" for address in sorted(addresses)])
        return int(told["total_amount"] * COIN)

    # --- inside -------------------------------------------------------------------------------------------------------

    @cached_property
    def _own(self) -> str:
        """The script that the player's coins are locked with."""
        public = self.node.rpc("getdescriptorinfo", f"wpkh({SECRET})")["descriptor"]
        return self._script(self.node.rpc("deriveaddresses", public)[0])

    def _fan(self) -> Iterator[Key]:
        """Coins for many payments, deep enough that no reorg of a test reaches them."""
        first = self.node.rpc("generatetodescriptor", MATURE, f"raw({self._own})")[0]
        reward = self.node.rpc("getblock", first, 2)["tx"][0]
        raw = self._signed((reward["txid"], 0), [(self._own, EACH)] * FAN, worth=int(reward["vout"][0]["value"] * COIN))
        self.node.rpc("generateblock", self._somebody(), [raw])
        txid = self.node.rpc("decoderawtransaction", raw)["txid"]
        return ((txid, position) for position in range(FAN))

    def _send(self, payment: Payment) -> str:
        txid = str(self.node.rpc("sendrawtransaction", self._raw(payment)))
        self._sent[txid] = payment
        return txid

    def _conflict(self, txid: str) -> str:
        """Raw: the same coin goes back to the player, for a higher fee."""
        return self._raw(Payment(self._sent[txid].coin, (), self._sent[txid].fee * 4))

    def _raw(self, payment: Payment) -> str:
        outputs = [(self._script(address), amount) for address, amount in payment.outputs]
        change = EACH - payment.fee - sum(amount for _, amount in outputs)
        return self._signed(payment.coin, [*outputs, (self._own, change)], worth=EACH)

    def _signed(self, coin: Key, outputs: Sequence[tuple[str, int]], *, worth: int) -> str:
        spent = {"txid": coin[0], "vout": coin[1], "scriptPubKey": self._own, "amount": coins(worth)}
        told = self.node.rpc("signrawtransactionwithkey", _written(coin, outputs), [SECRET], [spent])
        assert told["complete"], told
        return str(told["hex"])

    def _script(self, address: str) -> str:
        if address not in self._scripts:
            self._scripts[address] = str(self.node.rpc("validateaddress", address)["scriptPubKey"])
        return self._scripts[address]

    def _somebody(self) -> str:
        """Somebody else each time: the same block mined again would be the one that was given up."""
        return f"raw(0014{next(self._numbers):040x})"

    def _block(self, block_hash: str) -> tuple[str, Arrived]:
        if block_hash not in self._blocks:
            told = self.node.rpc("getblock", block_hash, 2)
            paid = {
                (one["txid"], out["n"]): (out["scriptPubKey"]["address"], int(out["value"] * COIN))
                for one in told["tx"]
                for out in one["vout"]
                if "address" in out["scriptPubKey"]
            }
            self._blocks[block_hash] = told.get("previousblockhash", ""), paid
        return self._blocks[block_hash]


def _written(coin: Key, outputs: Sequence[tuple[str, int]]) -> str:
    """A transaction as Bitcoin writes it, unsigned. By hand, for the node refuses to pay an address twice."""
    spent = bytes.fromhex(coin[0])[::-1] + coin[1].to_bytes(4, "little") + b"\0" + REPLACEABLE
    scripts = [(amount, bytes.fromhex(script)) for script, amount in outputs]
    paid = b"".join(amount.to_bytes(8, "little") + _counted(len(script)) + script for amount, script in scripts)
    return ((2).to_bytes(4, "little") + b"\x01" + spent + _counted(len(outputs)) + paid + bytes(4)).hex()


def _counted(number: int) -> bytes:
    return bytes([number]) if number < 0xFD else b"\xfd" + number.to_bytes(2, "little")
