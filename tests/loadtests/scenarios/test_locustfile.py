"""The same journeys under plain Locust, as its own command starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loadtests.small_sale import Answer, SmallSale, right, serving

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.process


def locust(sale: SmallSale, *users: str, links: Path | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--host", sale.url]
    given = {"STAMPEDE_TIME_SCALE": "0.001", **({"STAMPEDE_LINKS": str(links)} if links else {})}
    return subprocess.run(
        [*command, "-u", "2", "-r", "2", "-t", "4s", "--only-summary", *users],
        cwd=ROOT,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_plain_locust_drives_signup_and_purchase(tmp_path: Path) -> None:
    with serving() as sale:
        links = tmp_path / "links"
        links.write_text("".join(f"{sale.url}/i/token-{number}/\n" for number in range(500)))
        done = locust(sale, "Signup", "Purchase", links=links)
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        assert "signup.position" in said
        assert "purchase.payment" in said
        assert sale.requests["POST /signup/"] == len(sale.emails) > 0
        assert len(sale.wallets) == len(set(sale.wallets)) > 0


def test_what_fails_under_plain_locust_is_a_failure_there() -> None:
    def busy(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        return Answer(503) if method == "POST" else right(method, path, form, sale)

    with serving(busy) as sale:
        done = locust(sale, "Signup")
    assert done.returncode == 1, done.stdout
    assert "status 503, expected 202" in done.stdout + done.stderr
