"""Nothing goes to a host that is not the target, whatever the target's pages say: proved by listening there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from loadtests.target import ForeignHost, TargetRefused, resolve

from ..conftest import Drive
from ..small_sale import Answer, SmallSale, right, serving


class Elsewhere:
    """A listener that takes connections, and whether anybody came."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def called(self) -> bool:
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield Elsewhere(listener)


def test_the_listener_hears_whoever_comes(elsewhere: Elsewhere) -> None:
    with socket.create_connection(("127.0.0.1", elsewhere.port)):
        assert elsewhere.called()


PAGE = """<form method="post" action="/signup/"></form>
<link rel="stylesheet" href="/own.css"><link rel="stylesheet" href="{url}/foreign.css">
<script src="{url}/foreign.js"></script><script src="//127.0.0.1:{port}/relative.js"></script>
<img src="{url}/foreign.png" alt=""><img src="http://localhost:{port}/named.png" alt="">
<iframe src="{url}/frame/"></iframe><link rel="icon" href="{url}/favicon.ico">
<a href="{url}/a/">and a link</a>"""


def test_what_a_page_brings_from_elsewhere_is_not_fetched(drive: Drive, elsewhere: Elsewhere) -> None:
    def script(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        if path == "/":
            return Answer(200, PAGE.format(url=elsewhere.url, port=elsewhere.port))
        return Answer(200, "") if path == "/own.css" else right(method, path, form, sale)

    with serving(script) as sale:
        measured = drive(sale.url, users=3)
        assert sale.requests["GET /own.css"] == 3  # what is the target's own is fetched: the page was read
        assert measured["visitors"]["finished"] == 3
    assert not elsewhere.called()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_off_the_target(drive: Drive, elsewhere: Elsewhere, status: int) -> None:
    def script(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        return Answer(status, "", {"Location": f"{elsewhere.url}{path}"})

    with serving(script) as sale:
        measured = drive(sale.url, users=2)
        assert sum(sale.requests.values()) >= 2
    assert measured["visitors"]["finished"] == 0
    assert not elsewhere.called()


def test_an_address_that_an_answer_names_is_not_visited_elsewhere(drive: Drive, elsewhere: Elsewhere) -> None:
    """The position's address is the target's to name, and a name of another host."""

    def script(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        if method == "POST":
            promise = {"ticket": "t1", "number": None, "position_url": f"{elsewhere.url}/api/position/t1"}
            return Answer(202, promise)
        return right(method, path, form, sale)

    with serving(script) as sale:
        drive(sale.url, users=2)
    assert not elsewhere.called()


@pytest.mark.parametrize(
    ("environment", "reason"), [("", "not declared itself"), ("production", "is the environment 'production'")]
)
def test_a_run_sends_nothing_to_what_is_not_the_named_target(tmp_path: Path, environment: str, reason: str) -> None:
    with serving(environment=environment) as sale:
        with pytest.raises(CommandError, match=reason) as refused:
            call_command(
                "loadtest", "run", "signup", "--users", "2", "--host", sale.url, "--run-dir", str(tmp_path / "run")
            )
        assert [one for one in sale.requests if not one.startswith("GET /.well-known/load-target?")] == []
    assert refused.value.returncode == 3
    assert not (tmp_path / "run").exists()


def test_a_host_beyond_this_machine_is_driven_only_when_it_is_named_twice() -> None:
    with pytest.raises(TargetRefused, match="--allow-host"):
        resolve("http://192.0.2.1:8000")
    for allowed in ("192.0.2.1", "192.0.2.1:8000"):
        assert resolve("http://192.0.2.1:8000", allow=(allowed,)).address == "192.0.2.1"
    for other in ("192.0.2.2", "192.0.2.1:80", "0.2.1", ""):
        with pytest.raises(TargetRefused, match="--allow-host"):
            resolve("http://192.0.2.1:8000", allow=(other,))


def test_this_machine_is_not_meant_when_the_target_is_another() -> None:
    there = resolve("http://192.0.2.1:8000", allow=("192.0.2.1",))
    assert there.path_of("http://192.0.2.1:8000/i/a/") == "/i/a/"
    for link in ("http://localhost:8000/i/a/", "http://127.0.0.1:8000/i/a/"):
        with pytest.raises(ForeignHost):
            there.path_of(link)
