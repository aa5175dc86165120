"""Deposit addresses from an account's extended *public* key: BIP84 for Bitcoin, BIP44 with EIP-55 for Ethereum.

The account key (depth 3) is refused if it is private, of another depth, or not of the network. Whoever knows it and one
private key below it knows them all, so it appears in no repr, no message and no log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from bip_utils import Base58Decoder, Bip32KeyData, Bip32Slip10Secp256k1, EthAddrEncoder, P2WPKHAddrEncoder

HARDENED: Final = 2**31
EXTERNAL: Final = 0  # the account's branch of receiving addresses
ACCOUNT_DEPTH: Final = 3
BECH32_PREFIX: Final = {"mainnet": "bc", "testnet": "tb", "regtest": "bcrt"}

# Version bytes: BIP32 for x and t, SLIP-132 for the others. xpub and tpub say nothing about the script, and many
# wallets write a BIP84 account so; y, Y and Z are other scripts: a wallet would never look at such addresses.
PUBLIC_VERSIONS: Final = {
    bytes.fromhex("0488b21e"): ("xpub", "mainnet"),
    bytes.fromhex("04b24746"): ("zpub", "mainnet"),
    bytes.fromhex("043587cf"): ("tpub", "test"),
    bytes.fromhex("045f1cf6"): ("vpub", "test"),
}
OTHER_SCRIPTS: Final = {
    bytes.fromhex("049d7cb2"): "ypub",
    bytes.fromhex("0295b43f"): "Ypub",
    bytes.fromhex("02aa7ed3"): "Zpub",
    bytes.fromhex("044a5262"): "upub",
    bytes.fromhex("024289ef"): "Upub",
    bytes.fromhex("02575483"): "Vpub",
}
PRIVATE_VERSIONS: Final = {
    bytes.fromhex(version)
    for version in (
        "0488ade4",  # xprv
        "049d7878",  # yprv
        "0295b005",  # Yprv
        "04b2430c",  # zprv
        "02aa7a99",  # Zprv
        "04358394",  # tprv
        "044a4e28",  # uprv
        "024285b5",  # Uprv
        "045f18bc",  # vprv
        "02575048",  # Vprv
    )
}


class BadAccountKey(ValueError):
    """The extended key cannot be used. The message never holds the key."""


class PrivateKeyRefused(BadAccountKey):
    """A private key was given. It has been seen by this machine now: move what it guards."""


class MalformedKey(BadAccountKey):
    """Not an extended key at all, or its checksum or its point is wrong."""


class UnknownVersion(BadAccountKey):
    """Extended keys of this kind are not supported."""


class WrongNetwork(BadAccountKey):
    """The key belongs to another network."""


class WrongDepth(BadAccountKey):
    """The key is not an account key (m/purpose'/coin'/account')."""


class BadIndex(ValueError):
    """A hardened or negative index: no public key can derive it."""


@dataclass(frozen=True, slots=True)
class Account:
    chain: str
    network: str
    _receiving: Any = field(repr=False, compare=False)

    def address(self, index: int) -> str:
        if not 0 <= index < HARDENED:
            raise BadIndex("An address index lies between 0 and 2**31 - 1.")
        key = self._receiving.ChildKey(index).PublicKey().KeyObject()
        if self.chain == "ETH":
            return str(EthAddrEncoder.EncodeKey(key))
        return str(P2WPKHAddrEncoder.EncodeKey(key, hrp=BECH32_PREFIX[self.network]))


@lru_cache(maxsize=8)
def account(*, chain: str, key: str, network: str = "mainnet") -> Account:
    """Parse once per process: the node of the receiving branch is kept, one derivation is left per address."""
    if chain not in ("BTC", "ETH") or network not in BECH32_PREFIX:
        raise UnknownVersion(f"No addresses for {chain} on {network}.")
    payload = _payload(key)
    _check_version(payload[:4], chain=chain, network=network)
    _check_place(payload)
    return Account(chain=chain, network=network, _receiving=_node(payload).ChildKey(EXTERNAL))


def _payload(key: str) -> bytes:
    # The cause is dropped on purpose: the library's messages may quote what they could not read.
    try:
        payload = bytes(Base58Decoder.CheckDecode(key))
    except Exception:  # noqa: BLE001 (the library's errors have no common base)
        raise MalformedKey("Not an extended public key: its Base58 checksum does not fit.") from None
    if len(payload) != 78:
        raise MalformedKey("Not an extended public key: it has the wrong length.")
    return payload


def _check_version(version: bytes, *, chain: str, network: str) -> None:
    if version in PRIVATE_VERSIONS:
        raise PrivateKeyRefused("This is a private key. Give the account's extended public key, and move the funds.")
    if version in OTHER_SCRIPTS:
        raise UnknownVersion(f"A {OTHER_SCRIPTS[version]} is for another kind of address.")
    if version not in PUBLIC_VERSIONS:
        raise UnknownVersion("The key's version bytes are unknown.")
    name, key_network = PUBLIC_VERSIONS[version]
    if chain == "ETH":
        if name != "xpub":
            raise UnknownVersion(f"An Ethereum account key is an xpub, not a {name}.")
    elif key_network != ("mainnet" if network == "mainnet" else "test"):
        raise WrongNetwork(f"A {name} does not belong to {network}.")


def _check_place(payload: bytes) -> None:
    depth, child = payload[4], int.from_bytes(payload[9:13], "big")
    if depth != ACCOUNT_DEPTH:
        raise WrongDepth(f"The key has depth {depth}; an account key has depth {ACCOUNT_DEPTH}.")
    if child < HARDENED:
        raise WrongDepth("The key is not hardened at the account's step.")


def _node(payload: bytes) -> Any:
    place = Bip32KeyData(
        depth=payload[4],
        index=int.from_bytes(payload[9:13], "big"),
        chain_code=payload[13:45],
        parent_fprint=payload[5:9],
    )
    if payload[45] not in (2, 3):
        raise MalformedKey("The key's prefix byte is not one of a public key.")
    try:
        return Bip32Slip10Secp256k1.FromPublicKey(payload[45:], place)
    except Exception:  # noqa: BLE001 (likewise)
        raise MalformedKey("The key is not a point on the curve.") from None
