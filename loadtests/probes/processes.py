"""What the programs of a target take of this machine: by group, each second, and the machine itself."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from loadtests.probes import parts, sockets
from loadtests.probes.rates import Rates

LABORATORY = "laboratory"
# To tell sockets from files each descriptor is looked at; with more of them that would cost what is to be measured.
LOOKED_AT = 3_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What one process has taken so far, and holds now. `cpu`: seconds."""

    cpu: float
    rss_bytes: int
    descriptors: int
    allowed: int  # descriptors
    sockets: int | None
    written: int  # bytes to storage


@dataclass(slots=True)
class Processes:
    """The groups of a target, and as `laboratory` this process with all that it started."""

    target: parts.Parts
    clock: Callable[[], float] = time.monotonic
    name: str = "processes"
    _before: dict[int, float] = field(default_factory=dict)
    _at: float = 0.0

    def read(self) -> dict[str, Any]:
        """`cpu`: cores; `cpu_busiest`: of the busiest process. `rss_bytes`: the sum, in which what processes share
        counts for each. `descriptors_used`: the largest share that one process uses of what it may have."""
        now = self.clock()
        groups = parts.members(self._roots(), parts.parents())
        taken = {name: _of_all(pids) for name, pids in groups.items()}
        passed = now - self._at
        known = bool(self._before) and passed > 0
        rows = {name: _row(held, self._before, passed if known else None) for name, held in taken.items() if held}
        self._before = {pid: one.cpu for held in taken.values() for pid, one in held.items()}
        self._at = now
        return {"groups": rows}

    def _roots(self) -> dict[str, int]:
        kept = parts.programs(self.target.supervisor) if self.target.supervisor is not None else {}
        return {**self.target.roots, **kept, LABORATORY: os.getpid()}

    def close(self) -> None:
        """Nothing is held open."""


def _of_all(pids: list[int]) -> dict[int, Taken]:
    found = {}
    for pid in pids:
        with suppress(psutil.Error, OSError):  # it has just ended, or is somebody else's
            found[pid] = _taken(psutil.Process(pid))
    return found


def _taken(process: psutil.Process) -> Taken:
    folder = f"/proc/{process.pid}/fd"
    names = os.listdir(folder)
    with process.oneshot():
        times = process.cpu_times()
        return Taken(
            cpu=times.user + times.system,
            rss_bytes=process.memory_info().rss,
            descriptors=len(names),
            allowed=process.rlimit(psutil.RLIMIT_NOFILE)[0],
            sockets=_sockets(folder, names) if len(names) <= LOOKED_AT else None,
            written=process.io_counters().write_bytes,
        )


def _sockets(folder: str, names: list[str]) -> int:
    count = 0
    for name in names:
        with suppress(OSError):  # closed meanwhile
            count += os.readlink(f"{folder}/{name}").startswith("socket:")
    return count


def _row(held: Mapping[int, Taken], before: Mapping[int, float], passed: float | None) -> dict[str, float | int | None]:
    """A process that is new took all that it has taken since the last look."""
    cpu = [max(0.0, one.cpu - before.get(pid, 0.0)) / passed for pid, one in held.items()] if passed else []
    counted = [one.sockets for one in held.values() if one.sockets is not None]
    return {
        "cpu": round(sum(cpu), 4) if cpu else None,
        "cpu_busiest": round(max(cpu), 4) if cpu else None,
        "rss_bytes": sum(one.rss_bytes for one in held.values()),
        "descriptors": sum(one.descriptors for one in held.values()),
        "descriptors_used": round(max(one.descriptors / one.allowed for one in held.values()), 4),
        "sockets": sum(counted) if len(counted) == len(held) else None,
        "processes": len(held),
    }


@dataclass(slots=True)
class Machine:
    """This machine: its processors, its memory, its TCP, and who waits at the target's ports."""

    target: parts.Parts
    clock: Callable[[], float] = time.monotonic
    name: str = "machine"
    _rates: Rates = field(default_factory=Rates)
    _cpu: Rates = field(default_factory=Rates)

    def read(self) -> dict[str, Any]:
        """Of the processors: shares of all of them, 0 to 1. `steal` is what another guest of the same host took."""
        now = self.clock()
        shares = self._cpu.of(psutil.cpu_times()._asdict(), at=now)
        waiting = {f"{name}.backlog": 0.0 for name in self.target.ports}
        names = {port: name for name, port in self.target.ports.items()}
        for one in sockets.listeners():
            if one.port in names:
                waiting[f"{names[one.port]}.backlog"] += one.waiting
        return {
            "host": {
                **_host(shares),
                "available_bytes": psutil.virtual_memory().available,
                "cores": psutil.cpu_count(),
            },
            "gauges": {**self._rates.of(sockets.counters(), at=now), **sockets.connections(), **waiting},
        }

    def close(self) -> None:
        """Nothing is held open."""


def _host(shares: Mapping[str, float]) -> dict[str, float]:
    """Of guests' time, which stands in `user` as well, nothing is counted twice."""
    whole = sum(shares.get(name, 0.0) for name in _KINDS)
    if not whole:
        return {}
    idle = shares.get("idle", 0.0) + shares.get("iowait", 0.0)
    found = {"cpu": 1 - idle / whole, "iowait": shares.get("iowait", 0.0) / whole}
    return {name: round(share, 4) for name, share in {**found, "steal": shares.get("steal", 0.0) / whole}.items()}


_KINDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
