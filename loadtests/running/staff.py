"""The worker processes of this machine: started, watched, ended. Their standard input is their life line: it closes
when the conductor dies, however it dies, and then they leave."""

import json
import secrets
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEAVE_SECONDS = 5.0


class Staff:
    def __init__(self, *, port: int, key: bytes) -> None:
        self._command = [sys.executable, "-m", "loadtests.running.worker", "127.0.0.1", str(port)]
        self._key = key.hex()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._by_token: dict[str, subprocess.Popen[bytes]] = {}

    def hire(self) -> None:
        process = subprocess.Popen(  # noqa: S603
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        self._processes.append(process)
        token = secrets.token_hex(16)
        self._by_token[token] = process
        if process.stdin is not None:  # by pipe: arguments and environments are read by others
            process.stdin.write(json.dumps({"key": self._key, "token": token}).encode() + b"\n")
            process.stdin.flush()

    def pid_of(self, token: str) -> int | None:
        """Whose token this is; None: nobody's whom we employ. (A number of a process says nothing: another machine has
        the same ones.)"""
        process = self._by_token.get(token)
        return None if process is None else process.pid

    def died(self) -> "list[subprocess.Popen[bytes]]":
        return [process for process in self._processes if process.poll() is not None]

    def end(self, pid: int) -> None:
        """At once: it was given up, and must not come back to life."""
        for process in self._processes:
            if process.pid == pid and process.poll() is None:
                process.kill()

    def dismiss(self) -> None:
        """All of them; who does not leave is ended."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
