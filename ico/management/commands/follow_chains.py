"""`manage.py follow_chains`: the follower of both chains, until it is told to stop."""

import logging
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.utils import timezone

from ico import deposits, nodes, stopping
from ico.chains.base import ChainError
from ico.models import Chain

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


class Command(BaseCommand):
    help = "Follow both chains: record what arrives, credit what is deep enough, read the load for the release."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one step along each chain, and end")

    def handle(self, **options: Any) -> None:
        if options["once"]:
            for chain in Chain.values:
                step(chain)
            return
        with stopping.on_signal() as stop:
            self.stdout.write("following " + ", ".join(Chain.values))
            self.stdout.flush()
            trouble: dict[str, str] = {}
            while not stop.is_set():
                begun = time.monotonic()
                for chain in Chain.values:
                    trouble[chain] = _told(chain, trouble.get(chain, ""))
                stop.wait(max(0.0, begun + PAUSE_SECONDS - time.monotonic()))
        self.stdout.write("stopped following")


def step(chain: str) -> None:
    """One bounded step along a chain; on the one that the release depends on, its load is read as well. Raises what
    `deposits.follow` raises."""
    client = deposits.client_for(chain)
    followed = deposits.follow(chain=chain, client=client, now=timezone.now())
    if followed.rewound:
        logger.warning("%s gave up %d blocks that were followed", chain, followed.rewound)
    if followed.booked:
        logger.info("%s at block %d: %d deposits were booked", chain, followed.height, followed.booked)
    if chain == Chain.ETH:
        deposits.read_load(client=nodes.gauged(), now=timezone.now())


def _told(chain: str, before: str) -> str:
    """Take a step. Whatever goes wrong is told the log, once as long as it stays the same, and the other chain is
    followed all the same. Returns what went wrong, for the next time."""
    try:
        close_old_connections()  # the server may have been restarted since the last step
        step(chain)
    except Exception as error:
        told = str(error) or repr(error)
        if told != before:
            node = isinstance(error, ChainError)
            logger.warning("%s was not followed: %s", chain, told, exc_info=None if node else error)
        return told
    if before:
        logger.warning("%s is followed again", chain)
    return ""
