"""The Ethereum node of a stack: anvil, whose chain outlives it.

    python -m deploy.local.ethereum --port N --folder DIR --block-seconds S

anvil writes its chain down at an orderly end only, and whoever kills it while it writes leaves half a file, with which
it never starts again. So this begins a keeper (`deploy/local/keeping.py`), which takes the chain down once a second,
and becomes anvil on the newest chain that can be read. A killed node loses the last second: to whoever follows it that
is a small reorg, as real chains have them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.local import anvil
from deploy.local.keeping import kept

_CLOSED = "closed.json"  # written by anvil itself at its orderly end


def newest(folder: Path) -> Path | None:
    """The file with the newest whole chain in this folder; None where there is none yet."""
    found = [path for path in (kept(folder), folder / _CLOSED) if path.exists()]
    return next((path for path in sorted(found, key=_age, reverse=True) if _is_whole(path)), None)


def _age(path: Path) -> int:
    return path.stat().st_mtime_ns


def _is_whole(path: Path) -> bool:
    try:
        return "blocks" in json.loads(path.read_bytes())
    except ValueError:
        return False


def command(port: int, folder: Path, *, block_seconds: float) -> list[str]:
    """anvil on the chain in this folder, where it has to keep the states of past blocks as well: those of a killed one
    would stay for ever in its user's home."""
    files = ["--dump-state", str(folder / _CLOSED), "--cache-path", str(_cache(folder))]
    chain = newest(folder)
    return [
        *anvil.command(port, block_seconds=block_seconds),
        *files,
        *(["--load-state", str(chain)] if chain else []),
    ]


def _cache(folder: Path) -> Path:
    return folder / "states"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.ethereum")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--block-seconds", type=float, required=True)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(_cache(chosen.folder), ignore_errors=True)
    if chain := newest(chosen.folder):
        anvil.keep_one_genesis(chain)
    become = command(chosen.port, chosen.folder, block_seconds=chosen.block_seconds)
    keeper = [sys.executable, "-m", "deploy.local.keeping", "--port", str(chosen.port), "--folder", str(chosen.folder)]
    subprocess.Popen([*keeper, "--of", str(os.getpid())])  # noqa: S603 (our own program)
    os.execv(become[0], become)  # noqa: S606 (the process id stays, so supervisor knows the node itself)


if __name__ == "__main__":
    main()
