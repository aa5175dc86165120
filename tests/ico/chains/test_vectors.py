"""The vectors beside the repository are read, missed or lost: three different things."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ico.chains import vectors

NAME = "bip32.json"


def test_what_is_there_is_read(tmp_path: Path) -> None:
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / NAME).write_text('[{"seed": "00"}]')
    assert vectors.load(NAME, shared=tmp_path) == [{"seed": "00"}]


def test_a_bare_clone_skips_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match=f"full vectors of {NAME} were not"):
        vectors.load(NAME, shared=tmp_path / "shared")


@pytest.mark.parametrize("folder", [True, False])
def test_a_lost_file_is_a_failure(folder: bool, tmp_path: Path) -> None:
    if folder:
        (tmp_path / "vectors").mkdir()
    with pytest.raises(pytest.fail.Exception, match=f"has no vectors/{NAME}"):
        vectors.load(NAME, shared=tmp_path)
