"""Derivation against BIP32, BIP84 and the well-known Ethereum accounts; refusals by name."""

from typing import Any

import pytest
from bip_utils import Base58Decoder, Base58Encoder, Bip32KeyError, Bip32Slip10Secp256k1, Bip39SeedGenerator

from ico.chains import hd
from tests.ico.chains import vectors

# BIP84, "Test vectors": account 0 of the mnemonic "abandon ... about".
BIP84_ZPUB = (
    "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs"
)
BIP84_FIRST = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"
BIP84_SECOND = "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g"
BIP84_ZPRV = (
    "zprvAdG4iTXWBoARxkkzNpNh8r6Qag3irQB8PzEMkAFeTRXxHpbF9z4QgEvBRmfvqWvGp42t42nvgGpNgYSJA9iefm1yYNZKEm7z6qUWCroSQnE"
)
# Hardhat's and Anvil's default accounts: m/44'/60'/0'/0/i of "test ... junk".
JUNK = "test test test test test test test test test test test junk"
JUNK_ADDRESSES = ["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"]
XPUB, TPUB, VPUB = "0488b21e", "043587cf", "045f1cf6"


def with_version(key: str, version: str) -> str:
    return str(Base58Encoder.CheckEncode(bytes.fromhex(version) + bytes(Base58Decoder.CheckDecode(key))[4:]))


def account_xpub(mnemonic: str, path: str) -> str:
    node = Bip32Slip10Secp256k1.FromSeedAndPath(Bip39SeedGenerator(mnemonic).Generate(), path)
    return str(node.PublicKey().ToExtended())


def test_bip84_addresses_from_the_account_zpub() -> None:
    account = hd.account(chain="BTC", key=BIP84_ZPUB)
    assert [account.address(0), account.address(1)] == [BIP84_FIRST, BIP84_SECOND]


def test_the_same_account_written_as_xpub_gives_the_same_addresses() -> None:
    assert hd.account(chain="BTC", key=with_version(BIP84_ZPUB, XPUB)).address(0) == BIP84_FIRST


@pytest.mark.parametrize("version", [TPUB, VPUB])
@pytest.mark.parametrize(("network", "prefix"), [("testnet", "tb1q"), ("regtest", "bcrt1q")])
def test_test_networks_have_their_own_prefix(version: str, network: str, prefix: str) -> None:
    address = hd.account(chain="BTC", key=with_version(BIP84_ZPUB, version), network=network).address(0)
    assert address.startswith(prefix)
    assert address[len(prefix) :][:32] == BIP84_FIRST[4:][:32]  # the same key hash, another checksum


def test_ethereum_addresses_carry_their_checksum() -> None:
    account = hd.account(chain="ETH", key=account_xpub(JUNK, "m/44'/60'/0'"))
    assert [account.address(0), account.address(1)] == JUNK_ADDRESSES


@pytest.mark.parametrize("wallet", ["junk", "candy_maple", "concert_load"])
def test_published_ethereum_accounts(wallet: str) -> None:
    vector = vectors.load("eth_hd.json")[wallet]
    account = hd.account(chain="ETH", key=account_xpub(vector["mnemonic"], "m/44'/60'/0'"))
    published = vector.get("addresses") or vector["addresses_lowercase"]
    derived = [account.address(index) for index in range(len(published))]
    assert [address.lower() for address in derived] == [address.lower() for address in published]
    if "addresses" in vector:
        assert derived == published


def test_published_ethereum_accounts_of_other_account_numbers() -> None:
    vector = vectors.load("eth_hd.json")["junk"]
    first_ones = [path for path in vector["other_paths"] if path["path"].endswith("'/0/0")]
    assert first_ones
    for path in first_ones:
        account = hd.account(chain="ETH", key=account_xpub(vector["mnemonic"], path["path"].removesuffix("/0/0")))
        assert account.address(0) == path["address"]


