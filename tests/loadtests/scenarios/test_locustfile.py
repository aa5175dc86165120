"""The same journeys under plain Locust, as its own command starts them."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from loadtests.replay import preparing
from loadtests.replay.again import Endless, NothingThere
from loadtests.replay.store import CHOSEN
from tests.deadline import until
from tests.loadtests.replay.test_visitor import log, shop
from tests.loadtests.small_sale import Answer, SmallSale, right, serving

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.process


class Locust:
    """The program, and what it has said so far."""

    def __init__(self, folder: Path, *options: str, **settings: str) -> None:
        self._said = folder / "said"
        given = {"STAMPEDE_TIME_SCALE": "0.001", **settings}
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", *options],
                cwd=ROOT,
                env={**os.environ, **given},
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def ended(self) -> int:
        return self.process.wait(120)

    def end_when(self, seen: Callable[[], bool], what: str) -> int:
        """Its exit code, once it was told to end because that was seen."""
        until(lambda: seen() or self.process.poll() is not None, what)
        self.process.send_signal(signal.SIGTERM)
        return self.ended()


@contextmanager
def locust(folder: Path, *options: str, **settings: str) -> Iterator[Locust]:
    running = Locust(folder, *options, **settings)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def headless(sale: SmallSale, *users: str) -> tuple[str, ...]:
    return ("--headless", "--host", sale.url, "-u", "2", "-r", "2", "--only-summary", *users)


def count(sale: SmallSale, beginning: str) -> int:
    with sale.lock:
        return sum(many for what, many in sale.requests.items() if what.startswith(beginning))


def test_plain_locust_drives_signup_and_purchase_one_person_after_the_other(tmp_path: Path) -> None:
    with serving() as sale:
        links = tmp_path / "links"
        links.write_text("".join(f"{sale.url}/i/token-{number}/\n" for number in range(500)))
        with locust(tmp_path, *headless(sale, "Signup", "Purchase"), STAMPEDE_LINKS=str(links)) as running:
            code = running.end_when(
                lambda: len(sale.emails) > 2 and count(sale, "GET /api/payment/") > 0, "both journeys were driven"
            )
        assert code == 0, running.said
        assert "signup.position" in running.said
        assert "purchase.payment" in running.said
        assert sale.requests["POST /signup/"] == len(sale.emails)
        assert len(sale.wallets) == len(set(sale.wallets)) > 0


def test_what_fails_under_plain_locust_is_a_failure_there(tmp_path: Path) -> None:
    def busy(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        return Answer(503) if method == "POST" else right(method, path, form, sale)

    with serving(busy) as sale, locust(tmp_path, *headless(sale, "Signup")) as running:
        code = running.end_when(lambda: count(sale, "POST /signup/") > 2, "somebody failed")
        assert code == 1, running.said
        assert "status 503, expected 202" in running.said


def test_a_host_that_is_no_target_is_said_in_a_sentence_and_gets_nothing(tmp_path: Path) -> None:
    with serving(environment="") as other, locust(tmp_path, *headless(other, "Signup")) as running:
        assert running.ended() == 3, running.said
        assert "refused: " in running.said
        assert "Traceback" not in running.said
        assert set(other.requests) <= {key for key in other.requests if "load-target" in key}


def test_no_test_of_the_web_page_goes_to_the_host_of_the_one_before(tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    page = f"http://127.0.0.1:{port}"
    with (
        serving() as first,
        serving(environment="") as second,
        locust(tmp_path, "--web-host", "127.0.0.1", "--web-port", str(port), "Signup") as running,
    ):
        until(lambda: answered(f"{page}/stats/requests"), "the page is there")
        assert answered(f"{page}/swarm", host=first.url, user_count="1", spawn_rate="1")
        until(lambda: len(first.emails) > 0, "the first test drives somebody")
        assert answered(f"{page}/stop", now="yes"), running.said
        until(lambda: state(page) == "stopped", "the first test is over")
        before = first.requests.total()
        assert answered(f"{page}/swarm", host=second.url, user_count="1", spawn_rate="1")
        until(lambda: "refused: " in running.said and state(page) == "stopped", "the second test is refused")
        assert first.requests.total() == before
        assert count(second, "POST") == 0
        assert running.process.poll() is None, "the page stays"


def answered(url: str, **form: str) -> bytes:
    try:
        with urllib.request.urlopen(url, data=urlencode(form).encode() if form else None, timeout=30) as answer:
            return bytes(answer.read())
    except urllib.error.URLError:
        return b""


def state(page: str) -> str:
    return str(json.loads(answered(f"{page}/stats/requests"))["state"])


def test_plain_locust_replays_a_log_or_what_was_chosen_of_one(tmp_path: Path) -> None:
    path = log(tmp_path, ("a", 0, "/shop/"), ("a", 0, "/shop/c/hats/"), ("b", 9, "/shop/p/hat/"))
    preparing.prepare(
        wanted=preparing.Wanted(logs=(path,), weights={}), arrivals=range(1, 4, 2), seed=1, run_dir=tmp_path
    )
    for source in (path, tmp_path):
        given = {"STAMPEDE_TIME_SCALE": "1", "STAMPEDE_REPLAY": str(source)}
        with serving(shop) as sale, locust(tmp_path, *headless(sale, "Replay"), **given) as running:
            # Two visits: after the last of them the first is made again.
            code = running.end_when(
                lambda: count(sale, "GET /shop/p/hat/") > 1 and count(sale, "GET /shop/c/hats/") > 1, "visits are made"
            )
            assert code == 0, running.said
            assert "replay.category" in running.said
            cut_short = sale.requests["GET /shop/"] - sale.requests["GET /shop/c/hats/"]
            assert 0 <= cut_short <= 2, "a visit is made whole, but for the end of the test"


def test_plain_locust_hurries_nobody_of_a_log(tmp_path: Path) -> None:
    path = log(tmp_path, ("a", 0, "/shop/"))
    with serving(shop) as sale, locust(tmp_path, *headless(sale, "Replay"), STAMPEDE_REPLAY=str(path)) as running:
        assert running.ended() != 0
        assert "nobody of a log is hurried" in running.said
        assert not sale.connections


def test_what_holds_no_visits_is_said(tmp_path: Path) -> None:
    (tmp_path / CHOSEN).write_text("nothing")
    for source, wrong in {tmp_path / "none": "cannot be read", tmp_path: "holds no chosen visits"}.items():
        with pytest.raises(NothingThere, match=wrong):
            Endless(source)
