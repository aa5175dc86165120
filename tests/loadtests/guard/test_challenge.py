"""Nothing is sent to a host that has not said, rightly signed, that it is the environment this run is for."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.conf import settings

from loadtests.guard import challenge
from loadtests.target import Target, TargetRefused

from ..small_sale import serving

SECRET = "k" * 40


def admitted(url: str, *, environment: str = challenge.DEMO, secret: str | None = None) -> Target:
    return challenge.admitted(url, allow=(), environment=environment, secret=secret or settings.LOAD_KEY)


@contextmanager
def saying(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A listener that answers each connection with these bytes, and what it was asked."""
    asked: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            with caller:
                asked.append(caller.recv(65_536))
                caller.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_declared_target_is_driven() -> None:
    with serving() as sale:
        assert admitted(sale.url).url == sale.url
        assert (sale.requests, sale.connections) == ({}, 0)


@pytest.mark.parametrize(
    ("environment", "expected", "secret", "reason"),
    [
        ("", "demo", None, "not declared itself a load target"),
        ("production", "demo", None, "is the environment 'production', and this run is for 'demo'"),
        ("demo", "staging", None, "is the environment 'demo', and this run is for 'staging'"),
        ("demo", "demo", SECRET, "did not sign it with our key"),
    ],
)
def test_any_other_is_not(environment: str, expected: str, secret: str | None, reason: str) -> None:
    with serving(environment=environment) as sale:
        with pytest.raises(TargetRefused, match=reason):
            admitted(sale.url, environment=expected, secret=secret)
        assert [one for one in sale.requests if challenge.PATH not in one] == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "did not answer"),
        (b"\x00rubbish\r\n\r\n", "did not answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "something else than a signed name"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "something else than a signed name"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, "something else than a signed name"),
        (b"HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\n\r\n", "with 500"),
    ],
)
def test_rubbish_is_no_yes_and_is_asked_once(answer: bytes, reason: str) -> None:
    with saying(answer) as (url, asked), pytest.raises(TargetRefused, match=reason):
        admitted(url)
    assert len(asked) == 1


def test_a_target_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps each single wait short, and would hold us up for hours."""
    monkeypatch.setattr(challenge, "PATIENCE_SECONDS", 0.5)
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        caller, _ = listener.accept()
        with caller, suppress(OSError):
            caller.recv(65_536)
            caller.sendall(b"HTTP/1.1 200 OK\r\nX-Much: ")
            while not over.wait(0.05):
                caller.sendall(b"m")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(TargetRefused, match=r"did not answer.*TimeoutError"):
            admitted(f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert time.monotonic() - began >= 0.5
        over.set()
        thread.join()


def test_a_redirect_is_not_followed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        foreign.setblocking(False)
        elsewhere = f"http://127.0.0.1:{foreign.getsockname()[1]}{challenge.PATH}"
        answer = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
        with saying(answer) as (url, _), pytest.raises(TargetRefused, match="redirects us elsewhere"):
            admitted(url)
        with pytest.raises(BlockingIOError):
            foreign.accept()


def test_a_host_that_passes_our_question_on_to_a_true_target_is_no_target() -> None:
    """The signature holds the Host that was asked: an answer that was made for another one is worth nothing."""
    with serving() as sale, _relay(sale.server_address[1]) as url, pytest.raises(TargetRefused, match="did not sign"):
        admitted(url)


def test_the_secret_of_a_machine_is_found_where_the_application_finds_it(tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match="no key to know the target by"):
        challenge.secret_here({}, data=tmp_path)
    (tmp_path / "secret-key").write_text("kept\n")
    assert challenge.secret_here({}, data=tmp_path) == "kept"
    assert challenge.secret_here({"STAMPEDE_DATA": str(tmp_path)}) == "kept"
    assert challenge.secret_here({"STAMPEDE_SECRET_KEY": "s"}, data=tmp_path) == "s"
    assert challenge.secret_here({"STAMPEDE_LOAD_KEY": "l", "STAMPEDE_SECRET_KEY": "s"}) == "l"
    assert challenge.secret_here(os.environ) == settings.LOAD_KEY


@contextmanager
def _relay(port: int) -> Iterator[str]:
    """Asks the target under the target's own name, as somebody would who has no key."""

    def serve(listener: socket.socket) -> None:
        caller, _ = listener.accept()
        with caller, socket.create_connection(("127.0.0.1", port)) as true:
            here = f"127.0.0.1:{listener.getsockname()[1]}".encode()
            true.sendall(caller.recv(65_536).replace(here, f"127.0.0.1:{port}".encode()))
            while got := true.recv(65_536):
                caller.sendall(got)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()
