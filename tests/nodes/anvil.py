"""A real Ethereum node of a test's own: anvil, on a free port of the loopback interface, mining only when told to."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from config.serving import free_port
from deploy.local import anvil
from tests.absent import absent
from tests.deadline import until

GWEI = 10**9
ETHER = 10**18
GAS_OF_A_TRANSFER = 21_000


class Refused(Exception):
    """The node answered with an error."""


@dataclass
class Anvil:
    """`state`: where its chain is kept while it is stopped; without one, a node that is started again has a new chain
    with the same genesis block, but for its time."""

    folder: Path
    port: int = field(default_factory=free_port)
    state: Path | None = None
    chain_id: int = anvil.CHAIN_ID
    wallets: int = 10
    process: subprocess.Popen[bytes] | None = None
    _ids: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- the process --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.state and self.state.exists():
            anvil.keep_one_genesis(self.state)
        command = anvil.command(self.port, state=self.state, chain_id=self.chain_id)
        command += ["--cache-path", str(self.folder / "states"), "--accounts", str(self.wallets)]
        with (self.folder / "anvil.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, "anvil answers", seconds=30)

    def stop(self) -> None:
        """In order: with `state`, the chain is written down first."""
        if self.process and self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            self.process.wait(timeout=30)

    def freeze(self) -> None:
        """The kernel still takes connections, and nobody ever answers: what a lost network looks like."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)
        # The signal stops one thread after the other; the parent is told when the last one stands.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, f"anvil ended with {self.process.returncode}, see {self.folder}/anvil.log"
        try:
            return int(self.ask("eth_chainId"), 16) == self.chain_id
        except (OSError, HTTPException):
            return False

    # --- asking -------------------------------------------------------------------------------------------------------

    def ask(self, method: str, *arguments: Any) -> Any:
        """One call; raises `Refused` with the node's error."""
        call = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": arguments}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/", json.dumps(call), {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise Refused(f"{method}: {answer['error']}")
        return answer["result"]

    def number(self, method: str, *arguments: Any) -> int:
        return int(self.ask(method, *arguments), 16)

    def height(self) -> int:
        return self.number("eth_blockNumber")

    def accounts(self) -> list[str]:
        """As many unlocked ones as it has wallets, with 10,000 ether each, in lower case."""
        return [account.lower() for account in self.ask("eth_accounts")]

    def balance(self, address: str, block: str = "latest") -> int:
        return self.number("eth_getBalance", address, block)

    # --- what the network does ----------------------------------------------------------------------------------------

    def mine(self, blocks: int = 1) -> None:
        """With what waits in the first of them."""
        self.ask("anvil_mine", hex(blocks))

    def reorg(self, depth: int, again: Sequence[tuple[dict[str, str], int]] = ()) -> None:
        """Other blocks instead of the newest `depth`. Their transactions are dropped, but for those in `again`: each
        with the number of the new block that it is in, from 0."""
        self.ask("anvil_reorg", depth, again)

    def go_down(self, blocks: int) -> None:
        """The newest blocks are gone, and nothing is in their place: the tip is lower than before."""
        self.ask("anvil_rollback", blocks)

    def set_base_fee(self, wei: int) -> None:
        """Of the next block; those after follow from it."""
        self.ask("anvil_setNextBlockBaseFeePerGas", hex(wei))

    # --- what wallets do ----------------------------------------------------------------------------------------------

    def send(
        self,
        sender: str,
        address: str | None,
        amount: int,
        *,
        nonce: int | None = None,
        fee: int = 100 * GWEI,
        tip: int = GWEI,
        gas: int = GAS_OF_A_TRANSFER,
        data: str = "0x",
    ) -> str:
        """Broadcast a payment (with no address: a contract with `data`), answering its txid. A second one with the same
        nonce replaces the first if its `fee` and `tip` are higher by a tenth."""
        call = {"from": sender, "value": hex(amount), "gas": hex(gas), "input": data}
        call |= {"maxFeePerGas": hex(fee), "maxPriorityFeePerGas": hex(tip)}
        call |= {"to": address} if address else {}
        # Named always: without, the node gives two that come close together the same one, and loses the first.
        call["nonce"] = hex(self.nonce(sender) if nonce is None else nonce)
        return str(self.ask("eth_sendTransaction", call))

    def nonce(self, sender: str) -> int:
        """The one after all that is mined or waits."""
        return self.number("eth_getTransactionCount", sender, "pending")

    def drop(self, txid: str) -> None:
        """The node forgets a waiting transaction."""
        self.ask("anvil_dropTransaction", txid)


@contextmanager
def running(folder: Path, *, keeps: bool = False, chain_id: int = anvil.CHAIN_ID, wallets: int = 10) -> Iterator[Anvil]:
    """`keeps`: stopped and started again, it goes on with the same chain. 300 wallets take it a second to make."""
    if reason := anvil.missing():
        absent(reason)
    node = Anvil(folder, state=folder / "chain.json" if keeps else None, chain_id=chain_id, wallets=wallets)
    try:
        node.start()
        yield node
    finally:
        node.stop()
