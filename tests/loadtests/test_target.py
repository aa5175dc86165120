import socket
from collections.abc import Iterator

import pytest

from loadtests.target import ForeignHost, Target, TargetRefused, resolve


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://127.9.9.9:8000/", "127.0.0.1:8000"])
def test_loopback_hosts_are_driven(url: str) -> None:
    assert resolve(url).address.startswith("127.")


def test_the_address_is_that_of_the_name_at_the_start() -> None:
    assert resolve("http://localhost:8123").address in ("127.0.0.1", "::1")
    assert resolve("http://[::1]:8123") == Target("http", "::1", 8123, "::1")
    assert resolve("http://[::1]:8123").url == "http://[::1]:8123"


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1", "http://10.0.0.1:8000", "http://0.0.0.0:8000", "http://[2001:db8::1]/", "169.254.169.254"],
)
def test_other_hosts_are_refused_and_the_reason_is_said(url: str) -> None:
    with pytest.raises(TargetRefused, match="only loopback hosts"):
        resolve(url)


def test_a_name_with_one_foreign_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The resolver is the one part that cannot be made to lie on this machine without root.
    both = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 80)) for address in ("127.0.0.1", "192.0.2.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: both)
    with pytest.raises(TargetRefused, match=r"192\.0\.2\.7"):
        resolve("http://two-faced.example")


def test_of_several_addresses_every_process_takes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["127.0.0.3", "::1", "127.0.0.1", "127.0.0.2"]
    several = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 80)) for address in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: several)
    assert resolve("http://several.example").address == "127.0.0.1"


def test_an_address_that_was_asked_before_is_driven_without_looking_the_name_up() -> None:
    assert resolve("http://name.invalid:81", address="127.0.0.2") == Target("http", "name.invalid", 81, "127.0.0.2")
    with pytest.raises(TargetRefused, match="cannot be resolved"):
        resolve("http://name.invalid:81")
    with pytest.raises(TargetRefused, match="only loopback hosts"):
        resolve("http://localhost:81", address="192.0.2.1")


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1", "http://", "", "http://user:pw@127.0.0.1", "http://127.0.0.1/path", "http://127.0.0.1:99999"],
)
def test_what_is_no_host_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused):
        resolve(url)


HERE = Target("http", "127.0.0.1", 8000, "127.0.0.1")


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("/i/a/", "/i/a/"),
        ("http://127.0.0.1:8000/i/a/", "/i/a/"),
        ("http://localhost:8000/i/a/?x=1", "/i/a/?x=1"),
    ],
)
def test_links_that_lead_here_are_followed(link: str, path: str) -> None:
    assert HERE.path_of(link) == path


@pytest.mark.parametrize(
    "link",
    [
        "http://sale.example/i/a/",
        "//sale.example/i/a/",
        "https://127.0.0.1:8000/i/a/",
        "http://127.0.0.1:8001/i/a/",
        "http://127.0.0.1/i/a/",
        "http://127.0.0.1:8000@sale.example/i/a/",
        "http://127.0.0.1:x/",
        "javascript:alert(1)",
    ],
)
def test_links_that_lead_elsewhere_are_not(link: str) -> None:
    with pytest.raises(ForeignHost):
        HERE.path_of(link)


@pytest.fixture
def bystander() -> Iterator[socket.socket]:
    """A listener that must never be spoken to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def nobody_called(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return True
    return False


def test_the_listener_notices_a_caller(bystander: socket.socket) -> None:
    with socket.create_connection(bystander.getsockname()):
        assert not nobody_called(bystander)


def test_a_visitor_has_no_connection_to_another_host(bystander: socket.socket) -> None:
    from loadtests.browsing.connections import TargetOnly

    clients = TargetOnly(HERE, connection_timeout=1, network_timeout=1)
    with pytest.raises(ForeignHost, match="nothing was sent"):
        clients.get_client(f"http://127.0.0.1:{bystander.getsockname()[1]}/")
    assert nobody_called(bystander)
    assert clients.clients == {}