def test_published_bip84_addresses() -> None:
    vector = vectors.load("bip84_49_86.json")["bip84"]
    account = hd.account(chain="BTC", key=vector["account_zpub"])
    receiving = [row for row in vector["addresses"] if "/0'/0/" in row["path"]]
    assert [account.address(int(row["path"].rpartition("/")[2])) for row in receiving] == [
        row["address"] for row in receiving
    ]


def test_the_other_published_accounts_and_keys_of_that_wallet_are_not_taken() -> None:
    """BIP84's root and private keys, and BIP49's account: another script, at another place of the tree."""
    vector = vectors.load("bip84_49_86.json")
    bip84, bip49 = vector["bip84"], vector["bip49"]
    refused = [
        (bip84["rootpriv_zprv"], "mainnet", hd.PrivateKeyRefused),
        (bip84["account_zprv"], "mainnet", hd.PrivateKeyRefused),
        (bip84["rootpub_zpub"], "mainnet", hd.WrongDepth),
        (bip49["account_uprv"], "testnet", hd.PrivateKeyRefused),
        (bip49["account_upub"], "testnet", hd.UnknownVersion),
    ]
    for key, network, error in refused:
        with pytest.raises(error):
            hd.account(chain="BTC", key=key, network=network)


def test_the_branch_of_change_is_never_derived() -> None:
    """The published change addresses are of the same account, and no index gives them."""
    bip84 = vectors.load("bip84_49_86.json")["bip84"]
    (change,) = [row["address"] for row in bip84["addresses"] if "/0'/1/" in row["path"]]
    account = hd.account(chain="BTC", key=bip84["account_zpub"])
    assert change not in {account.address(index) for index in range(25)}
    junk = vectors.load("eth_hd.json")["junk"]
    others = {path["address"] for path in junk["other_paths"] if path["path"].startswith("m/44'/60'/0'/")}
    assert len(others) == 3
    eth = hd.account(chain="ETH", key=account_xpub(junk["mnemonic"], "m/44'/60'/0'"))
    assert not others & {eth.address(index) for index in range(25)}


def test_a_seed_and_its_published_accounts_agree() -> None:
    """What these tests make of words is what was published for them."""
    junk = vectors.load("eth_hd.json")["junk"]
    assert Bip39SeedGenerator(junk["mnemonic"]).Generate().hex() == junk["seed_hex"]
    vector = vectors.load("bip84_49_86.json")
    taproot = vector["bip86"]
    assert account_xpub(taproot["mnemonic"], taproot["account_path"]) == taproot["account_xpub"]


def test_a_published_impossible_step_is_impossible() -> None:
    (step,) = vectors.load("bip32.json")["must_fail"]
    parent = hd._node(bytes(Base58Decoder.CheckDecode(step["parent_xpub"])))
    with pytest.raises(Bip32KeyError, match="hardened"):
        parent.ChildKey(step["index"])
    with pytest.raises(hd.BadIndex):
        hd.account(chain="BTC", key=BIP84_ZPUB).address(step["index"])


def test_every_bip32_public_step() -> None:
    for edge in vectors.load("bip32.json")["public_ckd_edges"]["edges"]:
        payload = bytes(Base58Decoder.CheckDecode(edge["parent_xpub"]))
        child: Any = hd._node(payload).ChildKey(edge["index"])
        assert child.PublicKey().ToExtended() == edge["child_xpub"]


def test_no_bip32_vector_of_another_depth_is_taken_and_no_private_one() -> None:
    for vector in vectors.load("bip32.json")["vectors"]:
        for link in vector["chains"]:
            with pytest.raises(hd.PrivateKeyRefused):
                hd.account(chain="ETH", key=link["xprv"])
            if link["path"].count("/") == 3 and link["path"].endswith("'"):
                assert hd.account(chain="ETH", key=link["xpub"])
            else:
                with pytest.raises(hd.WrongDepth):
                    hd.account(chain="ETH", key=link["xpub"])


