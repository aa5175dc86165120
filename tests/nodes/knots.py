"""A real Bitcoin node on a chain of its own, with a wallet: Bitcoin Knots in regtest.

    with knots(tmp_path) as node:          # skips the test where Knots is not
        node.mine(101)                     # coins of the first block can be spent now
        txid = node.send(address, 50_000)  # satoshi, into the mempool
        node.restart()                     # or kill() and start(), on the same folder

`rpc` asks anything else. It has nothing to do with the client that is tested, so that both cannot be wrong together.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from config.serving import free_port
from deploy.local import knots as program
from tests.deadline import until

HOST, USER, WALLET = "127.0.0.1", "stampede", "purse"
COIN = 100_000_000
# A wallet with few keys in stock that does not wait for the disk: what it wrote outlives a kill, if not a power cut. It
# makes starting and mining three times as fast.
_QUICK = ("-keypool=20", "-unsafesqlitesync=1")


class Refused(Exception):
    """The node answered with an error; `code` is Bitcoin's."""

    def __init__(self, method: str, error: Mapping[str, Any]) -> None:
        super().__init__(f"{method}: {error.get('message')} ({error.get('code')})")
        self.code = error.get("code")


class Knots:
    """A node in a folder. It is stopped when the context manager ends that made it."""

    def __init__(self, folder: Path, *, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For the client under test."""
        return f"http://{USER}:{self.password}@{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = program.command(self.folder, rpc_port=self.port, user=USER, password=self.password)
        with (self.folder / "knots.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *_QUICK, *self.options], stdout=log, stderr=log)
        until(self._answers, f"an answer of the node in {self.folder}", seconds=60)
        if WALLET not in self.rpc("listwallets"):
            self._open_wallet()

    def stop(self) -> None:
        """In order: everything is on disk then, the mempool too."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def rpc(self, method: str, *parameters: Any, **named: Any) -> Any:
        """One question; numbers with a point come as Decimal, and may be given as such. Raises `Refused`."""
        asked = {"id": 1, "method": method, "params": named or parameters}
        status, answer = self._post(json.dumps(asked, default=float))
        if status == http.client.UNAUTHORIZED:
            raise AssertionError("the node does not take its password")
        told = json.loads(answer, parse_float=Decimal)
        if told["error"]:
            raise Refused(method, told["error"])
        return told["result"]

    # What a wallet and a miner do. Amounts are satoshi.

    def address(self) -> str:
        """A new one of the wallet."""
        return str(self.rpc("getnewaddress"))

    def mine(self, blocks: int = 1, *, to: str | None = None) -> list[str]:
        """The new blocks' hashes. To a new address each time, else a block mined again would be the one given up."""
        return list(self.rpc("generatetoaddress", blocks, to or self.address()))

    def send(self, address: str, satoshi: int, *, fee_rate: int = 2) -> str:
        """A replaceable transaction in the mempool; its txid. The fee rate is satoshi per virtual byte."""
        amount = float(coins(satoshi))
        return str(self.rpc("sendtoaddress", address=address, amount=amount, fee_rate=fee_rate, replaceable=True))

    def send_many(self, amounts: Mapping[str, int]) -> str:
        """One transaction that pays all of these."""
        told = {address: float(coins(satoshi)) for address, satoshi in amounts.items()}
        return str(self.rpc("sendmany", amounts=told, fee_rate=2))

    def bump(self, txid: str) -> str:
        """Replace a waiting transaction by one with a higher fee; the txid of the new one."""
        return str(self.rpc("bumpfee", txid)["txid"])

    def double_spend(self, txid: str, address: str) -> str:
        """Replace a waiting transaction by one that takes the same coins and pays everything to another address."""
        spent = [{"txid": one["txid"], "vout": one["vout"]} for one in self.rpc("getrawtransaction", txid, True)["vin"]]
        coin = sum(self._worth(one["txid"], one["vout"]) for one in spent)
        raw = self.rpc("createrawtransaction", spent, [{address: float(coins(coin - 50_000))}])
        signed = self.rpc("signrawtransactionwithwallet", raw)
        assert signed["complete"], signed
        return str(self.rpc("sendrawtransaction", signed["hex"]))

    def reorganise(self, depth: int, *, blocks: int | None = None) -> None:
        """Give up the newest `depth` blocks and mine one more than that (or `blocks`) in their place. What was paid in
        them waits again, and comes back with the new ones, unless these are empty: see `give_up`."""
        self.give_up(depth)
        self.mine(depth + 1 if blocks is None else blocks)

    def give_up(self, depth: int) -> str:
        """Leave the newest `depth` blocks: the tip goes down. Returns the lowest block given up, for
        `reconsiderblock`."""
        lowest = str(self.rpc("getblockhash", self.height() - depth + 1))
        self.rpc("invalidateblock", lowest)
        return lowest

    def height(self) -> int:
        return int(self.rpc("getblockcount"))

    def _worth(self, txid: str, position: int) -> int:
        return int(self.rpc("getrawtransaction", txid, True)["vout"][position]["value"] * COIN)

    def _post(self, body: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        login = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        try:
            connection.request("POST", f"/wallet/{WALLET}", body, {"Authorization": f"Basic {login}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "knots.log").read_text()[-2_000:]
        try:
            self.rpc("getblockchaininfo")
        except (OSError, Refused, ValueError):  # it does not listen yet, or is still loading
            return False
        return True

    def _open_wallet(self) -> None:
        there = [one["name"] for one in self.rpc("listwalletdir")["wallets"]]
        self.rpc("loadwallet" if WALLET in there else "createwallet", WALLET)

    def _end(self, sign: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(sign)
        if process is not None:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def coins(satoshi: int) -> Decimal:
    return Decimal(satoshi) / COIN


@contextmanager
def knots(folder: Path, *options: str) -> Iterator[Knots]:
    """A running node with a wallet in a folder below this one; further options are the node's own, such as
    `-prune=550`. Skips the test where there is no Knots, also in CI: Debian sid moves."""
    reason = program.why_not()
    if reason:
        pytest.skip(reason)
    node = Knots(folder / "knots", options=options)
    try:
        node.start()
        yield node
    finally:
        node.stop()
