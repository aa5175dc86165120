"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from shop import changes  # noqa: E402 (needs the application)
from shop.searching import index_follower  # noqa: E402

index_follower.start()
changes.start()  # a process that answers requests keeps copies, and must hear when they are no longer true
