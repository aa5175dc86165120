"""TCP as the kernel tells of it: a real listener that accepts nobody, and lines as Linux 6.1 wrote them."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path

from loadtests.probes import sockets

# /proc/net/tcp and sockstat of this machine; the third line is an established connection, after which none listens.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:24B8 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 4223001 1 0000 100 0 0 10 0
   1: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4223002 1 0000 100 0 0 10 0
   2: 0100007F:C350 0100007F:24B8 01 00000000:00000000 00:00000000 00000000     0        0 4223003 1 0000 20 4 30 10 -1
"""
NETSTAT = """\
TcpExt: SyncookiesSent ListenOverflows ListenDrops
TcpExt: 0 17 19
IpExt: InNoRoutes InOctets
IpExt: 4 500
"""
SNMP = """\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm RetransSegs OutRsts
Tcp: 1 44582 114036
"""
SOCKSTAT = "sockets: used 200\nTCP: inuse 80 orphan 0 tw 483 alloc 90 mem 5\nUDP: inuse 1 mem 0\n"


def test_who_waits_at_a_port_that_accepts_nobody_is_counted_and_found() -> None:
    with ExitStack() as closing:
        listening = closing.enter_context(socket.create_server(("127.0.0.1", 0), backlog=8))
        port = listening.getsockname()[1]
        for waiting in range(4):
            (found,) = [one for one in sockets.listeners() if one.port == port]
            assert (found.address, found.waiting) == ("127.0.0.1", waiting)
            closing.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert sockets.holders({found.inode}) == {os.getpid()}
        listening.accept()[0].close()
        assert [one.waiting for one in sockets.listeners() if one.port == port] == [3]
    assert [one for one in sockets.listeners() if one.port == port] == []
    assert sockets.holders({found.inode}) == set()


def test_the_kernels_tables_are_read(tmp_path: Path) -> None:
    for name, text in (("tcp", TCP), ("netstat", NETSTAT), ("snmp", SNMP), ("sockstat", SOCKSTAT)):
        (tmp_path / name).write_text(text)
    assert sockets.listeners(tmp_path) == [
        sockets.Listener("127.0.0.1", 9400, 4223001, 3),
        sockets.Listener("0.0.0.0", 2024, 4223002, 0),  # noqa: S104
    ]
    assert sockets.counters(tmp_path) == {
        "tcp.retransmits": 44582.0,
        "tcp.resets": 114036.0,
        "tcp.listen_overflows": 17.0,
        "tcp.listen_drops": 19.0,
    }
    assert sockets.connections(tmp_path) == {"tcp.open": 80.0, "tcp.time_wait": 483.0}


def test_ipv6_listeners_are_read_as_well(tmp_path: Path) -> None:
    line = f"   0: {'0' * 24}01000000:1F90 {'0' * 32}:0000 0A 00000000:00000002 00:00000000 00000000 0 0 77 1"
    (tmp_path / "tcp6").write_text(f"header\n{line}\n")
    assert sockets.listeners(tmp_path) == [sockets.Listener("::1", 8080, 77, 2)]
