"""A worker with one message in a process of its own, on the test's database, for tests that kill or stop it. It is the
worker that supervisor runs, with a broker in the data folder that the environment names.

python -m tests.contracts.mail_worker DATABASE SMTP_PORT RATE CLAIM ID...

With MAIL_WORKER_IS_DEAF in its environment it does not ask between mails whether it was told to stop.
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

    from config import tasks
    from config.celery import app
    from config.supervising import application

    connection.settings_dict["NAME"] = database
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.MAILS_PER_SECOND = "127.0.0.1", int(port), int(rate)
    if "MAIL_WORKER_IS_DEAF" in os.environ:
        tasks._go_on = lambda: True
    (settings.QUEUE_DIR / "messages").mkdir(parents=True)
    tasks.deliver.delay("sale", [int(key) for key in ids], claim)
    (command,) = [program.command for program in application() if program.name == "worker"]
    app.worker_main(command[command.index("worker") :])


if __name__ == "__main__":
    main()
