"""The floor plan, kept: who may import whom. Stated in docs/architecture.md."""

import ast
import sys
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "common.py"}
# A module that imports one of these is of the rim: it translates for those outside and decides nothing. What is named
# below stands there without importing any.
OUTSIDE = ("django.http", "django.shortcuts", "django.contrib.admin", "config.requests", "config.answers", "celery")
RIM_BY_NAME = {"urls", "management"}

# A package on the left never imports what stands on the right.
RULES = [
    ("ico", "shop"),
    ("shop", "ico"),
    ("loadtests", "ico"),
    ("loadtests", "shop"),
    ("ico", "loadtests"),
    ("ico/chains", "django"),
    ("ico/chains", "ico.models"),
]


def modules(folder: str) -> Iterator[Path]:
    """Ours: not what a folder with a dot holds, which is somebody else's and unpacked here."""
    found = ((path, path.relative_to(ROOT).parts) for path in (ROOT / folder).rglob("*.py"))
    return (path for path, parts in found if not any(part == "migrations" or part.startswith(".") for part in parts))


@cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, packages: Collection[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def breaches(folder: str, target: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(folder)
        for name in imports(path)
        if within(name, [target])
    ]


def rim(application: str) -> dict[str, Path]:
    """Its modules that speak with those outside, by name."""
    return {dotted(path): path for path in modules(application) if of_the_rim(path)}


def of_the_rim(path: Path) -> bool:
    named = RIM_BY_NAME & set(path.relative_to(ROOT).with_suffix("").parts)
    return bool(named) or any(within(name, OUTSIDE) for name in imports(path))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def domain_knows_the_rim(application: str) -> list[str]:
    outer = rim(application)
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(application)
        if path not in outer.values()
        for name in imports(path)
        if within(name, outer)
    ]


@pytest.mark.parametrize(("folder", "target"), RULES)
def test_never_imports(folder: str, target: str) -> None:
    assert breaches(folder, target) == []


def test_the_rule_sees_an_import_that_is_there() -> None:
    assert breaches("ico", "ico.models") != []


@pytest.mark.parametrize("application", ["ico", "shop"])
def test_domain_modules_do_not_import_the_rim(application: str) -> None:
    assert domain_knows_the_rim(application) == []


def test_the_rim_is_what_speaks_with_those_outside() -> None:
    """Too small a rim forbids nothing; a domain module in it may import whatever it likes."""
    assert {"ico.views", "ico.pages", "ico.tasks", "ico.management", "ico.urls", "ico.money_admin"} <= rim("ico").keys()
    assert {"shop.members", "shop.visitors", "shop.front", "shop.account_forms", "shop.ordered"} <= rim("shop").keys()
    domain = {"ico.waitlist", "ico.chains.follow", "shop.orders", "shop.stock", "shop.catalogue", "shop.cart"}
    assert not domain & {*rim("ico"), *rim("shop")}


def test_the_rule_sees_the_rim_however_deep_either_of_both_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    written = {
        "orders.py": "from shop.deep.doors import door",
        "deep/stock.py": "import shop.urls",
        "deep/doors.py": "from config.requests import explain",
        "urls.py": "from shop import views",
        "views.py": "from django.http import HttpResponse\nfrom shop import urls, orders",
        "cart.py": "from shop import orders",
    }
    for name, text in written.items():
        (tmp_path / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / name).write_text(text)
    assert sorted(domain_knows_the_rim("shop")) == [
        "shop/deep/stock.py imports shop.urls",
        "shop/orders.py imports shop.deep.doors.door",
    ]


def test_no_file_is_named_after_nothing() -> None:
    named = [path for folder in ("config", "deploy", "ico", "loadtests", "shop") for path in modules(folder)]
    assert [path.name for path in named if path.name in FORBIDDEN_NAMES] == []


def test_a_file_holds_one_concept() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("config", "deploy", "ico", "loadtests", "shop")
        for path in modules(folder)
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_no_business_step_in_a_signal_or_in_save() -> None:
    for path in [*modules("ico"), *modules("shop")]:
        text = path.read_text()
        assert "django.db.models.signals" not in text, path
        assert "def save(" not in text, path
