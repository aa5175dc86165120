"""The first blocks of both main networks as nodes answer them. Each one's hash is checked to be that of its fields."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import Any

from Crypto.Hash import keccak

# Geth's answer to eth_getBlockByNumber 0x0; there was no base fee before block 12,965,000.
ETHEREUM: dict[str, Any] = {
    "difficulty": "0x400000000",
    "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
    "gasLimit": "0x1388",
    "gasUsed": "0x0",
    "hash": "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
    "logsBloom": "0x" + "00" * 256,
    "miner": "0x" + "00" * 20,
    "mixHash": "0x" + "00" * 32,
    "nonce": "0x0000000000000042",
    "number": "0x0",
    "parentHash": "0x" + "00" * 32,
    "receiptsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "size": "0x21c",
    "stateRoot": "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
    "timestamp": "0x0",
    "transactions": [],
    "transactionsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "uncles": [],
}
_HASHED = [
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
]
_NUMBERS = ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")

# Of getblock with verbosity 2. Its only output pays a key, not an address, and can never be spent.
_COINBASE = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
_KEY = (
    "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d"
    "578a4c702b6bf11d5f"
)
BITCOIN: dict[str, Any] = {
    "hash": "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
    "height": 0,
    "version": 1,
    "merkleroot": _COINBASE,
    "time": 1_231_006_505,
    "nonce": 2_083_236_893,
    "bits": "1d00ffff",
    "nTx": 1,
    "nextblockhash": "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048",
    "tx": [
        {
            "txid": _COINBASE,
            "vout": [
                {
                    "value": Decimal("50.00000000"),
                    "n": 0,
                    "scriptPubKey": {"asm": f"{_KEY} OP_CHECKSIG", "hex": f"41{_KEY}ac", "type": "pubkey"},
                }
            ],
        }
    ],
}


def ethereum_hash() -> str:
    """Keccak-256 of the header's fields as RLP writes them."""
    fields = b"".join(_rlp(_bytes(name), 0x80) for name in _HASHED)
    return f"0x{keccak.new(digest_bits=256, data=_rlp(fields, 0xC0)).hexdigest()}"


def bitcoin_hash() -> str:
    """Twice SHA-256 of the header's 80 bytes."""
    numbers = (BITCOIN["time"], int(BITCOIN["bits"], 16), BITCOIN["nonce"])
    root = bytes.fromhex(BITCOIN["merkleroot"])[::-1]
    written = [
        BITCOIN["version"].to_bytes(4, "little"),
        bytes(32),
        root,
        *(one.to_bytes(4, "little") for one in numbers),
    ]
    return sha256(sha256(b"".join(written)).digest()).digest()[::-1].hex()


def _bytes(name: str) -> bytes:
    digits: str = ETHEREUM[name][2:]
    if name not in _NUMBERS:
        return bytes.fromhex(digits)
    number = int(digits, 16)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _rlp(payload: bytes, kind: int) -> bytes:
    """One text (0x80) or list (0xc0). A single byte below 0x80 stands for itself."""
    if kind == 0x80 and len(payload) == 1 and payload[0] < 0x80:
        return payload
    if len(payload) < 56:
        return bytes([kind + len(payload)]) + payload
    length = len(payload).to_bytes((len(payload).bit_length() + 7) // 8, "big")
    return bytes([kind + 55 + len(length)]) + length + payload
