"""`manage.py seed_sale`: set up a sale with terms and rates, so that the line can form."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from math import isfinite
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ico import addresses, caps, sales, terms
from ico.models import Chain, Sale

TERMS = """\
1. This is a demonstration sale. Nothing is sold, and nothing of value may be sent.
2. Places are given first come, first served. An invitation is personal and valid for a limited time.
3. The allowance on your invitation is the most that is credited to you. Whatever arrives beyond it, or too late, is
   credited to nobody and owed back to the sender.
4. Payments count when the chain has confirmed them often enough. Until then they are shown, not credited.
5. The rate between coin and currency is the one fixed on your invitation.
"""
MARKS = {
    "load_high": "chain_load_high",
    "load_low": "chain_load_low",
    "gas_price_high": "gas_price_high_gwei",
    "gas_price_low": "gas_price_low_gwei",
}
DEMO_RATES = {Chain.BTC: 9_000_000, Chain.ETH: 350_000}


def a_mark(text: str) -> float:
    try:
        mark = float(text)
    except ValueError:
        mark = -1.0
    if not (isfinite(mark) and mark > 0):
        raise ArgumentTypeError("give a number above zero")
    return mark


class Command(BaseCommand):
    help = "Set up a sale that is open now, with terms and rates. Does nothing when one of that slug exists."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--slug", default="demo")
        parser.add_argument("--name", default="Stampede Token Sale")
        parser.add_argument("--days", type=float, default=30, help="how long it is open (default 30)")
        parser.add_argument("--total-cap", type=int, default=1_000_000, help="in whole units of the currency")
        parser.add_argument("--personal-cap", type=int, default=1_000, help="allowance of one invitation, likewise")
        parser.add_argument("--batch-size", type=int, default=100)
        parser.add_argument("--batch-interval", type=int, default=60, help="seconds between two batches")
        parser.add_argument("--invitation-lifetime", type=int, default=86_400, help="seconds")
        parser.add_argument("--payment-lifetime", type=int, default=604_800, help="seconds")
        for name, measure in (("load", "the chain's load, 0 to 1"), ("gas-price", "the gas price, gwei")):
            parser.add_argument(f"--{name}-high", type=a_mark, help=f"hold releases above: {measure}")
            parser.add_argument(f"--{name}-low", type=a_mark, help="go on below; give both or none")

    def handle(self, **options: Any) -> None:
        slug = options["slug"]
        if Sale.objects.filter(slug=slug).exists():
            self.stdout.write(f"The sale {slug} is there already; nothing was changed.")
            return
        now = timezone.now()
        terms.publish(version="demo-1", text=TERMS, now=now)
        for chain, cents in DEMO_RATES.items():
            caps.record_rate(chain=chain, cents_per_coin=cents, source="demo figure, not a market price", now=now)
        try:
            sale = sales.open_sale(
                slug=slug,
                name=options["name"],
                opens_at=now,
                closes_at=now + timedelta(days=options["days"]),
                total_cap_cents=100 * options["total_cap"],
                personal_cap_cents=100 * options["personal_cap"],
                batch_size=options["batch_size"],
                batch_interval_seconds=options["batch_interval"],
                invitation_lifetime_seconds=options["invitation_lifetime"],
                payment_lifetime_seconds=options["payment_lifetime"],
                **{field: options[name] for name, field in MARKS.items() if options[name] is not None},
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        for name in Chain.values:
            addresses.derive_ahead(chain=name, most=addresses.AT_ONCE)  # the clock derives the rest
        self.stdout.write(
            f"The sale {slug} is open until {sale.closes_at:%Y-%m-%d %H:%M} UTC: "
            f"{sale.total_cap_cents // sale.personal_cap_cents:,} allowances of {sale.personal_cap_cents // 100:,} "
            f"{sale.currency}, {sale.batch_size} every {sale.batch_interval_seconds} s."
        )
