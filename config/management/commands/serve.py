"""`manage.py serve`: the whole application on this machine, until Ctrl-C."""

import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from config import serving

SHOP_PRODUCTS = 102  # six a category on average


class Command(BaseCommand):
    help = "Start everything that belongs to the application in the data folder, and keep it running until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        serving.stop_in_order()
        try:
            serving.must_be_free(host, port)
            self.stdout.write(f"Preparing {settings.DATA_DIR} …")
            password = serving.prepare()
            call_command("seed_sale", batch_size=50, batch_interval=5, total_cap=10_000_000, stdout=self.stdout)
            # A small one; `seed_shop` itself goes on from there.
            call_command("seed_shop", products=SHOP_PRODUCTS, if_empty=True, without_pictures=True, stdout=self.stdout)
            with serving.running(host=host, port=port) as application:
                threading.Thread(target=self._draw, name="pictures", daemon=True).start()
                self._say(application, password)
                application.supervisor.wait()
                raise CommandError(f"It stopped by itself; look into {application.logs}")
        except serving.CannotServe as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def _draw(self) -> None:
        """Some seconds of work that nobody needs to wait for; it ends with this process, and goes on with the next."""
        try:
            call_command("seed_shop", products=SHOP_PRODUCTS, only_pictures=True, verbosity=0)
        except CommandError as error:
            self.stderr.write(f"The shop's pictures are not drawn: {error}")
        finally:
            connections.close_all()

    def _say(self, application: serving.Running, password: str | None) -> None:
        url, data = application.url, Path(settings.DATA_DIR)
        login = f"{serving.OPERATOR} / {password}" if password else f"{serving.OPERATOR} (password as told before)"
        rows = [
            ("the sale", f"{url}/"),
            ("the shop", f"{url}/shop/"),
            ("operator", f"{url}/admin/ and {url}/ops/   {login}"),
            ("mails", str(data / "mail" / "new")),
            ("logs", str(application.logs)),
            ("investors", f"STAMPEDE_DATA={data} .venv/bin/python manage.py play_investors"),
            ("stampede", f"STAMPEDE_DATA={data} .venv/bin/python manage.py loadtest run signup --host {url}"),
            ("the books", f"STAMPEDE_DATA={data} .venv/bin/python manage.py audit"),
        ]
        self.stdout.write("\nStampede is running. Ctrl-C stops it.\n")
        for name, value in rows:
            self.stdout.write(f"  {name:<10} {value}")
        self.stdout.flush()
