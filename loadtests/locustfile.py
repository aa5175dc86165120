"""For plain Locust: `locust -f loadtests/locustfile.py --host http://127.0.0.1:8000`, with its web page or headless.

STAMPEDE_TIME_SCALE shrinks every wait. Purchase needs STAMPEDE_LINKS (a file, one link a line) or STAMPEDE_MAILBOX (a
Maildir); without them only Signup runs. Each user is one person after the other. There is no audit and no verdict here:
that is `manage.py loadtest run`.
"""

import os
import secrets
from collections import deque
from pathlib import Path
from typing import Any

from locust import events

from loadtests import mailbox
from loadtests.crowd import Crowd
from loadtests.scenarios.purchase import Purchase
from loadtests.scenarios.signup import Signup
from loadtests.target import resolve

__all__ = ["Purchase", "Signup"]


def _invitations() -> list[mailbox.Invitation]:
    if file := os.environ.get("STAMPEDE_LINKS"):
        return mailbox.from_file(Path(file))
    if folder := os.environ.get("STAMPEDE_MAILBOX"):
        return mailbox.Mailbox(Path(folder)).invitations()
    return []


_LINKS = deque(_invitations())
if not _LINKS:
    Purchase.weight = 0  # Locust leaves out what has no weight


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _gather(environment: Any, **_: Any) -> None:
    """A new crowd for each test; the host is that of the command line or of the web form, under the same guard."""
    environment.crowd = Crowd(
        target=resolve(environment.host or ""),
        run_id=secrets.token_hex(3),
        seed=1,
        time_scale=float(os.environ.get("STAMPEDE_TIME_SCALE", "1")),
        run_dir=None,
        links=_LINKS,
    )
