import fcntl
import resource
import socket
from collections.abc import Iterator

import pytest
from geventhttpclient.connectionpool import ConnectionPool

from loadtests.browsing.connections import KeptConnection
from loadtests.browsing.wires import sources
from loadtests.target import Target

BEYOND_SELECT = 1500


@pytest.fixture
def idle() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection, the first with a descriptor that select(2) cannot name."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    low, far_end = socket.socketpair()
    high = socket.socket(fileno=fcntl.fcntl(low.fileno(), fcntl.F_DUPFD, BEYOND_SELECT))
    low.close()
    yield high, far_end
    high.close()
    far_end.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def pool(kind: type[ConnectionPool]) -> ConnectionPool:
    return kind("127.0.0.1", 80, "127.0.0.1", 80)


def test_an_idle_connection_is_kept_whatever_its_descriptor(idle: tuple[socket.socket, socket.socket]) -> None:
    assert pool(KeptConnection)._is_socket_alive(idle[0])


def test_the_library_takes_it_for_dead_which_is_why_it_is_asked_differently(
    idle: tuple[socket.socket, socket.socket],
) -> None:
    assert not pool(ConnectionPool)._is_socket_alive(idle[0])


def test_a_connection_that_the_server_closed_is_not_used_again(idle: tuple[socket.socket, socket.socket]) -> None:
    idle[1].close()
    assert not pool(KeptConnection)._is_socket_alive(idle[0])


def test_a_connection_with_unasked_bytes_is_not_used_again(idle: tuple[socket.socket, socket.socket]) -> None:
    idle[1].send(b"HTTP/1.1 408 Request Timeout")
    assert not pool(KeptConnection)._is_socket_alive(idle[0])


def test_connections_go_to_the_pinned_address_without_asking_for_the_name() -> None:
    pinned = KeptConnection("no-such-name.invalid", 80, "no-such-name.invalid", 80).pin("127.0.0.1")
    assert pinned._resolve()[0][4] == ("127.0.0.1", 80)


def test_where_one_address_has_too_few_ports_visitors_go_out_from_several() -> None:
    here = Target("http", "127.0.0.1", 80, "127.0.0.1")
    assert sources(here, visitors=10_000) == ()
    assert sources(here, visitors=30_000) == ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
    assert len(sources(here, visitors=1_000_000)) == 101
    for other in ("::1", "192.0.2.1"):
        assert sources(Target("http", "elsewhere", 80, other), visitors=30_000) == ()
