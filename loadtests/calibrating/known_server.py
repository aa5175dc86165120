"""A server of known answers of one's own: started in a process, asked for the truth, and ended with the block."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from loadtests.calibrating.programme import PATH

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 60.0  # a machine that is busy starting other things


@dataclass(frozen=True, slots=True)
class KnownServer:
    url: str
    pid: int

    def address(self, programme: str) -> str:
        """Where this programme is played: `latency=constant:20ms&name=twenty`."""
        return f"{self.url}{PATH}?{programme}"

    def truth(self) -> dict[str, Any]:
        """What it really did since it was told to forget."""
        return self._asked("GET")

    def forget(self) -> None:
        """The truth begins again, and so does each programme, with its first answer and its freeze."""
        self._asked("POST")

    def _asked(self, method: str) -> dict[str, Any]:
        asked = Request(f"{self.url}/truth", method=method)  # noqa: S310 (our own address)
        with urlopen(asked, timeout=_PATIENCE_SECONDS) as response:  # noqa: S310
            told: dict[str, Any] = json.load(response)
        return told


@contextmanager
def running(environment: dict[str, str] | None = None) -> Iterator[KnownServer]:
    """A server on a free port of the loopback interface. `environment`: variables beside those of this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtests.calibrating.known", "--with-parent"],
        cwd=_ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches us alone
    )
    try:
        with process.stdout or open(os.devnull, "rb") as output:
            told = json.loads(output.readline())
            yield KnownServer(url=told["url"], pid=told["pid"])
    finally:
        process.terminate()
        process.wait()
