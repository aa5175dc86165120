"""Sessions where there is a Redis: rows that everything is decided by, and copies in Redis that spare reading them.

A copy may be missing, may be old, and may come back from the dead: a deletion that Redis did not hear, an answer to a
request that began before, a packet that was long on its way. So ending a session writes, in one transaction, that it
has ended, and who is logged in by a copy is asked for in the query that reads the user anyway: no query more, and no
moment in which a copy counts for more than its row. Without Redis the rows are read. See docs/decisions/0022.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists
from django.http import HttpRequest
from django.utils import timezone

from config import throttle
from config.faults import words
from config.models import EndedSession
from config.requests import client_address

logger = logging.getLogger(__name__)

# A full Redis throws away what ends soonest: a copy ends before a mark of who wrote does (`config/marks.py`), so that
# copies cannot push marks out.
COPY_SECONDS = 120
# Longer than any copy can live after its session's end, with a slow request and a packet that was sent again for
# a quarter of an hour in between.
ENDED_SECONDS = 3600
TIDIED_AT_ONCE = 1_000

_copied: ContextVar[SessionStore | None] = ContextVar("copied", default=None)  # what this request read a copy of


class SessionStore(db.SessionStore):
    """Named by `settings.SESSION_ENGINE`."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._is_new = False
        _copied.set(None)

    def load(self) -> dict[str, Any]:
        name = digest(self.session_key or "")
        copy, answers = _copy(name)
        known: dict[str, Any] = self.decode(copy) if copy else {}
        if known:
            _copied.set(self)
            return known
        row = self._get_session_from_db()  # type: ignore[attr-defined]
        if row is None:
            return {}
        if answers:  # else it would be asked once more in vain
            _keep(name, row.session_data, row.expire_date)
        return self.decode(row.session_data)

    def create(self) -> None:
        self._is_new = True
        super().create()

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            self.create()
            return
        super().save(must_create=must_create)
        if must_create:
            return  # it is not complete yet, and will be saved again at the end of the request
        kept = _keep(digest(self.session_key), self.encode(dict(self.items())), self.get_expiry_date())
        if not kept and not self._is_new:
            self.cycle_key()  # a copy of what it was before may live on, under the old name

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            _end(key)

    def forget(self) -> None:
        """It has ended, though there was a copy: nobody's from now on."""
        self.clear()
        self._session_key = None  # so that the answer takes the cookie back


class Backend(ModelBackend):
    """Django's, and who is logged in by a copy of a session that has ended is not. Operators' passwords are guessed no
    more often than customers' (whose own page tells how long to wait, and asks without a request)."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        if request is not None and throttle.login(client_address(request), account=username or "", now=timezone.now()):
            raise PermissionDenied("too often")  # Django asks no further, and answers as to a wrong password
        return super().authenticate(request, username=username, password=password, **kwargs)

    def get_user(self, user_id: int) -> User | None:
        store = _copied.get()
        if store is None:
            return super().get_user(user_id)
        ended = EndedSession.objects.filter(digest=digest(store.session_key or ""))
        user = User.objects.annotate(session_has_ended=Exists(ended)).filter(pk=user_id).first()
        if user is not None and user.session_has_ended:
            store.forget()
            return None
        return user if user is not None and self.user_can_authenticate(user) else None


def digest(session_key: str) -> str:
    """What names a session would open it; this does not."""
    return sha256(session_key.encode()).hexdigest()


def tidy(*, now: datetime) -> int:
    """Delete what is over, a bounded number of rows. Returns how many."""
    over = [
        (db.SessionStore.get_model_class(), "session_key", "expire_date"),
        (EndedSession, "digest", "until"),
    ]
    return sum(_tidy(model, name, until, now) for model, name, until in over)


def _tidy(model: Any, name: str, until: str, now: datetime) -> int:
    old = model.objects.filter(**{f"{until}__lt": now}).order_by(until)
    keys = list(old.values_list(name, flat=True)[:TIDIED_AT_ONCE])
    model.objects.filter(**{f"{name}__in": keys, f"{until}__lt": now}).delete()
    return len(keys)


def _end(session_key: str) -> None:
    """What never was a session leaves nothing behind: anybody can make up a cookie."""
    name = digest(session_key)
    until = timezone.now() + timedelta(seconds=ENDED_SECONDS)
    with transaction.atomic():
        gone, _ = db.SessionStore.get_model_class().objects.filter(session_key=session_key).delete()
        if gone:
            EndedSession.objects.create(digest=name, until=until)
    try:
        _copies().delete(name)
    except Exception as error:  # noqa: BLE001 (whatever is wrong with the cache, the row decides)
        logger.debug("the copy of a session could not be deleted: %s", words(error))


def _copy(name: str) -> tuple[str | None, bool]:
    """The copy, None for none, and whether the cache answered."""
    try:
        return _copies().get(name), True
    except Exception as error:  # noqa: BLE001 (as above)
        logger.debug("copies of sessions cannot be read: %s", words(error))
        return None, False


def _keep(name: str, data: str, until: datetime) -> bool:
    """Whether the cache has said that it holds the copy."""
    left = (until - timezone.now()).total_seconds()
    try:
        _copies().set(name, data, timeout=min(COPY_SECONDS, max(0, int(left))))
    except Exception as error:  # noqa: BLE001 (as above)
        logger.debug("a session could not be copied: %s", words(error))
        return False
    return True


def _copies() -> BaseCache:
    return caches["sessions"]
