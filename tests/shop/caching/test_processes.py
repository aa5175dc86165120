"""Two web processes of one machine, as they really run: they make a page once, also after a change under load."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.deadline import until
from tests.deploy.edge import Answer, ask
from tests.deploy.web import ROOT, Web, web

pytestmark = pytest.mark.process
HERD = 40


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    data = tmp_path_factory.mktemp("shop")
    with web(data, PROMETHEUS_MULTIPROC_DIR=str(data / "metrics"), STAMPEDE_WEB_WORKERS="2") as running:
        manage(running, "seed_shop", "--products", "17", "--without-pictures")
        yield running


def manage(shop: Web, *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=shop.environment, capture_output=True, text=True, check=True)
    return done.stdout


def renderings(shop: Web, kind: str) -> int:
    told = ask(shop.port, "/metrics").body.decode()
    found = re.findall(rf'stampede_page_cache_renderings_total{{kind="{kind}",outcome="(\w+)"}} ([\d.]+)', told)
    return int(sum(float(number) for _, number in found))


def herd(shop: Web, path: str) -> list[Answer]:
    together, answers = threading.Barrier(HERD), []

    def one() -> None:
        together.wait(30)
        answers.append(ask(shop.port, path))

    crowd = [threading.Thread(target=one) for _ in range(HERD)]
    for person in crowd:
        person.start()
    for person in crowd:
        person.join(60)
    return answers


def test_both_processes_together_make_each_page_once(shop: Web) -> None:
    """Connections are shared out by the kernel: forty of them at once find both processes. What the seeding told both
    of them has settled when a page is not made any more."""
    path = manage(shop, "shell", "-v0", "-c", _ONE).split()[-1]
    variant, path = path.split(",")
    ask(shop.port, "/shop/")
    settled(shop, "home", "/shop/")

    answers = herd(shop, path)
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
        settled(shop, "product", path)
    finally:
        stop.set()
        for person in load:
            person.join(30)
    assert renderings(shop, "product") == 2  # the change was told to both processes, and one of them made it
    assert len(seen) == 2
    assert all(b"4,321.09" in answer.body for answer in herd(shop, path))


def settled(shop: Web, kind: str, path: str) -> None:
    """Both processes have looked since: twice a second each of them does."""
    counts: list[int] = []

    def still() -> bool:
        for _ in range(4):
            ask(shop.port, path)
        counts.append(renderings(shop, kind))
        return len(counts) > 20 and len(set(counts[-20:])) == 1

    until(still, "no further rendering", seconds=60)


_ONE = """
from shop.models import Variant
variant = Variant.objects.select_related("product").order_by("pk").first()
print(f"{variant.pk},/shop/p/{variant.product.slug}/")
"""
_PRICE = """
from shop import catalogue
catalogue.set_price(variant_id={}, price_cents=432_109)
"""
