"""The SQS server of a stack: an emulator from npm, installed once beside its launcher. It keeps messages in memory, so
a restart forgets them, and its queues with them: what is not done is found again by its row."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from deploy.local.layout import CannotStart, Layout

HERE = Path(__file__).parent / "sqs"
_INSTALLED = HERE / "node_modules" / ".installed"


def command(layout: Layout) -> list[str]:
    return [shutil.which("node") or "/usr/bin/node", str(HERE / "launcher.mjs"), str(layout.port("sqs"))]


def _lock_digest() -> str:
    return hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()


def install(layout: Layout, say: Callable[[str], None]) -> None:
    """What the lock file names, if it is not there already. Raises `CannotStart` when npm fails."""
    if _INSTALLED.exists() and _INSTALLED.read_text() == _lock_digest():
        return
    say("Installing the SQS server with npm (once, about ten seconds) …")
    npm = [shutil.which("npm") or "/usr/bin/npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error"]
    layout.logs.mkdir(parents=True, exist_ok=True)
    with open(layout.log("npm"), "wb") as log:
        code = subprocess.run(npm, cwd=HERE, stdout=log, stderr=log, check=False).returncode  # noqa: S603
    if code:
        raise CannotStart(f"npm could not install the SQS server; {layout.log('npm')} says why")
    draft = _INSTALLED.with_suffix(f".{os.getpid()}")
    draft.write_text(_lock_digest())
    draft.replace(_INSTALLED)
