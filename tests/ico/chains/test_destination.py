"""Wallet addresses that people type: BIP173, BIP350, Base58Check and EIP-55, and what hands and phones do to them."""

import pytest
from bip_utils import Base58Decoder

from ico.chains.destination import InvalidAddress, bitcoin, ethereum, with_checksum
from tests.ico.chains import vectors

# EIP-55, "Test cases".
EIP55 = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
]
P2WPKH = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"  # BIP84
TAPROOT = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"  # BIP86
P2PKH = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"  # the genesis block's
P2SH = "37k7toV1Nv4DfmQbmZ8KuZDQCYK9x5KpzP"
TESTNET = ["mpXwg4jMtRhuSpVq4xS3HFHmCmWp9NyGKt", "2MyJKxYR2zNZZsZ39SgkCXWCfQtXKhnWSWq"]
NETWORKS = ("mainnet", "testnet", "regtest")


@pytest.mark.parametrize("address", [P2WPKH, TAPROOT, P2PKH, P2SH])
def test_mainnet_addresses_are_taken_and_elsewhere_refused(address: str) -> None:
    assert bitcoin(address, network="mainnet") == address
    for network in ("testnet", "regtest"):
        with pytest.raises(InvalidAddress, match=f"not one of the {network} network"):
            bitcoin(address, network=network)


@pytest.mark.parametrize("address", TESTNET)
def test_base58_test_addresses(address: str) -> None:
    assert bitcoin(address, network="testnet") == bitcoin(address, network="regtest") == address
    with pytest.raises(InvalidAddress, match="not one of the mainnet network"):
        bitcoin(address, network="mainnet")


def test_upper_case_and_surrounding_space_are_normalised() -> None:
    assert bitcoin(f"  {P2WPKH.upper()}\r\n", network="mainnet") == P2WPKH


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "x" * 5000,
        P2WPKH[:-1] + "y",  # one letter changed
        P2WPKH[0].upper() + P2WPKH[1:],
        P2WPKH[:10] + P2WPKH[10:].upper(),
        P2WPKH.replace("q", "\u0500", 1),
        P2WPKH[:20] + " " + P2WPKH[20:],
        P2WPKH + "\x00",
        P2WPKH + P2WPKH,
        f"bitcoin:{P2WPKH}",
        P2PKH.lower(),
        P2PKH[:-1],
        "1",
        "bc1",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",  # BIP350: Bech32 instead of Bech32m
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",  # BIP350: Bech32m instead of Bech32
        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",  # a private key in WIF
        "LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1",  # Litecoin
        EIP55[2],
    ],
)
def test_what_is_no_bitcoin_address(text: str) -> None:
    for network in NETWORKS:
        with pytest.raises(InvalidAddress):
            bitcoin(text, network=network)


def test_published_segwit_addresses() -> None:
    segwit = vectors.load("bip350_bip173.json")["bip350"]
    for row in segwit["segwit_valid"]:
        network = "mainnet" if row["address"].lower().startswith("bc1") else "testnet"
        assert bitcoin(row["address"], network=network) == row["address"].lower()
    for row in segwit["segwit_invalid"]:
        for network in NETWORKS:
            with pytest.raises(InvalidAddress):
                bitcoin(row["address"], network=network)


def test_published_bip173_refusals_and_its_outdated_forms() -> None:
    old = vectors.load("bip350_bip173.json")["bip173"]
    outdated = [row["address"] for row in old["segwit_valid_under_bip173"] if row["scriptPubKey"][:2] != "00"]
    assert outdated
    for address in outdated + [row["address"] for row in old["segwit_invalid"]]:
        for network in NETWORKS:
            with pytest.raises(InvalidAddress):
                bitcoin(address, network=network)


