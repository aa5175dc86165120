"""gunicorn with this application on the embedded default: no worker, no clock, a sale that is open."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.serving import free_port
from tests.deadline import until
from tests.deploy.edge import listens

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Web:
    port: int
    data: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def static(self) -> Path:
        return self.data / "static"

    def start(self) -> None:
        command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "config.wsgi:application"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment)
        until(lambda: listens(self.port), "gunicorn answers")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(40)


@contextmanager
def web(data: Path, **variables: str) -> Iterator[Web]:
    port = free_port()
    environment = {
        **os.environ,
        "STAMPEDE_DATA": str(data),
        "STAMPEDE_BIND": f"127.0.0.1:{port}",
        "STAMPEDE_TRUSTED_PROXIES": "127.0.0.1",
        "STAMPEDE_SIGNUPS_PER_MINUTE": "0",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        **variables,
    }
    for command in (["migrate", "-v0"], ["collectstatic", "--noinput", "-v0"], ["seed_sale"]):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=environment, check=True)
    running = Web(port, data, environment, subprocess.Popen(["true"]))
    running.process.wait()
    try:
        running.start()
        yield running
    finally:
        running.stop()
