"""The two wallets that a participant enters: where tokens go, and what is owed back."""

from dataclasses import dataclass

from ico.chains import destination
from ico.models import Chain, DepositAddress

OURS = "This is one of the sale's own deposit addresses; enter an address of your own wallet."


class InvalidWallets(ValueError):
    """`errors` holds one message per field that is wrong, written for the participant."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(f"cannot be used: {', '.join(errors)}")
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Wallets:
    """Both addresses in their normal form: segwit in lower case, Ethereum with its EIP-55 checksum."""

    btc: str
    eth: str


def validate(*, btc_address: str, eth_address: str, network: str) -> Wallets:
    """`network` is Bitcoin's (mainnet, testnet or regtest); an Ethereum address does not say its own."""
    errors: dict[str, str] = {}
    btc = eth = ""
    try:
        btc = destination.bitcoin(btc_address, network=network)
    except destination.InvalidAddress as error:
        errors["btc_address"] = str(error)
    try:
        eth = destination.ethereum(eth_address)
    except destination.InvalidAddress as error:
        errors["eth_address"] = str(error)
    fields = {(Chain.BTC, btc.lower()): "btc_address", (Chain.ETH, eth.lower()): "eth_address"}
    written = {wire for _, wire in fields}
    # Whether handed out or waiting. Both chains are named for the index, which begins with the chain.
    ours = DepositAddress.objects.filter(chain__in=Chain.values, wire__in=written).values_list("chain", "wire")
    errors |= {fields[own]: OURS for own in ours if own in fields}
    if errors:
        raise InvalidWallets(errors)
    return Wallets(btc=btc, eth=eth)