def test_every_invalid_bip32_key_is_refused() -> None:
    keys = vectors.load("bip32.json")["invalid_extended_keys"]
    assert len(keys) == 16
    for row in keys:
        with pytest.raises(hd.BadAccountKey) as refusal:
            hd.account(chain="ETH", key=row["key"])
        assert row["key"] not in str(refusal.value)


@pytest.mark.parametrize("fault", ["invalid pubkey prefix 04", "invalid pubkey prefix 01", "invalid pubkey 02"])
def test_an_account_key_with_a_bad_point_is_malformed(fault: str) -> None:
    payload = bytearray(Base58Decoder.CheckDecode(BIP84_ZPUB))
    if fault.endswith("02"):
        payload[45:] = bytes.fromhex("020000000000000000000000000000000000000000000000000000000000000007")
    else:
        payload[45] = int(fault[-2:], 16)
    with pytest.raises(hd.MalformedKey):
        hd.account(chain="BTC", key=str(Base58Encoder.CheckEncode(bytes(payload))))


@pytest.mark.parametrize(
    ("key", "chain", "network", "error"),
    [
        (BIP84_ZPRV, "BTC", "mainnet", hd.PrivateKeyRefused),
        (BIP84_ZPUB, "BTC", "testnet", hd.WrongNetwork),
        (BIP84_ZPUB, "BTC", "regtest", hd.WrongNetwork),
        (with_version(BIP84_ZPUB, VPUB), "BTC", "mainnet", hd.WrongNetwork),
        (with_version(BIP84_ZPUB, TPUB), "BTC", "mainnet", hd.WrongNetwork),
        (with_version(BIP84_ZPUB, "049d7cb2"), "BTC", "mainnet", hd.UnknownVersion),  # ypub
        (with_version(BIP84_ZPUB, "02aa7ed3"), "BTC", "mainnet", hd.UnknownVersion),  # Zpub
        (with_version(BIP84_ZPUB, "019da462"), "BTC", "mainnet", hd.UnknownVersion),  # Ltub
        (BIP84_ZPUB, "ETH", "mainnet", hd.UnknownVersion),
        (BIP84_ZPUB[:-1] + "t", "BTC", "mainnet", hd.MalformedKey),
        (BIP84_ZPUB.replace("z", "0", 1), "BTC", "mainnet", hd.MalformedKey),
        ("", "BTC", "mainnet", hd.MalformedKey),
        ("zpub", "BTC", "mainnet", hd.MalformedKey),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "BTC", "mainnet", hd.MalformedKey),
        ("zpüb" + BIP84_ZPUB[4:], "BTC", "mainnet", hd.MalformedKey),
    ],
)
def test_refusals_are_named_and_do_not_quote_the_key(
    key: str, chain: str, network: str, error: type[hd.BadAccountKey]
) -> None:
    with pytest.raises(error) as refusal:
        hd.account(chain=chain, key=key, network=network)
    assert not key or key not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_an_unhardened_account_step_is_refused() -> None:
    payload = bytearray(Base58Decoder.CheckDecode(BIP84_ZPUB))
    payload[9] = 0
    with pytest.raises(hd.WrongDepth):
        hd.account(chain="BTC", key=str(Base58Encoder.CheckEncode(bytes(payload))))


@pytest.mark.parametrize("index", [-1, 2**31, 2**32])
def test_a_hardened_child_of_a_public_key_is_impossible(index: int) -> None:
    with pytest.raises(hd.BadIndex):
        hd.account(chain="BTC", key=BIP84_ZPUB).address(index)


def test_the_key_shows_in_no_repr_and_is_parsed_once() -> None:
    account = hd.account(chain="BTC", key=BIP84_ZPUB)
    assert repr(account) == "Account(chain='BTC', network='mainnet')"
    assert hd.account(chain="BTC", key=BIP84_ZPUB) is account
