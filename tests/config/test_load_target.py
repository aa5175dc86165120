"""An environment that is no load target has nothing to say; one that is signs its name, and never beside real money."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from config import load_target
from loadtests.calibrating.programme import PATH
from loadtests.guard import challenge

NONCE = "n" * 24


@pytest.mark.parametrize("path", [f"{challenge.PATH}?challenge={NONCE}", f"{PATH}?latency=constant:1ms"])
def test_where_nothing_is_declared_there_is_nothing(client: Client, settings: Settings, path: str) -> None:
    settings.LOAD_TARGET = ""
    assert client.get(path).status_code == 404
    settings.LOAD_TARGET = "staging"
    assert client.get(path).status_code == 200


def test_the_answer_is_signed_for_the_name_the_challenge_and_the_host(client: Client, settings: Settings) -> None:
    settings.LOAD_TARGET = "staging"
    answer = client.get(challenge.PATH, {"challenge": NONCE}, HTTP_HOST="localhost:81")
    told = answer.json()
    assert answer["Cache-Control"] == "no-store"
    assert (told["environment"], told["challenge"]) == ("staging", NONCE)
    key = challenge.derived_key(settings.LOAD_KEY)
    said = {"environment": "staging", "nonce": NONCE, "host": "localhost:81"}
    assert told["signature"] == challenge.signature(key=key, **said)
    for other in ({"environment": "production"}, {"nonce": "m" * 24}, {"host": "localhost"}):
        assert told["signature"] != challenge.signature(key=key, **{**said, **other})


@pytest.mark.parametrize("nonce", ["", "short", "x" * 129, "n" * 20 + "\n"])
def test_what_is_no_challenge_is_not_signed(client: Client, settings: Settings, nonce: str) -> None:
    settings.LOAD_TARGET = "staging"
    assert client.get(challenge.PATH, {"challenge": nonce}).status_code == 400


def test_the_default_declares_nothing_and_is_in_order(settings: Settings) -> None:
    assert settings.LOAD_TARGET == ""
    assert load_target.declared(None) == []


@pytest.mark.parametrize(
    ("chain", "changes", "ident"),
    [
        ("BTC", {"BTC_NETWORK": "mainnet"}, ["stampede.E014"]),
        ("BTC", {"BTC_NETWORK": "regtest"}, []),
        ("ETH", {"ETH_CHAIN_ID": 1}, ["stampede.E014"]),
        ("ETH", {"ETH_CHAIN_ID": 137}, ["stampede.E014"]),
        ("ETH", {"ETH_CHAIN_ID": 31337}, []),
    ],
)
def test_a_sale_of_real_money_is_no_target(
    settings: Settings, chain: str, changes: dict[str, object], ident: list[str]
) -> None:
    settings.NODES = {"BTC": None, "ETH": None, chain: urlsplit("https://node.example/token")}
    for name, value in changes.items():
        setattr(settings, name, value)
    assert load_target.declared(None) == []  # not declared: nothing to refuse
    settings.LOAD_TARGET = "staging"
    assert [problem.id for problem in load_target.declared(None)] == ident


def test_a_name_and_a_key_are_looked_at(settings: Settings) -> None:
    settings.LOAD_TARGET, settings.LOAD_KEY = "My Staging", "short"
    assert [problem.id for problem in load_target.declared(None)] == ["stampede.E013", "stampede.E015"]
