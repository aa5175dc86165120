"""A plan that is over in a moment: who arrives, at once and evenly, thinks for milliseconds."""

from typing import Any

from loadtests import plans


def small_plan(**changes: Any) -> plans.Plan:
    shape = {"rate": 100.0, "duration": None, "arrivals": "constant", "time_scale": 0.001, "seed": 7}
    nobody = {"scenario": "signup", "users": 10, "host": "http://127.0.0.1:1"}
    return plans.make(**{**shape, **nobody, **changes})
