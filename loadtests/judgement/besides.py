"""What is judged of a run that moved the shop's data, or that made the visits of a log again. Pure: from the record."""

from collections.abc import Mapping
from typing import Any

from loadtests.judgement.marks import Check, Mark, mark

Found = Mapping[str, Any]

# The process that moves the data begins and ends beside the run, and counts whole changes.
BEHIND = 0.8
BEHIND_BY = 2
UNLIKELY = 0.001


def of_target(*, staleness: Found | None) -> list[Check]:
    """Prices that were never true are untrue answers; who cannot change its data as fast as was asked is slow."""
    if staleness is None:
        return []
    mover = staleness.get("mover")
    return [_prices(staleness), *([_pace(mover)] if mover and mover["alive"] else [])]


def of_laboratory(*, moving: float, visitors: Found, staleness: Found | None, replay: Found | None) -> list[Check]:
    """`moving`: the plan's. `visitors`: of the results. `replay`: as the record keeps it."""
    moved = [_alive(staleness and staleness.get("mover"))] if moving else []
    return [*moved, *([_pages(replay, visitors)] if replay else [])]


def _prices(staleness: Found) -> Check:
    """What the shop showed before the run is unknown here: a page that old is no true answer either."""
    never, of = staleness["never_true"], staleness["of_changed"]
    first = "".join(f"; {example}" for example in staleness["examples"][:1])
    detail = f"{never} of {of} prices of changed products were true at no time of the run{first}"
    return Check("every price was the product's at some time", mark(never == 0), detail)


def _pace(mover: Found) -> Check:
    due = mover["rate"] * mover["seconds"]
    detail = f"{mover['changed']} changes in {mover['seconds']:.0f} s, {due:.0f} were due"
    if mover["failed"]:
        detail += f"; {mover['failed']} failed, the last: {mover['why_failed']}"
    return Check("the shop's data moved at the stated rate", mark(mover["changed"] >= BEHIND * due - BEHIND_BY), detail)


def _alive(mover: Found | None) -> Check:
    name = "the shop's data moved to the end"
    if mover is None:
        return Check(name, Mark.BROKEN, "nothing says that it moved")
    if mover["unwritten"]:
        return Check(name, Mark.BROKEN, f"{mover['unwritten']} changes could not be written down")
    return Check(
        name, mark(mover["alive"]), "until the end" if mover["alive"] else "what moved it ended before the run"
    )


def _pages(replay: Found, visitors: Found) -> Check:
    """Pages of visits that were cut short are missing for a reason that is judged by itself."""
    name = "the planned pages were replayed"
    asked, planned = sum(replay["achieved"].values()), sum(replay["planned"].values())
    detail = f"{asked} of {planned} pages"
    if replay["p"] is None:
        return Check(name, Mark.UNKNOWN, f"{detail}: one kind, or too few to say")
    detail += f"; chi-square {replay['chi_square']:.2f}, p {replay['p']:.3f}"
    if replay["p"] >= UNLIKELY:
        return Check(name, Mark.HOLDS, detail)
    whole = visitors["finished"] == visitors["planned"]
    return Check(name, Mark.BROKEN if whole else Mark.UNKNOWN, detail + ("" if whole else "; not everybody finished"))
