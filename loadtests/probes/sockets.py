"""TCP as this machine's kernel tells of it: who listens, how many connections wait to be accepted, what was sent again.

Read from /proc/net. Listening sockets stand before all others in its tables, so with 60,000 connections a look costs
what it costs with none. A connection that waits is in `rx_queue` of a listening socket (proc(5), net/ipv4/tcp_ipv4.c);
of IPv6 there is a table of the same form.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NET = Path("/proc/net")
_LISTEN = "0A"
# What is told of the whole machine: our name, the table, its column.
COUNTERS = {
    "tcp.retransmits": ("snmp", "Tcp", "RetransSegs"),
    "tcp.resets": ("snmp", "Tcp", "OutRsts"),
    "tcp.listen_overflows": ("netstat", "TcpExt", "ListenOverflows"),
    "tcp.listen_drops": ("netstat", "TcpExt", "ListenDrops"),
}


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket. `waiting`: connections that its program has not accepted yet."""

    address: str
    port: int
    inode: int
    waiting: int


def listeners(net: Path = NET) -> list[Listener]:
    """All listening sockets; several of one port where it is shared (SO_REUSEPORT)."""
    return [found for table in ("tcp", "tcp6") for found in _of_table(net / table)]


def _of_table(table: Path) -> Iterator[Listener]:
    if not table.exists():
        return  # a kernel without IPv6
    with table.open() as lines:
        next(lines, None)
        for line in lines:
            fields = line.split()
            if fields[3] != _LISTEN:
                return
            address, _, port = fields[1].partition(":")
            waiting = int(fields[4].partition(":")[2], 16)
            yield Listener(_address(address), int(port, 16), int(fields[9]), waiting)


def _address(raw: str) -> str:
    """Words of 32 bits in the machine's own order, of which IPv6 has four."""
    words = [int(raw[at : at + 8], 16) for at in range(0, len(raw), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)


def holders(inodes: set[int]) -> set[int]:
    """The ids of the processes that have one of these sockets open, as far as this user may look."""
    names = {f"socket:[{inode}]" for inode in inodes}
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _has_one(entry, names)}


def _has_one(process: Path, names: set[str]) -> bool:
    try:
        return any(_leads_to(descriptor) in names for descriptor in (process / "fd").iterdir())
    except OSError:
        return False  # it has just ended, or is somebody else's


def _leads_to(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:
        return ""  # closed meanwhile


def counters(net: Path = NET) -> dict[str, float]:
    """The figures of COUNTERS, since the machine began."""
    tables = {name: _columns((net / name).read_text()) for name in {table for table, *_ in COUNTERS.values()}}
    return {name: tables[table].get((kind, column), 0.0) for name, (table, kind, column) in COUNTERS.items()}


def connections(net: Path = NET) -> dict[str, float]:
    """Connections of the whole machine; one on the loopback interface has two ends, and both are counted."""
    words = next(line for line in (net / "sockstat").read_text().splitlines() if line.startswith("TCP:")).split()[1:]
    held = dict(zip(words[::2], words[1::2], strict=True))
    return {"tcp.open": float(held["inuse"]), "tcp.time_wait": float(held["tw"])}


def _columns(text: str) -> dict[tuple[str, str], float]:
    """Two lines a kind: its names, then its values."""
    lines = text.splitlines()
    found = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        kind = names.partition(":")[0]
        pairs = zip(names.split()[1:], values.split()[1:], strict=True)
        found.update({(kind, name): float(value) for name, value in pairs})
    return found
