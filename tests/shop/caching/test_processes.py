"""Two web processes of one machine, as they really run: they make a page once, also after a change under load."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.deadline import until
from tests.deploy.edge import Answer, ask
from tests.deploy.web import ROOT, Web, web
from tests.herd import herd

pytestmark = pytest.mark.process
HERD, WORKERS = 40, 2


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    data = tmp_path_factory.mktemp("shop")
    with web(data, PROMETHEUS_MULTIPROC_DIR=str(data / "metrics"), STAMPEDE_WEB_WORKERS=str(WORKERS)) as running:
        manage(running, "seed_shop", "--products", "17", "--without-pictures")
        yield running


def manage(shop: Web, *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=shop.environment, capture_output=True, text=True, check=True)
    return done.stdout


def renderings(shop: Web, kind: str) -> int:
    told = rf'stampede_page_cache_renderings_total{{kind="{kind}",outcome="\w+"}} ([\d.]+)'
    return int(sum(float(number) for number in re.findall(told, metrics(shop))))


def metrics(shop: Web) -> str:
    return ask(shop.port, "/metrics").body.decode()


def at_once(shop: Web, path: str) -> list[Answer]:
    return herd(HERD, lambda: ask(shop.port, path))


def all_have_looked(shop: Web) -> None:
    """Each of both processes has looked for changes since now: what was told before was heard by both."""
    now = time.time()
    until(lambda: looked_at(shop) > now, "every process has looked for changes")


def looked_at(shop: Web) -> float:
    """When the one looked that did so longest ago; 0 while there is one that did not."""
    told = re.findall(r"^stampede_changes_looked_at_seconds{.*} (\S+)$", metrics(shop), re.MULTILINE)
    who_looks = list((shop.data / "metrics").glob("gauge_livemin_*"))
    return float(told[0]) if len(who_looks) == WORKERS else 0.0


def test_both_processes_together_make_each_page_once(shop: Web) -> None:
    """Connections are shared out by the kernel: forty of them at once find both processes."""
    path = manage(shop, "shell", "-v0", "-c", _ONE).split()[-1]
    variant, path = path.split(",")
    all_have_looked(shop)  # at what the seeding told

    answers = at_once(shop, path)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert renderings(shop, "product") == 1

    stop, seen = threading.Event(), set()

    def browse() -> None:
        while not stop.is_set():
            seen.add(ask(shop.port, path).body)

    load = [threading.Thread(target=browse) for _ in range(8)]
    for person in load:
        person.start()
    try:
        manage(shop, "shell", "-v0", "-c", _PRICE.format(variant))
        until(lambda: any(b"4,321.09" in body for body in seen), "the new price is shown", seconds=30)
        all_have_looked(shop)
    finally:
        stop.set()
        for person in load:
            person.join(30)
    assert renderings(shop, "product") == 2  # the change was told to both processes, and one of them made it
    assert len(seen) == 2
    assert all(b"4,321.09" in answer.body for answer in at_once(shop, path))


_ONE = """
from shop.models import Variant
variant = Variant.objects.select_related("product").order_by("pk").first()
print(f"{variant.pk},/shop/p/{variant.product.slug}/")
"""
_PRICE = """
from shop import catalogue
catalogue.set_price(variant_id={}, price_cents=432_109)
"""
