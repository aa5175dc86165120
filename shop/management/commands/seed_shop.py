"""`manage.py seed_shop`: a made-up catalogue with pictures, the same for the same seed."""

import os
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from shop.models import Product
from shop.seeding import filling, pictures
from shop.seeding.wording import KINDS

MOST = 1_000_000  # a product's number has six digits in its variants' names, by which the last one is found
_WORTH_PROCESSES = 1_000  # pictures; to start one takes as long as drawing a hundred
_SAID_EVERY = 5.0  # seconds


class Command(BaseCommand):
    help = "Make a shop: 17 categories, products with variants and pictures, events. Goes on where it was interrupted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--products", type=int, default=1_250)
        parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same catalogue (default 1)")
        parser.add_argument("--if-empty", action="store_true", help="change nothing when the shop has any product")
        drawing = parser.add_mutually_exclusive_group()
        drawing.add_argument("--without-pictures", action="store_true", help="draw none now; the next run does")
        drawing.add_argument("--only-pictures", action="store_true", help="draw what is missing, and make no product")

    def handle(self, **options: Any) -> None:
        products, seed, began = options["products"], options["seed"], time.monotonic()
        if not (1 <= products < MOST and 0 <= seed < MOST):
            raise CommandError(
                f"Give a number of products between 1 and {MOST - 1:,}, and a seed between 0 and the same."
            )
        if options["if_empty"] and Product.objects.exists():
            self.stdout.write("The shop has products already; nothing was changed.")
            return
        try:
            if options["only_pictures"]:
                new, products = 0, min(products, filling.seeded(seed=seed))
            else:
                said = self._saying("products", products)
                new = filling.seed(products=products, seed=seed, now=timezone.now(), progress=said)
        except filling.AnotherCatalogue as error:
            if options["only_pictures"] and not options["verbosity"]:
                return
            raise CommandError(str(error)) from None
        try:
            drawn = 0 if options["without_pictures"] else self._draw(products, seed)
        except OSError as error:  # the disk is full, the bucket refuses
            raise CommandError(f"The pictures cannot be kept; run this again to go on. {error}") from error
        self._conclude(products, new, drawn, time.monotonic() - began)

    def _conclude(self, products: int, new: int, drawn: int, seconds: float) -> None:
        if not new and not drawn:
            self.stdout.write(f"The shop has {products:,} products of this seed already; nothing was changed.")
            return
        self.stdout.write(
            f"The shop has {products:,} products in {len(KINDS)} categories; "
            f"{drawn:,} pictures were drawn; {seconds:.1f} s."
        )
        if new and products > filling.TOLD_ONE_BY_ONE:
            self.stdout.write("So many are not told one by one: run manage.py index_shop on each web server.")

    def _draw(self, products: int, seed: int) -> int:
        drafts = (filling.draft(seed=seed, number=number) for number in range(1, products + 1))
        motifs = {motif: None for one in drafts for motif in one.motifs}
        processes = (os.cpu_count() or 1) if len(motifs) > _WORTH_PROCESSES else 1
        return pictures.draw_missing(motifs, processes=processes, progress=self._saying("pictures", len(motifs)))

    def _saying(self, what: str, total: int) -> Callable[[int], None]:
        """Tells how far it is, now and then."""
        said_at = time.monotonic()

        def say(done: int) -> None:
            nonlocal said_at
            if time.monotonic() - said_at >= _SAID_EVERY:
                said_at = time.monotonic()
                self.stdout.write(f"{done:,} of {total:,} {what}")
                self.stdout.flush()

        return say
