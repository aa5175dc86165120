"""The miner of a development chain of Bitcoin: one block every few seconds, over JSON-RPC, until it is told to stop.

    STAMPEDE_BTC_NODE=http://user:password@127.0.0.1:N python -m deploy.local.miner --block-seconds S

What it earns lies in the node's wallet, out of which people who are played pay. A reward can be spent a hundred blocks
later, so a new chain begins with that many.

A node writes down which blocks it has about once an hour: one that is killed gets the rest from its peers again. This
one has none, and would begin anew. So each block is written down.
"""

import argparse
import os
import signal
import sys
import threading

from deploy.local.asking import Refused, ask

WALLET = "purse"
_MATURE = 101
_PATIENCE = 60.0  # seconds for an answer


def prepare(node: str) -> None:
    """A wallet that has something to spend. Raises what `ask` raises."""
    if WALLET not in ask(node, "listwallets"):
        known = [one["name"] for one in ask(node, "listwalletdir")["wallets"]]
        if WALLET in known:
            ask(node, "loadwallet", WALLET, True, seconds=_PATIENCE)
        else:
            # no passphrase, with keys of its own, by descriptors, and loaded whenever the node starts
            ask(node, "createwallet", WALLET, False, False, "", False, True, True, seconds=_PATIENCE)
    missing = _MATURE - int(ask(node, "getblockcount"))
    if missing > 0:
        mine(node, missing)


def mine(node: str, blocks: int = 1) -> None:
    """To a new address: a block like one that was given up would be that one. Raises what `ask` raises."""
    address = ask(f"{node}/wallet/{WALLET}", "getnewaddress")
    ask(node, "generatetoaddress", blocks, address, seconds=_PATIENCE)
    ask(node, "gettxoutsetinfo", "none", seconds=_PATIENCE)  # before it counts, it writes everything down


def mine_on(node: str, *, block_seconds: float, stop: threading.Event) -> None:
    """A node that is away is asked again: supervisor is starting it."""
    prepared = False
    while not stop.is_set():
        try:
            if not prepared:
                prepare(node)
                prepared = True
            mine(node)
        except (OSError, Refused) as error:
            prepared = False  # another node may be there next, which has not loaded the wallet
            print(f"no block was mined: {error}", flush=True)  # noqa: T201 (a program's word)
        stop.wait(block_seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.miner")
    parser.add_argument("--block-seconds", type=float, required=True)
    chosen = parser.parse_args()
    node = os.environ.get("STAMPEDE_BTC_NODE", "").rstrip("/")
    if not node:
        sys.exit("STAMPEDE_BTC_NODE says which node mines, and is not set")
    stop = threading.Event()
    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, lambda *_: stop.set())
    mine_on(node, block_seconds=chosen.block_seconds, stop=stop)


if __name__ == "__main__":
    main()
