"""Purses: what people who are played pay from. Their money is worth nothing, and that is made sure of before each of
them pays for the first time: anvil's unlocked accounts on a development chain, the wallet of a regtest node, and the
simulated chain, which needs none."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from typing import Any, Protocol
from urllib.parse import SplitResult, quote

from ico.chains import chain_ids
from ico.chains.answers import shown
from ico.chains.base import BadAnswer, ChainUnavailable
from ico.chains.rpc import Rpc, RpcError

GAS_OF_A_TRANSFER = 21_000
GWEI = 10**9
USUAL_FEE = 100 * GWEI  # the most that is paid for gas: a base fee may rise while the payment waits
SATOSHI_PER_BYTE = 2
DUST = 294  # satoshi: less than that to one of our addresses is passed on by no Bitcoin node
WALLET = "purse"
PAGE = 1_000
_NO_COINS = (-4, -6)  # Bitcoin's errors of a wallet that has nothing to spend just now


class RealMoney(RuntimeError):
    """The node is not one of a development chain: nobody is played there, and nothing was sent."""


class EmptyPurse(ChainUnavailable):
    """There is nothing to spend just now."""


class Purse(Protocol):
    """Amounts are satoshi or wei. Every call may raise any `ChainError`, or `RealMoney`."""

    @property
    def least(self) -> int:
        """The smallest amount that the chain's nodes pass on."""
        ...

    def send(self, address: str, amount: int) -> str:
        """Pay; the transaction's id."""
        ...

    def paid(self, addresses: Collection[str]) -> set[str]:
        """Those of the addresses that something was paid to, also if it is in no block yet."""
        ...


def on_node(chain: str, address: SplitResult) -> Purse:
    """The purse of a development node. Asks nothing yet."""
    return AnvilPurse(Rpc(address)) if chain == "ETH" else RegtestPurse(address)


class AnvilPurse:
    """The unlocked accounts of anvil, in turn: the payments of thousands are more than one of them has."""

    least = 1

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._accounts: Iterator[str] | None = None

    def send(self, address: str, amount: int) -> str:
        account = self._next_account()
        nonce, price = self._rpc.batch([("eth_getTransactionCount", [account, "pending"]), ("eth_gasPrice", [])])
        payment = {
            "from": account,
            "to": address,
            "value": hex(amount),
            "gas": hex(GAS_OF_A_TRANSFER),
            "maxFeePerGas": hex(max(USUAL_FEE, 2 * _whole(price))),
            "maxPriorityFeePerGas": hex(GWEI),
            "nonce": hex(_whole(nonce)),  # without it, two payments that come close together get the same one
        }
        try:
            return _text(self._rpc.call("eth_sendTransaction", payment))
        except RpcError as error:
            if "nsufficient funds" in error.message:
                raise EmptyPurse(f"{shown(account)} has not enough ether for {amount} wei") from None
            raise

    def paid(self, addresses: Collection[str]) -> set[str]:
        self._next_account()
        asked = list(addresses)
        held = self._rpc.batch([("eth_getBalance", [address, "pending"]) for address in asked])
        return {address for address, balance in zip(asked, held, strict=True) if _whole(balance)}

    def _next_account(self) -> str:
        if self._accounts is None:
            network = _whole(self._rpc.call("eth_chainId"))
            if network not in chain_ids.DEVELOPMENT:
                raise RealMoney(f"nobody is played on Ethereum's chain {network}: only on a development chain (31337)")
            accounts = self._rpc.call("eth_accounts")
            if not isinstance(accounts, list) or not accounts:
                raise EmptyPurse("the Ethereum node has no unlocked account: is it anvil?")
            self._accounts = itertools.cycle([_text(account) for account in accounts])
        return next(self._accounts)


class RegtestPurse:
    """The wallet of a regtest node: the one named `purse`, or the only one."""

    least = DUST

    def __init__(self, address: SplitResult) -> None:
        self._address = address
        self._wallet: Rpc | None = None

    def send(self, address: str, amount: int) -> str:
        coins = f"{amount // 10**8}.{amount % 10**8:08d}"
        # comment, comment_to, subtractfeefromamount, replaceable, conf_target, estimate_mode, avoid_reuse, fee_rate
        options = ["", "", False, True, None, "unset", None, SATOSHI_PER_BYTE]
        try:
            return _text(self._open().call("sendtoaddress", address, coins, *options))
        except RpcError as error:
            if error.code in _NO_COINS:
                raise EmptyPurse(f"the Bitcoin wallet has nothing to spend until a block is mined: {error}") from None
            raise

    def paid(self, addresses: Collection[str]) -> set[str]:
        # A replaced or double-spent one has a negative depth, and paid nobody.
        valid = (one for one in self._payments() if one.get("category") == "send" and _depth(one) >= 0)
        return set(addresses) & {str(one.get("address")) for one in valid}

    def _payments(self) -> Iterator[dict[str, Any]]:
        wallet = self._open()
        for page in itertools.count():
            listed = wallet.call("listtransactions", "*", PAGE, page * PAGE)
            if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
                raise BadAnswer(f"the wallet's transactions are no list: {shown(listed)}")
            yield from listed
            if len(listed) < PAGE:
                return

    def _open(self) -> Rpc:
        if self._wallet is None:
            node = Rpc(self._address)
            about, wallets = node.batch([("getblockchaininfo", []), ("listwallets", [])])
            network = about.get("chain") if isinstance(about, dict) else about
            if isinstance(network, RpcError):
                raise network
            if network != "regtest":
                raise RealMoney(f"nobody is played on Bitcoin's network {shown(network)}: only on regtest")
            self._wallet = Rpc(self._address._replace(path=f"/wallet/{quote(_chosen(wallets), safe='')}"))
        return self._wallet


def _chosen(wallets: Any) -> str:
    names = wallets if isinstance(wallets, list) else []
    if WALLET in names:
        return WALLET
    if len(names) != 1:
        raise EmptyPurse(f"the Bitcoin node has {len(names)} wallets open and none of them is called {WALLET}")
    return _text(names[0])


def _depth(payment: dict[str, Any]) -> int:
    depth = payment.get("confirmations", 0)
    if type(depth) is not int:
        raise BadAnswer(f"the depth of a payment cannot be {shown(depth)}")
    return depth


def _whole(told: Any) -> int:
    if isinstance(told, RpcError):
        raise told
    try:
        return int(told, 16)
    except (TypeError, ValueError):
        raise BadAnswer(f"not a number: {shown(told)}") from None


def _text(told: Any) -> str:
    if not isinstance(told, str):
        raise BadAnswer(f"not a text: {shown(told)}")
    return told
