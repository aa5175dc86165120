"""`manage.py stampede`: the whole story in one go.

A sale is opened, a crowd signs up, waits, is invited, accepts, enters wallets, receives deposit addresses and
pays; then the books are audited. Exit code: the worst of the two runs.
"""

import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config import serving

# A visitor polls every 30 s; at this scale every 1.5 s, and ten polls take a quarter of a minute.
TIME_SCALE = 0.05
ARRIVAL_SECONDS = 18
WAIT_FOR_MAIL_SECONDS = 90


class Command(BaseCommand):
    help = "Start the application, stampede it with both journeys, audit the books, and stop what was started."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--users", type=int, default=300)
        parser.add_argument("--time-scale", type=float, default=TIME_SCALE)
        parser.add_argument("--duration", type=float, default=ARRIVAL_SECONDS, help="seconds over which people arrive")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--port", type=int, help="default: a free one")

    def handle(self, *, users: int, port: int | None, **options: Any) -> None:
        if users < 1:
            raise CommandError("--users must be at least 1")
        serving.stop_in_order()
        began = time.monotonic()
        try:
            self._say(f"Preparing {settings.DATA_DIR} …")
            serving.prepare()
            # Slower than they arrive, so that there is a line to wait in; done before their patience is.
            rules = {"batch_size": max(1, users // 24), "batch_interval": 1, "total_cap": 2_000 * users}
            call_command("seed_sale", stdout=self.stdout, **rules)
            with serving.running(host="127.0.0.1", port=port or serving.free_port()) as application:
                self._say(f"The sale is running at {application.url}")
                codes = self._stampede(application.url, users, options)
        except serving.CannotServe as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped before the end.") from None
        self._conclude(codes, time.monotonic() - began)

    def _stampede(self, url: str, users: int, options: dict[str, Any]) -> dict[str, int]:
        run = ["--users", str(users), "--host", url, "--seed", str(options["seed"])]
        run += ["--time-scale", str(options["time_scale"]), "--duration", str(options["duration"])]
        mail = ["--mailbox", str(settings.MAILBOX_DIR), "--wait-for-mail", str(WAIT_FOR_MAIL_SECONDS)]
        self._say(f"\n{users} people sign up and wait in line …")
        codes = {"signup": _loadtest("signup", *run)}
        self._say(f"\n{users} invited people accept the terms, enter their wallets and pay …")
        with _investors(options["seed"]):
            codes["purchase"] = _loadtest("purchase", *run, *mail)
        return codes

    def _conclude(self, codes: dict[str, int], seconds: float) -> None:
        self._say(f"\nThe stampede took {seconds:.0f} s; everything that was started is stopped.")
        for scenario in codes:
            self._say(f"  {scenario:<9} {_run_dir(scenario) / 'report.html'}")
        self._say(f"  {'logs':<9} {Path(settings.DATA_DIR) / 'logs'}")
        if any(codes.values()):
            sys.exit(max(codes.values()))

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _run_dir(scenario: str) -> Path:
    return Path(settings.DATA_DIR) / "runs" / scenario


def _loadtest(scenario: str, *arguments: str) -> int:
    command = [*_manage("loadtest"), "run", scenario, *arguments, "--run-dir", str(_run_dir(scenario))]
    return subprocess.run(command, env=_environment(), check=False).returncode


@contextmanager
def _investors(seed: int) -> Iterator[None]:
    """People who pay, in the background, until the block ends."""
    with open(Path(settings.DATA_DIR) / "logs" / "investors.log", "wb") as log:
        command = [*_manage("play_investors"), "--seed", str(seed)]
        process = subprocess.Popen(command, env=_environment(), stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _manage(command: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), command]


def _environment() -> dict[str, str]:
    return {**serving.DEMO_PACE, **os.environ, "STAMPEDE_DATA": str(settings.DATA_DIR)}
