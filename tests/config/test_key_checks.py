"""What a start refuses of the account keys and the nodes: by the real command, with a hint, and never with a key."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from bip_utils import Base58Decoder, Base58Encoder, Bip32KeyNetVersions, Bip32Slip10Secp256k1
from django.conf import settings as configured
from django.core.checks import Tags, run_checks
from pytest_django import Settings

from config import checks
from ico import addresses
from ico.chains import hd
from tests.config.test_checks import manage

NODES = {"BTC": "http://user:SECRET@127.0.0.1:1", "ETH": "http://127.0.0.1:1"}


def as_written(key: str, version: str) -> str:
    return str(Base58Encoder.CheckEncode(bytes.fromhex(version) + bytes(Base58Decoder.CheckDecode(key))[4:]))


def at(path: str, public: str, private: str, *, secret: bool = False) -> str:
    versions = Bip32KeyNetVersions(bytes.fromhex(public), bytes.fromhex(private))
    node = Bip32Slip10Secp256k1.FromSeed(b"a seed for these tests, of 32 b.", versions).DerivePath(path)
    return str((node.PrivateKey() if secret else node.PublicKey()).ToExtended())


ZPUB, XPUB, TPUB = ("04b24746", "04b2430c"), ("0488b21e", "0488ade4"), ("043587cf", "04358394")
MINE = at("84'/0'/0'", *ZPUB)
BAD = {
    "a zprv": ("BTC", at("84'/0'/0'", *ZPUB, secret=True), "private key"),
    "an xprv": ("ETH", at("44'/60'/0'", *XPUB, secret=True), "private key"),
    "a tprv": ("BTC", at("84'/1'/0'", *TPUB, secret=True), "private key"),
    "a master key": ("ETH", at("", *XPUB), "depth 0"),
    "the key of one address": ("ETH", at("44'/60'/0'/0/0", *XPUB), "depth 5"),
    "of a test network": ("BTC", at("84'/1'/0'", *TPUB), "does not belong to mainnet"),
    "a ypub": ("BTC", as_written(MINE, "049d7cb2"), "another kind of address"),
    "an Ltub": ("BTC", as_written(MINE, "019da462"), "version bytes are unknown"),
    "one letter changed": ("BTC", MINE[:-1] + ("1" if MINE[-1] != "1" else "2"), "checksum"),
}


def parts(key: str) -> list[str]:
    """Every eight letters of it: none of them may be shown."""
    return [key[n : n + 8] for n in range(len(key) - 8)]


def not_started(data: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`migrate` is what every start begins with. Nothing was made."""
    done = manage(data, "migrate", **variables)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    with closing(sqlite3.connect(data / "stampede.sqlite3")) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == []
    return done


@pytest.mark.process
@pytest.mark.parametrize("kind", BAD)
def test_a_start_refuses_it_with_a_hint_and_shows_nothing_of_it(tmp_path: Path, kind: str) -> None:
    chain, key, why = BAD[kind]
    refused = not_started(tmp_path, **{f"STAMPEDE_{chain}_XPUB": key})
    assert why in refused.stderr
    assert f"HINT: Set STAMPEDE_{chain}_XPUB to the extended public key" in refused.stderr
    assert [part for part in parts(key) if part in refused.stderr + refused.stdout] == []


def test_what_is_looked_for_is_seen_when_it_is_shown() -> None:
    """Negative control."""
    assert any(part in f"refused: {MINE[20:40]}" for part in parts(MINE))


def test_the_defaults_are_account_keys_of_their_network() -> None:
    assert hd.account(chain="BTC", key=configured.DEMO_KEYS["BTC"]).address(0).startswith("bc1q")
    assert hd.account(chain="ETH", key=configured.DEMO_KEYS["ETH"]).address(0).startswith("0x")


@pytest.mark.process
@pytest.mark.parametrize("network", ["testnet", "regtest"])
def test_elsewhere_than_on_mainnet_the_default_is_a_key_of_there(tmp_path: Path, network: str) -> None:
    """Settings are made once a process, so another one is asked."""
    done = manage(tmp_path, "check", STAMPEDE_BTC_NETWORK=network)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


# --- nodes ------------------------------------------------------------------------------------------------------------
def found(settings: Settings, *, btc: str = "", eth: str = "") -> list[str]:
    settings.NODES = {"BTC": urlsplit(btc) if btc else None, "ETH": urlsplit(eth) if eth else None}
    return [str(problem.id) for problem in (*checks.demo_keys(None), *checks.nodes(None))]


def test_without_nodes_the_demo_keys_are_right(settings: Settings) -> None:
    assert found(settings) == []


@pytest.mark.parametrize(("chain_id", "problems"), [(1, ["stampede.E010"]), (11155111, ["stampede.E010"]), (31337, [])])
def test_a_real_ethereum_node_needs_a_key_of_somebody(settings: Settings, chain_id: int, problems: list[str]) -> None:
    settings.ETH_CHAIN_ID = chain_id
    assert found(settings, eth=NODES["ETH"]) == problems
    settings.ETH_XPUB = at("44'/60'/0'", *XPUB)
    assert found(settings, eth=NODES["ETH"]) == []


