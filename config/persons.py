"""Sessions, logins and messages at one person's own addresses alone: the operators' and the customers'.

The public pages read and set no cookie: a cache may keep them, and nobody can make one of them set or drop a cookie by
sending one. So the middlewares that look at cookies run for `settings.SESSION_PATHS` only.
"""

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from config import database

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class PersonsMiddleware:
    def __init__(self, get_response: GetResponse) -> None:
        self._public = get_response
        self._paths = tuple(settings.SESSION_PATHS)
        self._personal = SessionMiddleware(AuthenticationMiddleware(MessageMiddleware(_as_user(get_response))))

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(self._paths):
            return self._public(request)
        before = _persons(request.COOKIES.get(settings.SESSION_COOKIE_NAME), None)
        database.reading_as(*before)
        response = self._personal(request)
        if request.method not in ("GET", "HEAD"):  # who logs in or out has another session afterwards
            database.wrote(*before, *_persons(request.session.session_key, request.session.get(SESSION_KEY)))
        return response  # type: ignore[return-value]  # not a coroutine: get_response is none


def _as_user(get_response: GetResponse) -> GetResponse:
    """The session may be young and the user's own write older, and made in another browser."""

    def named(request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            database.reading_as(*_persons(None, request.session.get(SESSION_KEY)))
        return get_response(request)

    return named


def _persons(session_key: str | None, user_id: str | None) -> list[str]:
    """Who is logged in, for `config.database`."""
    named = {"session": session_key, "user": user_id}
    return [f"{kind}:{name}" for kind, name in named.items() if name]
