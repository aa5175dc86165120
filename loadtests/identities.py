"""Who the visitors of a run are: an email address and wallets for each, from the run's seed, disjoint between runs."""

import random
import re
from dataclasses import dataclass

from bip_utils import SegwitBech32Encoder
from bip_utils.utils.crypto import Kekkak256

MAIL_DOMAIN = "load.stampede-lab.org"
_EMAIL = re.compile(rb"visitor-[\w.]+@" + re.escape(MAIL_DOMAIN).encode())
PREFIXES = {"mainnet": "bc", "testnet": "tb", "regtest": "bcrt"}


@dataclass(frozen=True, slots=True)
class Wallets:
    btc: str  # P2WPKH, bech32 (BIP 173)
    eth: str  # with the checksum of EIP-55


def email(*, run_id: str, index: int, worker: int) -> str:
    """`worker`: the number of the generator process, which no other process of the run is ever given: whoever takes
    over from one that died repeats nobody."""
    return f"visitor-{index:06d}.w{worker}.{run_id}@{MAIL_DOMAIN}"


def emails_in(body: bytes) -> set[str]:
    """The addresses of load visitors, of whatever run, that an answer shows."""
    return {found.decode() for found in _EMAIL.findall(body)}


def password(*, seed: int, run_id: str, index: int, worker: int) -> str:
    return f"visit {random.Random(f'password {seed} {run_id} {index} w{worker}').getrandbits(64):016x}"  # noqa: S311


def wallets(*, seed: int, run_id: str, index: int, worker: int, network: str = "mainnet") -> Wallets:
    """Addresses with valid checksums of keys that nobody has; `network` is Bitcoin's. The run's id and the worker's
    number are part of the draw: neither two runs with one seed nor two workers of a run name the same wallets."""
    chance = random.Random(f"wallets {seed} {run_id} {index} w{worker}")  # noqa: S311
    btc = SegwitBech32Encoder.Encode(PREFIXES[network], 0, chance.randbytes(20))
    return Wallets(btc=btc, eth=_checksummed(chance.randbytes(20)))


def thinking(*, seed: int, index: int) -> random.Random:
    """The chance behind what this visitor does: the same visitor of the same seed hesitates as long."""
    return random.Random(f"visitor {seed} {index}")  # noqa: S311


def _checksummed(address: bytes) -> str:
    digits = address.hex()
    digest = Kekkak256.QuickDigest(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(d, 16) >= 8 else c for c, d in zip(digits, digest, strict=False))
