"""The warning stands on every page exactly as long as it is true, chain by chain."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from ico import networks
from ico.models import Sale
from ico.networks import Notice, Worth

NODE = urlsplit("http://127.0.0.1:1")
SIMULATED = "Simulated chain. This is a demonstration: never send real funds."
TEST = "Test network. Its coins are worth nothing: never send real funds."


def put_on(settings: Any, bitcoin: str, ethereum: int) -> None:
    """`simulated`, or 0: without a node."""
    settings.NODES = {"BTC": None if bitcoin == "simulated" else NODE, "ETH": NODE if ethereum else None}
    settings.BTC_NETWORK = "mainnet" if bitcoin == "simulated" else bitcoin
    settings.ETH_CHAIN_ID = ethereum or 1


@pytest.mark.parametrize(
    ("bitcoin", "ethereum", "names", "notice"),
    [
        ("simulated", 0, ("simulated", "simulated"), SIMULATED),
        ("regtest", 31337, ("regtest", "development (31337)"), TEST),
        ("testnet", 560048, ("testnet", "Hoodi (560048)"), TEST),
        (
            "simulated",
            11155111,
            ("simulated", "Sepolia (11155111)"),
            "Bitcoin is on a simulated chain and Ethereum is on a test network."
            " Their coins are worth nothing: never send real funds.",
        ),
        (
            "mainnet",
            0,
            ("mainnet", "simulated"),
            "Ethereum is on a simulated chain. Never send real ether to an address shown here.",
        ),
        (
            "regtest",
            1,
            ("regtest", "mainnet"),
            "Bitcoin is on a test network. Never send real bitcoin to an address shown here.",
        ),
        ("mainnet", 1, ("mainnet", "mainnet"), None),
        ("mainnet", 137, ("mainnet", "chain 137"), None),  # not known as a test network: taken for real
    ],
)
def test_the_warning_says_what_is_true(
    settings: Any, bitcoin: str, ethereum: int, names: tuple[str, str], notice: str | None
) -> None:
    put_on(settings, bitcoin, ethereum)
    assert tuple(networks.network(chain).name for chain in ("BTC", "ETH")) == names
    said = networks.notice()
    assert (said and f"{said.headline} {said.text}") == notice


def test_a_chain_without_a_node_is_simulated_whatever_network_is_named(settings: Any) -> None:
    settings.NODES = {"BTC": None, "ETH": None}
    settings.BTC_NETWORK, settings.ETH_CHAIN_ID = "regtest", 31337
    assert {networks.network(chain).worth for chain in ("BTC", "ETH")} == {Worth.SIMULATED}


@pytest.mark.django_db
def test_the_pages_carry_it_and_lose_it(client: Client, sale: Sale, settings: Any) -> None:
    for bitcoin, ethereum, said in (("simulated", 0, b"Simulated chain."), ("regtest", 31337, b"Test network.")):
        put_on(settings, bitcoin, ethereum)
        page = client.get("/").content
        assert said in page
        assert b"never send real funds" in page
    put_on(settings, "mainnet", 1)
    page = client.get("/").content
    assert b"Take my place in line" in page
    assert b"real funds" not in page
    assert b'class="banner"' not in page


def test_a_notice_is_a_headline_and_a_sentence() -> None:
    assert networks.notice() == Notice("Simulated chain.", "This is a demonstration: never send real funds.")
