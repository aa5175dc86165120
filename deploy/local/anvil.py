"""anvil, a development node of Ethereum: a native program from npm, which mines, reorganises and goes back on request.

The lock file names the package of one platform, Linux on x86-64, and not the package that chooses among five: npm takes
no lock file that leaves some of them out, and a lock without their digests would be none.
"""

import json
import platform
from collections.abc import Callable
from pathlib import Path

from deploy.local import npm
from deploy.local.layout import HOST, Layout

HERE = Path(__file__).parent / "anvil"
BINARY = HERE / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
CHAIN_ID = 31_337
_PLATFORM = "Linux on x86_64"
_SLOTS_IN_AN_EPOCH = 1  # the finalized block moves with the tip, two epochs behind it, instead of 64


def cannot_run() -> str:
    """Why the node can never run on this machine, in one line; "" where it can."""
    here = f"{platform.system()} on {platform.machine()}"
    return "" if here == _PLATFORM else f"anvil is had for {_PLATFORM} only, and this is {here}"


def missing() -> str:
    """What is missing to run the node here; "" when it can be run."""
    installed = "" if npm.is_installed(HERE) else "anvil is not installed; type: manage.py stack install"
    return cannot_run() or installed


def install(layout: Layout, say: Callable[[str], None]) -> None:
    """What the lock file names, if it is not there already. Where it cannot run, that is said and no failure: the rest
    of a stack does without. Raises `CannotStart` when npm fails."""
    if reason := cannot_run():
        say(f"{reason}: there is no real Ethereum node here.")
        return
    if npm.is_installed(HERE):
        return
    say("Installing anvil with npm (once, a few seconds) …")
    npm.install(HERE, what="anvil", log=layout.log("npm"))


def keep_one_genesis(state: Path) -> None:
    """To be called before a chain is loaded. At each start anvil makes a genesis block of its own, and writes it down
    beside the chain's at the end; of two that it loads chance says which one counts, and the chain would be another.
    The chain's is the oldest."""
    chain = json.loads(state.read_bytes())
    first = [block for block in chain["blocks"] if int(block["header"]["number"], 16) == 0]
    if len(first) < 2:
        return
    oldest = min(first, key=lambda block: int(block["header"]["timestamp"], 16))
    chain["blocks"] = [block for block in chain["blocks"] if block not in first] + [oldest]
    draft = state.with_suffix(".one")
    draft.write_text(json.dumps(chain))
    draft.replace(state)


def command(
    port: int, *, state: Path | None = None, block_seconds: float | None = None, chain_id: int = CHAIN_ID
) -> list[str]:
    """`state`: a file that holds the chain between two runs, written when the node is told to stop (SIGTERM or SIGINT).
    `block_seconds`: None mines only when asked by `anvil_mine` or `evm_mine`."""
    found = [str(BINARY), "--host", HOST, "--port", str(port), "--silent", "--chain-id", str(chain_id)]
    found += ["--slots-in-an-epoch", str(_SLOTS_IN_AN_EPOCH)]
    found += ["--no-mining"] if block_seconds is None else ["--block-time", str(block_seconds)]
    # Without the history, the states of past blocks would be gone after a restart: balances and reorgs need them.
    return found + (["--state", str(state), "--preserve-historical-states"] if state else [])
