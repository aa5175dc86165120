"""Talking to a stack's supervisor, and finding what is left of a stack whose supervisor is gone."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from config import supervising
from deploy.local.layout import CannotStart, Layout
from deploy.local.programs import programs

_ALREADY_STARTED, _NOT_RUNNING = 60, 70
# A process of the stack bears this variable, so that it can be told from everybody else's.
MARK = "STAMPEDE_STACK"


@dataclass(frozen=True, slots=True)
class State:
    """What supervisor knows of a program: its state's name, its process id (0: none), its words."""

    name: str
    pid: int
    description: str

    @property
    def runs(self) -> bool:
        return self.name == "RUNNING"


class Supervisor:
    """The supervisor of one stack."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._process: subprocess.Popen[bytes] | None = None
        self._names = {program.name: program.full_name for program in programs(layout)}

    def _ask(self, method: str, *arguments: Any) -> Any:
        """Raises OSError or HTTPException when it does not answer, Fault when it refuses."""
        transport = SupervisorTransport(None, None, f"unix://{self._layout.socket('supervisor')}")
        try:
            proxy = ServerProxy("http://127.0.0.1", transport=transport)
            return getattr(proxy.supervisor, method)(*arguments)
        finally:
            transport.close()

    def answers(self) -> bool:
        try:
            self._ask("getState")
        except (OSError, HTTPException):
            return False
        return True

    def begin(self, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        """Start it, in a session of its own: it stays when this process ends, and Ctrl-C does not reach it."""
        with open(self._layout.logs / "supervisor.out", "ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter, our own configuration)
                supervising.supervisor(self._layout.conf / "supervisor.conf"),
                env={**environment, MARK: str(self._layout.folder)},
                cwd=supervising.BASE,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _session_file(self._layout).write_text(str(self._process.pid))
        return self._process

    def gone(self) -> None:
        """Take notice that the supervisor which this object began has ended."""
        if self._process:
            self._process.wait()

    def start(self, names: Iterable[str]) -> None:
        """Without waiting. One that runs already is left alone."""
        for name in names:
            self._unless(_ALREADY_STARTED, "startProcess", self._names[name], False)

    def stop(self, name: str) -> None:
        """Stop one program, and wait until it has stopped. supervisor does not start it again by itself."""
        self._unless(_NOT_RUNNING, "stopProcess", self._names[name], True)

    def _unless(self, harmless: int, *question: Any) -> None:
        try:
            self._ask(*question)
        except Fault as fault:
            if fault.faultCode != harmless:
                raise CannotStart(f"supervisor refuses {question[0]} {question[1]}: {fault.faultString}") from None

    def states(self) -> dict[str, State]:
        """The state of each program. Empty when supervisor does not answer, or nothing more, for it is ending."""
        try:
            found = self._ask("getAllProcessInfo")
        except (OSError, HTTPException, Fault):
            return {}
        return {one["name"]: State(one["statename"], one["pid"], one["description"]) for one in found}

    def shut_down(self) -> None:
        with suppress(Fault):  # it is ending already
            self._ask("shutdown")


def _session_file(layout: Layout) -> Path:
    return layout.folder / "session"


def processes(layout: Layout) -> Iterator[int]:
    """The ids of all living processes of this stack, whoever their parent is now. A zombie does not live."""
    file = _session_file(layout)
    session = int(file.read_text()) if file.exists() else None
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _lives(entry) and _belongs(entry, layout, session):
            yield int(entry.name)


def _lives(process: Path) -> bool:
    try:
        return "\nState:\tZ" not in (process / "status").read_text()
    except OSError:
        return False


def _belongs(process: Path, layout: Layout, session: int | None) -> bool:
    """By the variable that it was started with or, as Redis and nginx write over their environment, by supervisor's
    session and the folder it works in. Either alone would take a terminal in that folder for one of ours."""
    try:
        if f"{MARK}={layout.folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
            return True
        works_here = Path(os.readlink(process / "cwd")).is_relative_to(layout.folder)
        return works_here and os.getsid(int(process.name)) == session
    except OSError:
        return False  # it has just ended, or is somebody else's


def kill_leftovers(layout: Layout, *, patience: float = 20) -> list[int]:
    """End what is left of a stack without a supervisor: asked first, then killed. Returns their ids."""
    left = list(processes(layout))
    for told in (signal.SIGTERM, signal.SIGKILL):
        for process in processes(layout):
            _tell(process, told)
        deadline = time.monotonic() + patience
        while any(processes(layout)) and time.monotonic() < deadline:
            time.sleep(0.1)
    return left


def _tell(process: int, told: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it may have ended by itself
        os.kill(process, told)
