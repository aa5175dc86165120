"""Where everything is."""

import sys

from django.contrib import admin
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from config.health import healthz, readyz
from config.known_answers import known_answer
from config.load_target import load_target
from config.media import media
from config.metrics import metrics
from config.openapi import openapi
from config.requests import explain, no_database

urlpatterns = [
    path("", include("ico.urls")),
    path("", include("shop.urls")),
    path("api/openapi.json", openapi, name="openapi"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("media/<path:name>", media, name="media"),
    path(".well-known/load-target", load_target, name="load-target"),
    path(".well-known/known-answer", known_answer, name="known-answer"),
    path("admin/", admin.site.urls),
]


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return explain(request, 400)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return explain(request, 403)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    return explain(request, 403, str(exception))


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return explain(request, 404)


def handler500(request: HttpRequest) -> HttpResponse:
    error = sys.exc_info()[1]
    if isinstance(error, Error):  # outside of a view, in a middleware: a session could not be read
        return no_database(request, error)
    return explain(request, 500)
