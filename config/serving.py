"""The whole application on one machine without any server installed: web, worker, clock, chain follower and the
simulated chain, kept running by supervisor in one data folder."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NoReturn

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils.crypto import get_random_string

from config import supervising
from loadtests.guard import challenge

START_SECONDS = 60
STOP_SECONDS = 180  # supervisor stops one program after the other, and gives each 30 s
OPERATOR = "operator"

# What makes a demonstration quick, and lets it be stampeded. Whatever the environment says already goes first.
DEMO_PACE = {
    "STAMPEDE_LOAD_TARGET": challenge.DEMO,
    "STAMPEDE_BTC_BLOCK_SECONDS": "2",
    "STAMPEDE_ETH_BLOCK_SECONDS": "1",
    "STAMPEDE_SIGNUPS_PER_MINUTE": "6000",
    "STAMPEDE_LOGINS_PER_MINUTE": "6000",
    "STAMPEDE_CARTS_PER_MINUTE": "6000",
}


class CannotServe(Exception):
    """The application could not be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started application: where it answers, and the process that keeps the others running."""

    url: str
    supervisor: subprocess.Popen[bytes]
    logs: Path


def prepare() -> str | None:
    """Make the data folder ready: tables, static files, queues, an operator. Returns the operator's password when the
    account was made now, None when it was there already."""
    call_command("collectstatic", interactive=False, verbosity=0)
    return prepare_books()


def prepare_books() -> str | None:
    """Like `prepare`, without the static files, which take the longest and need no database."""
    call_command("migrate", interactive=False, verbosity=0)
    for folder in ("messages", "control"):
        (Path(settings.QUEUE_DIR) / folder).mkdir(parents=True, exist_ok=True)
    users = get_user_model().objects
    if users.filter(username=OPERATOR).exists():
        return None
    password = get_random_string(16)
    users.create_superuser(username=OPERATOR, email="", password=password)
    return password


@contextmanager
def running(*, host: str, port: int) -> Iterator[Running]:
    """Start everything, wait until it answers, and stop everything again. Raises `CannotServe`."""
    must_be_free(host, port)
    url = f"http://{host}:{port}"
    logs = Path(settings.DATA_DIR) / "logs"
    logs.mkdir(exist_ok=True)
    with _alone(), _supervised(host, port, url, logs) as supervisor:
        yield Running(url=url, supervisor=supervisor, logs=logs)


@contextmanager
def _alone() -> Iterator[None]:
    """Two applications in one data folder would both mine, number and send. The lock ends with the process."""
    with open(Path(settings.DATA_DIR) / "serve.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotServe(
                f"it is running in {settings.DATA_DIR} already; stop that, or name another folder"
            ) from None
        yield


@contextmanager
def _supervised(host: str, port: int, url: str, logs: Path) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {
        **DEMO_PACE,
        **os.environ,
        "STAMPEDE_DATA": str(settings.DATA_DIR),
        "STAMPEDE_PUBLIC_URL": url,
        "STAMPEDE_BIND": f"{host}:{port}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(_empty_metrics()),
    }
    with open(logs / "supervisor.out", "ab") as output:
        supervisor = subprocess.Popen(  # noqa: S603 (our own interpreter, our own configuration)
            supervising.supervisor(_configuration(logs)),
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone; we stop the others in order
        )
    try:
        _wait_until_it_answers(supervisor, host, port, logs)
        yield supervisor
    finally:
        _stop(supervisor)


def _empty_metrics() -> Path:
    """The folder in which the processes count, with nothing of processes that are gone."""
    folder = Path(settings.DATA_DIR) / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _configuration(logs: Path) -> Path:
    data = Path(settings.DATA_DIR)
    path = data / "supervisor.conf"
    programs = [one for one in supervising.application() if one.name != "chain" or not all(settings.NODES.values())]
    path.write_text(supervising.configuration(programs, logs=logs, pidfile=data / "supervisor.pid"))
    return path


def must_be_free(host: str, port: int) -> None:
    """Raises `CannotServe` when nobody can listen there."""
    if not 0 < port < 65_536:
        raise CannotServe(f"{port} is not a port; name one from 1 to 65535 with --port")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotServe(f"{host}:{port} cannot be used ({error.strerror}); name another with --port") from None


def _wait_until_it_answers(supervisor: subprocess.Popen[bytes], host: str, port: int, logs: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if supervisor.poll() is not None:
            raise CannotServe(f"it stopped while starting; {logs / 'supervisor.out'} says why")
        if _answers(host, port):
            return
        time.sleep(0.1)
    raise CannotServe(f"no answer on {host}:{port} after {START_SECONDS} s; {logs / 'web.log'} may say why")


def _answers(host: str, port: int) -> bool:
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def stop_in_order() -> None:
    """Let this process end like at Ctrl-C when it is told to end, or when its terminal is closed."""

    def interrupt(signum: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    for told in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(told, interrupt)


def go_on_to_the_end() -> None:
    """From now on this process cannot be interrupted: whoever is impatient while it stops others would leave them
    behind."""
    for told in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(told, signal.SIG_IGN)


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    go_on_to_the_end()
    if supervisor.poll() is None:
        supervisor.send_signal(signal.SIGTERM)
        try:
            supervisor.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
