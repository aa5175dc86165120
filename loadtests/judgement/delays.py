"""Does the generator itself keep its visitors waiting? An answer that lies there and a visitor who is woken too late
ask their next step late, and by intended times that is charged to the target: such a run says nothing of it.

No machine is without a hiccup. What makes a run INVALID are seconds enough of one window in which p99 of our own delays
is more than the plan's figures can bear. A standstill is told by the second that ends it, and counts for as many
seconds as it lasted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.judgement.marks import Check, Mark, mark
from loadtests.limits import parse

# What one request of ours may be late by: as much as an answer is expected to take where a plan says nothing.
BEARABLE_SECONDS = 0.1
# Of the shortest intended time that the plan limits; a scheduler's own tick is never less than the floor.
SHARE, FLOOR_SECONDS = 0.5, 0.025
WINDOW_SECONDS = 10
DISTURBED = 5  # seconds; a run that is shorter than so many is not told from a machine's hiccups


def bearable(limits: Sequence[str]) -> float:
    """Seconds by which steps may be late for our own reasons."""
    parsed = map(parse, limits)
    intended = [limit.value for limit in parsed if limit.intended and not limit.at_least]
    return max(FLOOR_SECONDS, min([BEARABLE_SECONDS, *(SHARE * value for value in intended)]))


def check(results: Mapping[str, Any], limits: Sequence[str]) -> Check:
    name, most = "the generator kept nobody waiting", bearable(limits)
    delays: Sequence[float | None] | None = results["series"].get("lag_p99")
    if not delays or all(delay is None for delay in delays):
        return Check(name, Mark.UNKNOWN, "its delays were not kept")
    count, width = worst(delays, most=most)
    p99 = max(delay for delay in delays if delay is not None)
    detail = (
        f"p99 of its own delays was above {most * 1e3:.0f} ms in {count} of {width} seconds in a row at worst, "
        f"{DISTURBED - 1} allowed; {p99:.0f} ms in the worst second"
    )
    return Check(name, mark(count < DISTURBED), detail)


def worst(delays: Sequence[float | None], *, most: float) -> tuple[int, int]:
    """(disturbed seconds, seconds) of the window that was disturbed most. `delays`: p99 of each second, in ms."""
    width = min(WINDOW_SECONDS, len(delays))
    disturbed = [max(1, int(delay / 1e3)) if delay is not None and delay > most * 1e3 else 0 for delay in delays]
    windows = (sum(disturbed[at : at + width]) for at in range(len(delays) - width + 1))
    return min(max(windows), width), width
