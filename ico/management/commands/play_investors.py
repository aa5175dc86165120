"""`manage.py play_investors`: people who pay, on the simulated chains, what they were asked for - or something else."""

import time
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ico import investors, nodes, stopping
from ico.chains.base import ChainUnavailable
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
        chains = {name: nodes.simulated(name) for name in Chain.values}
        played: Counter[str] = Counter()
        while not stop.is_set():
            try:
                payments = investors.pay_due(chains=chains, seed=seed, mix=mix, now=timezone.now())
            except ChainUnavailable as error:
                self.stderr.write(f"a chain does not answer, trying again: {error}")
                payments = []
            played.update(payment.plan.manner for payment in payments)
            if payments:
                self.stdout.write(self._told(played))
                self.stdout.flush()
            if once or time.monotonic() >= ends:
                break
            stop.wait(LOOK_SECONDS)
        return played

    def _told(self, played: Counter[str]) -> str:
        kinds = ", ".join(f"{played[manner]} {manner}" for manner in investors.MANNERS if played[manner])
        return f"{played.total()} investors have paid" + (f": {kinds}" if kinds else "")
