"""The Celery application of workers and beat. What runs when stands in `settings.CELERY_BEAT_SCHEDULE`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
app = Celery("stampede")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
