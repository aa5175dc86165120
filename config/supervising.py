"""Programs kept running by supervisor: what each one is, and the configuration that says so."""

import os
import resource
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent
# What nginx may hold open; supervisor raises its own limit to this, and its programs inherit it.
DESCRIPTORS = 20_000


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running. Programs of a `group` are stopped together, the group with the highest `rank`
    first. `autostart`: with supervisor itself, not when told."""

    name: str
    command: list[str]
    folder: Path = BASE
    group: str = ""
    rank: int = 999
    autostart: bool = True
    stop_signal: str = "TERM"
    stop_seconds: int = 30

    @property
    def full_name(self) -> str:
        return f"{self.group}:{self.name}" if self.group else self.name


def application() -> list[Program]:
    """The processes of the application itself, with the names they have everywhere."""
    manage = [sys.executable, str(BASE / "manage.py")]
    celery = [sys.executable, "-m", "celery", "-A", "config"]
    # there is one worker, and nobody to talk to
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", str(BASE / "deploy" / "gunicorn.conf.py")]
    return [
        Program("web", [*gunicorn, "config.wsgi:application"]),
        Program(
            "worker", [*celery, "worker", "--pool", "threads", "--concurrency", "4", *alone, "--loglevel", "WARNING"]
        ),
        Program("clock", [*celery, "beat", "--loglevel", "WARNING", "--pidfile="]),
        Program("follower", [*manage, "follow_chains"]),
        Program("chain", [*manage, "simulated_chain"]),
    ]


def configuration(programs: Iterable[Program], *, logs: Path, pidfile: Path, socket: Path | None = None) -> str:
    """supervisor's configuration. With a `socket` it can be asked and told there, by this user only."""
    programs = list(programs)
    sections = [_supervisor(logs, pidfile)]
    if socket:
        sections.append(_asked_at(socket))
    sections += [_program(program, logs) for program in programs]
    sections += _groups(programs)
    return "\n".join(sections)


def supervisor(configured: Path) -> list[str]:
    """The command that keeps the programs of a configuration running, in the foreground."""
    return [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(configured)]


def _supervisor(logs: Path, pidfile: Path) -> str:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    values = {
        "nodaemon": "true",
        "logfile": logs / "supervisor.log",
        "pidfile": pidfile,
        "childlogdir": logs,
        "minfds": allowed,
    }
    if os.geteuid() == 0:
        values["user"] = "root"  # it warns loudly when root does not say that root is meant
    return _section("supervisord", values)


def _asked_at(socket: Path) -> str:
    factory = "supervisor.rpcinterface:make_main_rpcinterface"
    return (
        _section("unix_http_server", {"file": socket, "chmod": "0700"})
        + "\n"
        + _section("rpcinterface:supervisor", {"supervisor.rpcinterface_factory": factory})
    )


def _program(program: Program, logs: Path) -> str:
    values = {
        "command": shlex.join(program.command),
        "directory": program.folder,
        "priority": program.rank,
        "autostart": str(program.autostart).lower(),
        "autorestart": "true",
        "startsecs": 1,
        "startretries": 20,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_seconds,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": logs / f"{program.name}.log",
    }
    return _section(f"program:{program.name}", values)


def _groups(programs: list[Program]) -> Iterator[str]:
    for group in dict.fromkeys(program.group for program in programs if program.group):
        members = [program for program in programs if program.group == group]
        names = ",".join(program.name for program in members)
        yield _section(f"group:{group}", {"programs": names, "priority": members[0].rank})


def _section(name: str, values: dict[str, object]) -> str:
    # a percent sign begins one of supervisor's own values
    lines = [f"{key} = {str(value).replace('%', '%%')}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])
