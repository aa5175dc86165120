"""The SQS server of a stack: an emulator from npm, installed once beside its launcher. It keeps messages in memory, so
a restart forgets them, and its queues with them: what is not done is found again by its row."""

import shutil
from collections.abc import Callable
from pathlib import Path

from deploy.local import npm
from deploy.local.layout import Layout

HERE = Path(__file__).parent / "sqs"


def command(layout: Layout) -> list[str]:
    return [shutil.which("node") or "/usr/bin/node", str(HERE / "launcher.mjs"), str(layout.port("sqs"))]


def install(layout: Layout, say: Callable[[str], None]) -> None:
    """What the lock file names, if it is not there already. Raises `CannotStart` when npm fails."""
    if npm.is_installed(HERE):
        return
    say("Installing the SQS server with npm (once, about ten seconds) …")
    npm.install(HERE, what="the SQS server", log=layout.log("npm"))
