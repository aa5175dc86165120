"""The product's addresses, and behind the same middleware an empty view and one that waits for the database."""

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from config.urls import handler400, handler403, handler404, handler500, urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"{}", content_type="application/json")


def waiting(request: HttpRequest) -> HttpResponse:
    """A query of 20 ms (MariaDB only): the lock of a busy row, a slow report, a replica far away."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT SLEEP(0.02)")
    return HttpResponse(b"{}", content_type="application/json")


urlpatterns = [*urlpatterns, path("bench/empty", empty), path("bench/waiting", waiting)]
