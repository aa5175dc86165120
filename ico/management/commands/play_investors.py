"""`manage.py play_investors`: people who pay what they were asked for, or something else, with money that is worth
nothing: on the simulated chains, or on development nodes."""

import time
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ico import investors, purses, stopping
from ico.chains.base import ChainError
from ico.chains.purse import RealMoney
from ico.models import Chain

LOOK_SECONDS = 1.0


class Command(BaseCommand):
    help = "Play investors who pay: exactly, too little, too much, too late or dust. A restart makes nobody pay twice."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--for", dest="duration", type=float, metavar="SECONDS", help="end after so long")
        parser.add_argument("--once", action="store_true", help="pay for those who are due now, and end")
        parser.add_argument("--seed", type=int, default=1, help="who pays how follows from it (default 1)")
        parser.add_argument("--mix", default="", help="weights, for example exact=70,under=12,over=10,late=4,dust=4")

    def handle(self, **options: Any) -> None:
        try:
            mix = investors.mix_from(options["mix"]) if options["mix"] else investors.USUAL
        except investors.BadMix as error:
            raise CommandError(str(error)) from error
        ends = float("inf") if options["duration"] is None else time.monotonic() + options["duration"]
        with stopping.on_signal() as stop:
            played = self._play(stop, ends, options["seed"], mix, once=options["once"])
        self.stdout.write(f"{self._told(played)}; done")

    def _play(self, stop: Any, ends: float, seed: int, mix: Any, *, once: bool) -> Counter[str]:
        wallets = {chain: purses.purse_for(chain) for chain in Chain.values}
        player = investors.Player(purses=wallets, seed=seed, mix=mix)
        played: Counter[str] = Counter()
        while not stop.is_set():
            before = played.total()
            for chain in Chain.values:
                self._look(player, chain, stop, played)
            if played.total() > before:
                self.stdout.write(self._told(played))
                self.stdout.flush()
            if once or time.monotonic() >= ends:
                break
            stop.wait(LOOK_SECONDS)
        return played

    def _look(self, player: investors.Player, chain: str, stop: Any, played: Counter[str]) -> None:
        try:
            for payment in player.pay_due(chain=chain, now=timezone.now()):
                played[payment.plan.manner] += 1
                if stop.is_set():
                    return
        except ChainError as error:
            self.stderr.write(f"{chain}: not paid, trying again: {error}")
        except RealMoney as error:
            raise CommandError(f"{chain}: {error}") from error

    def _told(self, played: Counter[str]) -> str:
        kinds = ", ".join(f"{played[manner]} {manner}" for manner in investors.MANNERS if played[manner])
        return f"{played.total()} investors have paid" + (f": {kinds}" if kinds else "")
