"""The Bitcoin node for development and tests: Bitcoin Knots on a chain of its own (regtest).

Debian has it in sid only, so its packages are not installed but unpacked beside their libraries and run by sid's own
loader: nothing of it touches this machine, and no root is needed. Where it cannot be had, `why_not` says why.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.layout import HOST

PACKAGE = "bitcoin-knots"
FOLDER = Path(os.environ.get("STAMPEDE_KNOTS") or Path(__file__).parent / "knots" / ".unpacked")
PATIENCE_SECONDS = 120  # for all of it; ten seconds are usual
_NAMES_ONLY = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
# The machine's own settings are read first (its proxy, its way to check a mirror); these make all the rest private.
_PRIVATE = """\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "{folder}/none";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "{folder}/none";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{folder}/none";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
APT::Sandbox::User "{user}";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
"""


class CannotFetch(Exception):
    """The node's packages cannot be had; the message says why, in one line."""


def why_not() -> str | None:
    """Why no node can be started here, in one line; None when one can."""
    if _loader().exists():
        return None
    try:
        return _reason_file().read_text().strip()
    except OSError:
        return f"Bitcoin Knots is not in {FOLDER}; `python -m deploy.local.knots` fetches it"


def install(say: Callable[[str], object]) -> str | None:
    """Fetch the node, unless it is here. It never fails: the answer is `why_not()`, said as well."""
    if _loader().exists():
        return None
    try:
        say("Fetching Bitcoin Knots from Debian sid (once, about ten seconds) …\n")
        with _draft() as draft:
            _fetch(draft)
            _check(draft)
            _put_in_place(draft)
    except (CannotFetch, OSError) as error:
        reason = f"Bitcoin Knots could not be fetched: {' '.join(str(error).split())[:300]}"
        _remember(reason)
        say(f"{reason}\nTests on a real Bitcoin node will be skipped.\n")
    return why_not()


def command(folder: Path, *, rpc_port: int, user: str, password: str) -> list[str]:
    """A node that keeps its chain and its wallets in `folder` (which must exist), answers JSON-RPC on loopback and
    speaks to no other node. The password is in the command as a salted digest only."""
    return [
        *_run_by_loader(FOLDER, "bitcoind"),
        "-regtest",
        f"-datadir={folder}",
        "-server",
        f"-rpcbind={HOST}",
        f"-rpcallowip={HOST}",
        f"-rpcport={rpc_port}",
        f"-rpcauth={_rpcauth(user, password)}",
        "-listen=0",
        "-connect=0",
        "-dnsseed=0",
        "-txindex=1",
        "-fallbackfee=0.0001",
        "-dbcache=32",
        "-par=1",
        "-debuglogfile=0",
        "-softwareexpiry=0",  # else a node that was unpacked long ago refuses to start
    ]


def _rpcauth(user: str, password: str) -> str:
    salt = secrets.token_hex(16)
    return f"{user}:{salt}${hmac.new(salt.encode(), password.encode(), hashlib.sha256).hexdigest()}"


def _loader(root: Path = FOLDER) -> Path:
    """sid's dynamic loader. Its name is part of the processor's ABI."""
    name = {"aarch64": "ld-linux-aarch64.so.1"}.get(platform.machine(), "ld-linux-x86-64.so.2")
    return root / "usr" / "lib" / _triplet() / name


def _triplet() -> str:
    return f"{platform.machine()}-linux-gnu"


def _run_by_loader(root: Path, program: str) -> list[str]:
    return [str(_loader(root)), "--library-path", str(root / "usr/lib" / _triplet()), str(root / "usr/bin" / program)]


def _reason_file() -> Path:
    return FOLDER.with_name(f"{FOLDER.name}.missing")


def _remember(reason: str) -> None:
    try:
        _reason_file().parent.mkdir(parents=True, exist_ok=True)
        _reason_file().write_text(reason + "\n")
    except OSError:
        pass  # then `why_not` says less


