from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from config import checks
from config.logging import redacted

# BIP84's published account, as a private key: the example of what must never be configured.
PRIVATE = (
    "zprvAdG4iTXWBoARxkkzNpNh8r6Qag3irQB8PzEMkAFeTRXxHpbF9z4QgEvBRmfvqWvGp42t42nvgGpNgYSJA9iefm1yYNZKEm7z6qUWCroSQnE"
)


def test_the_default_is_in_order() -> None:
    assert checks.account_keys(None) == []
    assert checks.data_folder(None) == []
    assert checks.public_url(None) == []


@pytest.mark.parametrize("key", [PRIVATE, "", "xpub", PRIVATE[:-1]])
def test_a_key_that_is_no_public_account_key_is_refused_and_not_shown(settings: Settings, key: str) -> None:
    settings.BTC_XPUB = key
    (problem,) = checks.account_keys(None)
    assert problem.id == "stampede.E001"
    assert "STAMPEDE_BTC_XPUB" in str(problem.msg)
    assert "STAMPEDE_BTC_XPUB" in str(problem.hint)
    assert not key or len(key) < 10 or key[4:] not in str(problem)


def test_a_key_of_another_network_is_refused(settings: Settings) -> None:
    settings.BTC_NETWORK = "regtest"
    assert [problem.id for problem in checks.account_keys(None)] == ["stampede.E001"]


def test_a_data_folder_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "gone"
    (problem,) = checks.data_folder(None)
    assert "gone" in str(problem.msg)
    assert "STAMPEDE_DATA" in str(problem.hint)


@pytest.mark.parametrize(
    ("url", "ident"), [("sale.example.org", "stampede.E004"), ("https://sale.example.org", "stampede.E005")]
)
def test_links_must_lead_here(settings: Settings, url: str, ident: str) -> None:
    settings.PUBLIC_URL = url
    assert [problem.id for problem in checks.public_url(None)] == [ident]
    settings.ALLOWED_HOSTS = ["sale.example.org"]
    settings.PUBLIC_URL = "https://sale.example.org"
    assert checks.public_url(None) == []


def test_a_demo_key_is_named_by_the_deploy_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAMPEDE_SECRET_KEY", raising=False)
    assert [problem.id for problem in checks.signing_key(None)] == ["stampede.W001"]
    monkeypatch.setenv("STAMPEDE_SECRET_KEY", "x" * 32)
    assert checks.signing_key(None) == []


@pytest.mark.parametrize(
    "path",
    ["/i/{}/", "/i/{}/wallet/", "/line/{}/", "/api/position/{}", "/api/payment/{}?x=1", "http://h/i/{}/payment/"],
)
def test_no_token_and_no_ticket_reaches_the_log(path: str) -> None:
    secret = "h1.7.Zm9vYmFyYmF6-_"
    text = redacted(f"GET {path.format(secret)} gave 410")
    assert secret not in text
    assert "…" in text
    assert text.startswith("GET ")
