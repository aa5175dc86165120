"""The floor plan, kept: who may import whom. Stated in docs/architecture.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "common.py"}
RIM = {
    "account",
    "buying",
    "ordered",
    "widget",
    "views",
    "journey",
    "api",
    "search_api",
    "ops",
    "ops_owed",
    "admin",
    "money_admin",
    "record_admin",
    "tasks",
    "urls",
    "management",
}

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


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breaches(folder: str, target: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(folder)
        for name in imports(path)
        if name == target or name.startswith(f"{target}.")
    ]


@pytest.mark.parametrize(("folder", "target"), RULES)
def test_never_imports(folder: str, target: str) -> None:
    assert breaches(folder, target) == []


def test_the_rule_sees_an_import_that_is_there() -> None:
    assert breaches("ico", "ico.models") != []


def test_domain_modules_do_not_import_the_rim() -> None:
    found = []
    for path in [*(ROOT / "ico").glob("*.py"), *(ROOT / "shop").glob("*.py")]:
        if path.stem in RIM:
            continue
        application = path.parent.name
        found += [
            f"{application}/{path.name} imports {name}"
            for name in imports(path)
            if any(name == f"{application}.{rim}" or name.startswith(f"{application}.{rim}.") for rim in RIM)
        ]
    assert found == []


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