@contextmanager
def _draft() -> Iterator[Path]:
    """Beside the folder that it becomes, so that it can be renamed."""
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{FOLDER.name}.", dir=FOLDER.parent))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(draft: Path) -> None:
    """One rename: whoever looks sees all of it or nothing. A rival that was first has put the same there."""
    _reason_file().unlink(missing_ok=True)
    (draft / "root").chmod(0o755)
    try:
        (draft / "root").rename(FOLDER)
    except OSError:
        if not _loader().exists():
            raise


def _fetch(draft: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    apt = _apt(draft, deadline)
    apt("apt-get", "-qq", "update")
    (draft / "root").mkdir()
    (draft / "packages").mkdir()
    apt("apt-get", "-qq", "download", *_with_libraries(apt))
    for package in sorted((draft / "packages").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(draft / "root")], deadline=deadline)


def _with_libraries(apt: Callable[..., str]) -> list[str]:
    """The node and the libraries below it. Not debconf and systemd, which are there to install it as a service."""
    only = [f"--no-{kind}" for kind in _NAMES_ONLY]
    found, asked = {PACKAGE}, {PACKAGE}
    while asked:
        lines = apt("apt-cache", "depends", *only, *sorted(asked)).splitlines()
        named = {line.split("Depends: ")[1] for line in lines if "Depends: " in line}
        asked = {name for name in named if name.startswith("lib")} - found
        found |= asked
    return sorted(found)


def _apt(draft: Path, deadline: float) -> Callable[..., str]:
    """apt with sources, lists and cache of its own below `draft`, and this machine's mirror and keys."""
    for name in ("none", "state", "lists/partial", "cache/archives/partial", "log"):
        (draft / name).mkdir(parents=True)
    machine = _run(["apt-config", "dump"], deadline=deadline).splitlines()
    own = [line for line in machine if line.startswith("Acquire::") and "::Languages" not in line]
    (draft / "sources.list").write_text(_source(deadline))
    user = "root" if os.geteuid() == 0 else ""  # apt's own user may not write below this folder
    (draft / "apt.conf").write_text("\n".join([*own, _PRIVATE.format(folder=draft, user=user)]))

    def apt(*arguments: str) -> str:
        environment = {**os.environ, "APT_CONFIG": str(draft / "apt.conf"), "LC_ALL": "C"}
        folder = draft / "packages"
        return _run(list(arguments), deadline=deadline, env=environment, cwd=folder if folder.exists() else draft)

    return apt


def _source(deadline: float) -> str:
    """sid, from the mirror that this machine's own release comes from, checked by the same keys."""
    wanted = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)"
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    lines = _run(["apt-get", "indextargets", "--format", wanted, "Identifier: Packages"], deadline=deadline)
    for address, release, component, keys in (line.split("|") for line in lines.splitlines()):
        if (release, component) == (codename, "main"):
            signed = f"[signed-by={keys}] " if keys.startswith("/") else ""
            return f"deb {signed}{address} sid main\n"
    raise CannotFetch(f"apt on this machine has no mirror of Debian {codename or '(unknown release)'}")


def _check(draft: Path) -> None:
    """That it really runs here: a library that moved is found now and not in the middle of a test."""
    said = _run([*_run_by_loader(draft / "root", "bitcoind"), "-version"], deadline=time.monotonic() + 20)
    if "version" not in said:
        raise CannotFetch(f"what was unpacked does not say its version: {said[:100]!r}")


def _run(arguments: list[str], *, deadline: float, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """What it prints. In a session of its own, so that nothing which it started outlives the deadline."""
    try:
        process = subprocess.Popen(  # noqa: S603 (apt and dpkg, with our own arguments)
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=env,
            cwd=cwd,
        )
    except FileNotFoundError:
        raise CannotFetch(f"this machine has no {arguments[0]}") from None
    try:
        output, errors = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise CannotFetch(f"{arguments[0]} took longer than {PATIENCE_SECONDS} s") from None
        raise
    if process.returncode:
        raise CannotFetch(f"{' '.join(arguments[:3])} ended with {process.returncode}: {errors.strip()[-250:]}")
    return output


if __name__ == "__main__":
    install(sys.stdout.write)
