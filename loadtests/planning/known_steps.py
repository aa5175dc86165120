"""Which steps the visitors of a scenario have, so that a limit on a step that nobody takes is a mistake of its plan and
no surprise at the end of the run. Here because reading a plan needs none of what visitors need; a test reads the
scenarios.
"""

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from loadtests.limits import WRONG, Limit

_ACCOUNT = ("signup_page", "signup")
_BUYING = (
    *("home", "search", "suggest", "product", "cart_badge", "cart_add", "cart", "checkout_as_guest", *_ACCOUNT),
    *("checkout", "order_post", "order", "history"),
)
_BELONGING = (
    *("home", "events", "event", "fans", "product", "cart_badge", *_ACCOUNT, "login_page", "login", "logout"),
)
STEPS: dict[str, frozenset[str]] = {
    "signup": frozenset(("landing", "post", "position")),
    "purchase": frozenset(("invitation", "terms", "wallet_page", "wallet", "payment_page", "payment")),
    "browse": frozenset(("home", "category", "deals", "events", "event", "search", "suggest", "product", "cart_badge")),
    "member": frozenset(_BELONGING),
    "buyer": frozenset(_BUYING),
    "black_friday": frozenset({*_BUYING, *_BELONGING, "deals"} - {"search", "suggest"}),
}
# What belongs to pages, and whatever a file of kinds calls the pages of a log.
_OPEN = ("resource.", "iframe.", "replay.")


def unmatched(limit: Limit, mix: Iterable[str]) -> str:
    """Why no step of these scenarios is ever judged by the limit; "" if one may be."""
    scenarios = tuple(mix)
    of_steps = limit.metric in ("latency", "rate", *WRONG)
    if not of_steps or limit.what.startswith(_OPEN) or any(limit.covers(f"{start}x") for start in _OPEN):
        return ""
    known = [f"{scenario}.{step}" for scenario in scenarios for step in sorted(STEPS.get(scenario, ()))]
    if any(fnmatchcase(step, limit.what) for step in known):
        return ""
    near = difflib.get_close_matches(limit.what, known, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; steps are {', '.join(known)}"
    return f"{limit.text!r} is of a step that no visitor of this plan takes{hint}"
