"""Installing what a lock file of npm names, once per lock file, beside it."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from deploy.local import sessions
from deploy.local.layout import CannotStart

PATIENCE_SECONDS = 300.0  # for all of it; ten are usual


def is_installed(folder: Path) -> bool:
    """Whether the packages of the lock file in this folder are there, whole and of these versions."""
    mark = _mark(folder)
    return mark.exists() and mark.read_text() == _lock_digest(folder)


def install(folder: Path, *, what: str, log: Path) -> None:
    """`npm ci`, with no package's own installation scripts, unless somebody else has done it when it is our turn.
    Raises `CannotStart`, naming `what` and `log`, at the latest after `PATIENCE_SECONDS`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    log.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder, what, deadline) as lock:
        if is_installed(folder):
            return
        _run(folder, what, log, lock, deadline)
        draft = _mark(folder).with_suffix(f".{os.getpid()}")
        draft.write_text(_lock_digest(folder))
        draft.replace(_mark(folder))


@contextmanager
def _alone(folder: Path, what: str, deadline: float) -> Iterator[BinaryIO]:
    """npm begins by removing what is there, so two at once would leave neither's. The lock is on the lock file itself,
    which npm only reads, and ends with the processes that hold it."""
    with open(folder / "package-lock.json", "rb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CannotStart(f"somebody else has been installing {what} in {folder} for too long") from None
                time.sleep(0.1)
        yield lock


def _run(folder: Path, what: str, log: Path, lock: BinaryIO, deadline: float) -> None:
    """In a session of its own, so that nothing which npm started outlives the deadline, and with the lock in its hands,
    so that nobody begins while it still writes, should this process be killed."""
    command = [shutil.which("npm") or "/usr/bin/npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    with open(log, "ab") as file:
        try:
            process = subprocess.Popen(  # noqa: S603 (npm, with our own arguments)
                [*command, "--loglevel", "error"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
        except OSError as error:
            raise CannotStart(f"npm is needed to install {what}: {error}") from None
    try:
        sessions.ended(process, deadline=deadline)
    except subprocess.TimeoutExpired:
        raise CannotStart(f"npm took too long to install {what}; {log} may say why") from None
    if process.returncode:
        raise CannotStart(f"npm could not install {what}; {log} says why")


def _mark(folder: Path) -> Path:
    return folder / "node_modules" / ".installed"


def _lock_digest(folder: Path) -> str:
    return hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
