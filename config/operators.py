"""Sessions, logins and messages for the operators' addresses alone.

The public pages read and set no cookie: a cache may keep them, and nobody can make one of them set or drop a cookie by
sending one. So the middlewares that look at cookies run for `settings.SESSION_PATHS` only.
"""

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class OperatorsMiddleware:
    def __init__(self, get_response: GetResponse) -> None:
        self._public = get_response
        self._paths = tuple(settings.SESSION_PATHS)
        self._operators = SessionMiddleware(AuthenticationMiddleware(MessageMiddleware(get_response)))

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(self._paths):
            return self._operators(request)  # type: ignore[return-value]  # not a coroutine: get_response is none
        return self._public(request)
