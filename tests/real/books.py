"""A process of the application that does what a test tells it, a line of JSON each way: `python -m tests.real.books`.

The tests' own process cannot: its settings are those of another database. It begins by making tables and a sale."""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any

import django

django.setup()

from django.core.cache import caches  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import close_old_connections  # noqa: E402
from django.utils import timezone  # noqa: E402

from config import marks  # noqa: E402
from ico import invitations, models, release, waitlist  # noqa: E402

_AT_HAND = {
    "caches": caches,
    "invitations": invitations,
    "marks": marks,
    "models": models,
    "release": release,
    "time": time,
    "waitlist": waitlist,
}


def run(code: str, names: dict[str, object]) -> Any:
    """What the code left in `out`."""
    close_old_connections()  # servers are killed and come back under this process
    room = {**_AT_HAND, "sale": models.Sale.objects.first(), "now": timezone.now(), "out": None, **names}
    exec(code, room)  # noqa: S102 (our own tests' code)
    return room["out"]


call_command("migrate", interactive=False, verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
call_command("seed_sale", stdout=sys.stderr)
for line in sys.stdin:
    try:
        said = {"out": run(**json.loads(line))}
    except Exception:  # noqa: BLE001 (told to the test)
        said = {"error": traceback.format_exc()}
    print(json.dumps(said), flush=True)  # noqa: T201
