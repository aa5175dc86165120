"""Addresses that a participant typed: is this one, and of our network? Answers its one normal form.

Bitcoin: Base58Check (P2PKH, P2SH), segwit v0 in Bech32 and v1 to v16 in Bech32m (BIP350). Ethereum: 0x and 40 hex
digits; mixed case must match EIP-55, a single case carries no checksum and is accepted as it is.
"""

from __future__ import annotations

import re
from typing import Final

from bip_utils import Base58Decoder, EthAddrDecoder, SegwitBech32Decoder
from bip_utils.utils.crypto import Kekkak256

from ico.chains.hd import BECH32_PREFIX

LONGEST: Final = 90
BASE58_VERSIONS: Final = {0x00: "main", 0x05: "main", 0x6F: "test", 0xC4: "test"}
ETH_FORM: Final = re.compile(r"0x[0-9a-fA-F]{40}")
ETH_NOBODY: Final = "0x" + "0" * 40


class InvalidAddress(ValueError):
    """The message is written for the person who typed the address."""


def bitcoin(text: str, *, network: str) -> str:
    address = _cleaned(text, "Bitcoin")
    folded = address.lower()
    prefix, separator, _ = folded.rpartition("1")
    if separator and prefix in BECH32_PREFIX.values():
        if address not in (folded, address.upper()):
            raise InvalidAddress("This Bitcoin address mixes upper and lower case; copy it again.")
        if prefix != BECH32_PREFIX[network]:
            raise InvalidAddress(f"This Bitcoin address is not one of the {network} network.")
        return _segwit(folded, prefix)
    return _base58(address, network)


def ethereum(text: str) -> str:
    address = _cleaned(text, "Ethereum")
    if not ETH_FORM.fullmatch(address):
        raise InvalidAddress("An Ethereum address is 0x and 40 hexadecimal digits.")
    digits = address[2:]
    if digits not in (digits.lower(), digits.upper()):
        try:
            EthAddrDecoder.DecodeAddr(address)
        except ValueError:
            raise InvalidAddress("The checksum of this Ethereum address does not fit; copy it again.") from None
    if address == ETH_NOBODY:
        raise InvalidAddress("This Ethereum address belongs to nobody.")
    return with_checksum(address)


def with_checksum(address: str) -> str:
    """EIP-55: a letter is upper case where the digest of the lower-case address has a nibble of 8 or more."""
    digits = address[2:].lower()
    digest = Kekkak256.QuickDigest(digits).hex()
    return "0x" + "".join(c.upper() if int(nibble, 16) >= 8 else c for c, nibble in zip(digits, digest, strict=False))


def _cleaned(text: str, name: str) -> str:
    address = text.strip()
    if not address:
        raise InvalidAddress(f"Enter your {name} address.")
    if not address.isascii() or len(address) > LONGEST:
        raise InvalidAddress(f"This is not {'an' if name == 'Ethereum' else 'a'} {name} address.")
    return address


def _segwit(address: str, prefix: str) -> str:
    try:
        SegwitBech32Decoder.Decode(prefix, address)
    except Exception:  # noqa: BLE001 (ValueError and checksum errors of the library, which share no base)
        raise InvalidAddress("The checksum of this Bitcoin address does not fit; copy it again.") from None
    return address


def _base58(address: str, network: str) -> str:
    try:
        payload = bytes(Base58Decoder.CheckDecode(address))
    except Exception:  # noqa: BLE001 (likewise)
        raise InvalidAddress("This is not a Bitcoin address, or its checksum does not fit; copy it again.") from None
    if len(payload) != 21 or payload[0] not in BASE58_VERSIONS:
        raise InvalidAddress("This is not a Bitcoin address.")
    if BASE58_VERSIONS[payload[0]] != ("main" if network == "mainnet" else "test"):
        raise InvalidAddress(f"This Bitcoin address is not one of the {network} network.")
    return address