def test_published_bip173_addresses_that_are_still_right() -> None:
    """Those of version 0; BIP350 gave the others another checksum."""
    old = vectors.load("bip350_bip173.json")["bip173"]
    current = [row["address"] for row in old["segwit_valid_under_bip173"] if row["scriptPubKey"][:2] == "00"]
    assert len(current) == 3
    for address in current:
        network = "mainnet" if address.lower().startswith("bc1") else "testnet"
        assert bitcoin(address, network=network) == address.lower()


def test_published_strings_of_the_encoding_that_are_no_address() -> None:
    """Bech32 and Bech32m with other prefixes than Bitcoin's, right and wrong ones."""
    published = vectors.load("bip350_bip173.json")
    strings = published["bip350"]["bech32m_valid"] + published["bip173"]["bech32_valid"]
    strings += [row["string"] for row in published["bip350"]["bech32m_invalid"] + published["bip173"]["bech32_invalid"]]
    assert len(strings) == 40
    for text in strings:
        for network in NETWORKS:
            with pytest.raises(InvalidAddress):
                bitcoin(text, network=network)


def test_published_addresses_of_the_well_known_wallet() -> None:
    """BIP84's, BIP86's (taproot) and BIP49's (a script's hash), as somebody would type them."""
    vector = vectors.load("bip84_49_86.json")
    for row in vector["bip84"]["addresses"] + vector["bip86"]["addresses"]:
        assert bitcoin(row["address"], network="mainnet") == row["address"]
    assert bitcoin(vector["bip49"]["first_address"], network="testnet") == vector["bip49"]["first_address"]


def test_published_base58_strings_that_are_no_address() -> None:
    """Right as Base58, without a checksum."""
    for row in vectors.load("base58check.json")["base58_raw_encode_decode"]:
        assert bytes(Base58Decoder.Decode(row["base58"])).hex() == row["hex"]
        for network in NETWORKS:
            with pytest.raises(InvalidAddress):
                bitcoin(row["base58"], network=network)


def test_published_base58_addresses() -> None:
    base58 = vectors.load("base58check.json")
    for row in base58["addresses_valid"]:
        assert bitcoin(row["address"], network=row["network"].split("/")[0]) == row["address"]
    for address in base58["addresses_invalid_any_network"] + base58["constructed_invalid"]["items"]:
        for network in NETWORKS:
            with pytest.raises(InvalidAddress):
                bitcoin(address, network=network)


@pytest.mark.parametrize("address", EIP55)
def test_eip55_addresses_in_every_allowed_writing(address: str) -> None:
    for text in (address, address.lower(), "0x" + address[2:].upper(), f" {address}\n"):
        assert ethereum(text) == with_checksum(address)
    if address[2:] not in (address[2:].lower(), address[2:].upper()):
        assert with_checksum(address) == address


def test_published_eip55_addresses() -> None:
    eip55 = vectors.load("eip55.json")
    for address in eip55["valid"]["normal"] + eip55["valid"]["all_caps"] + eip55["valid"]["all_lower"]:
        assert ethereum(address) == address
    for address in eip55["no_checksum_form"]["items"]:
        assert ethereum(address) == EIP55[2]
    for row in eip55["derived_invalid"]["items"]:
        with pytest.raises(InvalidAddress):
            ethereum(row["address"])
    for text in eip55["malformed"]["items"]:
        with pytest.raises(InvalidAddress):
            ethereum(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        EIP55[2][2:],  # without 0x
        "0X" + EIP55[2][2:],
        EIP55[2].upper(),  # 0X again
        EIP55[2].replace("A", "a", 1),
        EIP55[2] + "0",
        EIP55[2][:-1],
        EIP55[2][:-1] + "g",
        EIP55[2][:-1] + "\uff11",  # a full-width digit
        "0x" + "\u0661" * 40,  # Arabic-Indic digits
        EIP55[2][:20] + "\n" + EIP55[2][20:],
        "0x" + "0" * 40,
        "vitalik.eth",
        P2WPKH,
    ],
)
def test_what_is_no_ethereum_address(text: str) -> None:
    with pytest.raises(InvalidAddress):
        ethereum(text)
