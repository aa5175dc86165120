from __future__ import annotations

from pathlib import Path

import pytest

from config import env
from config.secret import secret_key


@pytest.mark.parametrize(
    ("read", "value", "names"),
    [
        (lambda: env.integer("STAMPEDE_X", 1), "many", "a whole number"),
        (lambda: env.integer("STAMPEDE_X", 1, minimum=1), "0", "at least 1"),
        (lambda: env.seconds("STAMPEDE_X", 1), "-3", "positive"),
        (lambda: env.seconds("STAMPEDE_X", 1), "nan", "positive"),
        (lambda: env.seconds("STAMPEDE_X", 1), "soon", "a number of seconds"),
        (lambda: env.flag("STAMPEDE_X", True), "maybe", "1 or 0"),
        (lambda: env.choice("STAMPEDE_X", "a", ("a", "b")), "c", "one of a, b"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(
    monkeypatch: pytest.MonkeyPatch, read: object, value: str, names: str
) -> None:
    monkeypatch.setenv("STAMPEDE_X", value)
    with pytest.raises(env.BadEnvironment) as error:
        read()  # type: ignore[operator]
    assert "STAMPEDE_X" in str(error.value)
    assert names in str(error.value)


def test_what_is_not_set_takes_its_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STAMPEDE_X", raising=False)
    assert env.integer("STAMPEDE_X", 7) == 7
    assert env.seconds("STAMPEDE_X", 0.5) == 0.5
    assert env.flag("STAMPEDE_X", True) is True
    assert env.names("STAMPEDE_X", ["a"]) == ["a"]
    assert env.folder("STAMPEDE_X", tmp_path) == tmp_path


def test_a_list_is_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAMPEDE_X", " a, b ,,c")
    assert env.names("STAMPEDE_X", []) == ["a", "b", "c"]


def test_the_key_of_a_data_folder_is_made_once_and_only_its_owner_reads_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STAMPEDE_SECRET_KEY", raising=False)
    first = secret_key(tmp_path)
    assert len(first) >= 32
    assert secret_key(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["secret-key"]
    assert (tmp_path / "secret-key").stat().st_mode & 0o077 == 0


def test_the_environments_key_goes_first_and_a_short_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STAMPEDE_SECRET_KEY", "x" * 32)
    assert secret_key(tmp_path) == "x" * 32
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("STAMPEDE_SECRET_KEY", "short")
    with pytest.raises(env.BadEnvironment, match="STAMPEDE_SECRET_KEY") as error:
        secret_key(tmp_path)
    assert "short" not in str(error.value)


@pytest.mark.parametrize(
    "value", ["localhost:4566", "sqs.example.org", "http://host/path", "http://me@host", "http://"]
)
def test_half_an_address_of_a_service_never_becomes_the_regions_own(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("STAMPEDE_X", value)
    with pytest.raises(env.BadEnvironment, match="STAMPEDE_X"):
        env.endpoint("STAMPEDE_X")


def test_the_address_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.endpoint("STAMPEDE_X") == ""
    monkeypatch.setenv("STAMPEDE_X", "http://127.0.0.1:4566/")
    assert env.endpoint("STAMPEDE_X") == "http://127.0.0.1:4566"
