"""django-oscar as its documentation sets a shop up, tuned where that costs its page nothing: no debugging, templates
loaded once, an SQLite of the same settings as ours, a cache in the process's own memory, thumbnails made beforehand.
Categories are browsed through its search; Whoosh is the engine of its own sandbox and needs no server."""

import os
from pathlib import Path

from oscar import INSTALLED_APPS as OSCARS_APPS
from oscar.defaults import *  # noqa: F403

FOLDER = Path(os.environ["OSCAR_DATA"])
SECRET_KEY = "a measurement's"  # noqa: S105
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
SITE_ID = 1
INSTALLED_APPS = [*OSCARS_APPS, "sorl.thumbnail"]
ROOT_URLCONF = "bench.oscar_shop.urls"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"  # as its migrations have it
USE_TZ = True

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "oscar.sqlite3",
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY;"
            ),
        },
    }
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
HAYSTACK_CONNECTIONS = {
    "default": {"ENGINE": "haystack.backends.whoosh_backend.WhooshEngine", "PATH": str(FOLDER / "index")}
}
MEDIA_ROOT, MEDIA_URL = FOLDER / "media", "/media/"
STATIC_ROOT, STATIC_URL = FOLDER / "static", "/static/"

OSCAR_PRODUCTS_PER_PAGE = 24  # as many as ours
OSCAR_DEFAULT_CURRENCY = "EUR"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "oscar.apps.basket.middleware.BasketMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "oscar.apps.search.context_processors.search_form",
                "oscar.apps.checkout.context_processors.checkout",
                "oscar.apps.communication.notifications.context_processors.notifications",
                "oscar.core.context_processors.metadata",
            ]
        },
    }
]
