"""The player on anvil. A payment comes from a wallet that has nothing else on its way, so that each can be dropped,
replaced or mined without the others; it is signed by hand, so that it can be sent again as it was."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from urllib.parse import urlsplit

from ico.chains.base import ChainClient
from ico.chains.ethereum import EthereumNode
from ico.chains.rpc import Rpc
from tests.nodes.anvil import GWEI, Anvil
from tests.nodes.players import REPLACEMENT, Arrived, Key

# At each of our addresses, to have payments that fail: takes any payment, but refuses one that comes with data.
REFUSING = "0x36156008575f5ffd5b00"  # CALLDATASIZE ISZERO PUSH1 8 JUMPI PUSH0 PUSH0 REVERT; 8: JUMPDEST STOP
GAS = 50_000  # a payment to such an address takes a little more than one to a person


@dataclass(frozen=True, slots=True)
class Payment:
    sender: str
    nonce: int
    address: str
    amount: int
    data: str
    fee: int  # wei per gas; a hundredth of it is the tip
    raw: str = ""


class AnvilPlayer:
    """The node must have more wallets than payments can be on their way, or in blocks that the test gives up."""

    chain = "ETH"

    def __init__(self, node: Anvil) -> None:
        self.node = node
        self._wallets = cycle(node.accounts())
        self._sent: dict[str, Payment] = {}
        self._blocks: dict[str, tuple[str, int, Arrived]] = {}  # by hash: parent, height, everything that moved

    def client(self) -> ChainClient:
        return EthereumNode(Rpc(urlsplit(self.node.url)))

    def prepare(self, addresses: Collection[str]) -> None:
        for address in addresses:
            self.node.ask("anvil_setCode", address, REFUSING)
        self.node.mine()

    def pay(self, outputs: Sequence[tuple[str, int]], *, fails: bool = False) -> list[str]:
        data = "0x01" if fails else "0x"
        return [self._pay(address, amount, data) for address, amount in outputs]

    def mine(self, count: int = 1) -> None:
        self.node.mine(count)

    def height(self) -> int:
        return self.node.height()

    def waiting(self) -> list[str]:
        senders = self.node.ask("txpool_content")["pending"].values()
        return [one["hash"] for nonces in senders for one in nonces.values()]

    def newest(self, depth: int) -> list[str]:
        tip = self.height()
        blocks = [self.node.ask("eth_getBlockByNumber", hex(tip - n), False) for n in reversed(range(depth))]
        return [txid for block in blocks for txid in block["transactions"]]

    def reorg(self, depth: int, *, length: int, dropped: Collection[str] = (), mined_again: bool = False) -> None:
        """anvil itself reorganises to the same height only, and forgets what is not named to it."""
        again = [self._sent[txid].raw for txid in self.newest(depth) if txid not in dropped]
        at_once = [(raw, 0) for raw in again] if mined_again and length else []
        self.node.ask("anvil_reorg", depth, at_once)
        if length < depth:
            self.node.go_down(depth - length)
        if length > depth:
            self.node.mine(length - depth)
        if not at_once:
            for raw in again:
                self.node.ask("eth_sendRawTransaction", raw)

    def again(self, txid: str) -> None:
        """Its sender hands it to the node once more."""
        self.node.ask("eth_sendRawTransaction", self._sent[txid].raw)

    def replace(self, txid: str) -> str:
        old = self._sent[txid]
        return self._send(replace(old, fee=int(old.fee * REPLACEMENT)))

    def double_spend(self, txid: str, address: str) -> str:
        old = self._sent[txid]
        return self._send(replace(old, address=address, data="0x", fee=int(old.fee * REPLACEMENT)))

    def drop(self, txid: str) -> None:
        self.node.drop(txid)

    def stop(self) -> None:
        self.node.stop()

    def start(self) -> None:
        self.node.start()

    def arrived(self, addresses: Collection[str], *, up_to: int) -> Arrived:
        block_hash = self.node.ask("eth_getBlockByNumber", hex(up_to), False)["hash"]
        found: dict[Key, tuple[str, int]] = {}
        height = up_to
        while height > 0:
            block_hash, height, moved = self._block(block_hash)
            found |= {key: (address, amount) for key, (address, amount) in moved.items() if address in addresses}
        return found

    def held(self, addresses: Collection[str]) -> int:
        return sum(self.node.balance(address) for address in addresses)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _pay(self, address: str, amount: int, data: str) -> str:
        sender = next(self._wallets)
        return self._send(Payment(sender, self.node.nonce(sender), address, amount, data, fee=100 * GWEI))

    def _send(self, payment: Payment) -> str:
        call = {"from": payment.sender, "to": payment.address, "value": hex(payment.amount), "input": payment.data}
        call |= {"nonce": hex(payment.nonce), "gas": hex(GAS), "chainId": hex(self.node.chain_id)}
        call |= {"maxFeePerGas": hex(payment.fee), "maxPriorityFeePerGas": hex(payment.fee // 100)}
        raw = self.node.ask("eth_signTransaction", call)
        txid = str(self.node.ask("eth_sendRawTransaction", raw))
        self._sent[txid] = replace(payment, raw=raw)
        return txid

    def _block(self, block_hash: str) -> tuple[str, int, Arrived]:
        """Of a block: its parent, the height of that, and what its transactions that did not fail paid to whom."""
        if block_hash not in self._blocks:
            told = self.node.ask("eth_getBlockByHash", block_hash, True)
            moved = {
                (one["hash"], 0): (one["to"], int(one["value"], 16))
                for one in told["transactions"]
                if one["to"] and self.node.ask("eth_getTransactionReceipt", one["hash"])["status"] == "0x1"
            }
            self._blocks[block_hash] = told["parentHash"], int(told["number"], 16) - 1, moved
        return self._blocks[block_hash]
