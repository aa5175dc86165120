"""Access logs: what a replay would make of one, and made-up ones whose truth is known."""

import json
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from rich.console import Console

from loadtests.guard import challenge
from loadtests.plans import PlanMistake
from loadtests.replay import addresses, filling, made_log, mix, preparing, reading, rules, running, walking

NAME = "log"
HELP = "look into an access log as a replay would, or make one up"
MISTAKES = (
    reading.NoLog,
    preparing.NothingToReplay,
    mix.MixMistake,
    rules.KindMistake,
    filling.NoSample,
    addresses.NoAddresses,
    walking.NoWalk,
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, nargs="+", help="common, combined or JSON, packed or not; several are merged"
    )
    parser.add_argument("--make", type=int, metavar="LINES", help="write so many lines into the file instead")
    parser.add_argument(
        "--like", metavar="FILE|URL", help="--make: of the pages in this file, one path a line, or of the shop there"
    )
    parser.add_argument("--environment", help="--like URL: what it has to say it is (default: what it is here)")
    parser.add_argument("--allow-host", action="append", default=[], help="--like URL: a host beyond this machine")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the chosen visits there, for plain Locust")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same log or choice (default 1)")
    parser.add_argument("--users", type=int, default=1_000, help="so many visits are chosen to be looked at (1000)")
    parser.add_argument("--weight", action="append", default=[], metavar="KIND=FACTOR", help="as in deals=3")
    parser.add_argument("--kinds", type=Path, default=rules.OUR_KINDS, help="what addresses are called (default: ours)")
    parser.add_argument("--urls", type=Path, help="one path a line, where the log has routes only")


def handle(options: dict[str, Any], console: Console) -> int:
    try:
        return _make(options, console) if options["make"] else _look(options, console)
    except MISTAKES as error:
        raise PlanMistake("log:", str(error)) from error
    except OSError as error:
        raise PlanMistake("log:", f"cannot be written: {error}") from error


def _make(options: dict[str, Any], console: Console) -> int:
    pages = _pages(options) if options["like"] else None
    truth, path = made_log.Truth(), options["file"][0]
    made = made_log.lines(count=options["make"], seed=options["seed"], truth=truth, pages=pages)
    with path.open("x") as file:
        file.writelines(f"{line}\n" for line in made)
    console.print(f"{path}: {truth.lines:,} lines, {truth.visits:,} visits, {truth.pages.total():,} pages")
    return 0


def _pages(options: dict[str, Any]) -> addresses.Addresses:
    like, kinds = options["like"], rules.read(options["kinds"])
    if not like.startswith(("http://", "https://")):
        return addresses.of_paths(filling.paths(Path(like)), kinds)
    target = challenge.admitted(
        like,
        allow=options["allow_host"],
        environment=options["environment"] or settings.LOAD_TARGET or challenge.DEMO,
        secret=str(settings.LOAD_KEY),
    )
    return addresses.of_paths(walking.paths(target, kinds), kinds)


def _look(options: dict[str, Any], console: Console) -> int:
    wanted = preparing.Wanted(
        logs=tuple(options["file"]),
        weights=preparing.weights(options["weight"]) if options["weight"] else {},
        kinds=options["kinds"],
        urls=options["urls"],
    )
    with tempfile.TemporaryDirectory() as folder:
        kept: Path | None = options["keep"]
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
        told = preparing.prepare(
            wanted=wanted, arrivals=range(options["users"]), seed=options["seed"], run_dir=kept or Path(folder)
        )
    console.print(running.summary(told), soft_wrap=True)
    console.print_json(json.dumps(told))
    return 0
