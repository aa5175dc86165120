"""How often one client may do one thing: a fixed window of a minute, counted in the shared cache."""

import math
from datetime import datetime

from django.conf import settings
from django.core.cache import cache

WINDOW_SECONDS = 60


def hit(key: str, *, limit: int, now: datetime) -> int:
    """Count one more for `key`. Returns 0 when it is allowed, else the seconds until the next window.

    `limit` 0 allows everything. On the embedded default two hits in the same instant may be counted as one (a file
    has no atomic increment); on Redis the count is exact.
    """
    if limit == 0:
        return 0
    window, elapsed = divmod(now.timestamp(), WINDOW_SECONDS)
    name = f"throttle:{key}:{int(window)}"
    cache.add(name, 0, timeout=2 * WINDOW_SECONDS)
    try:
        count = cache.incr(name)
    except ValueError:
        return 0  # evicted between the two calls: this hit goes uncounted
    return 0 if count <= limit else math.ceil(WINDOW_SECONDS - elapsed)


def signup(client_address: str | None, *, now: datetime) -> int:
    """Seconds this client has to wait before it may sign up again, 0 for none."""
    return hit(f"signup:{client_address or 'unknown'}", limit=settings.SIGNUPS_PER_MINUTE, now=now)
