"""`manage.py loadtest ledger` and `plans`, as somebody types them."""

import csv
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from .test_ledger import enter


def said(*words: str) -> str:
    out = StringIO()
    call_command("loadtest", *words, stdout=out)
    return out.getvalue()


def test_runs_are_listed_shown_noted_and_exported(tmp_path: Path) -> None:
    enter(tmp_path, "a1")
    enter(tmp_path, "b2")
    runs = ("ledger", "--runs", str(tmp_path))
    assert "b2" in said(*runs, "list", "--last", "1")
    assert "a1" not in said(*runs, "list", "--last", "1")
    said(*runs, "note", "b", "a quiet machine", "--link", "http://x/y")
    assert "a quiet machine" in said(*runs, "show", "b2")
    sheet = tmp_path / "runs.csv"
    said(*runs, "export", "--output", str(sheet))
    with sheet.open() as file:
        assert [row["Notes"] for row in csv.DictReader(file)] == ["", "a quiet machine"]
    with pytest.raises(CommandError, match="has 0 runs"):
        said(*runs, "show", "c3")


def test_a_plan_is_shown_in_words_and_as_a_file() -> None:
    assert "case-study-one" in said("plans")
    assert "plateau: 270 s to 600 s" in said("plans", "case-study-one")
    assert "rate = 50" in said("plans", "case-study-one", "--toml")
    assert "pieces" not in said("plans", "buyer", "--toml")
    assert max(map(len, said("plans").splitlines())) <= 80
    with pytest.raises(CommandError, match="did you mean case-study-one"):
        said("plans", "case-study-on")
