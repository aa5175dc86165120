"""The search of a shop that really runs: two web processes, one index, changes from outside, a process that dies."""

from __future__ import annotations

import json
from collections import Counter
from itertools import count
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.deadline import until
from tests.process.conftest import Served
from tests.shop.searching import damage

pytestmark = pytest.mark.process
ASKED = 24  # times, each on a connection of its own, so that every web process answers some


def _titles(served: Served, text: str, number: int) -> str:
    """What a search shows first; "" while there is no index. `number` makes another page of it, which none has kept."""
    try:
        with urlopen(f"{served.url}/api/search?q={text}&high={number + 90_000}", timeout=30) as answer:
            found = json.load(answer)["products"]
    except HTTPError as error:
        if error.code != 503:
            raise
        return ""
    return str(found[0]["title"]) if found else ""


def _all_show(served: Served, text: str, title: str, kept: bool) -> bool:
    """Whether every process does; `kept`: as the page that is kept, or as one that is made for this question."""
    shown = Counter(_titles(served, text, 0 if kept else number) for number in range(ASKED))
    return shown == {title: ASKED}


def _rename(served: Served, title: str) -> None:
    code = (
        "from django.db import transaction; from shop import changes; from shop.models import Product\n"
        "with transaction.atomic():\n"
        f"    row = Product.objects.order_by('pk')[0]; row.title = {title!r}\n"
        "    Product.objects.bulk_update([row], ['title']); changes.tell([changes.product(row.pk)])"
    )
    done = served.manage("shell", "--no-imports", "-c", code)
    assert done.returncode == 0, done.stderr


def test_every_process_finds_what_changed_and_one_that_is_killed_takes_nothing_along(served: Served) -> None:
    assert served.manage("seed_shop", "--products", "20", "--seed", "1", "--without-pictures").returncode == 0
    _rename(served, "Zeppelin One")
    until(lambda: _all_show(served, "zeppelin", "Zeppelin One", kept=False), "the seeded product in the search")
    until(lambda: _all_show(served, "zeppelin", "Zeppelin One", kept=True), "the same as a kept page")
    workers = served.processes("config.wsgi:application")[1:]
    assert len(workers) == 2
    workers[0].kill()
    _rename(served, "Zeppelin Two")
    until(lambda: _all_show(served, "zeppelin", "Zeppelin Two", kept=False), "the change")
    until(lambda: _all_show(served, "zeppelin", "Zeppelin Two", kept=True), "the page, made anew")
    log = (served.data / "logs" / "web.log").read_text()
    assert "Traceback" not in log, log[-3000:]


def test_a_damaged_index_ends_no_process_and_is_built_anew(served: Served) -> None:
    """In the files that the processes have open: the engine panics, and that is no `Exception`."""
    until(lambda: _titles(served, "cotton", 100), "the search")
    folder = _folder(served)
    before = {process.pid for process in served.processes("config.wsgi:application")}
    damage.zero(folder, "idx")
    damage.zero(folder, "store")
    numbers = count(1_000)  # pages that nobody kept
    until(lambda: _titles(served, "cotton", next(numbers)) and folder != _folder(served), "found by a new index")
    assert {process.pid for process in served.processes("config.wsgi:application")} == before


def _folder(served: Served) -> Path:
    return (served.data / "search" / "v1").resolve()
