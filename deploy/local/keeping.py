"""The keeper of a development chain: takes anvil's chain down again and again, whole or not at all.

    python -m deploy.local.keeping --port N --folder DIR --of PID

Ends with the process that it belongs to, its parent.
"""

import argparse
import gzip
import os
import time
from pathlib import Path

from deploy.local.asking import Refused, ask
from deploy.local.layout import HOST

_PAUSE_SECONDS, _LONGEST_PAUSE = 1.0, 10.0
_SHARE = 4  # a long chain takes longer to write: a fifth of the time is spent on it, or every 10 s
_PATIENCE_SECONDS = 30.0  # for one answer


def kept(folder: Path) -> Path:
    return folder / "kept.json"


def keep(*, port: int, folder: Path) -> None:
    """Take the chain down once. The states of past blocks are left out: 100 kB a block, against 2 kB without them."""
    packed = str(ask(f"http://{HOST}:{port}", "anvil_dumpState", False, seconds=_PATIENCE_SECONDS))
    draft = kept(folder).with_suffix(".new")
    draft.write_bytes(gzip.decompress(bytes.fromhex(packed.removeprefix("0x"))))
    draft.replace(kept(folder))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.keeping")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--of", type=int, required=True)
    chosen = parser.parse_args()
    while os.getppid() == chosen.of:
        begun = time.monotonic()
        try:
            keep(port=chosen.port, folder=chosen.folder)
        except (OSError, Refused) as error:  # it is starting, or ending
            print(f"the chain was not kept: {error}", flush=True)  # noqa: T201 (a program's word)
        time.sleep(min(max(_PAUSE_SECONDS, _SHARE * (time.monotonic() - begun)), _LONGEST_PAUSE))


if __name__ == "__main__":
    main()
