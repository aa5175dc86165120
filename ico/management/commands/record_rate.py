"""`manage.py record_rate`: what one coin is worth from now on, for invitations that are made from now on."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ico import caps
from ico.models import Chain


class Command(BaseCommand):
    help = "Record what one coin is worth. Invitations made before keep the rate that was fixed on them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("chain", choices=Chain.values)
        parser.add_argument("worth", help="of one coin in the sale's currency, like 3500.00")
        parser.add_argument("--source", required=True, help="where the figure is from")
        parser.add_argument("--even-so", action="store_true", help="record it though it is far from the last one")

    def handle(self, **options: Any) -> None:
        chain = options["chain"]
        try:
            cents = caps.cents_from(options["worth"])
            if not options["even_so"]:
                caps.refuse_leap(chain=chain, cents_per_coin=cents)
            rate = caps.record_rate(chain=chain, cents_per_coin=cents, source=options["source"], now=timezone.now())
        except caps.Leap as error:
            raise CommandError(f"{error} If it is meant, say --even-so.") from error
        except caps.BadRate as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{rate}, for invitations made from {rate.observed_at:%Y-%m-%d %H:%M:%S} UTC on")
