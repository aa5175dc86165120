"""`manage.py stack`: the real stack under the application, on this machine."""

import os
import sys
from argparse import REMAINDER, ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config import serving
from deploy.local import chains, environment, layout, stack, status, table


class Command(BaseCommand):
    help = "The real stack on this machine: MariaDB with replicas, Redis, SQS, SMTP, nginx, gunicorn, worker, clock."
    requires_system_checks = ()  # the settings of this process are not those of the stack

    def add_arguments(self, parser: ArgumentParser) -> None:
        folder = ArgumentParser(add_help=False)
        folder.add_argument("--folder", type=Path, default=layout.DEFAULT_FOLDER, help="of the stack")
        actions = parser.add_subparsers(dest="action", required=True, metavar="action")
        self._add_up(actions.add_parser("up", parents=[folder], help="start it, and wait until everything answers"))
        actions.add_parser("status", parents=[folder], help="does everything answer? exit code 1 when not")
        logs = actions.add_parser("logs", parents=[folder], help="the ends of the logs")
        logs.add_argument("program", nargs="?", choices=layout.KNOWN, metavar="program")
        logs.add_argument("-f", "--follow", action="store_true", help="go on showing what comes, until Ctrl-C")
        down = actions.add_parser("down", parents=[folder], help="stop everything")
        down.add_argument("--wipe", action="store_true", help="and remove its folder with all data")
        run = actions.add_parser("run", parents=[folder], help="a manage.py command against the stack: run -- audit")
        run.add_argument("command", nargs=REMAINDER)
        variables = actions.add_parser("environment", parents=[folder], help="the variables that use the stack")
        variables.add_argument("--json", action="store_true")
        actions.add_parser("install", parents=[folder], help="what it needs on this machine, without starting it")
        actions.add_parser("prepare")  # a step of `up`, in a process that has the stack's settings

    def _add_up(self, up: ArgumentParser) -> None:
        up.add_argument("--only", help="programs with commas, for example mariadb,redis,sqs,smtp")
        up.add_argument("--base-port", type=int, help=f"default: as before, or {layout.DEFAULT_PORT}; 0: free ones")
        up.add_argument("--nodes", action="store_true", help="real nodes of the chains (anvil, Bitcoin Knots) for play")
        up.add_argument("--relaxed", action="store_true", help="faster, not durable: for tests only")

    def handle(self, *, action: str, folder: Path = layout.DEFAULT_FOLDER, **options: Any) -> None:
        serving.stop_in_order()
        try:
            getattr(self, f"_{action}")(folder.expanduser().resolve(), **options)
        except layout.CannotStart as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Interrupted.") from None

    def _up(
        self, folder: Path, *, only: str | None, base_port: int | None, relaxed: bool, nodes: bool, **options: Any
    ) -> None:
        wanted = layout.asked(folder, only=only, base_port=base_port, relaxed=relaxed)
        if layout.is_stack(folder) and stack.is_running(layout.load(folder)):
            self._say(f"The stack in {folder} is running already; nothing was changed.")
            return
        if nodes:
            wanted = chains.with_real_nodes(wanted, self._say)
        password = stack.up(wanted, self._say)
        self._say(table.addresses(wanted, password))

    def _install(self, folder: Path, **options: Any) -> None:
        everything = layout.asked(folder, only=None, base_port=None, relaxed=False)
        stack.install(layout.with_nodes(everything, ("ethereum",)), self._say)

    def _prepare(self, folder: Path, **options: Any) -> None:
        """Tables, an account, a sale. Prints the operator's password if the account was made now."""
        password = serving.prepare_books()
        call_command("seed_sale", batch_size=50, batch_interval=5, total_cap=10_000_000, stdout=self.stderr)
        self.stdout.write(password or "", ending="")

    def _status(self, folder: Path, **options: Any) -> None:
        found = status.of(layout.load(folder))
        self._say(table.status(found))
        if any(one.trouble for one in found):
            sys.exit(1)

    def _logs(self, folder: Path, *, program: str | None, follow: bool, **options: Any) -> None:
        place = layout.load(folder)
        files = [str(path) for path in place.log_files(program)]
        if not files:
            raise CommandError(f"There is no such log in {place.logs} yet.")
        self.stdout.flush()
        os.execvp("tail", ["tail", "-n", "50" if program else "5", *(["-F"] if follow else []), *files])  # noqa: S606, S607

    def _down(self, folder: Path, *, wipe: bool, **options: Any) -> None:
        place = layout.load(folder)
        serving.go_on_to_the_end()
        stack.down(place, self._say, wipe=wipe)
        self._say("Stopped; nothing of it runs." + (" Its folder is removed." if wipe else ""))

    def _run(self, folder: Path, *, command: list[str], **options: Any) -> None:
        words = command[1:] if command[:1] == ["--"] else command
        if not words:
            raise CommandError("Name a manage.py command, for example: stack run -- audit")
        variables = environment.whole(folder)
        os.execve(sys.executable, [sys.executable, str(settings.BASE_DIR / "manage.py"), *words], variables)  # noqa: S606

    def _environment(self, folder: Path, *, json: bool, **options: Any) -> None:
        self.stdout.write(table.variables(environment.read(folder), as_json=json))

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
