"""A run that is refused leaves nothing: no folder, no reserve, and none of the secrets that were in its plan."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests import runs
from loadtests.beside import Running
from loadtests.guard.bystander import Bystander
from loadtests.target import TargetRefused

from ..small_sale import serving
from .conducting import plan_at


class Stubborn:
    """A Beside that cannot end in order."""

    def start(self, running: Running) -> None:
        pass

    def stop(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_bystander_that_may_not_be_asked_leaves_no_secret(tmp_path: Path) -> None:
    with serving() as sale:
        plan = replace(plan_at(sale.url), bystander="http://me:hunter2@127.0.0.1:1/", environment="demo")
        with pytest.raises(TargetRefused, match="record"):
            runs.execute(plan, around=runs.Surroundings(root=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_one_that_does_not_answer_leaves_the_chosen_folder_as_it_was(tmp_path: Path) -> None:
    def others(*_: Any) -> list[Any]:
        return [Bystander("http://127.0.0.1:1/")]

    with serving() as sale:
        plan = replace(plan_at(sale.url), environment="demo")
        with pytest.raises(TargetRefused, match="does not answer"):
            runs.execute(plan, around=runs.Surroundings(root=tmp_path, run_dir=tmp_path, besides=others))
        assert not sale.emails
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_what_cannot_end_in_order_takes_no_record_along(tmp_path: Path) -> None:
    with serving() as sale:
        plan = replace(plan_at(sale.url, users=2), environment="demo")
        around = runs.Surroundings(root=tmp_path, besides=lambda *_: [Stubborn()], report=False)
        kept, run_dir = runs.execute(plan, around=around)
    assert (run_dir / "run.json").exists()
    assert any("Stubborn did not stop in order" in event["text"] for event in kept["events"])
