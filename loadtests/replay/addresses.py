"""Which pages a made-up log is of: of no shop, or of a real one, from a list of its paths."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from loadtests.replay.rules import Rules

Addresses = Mapping[str, Sequence[str]]  # kind -> paths, products in the order in which people like them

# What every shop of ours has.
_ALWAYS = {
    "home": ("/shop/",),
    "deals": ("/shop/deals/",),
    "events": ("/shop/events/",),
    "search": tuple(f"/shop/search/?q=word{word}" for word in range(500)),
}
_NEEDED = ("product", "category")


class NoAddresses(Exception):
    """The paths are none of a shop; the message says what is missing."""


def made_up(*, products: int = 1_250) -> Addresses:
    return {
        **_ALWAYS,
        "product": [f"/shop/p/product-{number}/" for number in range(1, products + 1)],
        "category": [f"/shop/c/category-{number}/?page={page}" for number in range(17) for page in (1, 2, 3)],
    }


def of_paths(paths: Iterable[str], rules: Rules) -> Addresses:
    """Sorted by kind as a replay would. Raises `NoAddresses`."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in dict.fromkeys(paths):
        kind = rules.kind_of(path)
        if kind is not None and not kind.leave_out:
            found[kind.name].append(path)
    missing = [kind for kind in _NEEDED if not found[kind]]
    if missing:
        raise NoAddresses(f"no path of a {' and none of a '.join(missing)} is among {sum(map(len, found.values()))}")
    return {**_ALWAYS, **found}
