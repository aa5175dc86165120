"""`manage.py move_shop`: prices, stock and products change for as long as it runs, one JSON line a change."""

import json
import os
import signal
import sys
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from shop.catalogue import BadValue, NotThere
from shop.moving import Moved, Mover, NothingToMove


class Command(BaseCommand):
    help = (
        "Change prices, stock, deals and products at a steady rate, for rehearsals; each change is a JSON line on "
        "standard output. Only where STAMPEDE_LOAD_TARGET says that this may be done here."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rate", type=float, default=1.0, help="changes a second (default 1)")
        parser.add_argument("--seed", type=int, default=1, help="the same seed changes the same (default 1)")
        parser.add_argument("--seconds", type=float, default=3_600.0, help="for so long at most (default 3600)")
        parser.add_argument("--among", type=int, default=100, help="of the most popular so many products (default 100)")
        parser.add_argument("--while-input", action="store_true", help="end when standard input does")

    def handle(self, **options: Any) -> None:
        if not settings.LOAD_TARGET:
            raise CommandError("This changes the shop's data at random. STAMPEDE_LOAD_TARGET must say that it may.")
        rate, seconds, among = options["rate"], options["seconds"], options["among"]
        if not (0 < rate <= 10_000 and 0 < seconds <= 86_400 and among >= 1):
            raise CommandError("Give a rate above 0 (10,000 at most), up to 86,400 seconds, and one product or more.")
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        if options["while_input"]:
            threading.Thread(target=_follow_input, args=(stop,), daemon=True).start()
        try:
            mover = Mover(seed=options["seed"], among=among)
        except NothingToMove as error:
            raise CommandError(str(error)) from None
        try:
            self._move(mover, rate, seconds, stop)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody listens: said nowhere, once more
        finally:
            for _ in mover.bring_all_back():
                pass

    def _move(self, mover: Mover, rate: float, seconds: float, stop: threading.Event) -> None:
        """Change number k is due k / rate after the beginning, however long those before took."""
        began, number = time.monotonic(), 0
        while not stop.wait(max(0.0, began + number / rate - time.monotonic())):
            if time.monotonic() - began > seconds:
                return
            number += 1
            try:
                self._say(mover.change())
            except (NotThere, BadValue, Error) as error:
                self._say_not(error)

    def _say(self, moved: Moved) -> None:
        self.stdout.write(json.dumps(moved.as_json()))
        self.stdout.flush()

    def _say_not(self, error: Exception) -> None:
        self.stdout.write(json.dumps({"kind": "failed", "why": str(error)[:200], "done": time.time()}))
        self.stdout.flush()


def _follow_input(stop: threading.Event) -> None:
    """Whoever started this holds the other end; when they die it closes."""
    while os.read(sys.stdin.fileno(), 4096):
        continue
    stop.set()
