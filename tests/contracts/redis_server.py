"""A Redis of a test's own: real, on a free port of the loopback interface, with nothing kept."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from config.serving import free_port
from tests.absent import absent
from tests.deadline import until


@dataclass
class RedisServer:
    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=log, stderr=log)
        until(self._answers, "Redis answers")

    def kill(self) -> None:
        """As a crash does it: at once, and its memory is gone."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """The kernel still takes connections, and nobody ever answers: what a lost network looks like."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextmanager
def running(folder: Path) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        absent("needs redis-server (Debian: apt-get install redis-server)")
    server = RedisServer(free_port(), folder)
    server.start()
    try:
        yield server
    finally:
        if server.process and server.process.poll() is None:
            server.thaw()
            server.kill()
