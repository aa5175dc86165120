"""Installing what a lock file of npm names, once per lock file, beside it."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.layout import CannotStart


def is_installed(folder: Path) -> bool:
    """Whether the packages of the lock file in this folder are there, whole and of these versions."""
    mark = _mark(folder)
    return mark.exists() and mark.read_text() == _lock_digest(folder)


def install(folder: Path, *, what: str, log: Path) -> None:
    """`npm ci`, with no package's own installation scripts. Raises `CannotStart`, naming `what` and `log`."""
    npm = [shutil.which("npm") or "/usr/bin/npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        try:
            code = subprocess.run([*npm, "--loglevel", "error"], cwd=folder, stdout=file, stderr=file, check=False)  # noqa: S603
        except OSError as error:
            raise CannotStart(f"npm is needed to install {what}: {error}") from None
    if code.returncode:
        raise CannotStart(f"npm could not install {what}; {log} says why")
    draft = _mark(folder).with_suffix(f".{os.getpid()}")
    draft.write_text(_lock_digest(folder))
    draft.replace(_mark(folder))


def _mark(folder: Path) -> Path:
    return folder / "node_modules" / ".installed"


def _lock_digest(folder: Path) -> str:
    return hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
