"""Which workers, and how many, answer most behind nginx? Every variant is up at once, behind an nginx of its own that
caches nothing; they take turns.

python -m bench.gunicorn_workers [--mariadb] [rounds] [seconds]
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from bench import local_stack
from bench.behind_nginx import edge
from bench.side_by_side import filled_line, gunicorn, machine, rates, ratio, taking_turns

PEOPLE, TICKETS, CLIENTS = 40_000, 500, 32
CHOSEN = "gthread 2x16"
# kind, workers, threads of each. The first one once more shows how far two measurements of the same lie apart.
VARIANTS = {
    CHOSEN: ("gthread", 2, 16),
    "gthread 2x4": ("gthread", 2, 4),
    "gthread 2x8": ("gthread", 2, 8),
    "gthread 2x32": ("gthread", 2, 32),
    "gthread 1x32": ("gthread", 1, 32),
    "gthread 4x8": ("gthread", 4, 8),
    "sync 2": ("sync", 2, 1),
    "sync 4": ("sync", 4, 1),
    f"{CHOSEN} again": ("gthread", 2, 16),
}


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--mariadb", action="store_true", help="on the primary of a private stack instead of SQLite")
    asked.add_argument("rounds", nargs="?", type=int, default=5)
    asked.add_argument("seconds", nargs="?", type=float, default=3)
    options = asked.parse_args()
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="stampede-bench-", dir=_reachable())))
        if options.mariadb:
            os.environ |= opened.enter_context(local_stack.servers(folder / "stack", "primary"))
        data = folder / "data"
        paths = filled_line(data, people=PEOPLE, tickets=TICKETS)
        urls = {name: opened.enter_context(_variant(folder, name, data)) for name in VARIANTS}
        print(f"{'MariaDB' if options.mariadb else 'SQLite'}, {CLIENTS} clients; {machine()}")
        for question in ("position API", "landing page", *(("20 ms query",) if options.mariadb else ())):
            print(f"\n{question}")
            contenders = {name: _asks(question, url, paths, folder) for name, url in urls.items()}
            _say(contenders, rates(contenders, rounds=options.rounds, seconds=options.seconds))
        _memory()


def _reachable() -> str | None:
    """The database server may run as another user, who has to get into the folder."""
    return "/tmp" if os.geteuid() == 0 else None  # noqa: S108


@contextmanager
def _variant(folder: Path, name: str, data: Path) -> Iterator[str]:
    kind, workers, threads = VARIANTS[name]
    own = ("-k", kind, "-w", str(workers), "--threads", str(threads))
    with (
        gunicorn("config.wsgi:application", data=data, settings="bench.settings", more=own) as application,
        edge(
            folder / name.replace(" ", "-"),
            upstream=application.removeprefix("http://"),
            static=data / "static",
            cached=False,
        ) as url,
    ):
        yield url


def _asks(question: str, url: str, paths: list[str], folder: Path) -> list[str]:
    if question == "position API":
        return [f"-c{CLIENTS}", *taking_turns(url, paths, folder)]
    return [f"-c{CLIENTS}", f"{url}/" if question == "landing page" else f"{url}/bench/waiting"]


def _say(contenders: dict[str, list[str]], found: list[list[float]]) -> None:
    by_name = dict(zip(contenders, found, strict=True))
    for name, rates_of in by_name.items():
        if name != CHOSEN:
            print(f"{name}: {ratio(rates_of, by_name[CHOSEN]):.2f} of {CHOSEN}")


def _memory() -> None:
    """What a process has grown to after all these requests: is recycling them worth anything?"""
    sizes = []
    for master in psutil.Process().children():
        if "gunicorn" in master.cmdline():
            sizes += [worker.memory_info().rss // 2**20 for worker in master.children()]
    print(f"\nworkers' memory at the end: {min(sizes)} to {max(sizes)} MiB", file=sys.stdout)


if __name__ == "__main__":
    main()
