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
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import sid
from deploy.local.layout import HOST

PACKAGE = "bitcoin-knots"
BY_HAND = "python -m deploy.local.knots"
# Not a setting of the application: tests forget those of the shell, and one copy may serve several work trees.
FOLDER = Path(os.environ.get("KNOTS_FOLDER") or Path(__file__).parent / "knots" / ".unpacked")
PATIENCE_SECONDS = 120  # for all of it; ten seconds are usual
REASON_SECONDS = 3_600  # so long a failure is believed before it is tried again


def why_not() -> str | None:
    """Why no node can be started here, in one line; None when one can."""
    if _loader().exists():
        return None
    try:
        return _reason_file().read_text().strip()
    except OSError:
        return f"Bitcoin Knots is not in {FOLDER}; `{BY_HAND}` fetches it"


def install(say: Callable[[str], object], *, again: bool = False) -> str | None:
    """Fetch the node, unless it is here, or could not be fetched within the last hour (`again`: also then). It never
    fails: the answer is `why_not()`, said as well where it is new."""
    if _loader().exists() or (_failed_lately() and not again):
        return why_not()
    try:
        say("Fetching Bitcoin Knots from Debian sid (once, about ten seconds) …\n")
        with _draft() as draft:
            sid.unpack(PACKAGE, draft, deadline=time.monotonic() + PATIENCE_SECONDS)
            _check(draft)
            _put_in_place(draft)
    except (sid.CannotFetch, OSError) as error:
        reason = f"Bitcoin Knots could not be fetched: {' '.join(str(error).split())[:300]}; `{BY_HAND}` tries again"
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


def _loader(root: Path | None = None) -> Path:
    """sid's dynamic loader. Its name is part of the processor's ABI."""
    name = {"aarch64": "ld-linux-aarch64.so.1"}.get(platform.machine(), "ld-linux-x86-64.so.2")
    return (root or FOLDER) / "usr" / "lib" / _triplet() / name


def _triplet() -> str:
    return f"{platform.machine()}-linux-gnu"


def _run_by_loader(root: Path, program: str) -> list[str]:
    return [str(_loader(root)), "--library-path", str(root / "usr/lib" / _triplet()), str(root / "usr/bin" / program)]


def _reason_file() -> Path:
    return FOLDER.with_name(f"{FOLDER.name}.missing")


def _failed_lately() -> bool:
    try:
        return 0 <= time.time() - _reason_file().stat().st_mtime < REASON_SECONDS
    except OSError:
        return False


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


def _check(draft: Path) -> None:
    """That it really runs here: a library that moved is found now and not in the middle of a test."""
    said = sid.run([*_run_by_loader(draft / "root", "bitcoind"), "-version"], deadline=time.monotonic() + 20)
    if "version" not in said:
        raise sid.CannotFetch(f"what was unpacked does not say its version: {said[:100]!r}")


if __name__ == "__main__":
    install(sys.stdout.write, again=True)
