"""`manage.py addresses`: what the owner of the keys is told."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from ico import addresses
from ico.models import DepositAddress, Sale
from tests.ico.people import joined


def told(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("addresses", *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def some(sale: Sale, now: datetime) -> None:
    addresses.derive(chain="BTC", count=25)
    for _ in range(2):
        joined(sale=sale, now=now)


def test_a_table(some: None) -> None:
    lines = [line.split() for line in told().splitlines()]
    assert lines[1:3] == [["BTC", "2", "1", "23", "25"], ["ETH", "2", "1", "0", "20"]]


def test_before_anything_was_derived(db: None) -> None:
    lines = [line.split() for line in told("--check").splitlines()]
    assert lines[1:3] == [["BTC", "0", "-", "0", "20"], ["ETH", "0", "-", "0", "20"]]


def test_for_programs(some: None) -> None:
    answer = json.loads(told("--json"))
    btc = {"chain": "BTC", "issued": 2, "waiting": 23, "highest": 1, "gap_limit": 25}
    assert answer == {"chains": [btc, {"chain": "ETH", "issued": 2, "waiting": 0, "highest": 1, "gap_limit": 20}]}
    assert json.loads(told("--json", "--check"))["not_of_the_key"] == []


def test_the_list_for_the_owner(some: None, tmp_path: Path, now: datetime) -> None:
    told("--csv", str(tmp_path / "list.csv"))
    with (tmp_path / "list.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["chain", "path", "address", "handed_out_at"]
    assert len(rows) == 27
    assert rows[0] == ["BTC", "0/0", addresses.derived(chain="BTC", index=0), now.isoformat()]
    assert rows[24] == ["BTC", "0/24", addresses.derived(chain="BTC", index=24), ""]
    assert rows[25][:2] == ["ETH", "0/0"]


def test_a_list_that_cannot_be_written_is_an_error_in_words(some: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"list\.csv cannot be written"):
        told("--csv", str(tmp_path / "nowhere" / "list.csv"))


def test_deriving_all_again(some: None) -> None:
    assert "Every address is what the account key gives." in told("--check")
    DepositAddress.objects.filter(chain="BTC", index=7).update(address="bc1qnobody")
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("addresses", "--check", stdout=out)
    assert end.value.code == 1
    assert "BTC 7: bc1qnobody" in out.getvalue()


def test_with_another_key_every_address_is_another(some: None, settings: Settings) -> None:
    settings.BTC_XPUB = settings.ETH_XPUB  # an xpub may stand for a BIP84 account too
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("addresses", "--check", stdout=out)
    assert "… and 15 more" in out.getvalue()
    assert settings.ETH_XPUB[4:] not in out.getvalue()
