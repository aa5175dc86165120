"""What does a search cost among 125,000 products, beside 1,250?

python -m bench.search [rounds] [searches a round] [folder]

Both catalogues are made by the shop's own filling, each in a data folder and a process of its own, which take turns.
The searches are drawn from the catalogue: words of titles, some with a typing error, some not complete, some within a
category or a range of prices, first and later pages; and suggestions. Told are the waits and the CPU time, how long
building the index takes and how large it is, and how long one changed title takes until a search shows it (both with
the waiting for the disk). Seeding takes minutes: in a folder that is named the catalogues stay for the next time.
"""

import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.side_by_side import machine, ratio

SIZES = (1_250, 125_000)
CHANGES = 20
MILLISECONDS = 1e3
Told = dict[str, Any]
Took = tuple[float, float]  # seconds until it was done, and of CPU


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    searches = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    with ExitStack() as opened:
        named = sys.argv[3] if len(sys.argv) > 3 else ""
        folder = Path(named or opened.enter_context(tempfile.TemporaryDirectory(prefix="stampede-bench-")))
        shops = {size: _begun(opened, folder / str(size), size) for size in SIZES}
        for size, shop in shops.items():
            built = shop.recv()
            print(
                f"{size:,} products: index built in {built['build']:.1f} s, {built['bytes'] / 1e6:.1f} MB;"
                f" a changed title is found after {built['change'] * MILLISECONDS:.1f} ms (median of {CHANGES})"
            )
        took: dict[int, list[list[Took]]] = {size: [] for size in SIZES}
        for number in range(rounds):
            for size, shop in shops.items():
                shop.send((number, searches))
                took[size].append(shop.recv())
    _tell(took, rounds=rounds, searches=searches)


def _tell(took: dict[int, list[list[Took]]], *, rounds: int, searches: int) -> None:
    heads = "".join(f"{head:>10}" for head in ("p50", "p99", "CPU p50", "CPU p99"))
    print(f"{'':<28}{heads}  ms for a search, {rounds} rounds of {searches}")
    for size, of_rounds in took.items():
        waits, cpu = (sorted(one[kind] for some in of_rounds for one in some) for kind in (0, 1))
        shown = (_quantile(every, part) * MILLISECONDS for every in (waits, cpu) for part in (0.5, 0.99))
        print(f"{size:>11,} products{'':<8}{''.join(f'{one:>10.2f}' for one in shown)}")
    few, many = ([statistics.median(cpu for _, cpu in some) for some in took[size]] for size in SIZES)
    print(f"a search among {SIZES[1]:,} products costs {ratio(many, few):.2f} of one among {SIZES[0]:,} ({machine()})")


def _quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _begun(opened: ExitStack, data: Path, size: int) -> Connection:
    here, there = multiprocessing.get_context("spawn").Pipe()
    work = multiprocessing.get_context("spawn").Process(target=_serve, args=(str(data), size, there), daemon=True)
    work.start()
    there.close()  # the worker has its own: if it dies, receiving ends
    opened.callback(work.join, 30)
    opened.callback(here.send, None)
    return here


# --- in a process of its own ------------------------------------------------------------------------------------------
def _serve(data: str, size: int, there: Connection) -> None:
    _set_up(data, size)
    there.send(_built())
    search = _searches()
    while (asked := there.recv()) is not None:
        number, searches = asked
        chance = random.Random(number)
        there.send([_timed(partial(search, chance)) for _ in range(searches)])


def _set_up(data: str, size: int) -> None:
    os.environ |= {"STAMPEDE_DATA": data, "DJANGO_SETTINGS_MODULE": "config.settings"}
    import django

    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from shop.seeding import filling

    call_command("migrate", verbosity=0)
    filling.seed(products=size, seed=1, now=timezone.now())


def _built() -> Told:
    from django.conf import settings

    from shop.searching import indexing

    built = indexing.rebuild()
    links = [path for path in (settings.DATA_DIR / "search").iterdir() if path.is_symlink()]  # the one that counts
    size = sum(path.stat().st_size for link in links for path in link.resolve().iterdir())
    return {"build": built.seconds, "bytes": size, "change": statistics.median(_change(n) for n in range(CHANGES))}


def _change(number: int) -> float:
    """Seconds from the change of a row to a search that shows it."""
    from shop import search
    from shop.models import Product
    from shop.searching import indexing

    row = Product.objects.order_by("pk")[number]
    Product.objects.filter(pk=row.pk).update(title=f"Unheardof{number}")
    written, _ = _timed(lambda: indexing.refresh([row.pk]))
    found, _ = _timed(lambda: _must(search.find(text=f"unheardof{number}").total == 1))
    return written + found


def _must(true: bool) -> None:
    if not true:
        sys.exit("A change was not found: nothing was measured.")


def _searches() -> Callable[[random.Random], object]:
    """One search after the other, the same for the same chance."""
    from shop import search
    from shop.catalogue import NotThere
    from shop.models import Category, Product

    titles = list(Product.objects.order_by("pk").values_list("title", flat=True)[CHANGES:1_000])
    shelves = list(Category.objects.values_list("slug", flat=True))

    def one(chance: random.Random) -> object:
        words = chance.choice(titles).split()
        text = " ".join(chance.sample(words, k=chance.choice((1, 1, 2, 3))))
        kind = chance.choice(("whole", "error", "beginning", "category", "price", "further", "suggest"))
        if kind == "error":
            return search.find(text=_with_an_error(text, chance))
        if kind == "beginning":
            return search.find(text=text[: max(2, len(text) - 2)])
        if kind == "category":
            return search.find(text=text, category=chance.choice(shelves))
        if kind == "price":
            return search.find(text=text, low_cents=2_000, high_cents=chance.choice((5_000, 20_000)))
        if kind == "suggest":
            return search.suggest(text[: max(2, len(text) - 3)])
        with suppress(NotThere):  # few products have these words
            return search.find(text=text, page=chance.choice((2, 3, 5)) if kind == "further" else 1)
        return None

    return one


def _with_an_error(text: str, chance: random.Random) -> str:
    place = chance.randrange(max(1, len(text) - 1))
    return text[:place] + text[place + 1 : place + 2] + text[place : place + 1] + text[place + 2 :]


def _timed(work: Callable[[], object]) -> Took:
    begun, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - cpu


if __name__ == "__main__":
    main()
