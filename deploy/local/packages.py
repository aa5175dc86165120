"""The Debian packages that a stack's programs come in: installed by root, named to everybody else."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from deploy.local.layout import NODES, CannotStart, Layout

# For each program: commands it needs, and the packages with them. MariaDB's server comes without the package that would
# start it as a service.
_MARIADB = (("mariadbd", "mariadb-install-db"), ("mariadb-server-core", "mariadb-client"))
_NEEDS = {
    **dict.fromkeys(NODES, _MARIADB),
    "redis": (("redis-server",), ("redis-server",)),
    "sqs": (("node", "npm"), ("nodejs", "npm")),
    "ethereum": (("npm",), ("npm",)),
    "nginx": (("nginx",), ("nginx-light",)),
}
OLDEST_NODE = 18
_MODULES = ("MySQLdb", "django_redis", "boto3", "aiosmtpd")
_SERVERS_ARE_IN = "/usr/local/sbin:/usr/sbin:/sbin"  # where an ordinary user's search path does not look
_MAY_START_SERVICES = Path("/usr/sbin/policy-rc.d")


def missing(layout: Layout) -> list[str]:
    """The packages of the chosen programs that are not installed."""
    wanted: list[str] = []
    for name in layout.programs:
        commands, packages = _NEEDS.get(name, ((), ()))
        if not all(_found(command) for command in commands):
            wanted += [package for package in packages if package not in wanted]
    return wanted


def _found(command: str) -> str:
    return shutil.which(command, path=f"{os.environ.get('PATH', '')}:{_SERVERS_ARE_IN}") or ""


def ensure(layout: Layout, say: Callable[[str], None]) -> None:
    """Raises `CannotStart` with the command to type when something is missing and this user may not install it, or
    with the version of Node.js when it is too old."""
    absent = [module for module in _MODULES if find_spec(module) is None]
    if absent:
        raise CannotStart(f"the Python modules {', '.join(absent)} are missing; type: make .venv/stack")
    _install(missing(layout), say)
    if layout.has("sqs"):
        _look_at_node()


def _install(packages: list[str], say: Callable[[str], None]) -> None:
    if not packages:
        return
    by_hand = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotStart(f"packages are missing; as root, type: {by_hand}")
    say(f"Installing {' '.join(packages)} …")
    with _services_stay_down():
        _apt(["update"], by_hand)
        _apt(by_hand.split()[1:], by_hand)


def _look_at_node() -> None:
    """The SQS server's packages say 20, one of them 22; Debian 12's 18 runs them all, 16 does not start."""
    node = _found("node")
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    said = asked.stdout.strip()
    number = re.match(r"v(\d+)\.", said)
    if number is None or int(number[1]) < OLDEST_NODE:
        raise CannotStart(
            f"the SQS server needs Node.js {OLDEST_NODE} or newer; {node} --version says {said!r}. Debian 12's "
            "package nodejs is new enough; or name the other programs with --only"
        )


def _apt(arguments: list[str], by_hand: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise CannotStart(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}\nTry it by hand: {by_hand}")


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Debian starts a server when it installs it, on its usual port; asked by this file, it does not. A file that is
    there already is somebody's decision."""
    if _MAY_START_SERVICES.exists():
        yield
        return
    _MAY_START_SERVICES.write_text("#!/bin/sh\nexit 101\n")
    _MAY_START_SERVICES.chmod(0o755)
    try:
        yield
    finally:
        _MAY_START_SERVICES.unlink()