@pytest.mark.parametrize("network", ["mainnet", "testnet", "regtest"])
def test_a_real_bitcoin_node_needs_a_key_of_somebody(settings: Settings, network: str) -> None:
    settings.BTC_NETWORK = network
    mine, demo = (MINE, configured.DEMO_KEYS["BTC"])
    if network != "mainnet":
        mine, demo = as_written(mine, TPUB[0]), as_written(demo, TPUB[0])
    settings.DEMO_KEYS = {**configured.DEMO_KEYS, "BTC": demo}
    settings.BTC_XPUB = demo
    assert found(settings, btc=NODES["BTC"]) == ([] if network == "regtest" else ["stampede.E010"])
    settings.BTC_XPUB = mine
    assert found(settings, btc=NODES["BTC"]) == []


def test_the_demo_key_is_known_in_another_writing(settings: Settings) -> None:
    settings.BTC_XPUB = as_written(settings.BTC_XPUB, XPUB[0])
    assert found(settings, btc=NODES["BTC"]) == ["stampede.E010"]


def test_a_key_that_cannot_be_used_is_named_once(settings: Settings) -> None:
    settings.BTC_XPUB = "zpub"
    assert found(settings, btc=NODES["BTC"]) == []
    assert [problem.id for problem in checks.account_keys(None)] == ["stampede.E001"]


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://user@127.0.0.1:1", "http://127.0.0.1:1/"])
def test_bitcoins_node_needs_a_password(settings: Settings, address: str) -> None:
    settings.BTC_NETWORK, settings.BTC_XPUB = "regtest", at("84'/1'/0'", *TPUB)
    assert found(settings, btc=address) == ["stampede.E011"]
    assert "user:password" in str(checks.nodes(None)[0].hint)


@pytest.mark.parametrize(
    "address", ["https://bitcoin.example.org/a-token", "https://example.org", "http://127.0.0.1:1/a-token"]
)
def test_whoever_lets_in_by_something_else_needs_none(settings: Settings, address: str) -> None:
    settings.BTC_XPUB = MINE
    assert found(settings, btc=address) == []


def test_finality_needs_a_node_that_has_a_word_for_it(settings: Settings) -> None:
    settings.ETH_FINALITY, settings.ETH_CHAIN_ID = "finalized", 31337
    assert found(settings) == ["stampede.W004"]
    assert found(settings, eth=NODES["ETH"]) == []


@pytest.mark.process
def test_a_start_with_a_real_node_and_the_demo_key_is_refused(tmp_path: Path) -> None:
    refused = not_started(tmp_path, STAMPEDE_BTC_NODE=NODES["BTC"], STAMPEDE_ETH_NODE=NODES["ETH"])
    for chain in NODES:
        assert f"STAMPEDE_{chain}_NODE names a node of a network beyond this machine" in refused.stderr
        assert f"HINT: Set STAMPEDE_{chain}_XPUB" in refused.stderr
    assert "SECRET" not in refused.stderr


# --- another key ------------------------------------------------------------------------------------------------------
def another_key() -> list[str]:
    asked = run_checks(tags=[Tags.database], databases=["default"])
    return [str(problem.id) for problem in asked if str(problem.id).startswith("stampede.E0")]


def test_only_who_names_the_database_asks_it(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        checks.same_account_keys(None)
        checks.same_account_keys(None, databases=["replica1"])
        run_checks()
    with django_assert_num_queries(1):  # the negative control, and both chains by one
        checks.same_account_keys(None, databases=["replica1", "default"])


@pytest.mark.process
def test_a_check_makes_no_database_and_migrate_asks_it(tmp_path: Path) -> None:
    done = manage(tmp_path, "check")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.sqlite3*")) == []
    assert manage(tmp_path, "check", "--database", "default").returncode == 0
    assert [path.name for path in tmp_path.glob("*.sqlite3")] == ["stampede.sqlite3"]


def test_a_key_that_did_not_derive_what_is_there_is_refused(db: None, settings: Settings) -> None:
    assert another_key() == []
    settings.BTC_XPUB = MINE
    assert another_key() == []  # nothing was derived yet: any key will do
    addresses.derive(chain="BTC", count=1)
    assert another_key() == []
    settings.BTC_XPUB = as_written(MINE, XPUB[0])
    assert another_key() == []  # the same key, written differently
    settings.BTC_XPUB = configured.DEMO_KEYS["BTC"]
    assert another_key() == ["stampede.E012"]
    settings.BTC_XPUB = "zpub"
    assert another_key() == []  # what another check names


@pytest.mark.process
def test_the_next_start_with_another_key_is_refused(tmp_path: Path) -> None:
    for command in ("migrate", "seed_sale"):
        assert manage(tmp_path, command).returncode == 0
    refused = manage(tmp_path, "migrate", STAMPEDE_BTC_XPUB=MINE)
    assert refused.returncode != 0
    assert "stampede.E012" in refused.stderr
    assert "HINT: Set STAMPEDE_BTC_XPUB back" in refused.stderr
    assert [part for part in parts(MINE) if part in refused.stderr + refused.stdout] == []
    assert "Traceback" not in refused.stderr
