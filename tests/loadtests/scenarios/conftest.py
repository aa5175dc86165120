from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadtests.crowd import Crowd
from tests.loadtests.scenarios.visiting import crowd_at

if TYPE_CHECKING:
    from tests.browser.conftest import Stage


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The real application, with a shop in it and no limit for one address."""
    from tests.browser.conftest import on_stage  # not above: it skips where there is no playwright

    limits = {"STAMPEDE_LOGINS_PER_MINUTE": "0", "STAMPEDE_CARTS_PER_MINUTE": "0"}
    with on_stage(tmp_path_factory.mktemp("site"), **limits) as running:
        running.do("open_shop", 60)
        yield running


@pytest.fixture
def crowd(site: Stage, tmp_path: Path) -> Iterator[Crowd]:
    """Visitors nobody has met, at the real application."""
    with closing(crowd_at(site.url, run_dir=tmp_path, run_id=secrets.token_hex(3))) as gathered:
        yield gathered
