"""`manage.py follow_chains`: the follower of both chains, until it is told to stop."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ico import cursors, followers, stopping
from ico.chains.base import ChainError
from ico.models import Chain


class Command(BaseCommand):
    help = "Follow both chains: record what arrives, credit what is final, read the load for the release."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one step along each chain, and end")

    def handle(self, **options: Any) -> None:
        if options["once"]:
            failed = [_told(chain, error) for chain, error in followers.once().items()]
            if failed:
                raise CommandError("\n".join(failed))
            return
        with stopping.on_signal() as stop:
            self.stdout.write("following " + ", ".join(Chain.values))
            self.stdout.flush()
            followers.run(stop)
        self.stdout.write("stopped following")


def _told(chain: str, error: Exception) -> str:
    kind = "" if isinstance(error, ChainError) else f"{type(error).__name__}: "
    return f"{chain} was not followed: {kind}{cursors.plain(error)}"
