"""A worker's delivery in a process of its own, on the test's database, for tests that kill it.

python -m tests.contracts.mail_worker DATABASE SMTP_PORT RATE CLAIM ID...
"""

import os
import sys

import django


def main() -> None:
    database, port, rate, claim, *ids = sys.argv[1:]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.utils import timezone

    from ico import outbox

    connection.settings_dict["NAME"] = database
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.MAILS_PER_SECOND = "127.0.0.1", int(port), int(rate)
    outbox.deliver(ids=[int(key) for key in ids], claim=claim, clock=timezone.now)


if __name__ == "__main__":
    main()
