"""A log is made up of the pages that a shop has."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from loadtests.replay import addresses, rules, walking
from loadtests.target import resolve
from tests.loadtests.small_sale import Answer, SmallSale, serving

PAGES = {
    "/shop/": '<a class="x" href="/shop/c/hats/">Hats</a><a href="https://elsewhere.example/shop/c/spies/">off</a>',
    "/shop/deals/": '<a href="/shop/p/felt-hat/?size=M">Felt</a><a href="/shop/c/gone/">Gone</a>',
    "/shop/c/hats/": '<a href="/shop/p/felt-hat/">Felt</a><a href="?page=2">2</a><a href="?sort=a&amp;page=2">by</a>',
    "/shop/c/hats/?page=2": '<a href="/shop/p/straw-hat/">Straw</a><a href="/shop/cart/">Cart</a>',
}
FOUND = ["/shop/", "/shop/deals/", "/shop/c/hats/", "/shop/c/hats/?page=2", "/shop/p/felt-hat/", "/shop/p/straw-hat/"]


def shop(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
    return Answer(200, PAGES[path]) if path in PAGES else Answer(404, "gone")


def asked(log: Path) -> set[str]:
    """Of pages that were answered, by people."""
    lines = (line.split('"') for line in log.read_text().splitlines() if " 200 " in line)
    return {parts[1].split(" ")[1] for parts in lines if parts[1].startswith("GET /shop/") and "Mozilla" in parts[5]}


def test_a_shop_is_looked_through_by_what_it_links_to() -> None:
    with serving(shop) as sale:
        found = walking.paths(resolve(sale.url), rules.read())
        assert sorted(found) == sorted(FOUND)
        assert set(sale.requests) == {f"GET {path}" for path in (*PAGES, "/shop/events/", "/shop/c/gone/")}


def test_a_shop_that_is_not_there_is_said() -> None:
    with serving(shop) as sale:
        target = resolve(sale.url)
    with pytest.raises(walking.NoWalk, match="cannot be looked through"):
        walking.paths(target, rules.read())


def test_a_log_is_made_of_the_pages_of_a_served_shop(tmp_path: Path) -> None:
    log = tmp_path / "made.log"
    with serving(shop) as sale:
        call_command("loadtest", "log", str(log), "--make", "3000", "--like", sale.url)
    pages = {path for path in asked(log) if "/search/" not in path and path != "/shop/events/"}
    assert pages == set(FOUND)


def test_a_log_is_made_of_a_list_of_pages(tmp_path: Path) -> None:
    log, paths = tmp_path / "made.log", tmp_path / "paths"
    paths.write_text("\n".join(["/shop/p/felt-hat/", "/shop/c/hats/", "/shop/search/?q=felt", "/shop/cart/"]))
    call_command("loadtest", "log", str(log), "--make", "2000", "--like", str(paths))
    always = {"/shop/", "/shop/deals/", "/shop/events/"}
    assert asked(log) == {"/shop/p/felt-hat/", "/shop/c/hats/", "/shop/search/?q=felt", *always}


def test_what_is_no_shop_makes_no_log(tmp_path: Path) -> None:
    log, paths = tmp_path / "made.log", tmp_path / "paths"
    paths.write_text("/shop/p/felt-hat/\n")
    with pytest.raises(CommandError, match="no path of a category is among 1"):
        call_command("loadtest", "log", str(log), "--make", "10", "--like", str(paths))
    with serving(shop, environment="") as other, pytest.raises(CommandError, match="has not declared itself"):
        call_command("loadtest", "log", str(log), "--make", "10", "--like", other.url)
    with pytest.raises(addresses.NoAddresses, match="none of a category"):
        addresses.of_paths([], rules.read())
    assert not log.exists()
