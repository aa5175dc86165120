"""How often one client may do one thing: a fixed window of a minute, counted in the shared cache.

Without Redis each process counts by itself, so that a limit holds within a factor of the number of processes. Letting
everybody through would make killing the cache a way around the limit; refusing would turn honest people away for a part
that the application can do without.
"""

import math
from datetime import datetime
from hashlib import sha256

from django.conf import settings
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache

from config import emails

WINDOW_SECONDS = 60
_of_this_process = LocMemCache("throttle", {"OPTIONS": {"MAX_ENTRIES": 20_000}})


def hit(key: str, *, limit: int, now: datetime) -> int:
    """Count one more for `key`. Returns 0 when it is allowed, else the seconds until the next window.

    `limit` 0 allows everything. On the embedded default two hits in the same instant may be counted as one (a file
    has no atomic increment); on Redis the count is exact.
    """
    if limit == 0:
        return 0
    window, elapsed = divmod(now.timestamp(), WINDOW_SECONDS)
    name = f"throttle:{key}:{int(window)}"
    try:
        count = _count(cache, name)
    except ValueError:  # Redis does not answer, or the entry was evicted between the two calls
        count = _count(_of_this_process, name)
    return 0 if count <= limit else math.ceil(WINDOW_SECONDS - elapsed)


def _count(counts: BaseCache, name: str) -> int:
    counts.add(name, 0, timeout=2 * WINDOW_SECONDS)
    return counts.incr(name)


def signup(client_address: str | None, *, now: datetime) -> int:
    """Seconds this client has to wait before it may sign up again, 0 for none."""
    return hit(f"signup:{client_address or 'unknown'}", limit=settings.SIGNUPS_PER_MINUTE, now=now)


def cart(client_address: str | None, *, now: datetime) -> int:
    """Seconds until a guest at this address may be given another new cart, 0 for none."""
    return hit(f"cart:{client_address or 'unknown'}", limit=settings.CARTS_PER_MINUTE, now=now)


def login(client_address: str | None, *, account: str, now: datetime) -> int:
    """Seconds until somebody may try to log in to `account` from this address, 0 for none. Counted by where it comes
    from, then by both, then by whose account it is, and by the next only when not too often by the one before: one
    address may take half of what an account is tried a minute, and the other half is left to its owner."""
    client, whose = client_address or "unknown", _account(account)
    per_account = settings.LOGINS_PER_ACCOUNT
    return (
        hit(f"login:{client}", limit=settings.LOGINS_PER_MINUTE, now=now)
        or hit(f"login-to:{whose}:{client}", limit=(per_account + 1) // 2, now=now)
        or hit(f"login-to:{whose}", limit=per_account, now=now)
    )


def _account(text: str) -> str:
    """The same for all spellings of one email address; an operator's name need not be one."""
    try:
        name = emails.normalised(text)
    except emails.InvalidEmail:
        name = text.strip().lower()
    return sha256(name.encode(errors="replace")).hexdigest()
