"""What exists is documented: every setting, command, invariant and scenario; and what is documented exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config import audit
from loadtests import limits
from loadtests.planning import curves, plan_files
from loadtests.plans import SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NAME = re.compile(r"\bSTAMPEDE_[A-Z_]*[A-Z]\b")


def read_by_the_code() -> set[str]:
    folders = ("config", "loadtests/browsing")  # generators never load Django, and so none of its settings
    files = [*(path for folder in folders for path in (ROOT / folder).glob("*.py")), ROOT / "deploy/gunicorn.conf.py"]
    return {name for path in files for name in NAME.findall(path.read_text())}


def test_every_setting_is_in_the_table_and_nothing_else() -> None:
    table = (DOCS / "settings.md").read_text()
    named = set(re.findall(r"^\| `(STAMPEDE_[A-Z_]+)`", table, re.MULTILINE))
    code = {name for name in read_by_the_code() if name not in ("STAMPEDE_BTC", "STAMPEDE_ETH")}
    assert named == code


def test_every_command_is_documented() -> None:
    commands = {path.stem for path in ROOT.glob("*/management/commands/*.py") if path.stem != "__init__"}
    documented = set(re.findall(r"^\| `manage\.py (\w+)`", (DOCS / "operations.md").read_text(), re.MULTILINE))
    assert documented == commands


def test_every_invariant_is_documented() -> None:
    documented = re.findall(r"^\| `([a-z-]+)` \|", (DOCS / "operations.md").read_text(), re.MULTILINE)
    assert set(documented) == {invariant.name for invariant in audit.invariants()}


def test_every_scenario_is_documented() -> None:
    table = section("laboratory.md", "The laboratory")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(SCENARIOS)


def test_every_plan_key_shape_and_metric_is_documented() -> None:
    plans, table = section("laboratory.md", "Plans"), section("laboratory.md", "Limits")
    assert [name for name in plan_files.reference() if name not in plans] == []
    assert [kind for kind in curves.KINDS if not re.search(rf"\b{kind}\b", plans)] == []
    keys = [key for _, keys in curves.KINDS.values() for key in keys]
    assert [key for key in (*plan_files.FIELDS, *keys) if not re.search(rf"\b{key}\b", plans) and key != "name"] == []
    metrics = set(limits.METRICS) - {"latency"}
    assert [metric for metric in metrics if not re.search(rf"\b{metric}\b", table)] == []


def section(page: str, heading: str) -> str:
    """The text below one heading, to the next one."""
    found = re.search(rf"^#+ {heading}\n(.*?)(?=^## |\Z)", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    "page", sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{page} links to {target}"


def test_make_targets_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"`?make ([a-z-]+)", (ROOT / "README.md").read_text()):
        assert target in targets
