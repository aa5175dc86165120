"""`manage.py loadtest <action>`; the actions are in `loadtests/actions/`."""

import sys
import traceback
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from loadtests import ledger, mailbox, plans, record, runs, target, verdict
from loadtests.actions import ACTIONS
from loadtests.running import live

REFUSALS = (
    plans.PlanMistake,
    target.TargetRefused,
    record.RunDirUnusable,
    mailbox.NotEnoughLinks,
    runs.RunRefused,
    live.NotRunning,
    ledger.NoSuchRun,
)


class Command(BaseCommand):
    help = (
        "Drive the target as visitors do, measure, audit the books, and say what it means. "
        "Exit codes: 0 passed, 1 limits broken, 2 books wrong, 3 invalid (or the books were not audited)."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for action in ACTIONS:
            action.add_arguments(actions.add_parser(action.NAME, help=action.HELP))

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.ending = ""  # rich ends its lines itself
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]  # a text file in all but name
        action = next(action for action in ACTIONS if options["action"] == action.NAME)
        try:
            code = action.handle(options, console)
        except REFUSALS as error:
            raise CommandError(str(error), returncode=verdict.Outcome.INVALID.value) from error
        except CommandError:
            raise
        except Exception as error:  # whatever it is, it is no broken limit, which an exit code of 1 would say
            traceback.print_exc(file=self.stderr)
            said = f"the laboratory broke ({type(error).__name__}: {error}): nothing is said of the target"
            raise CommandError(said, returncode=verdict.Outcome.INVALID.value) from error
        if code:
            sys.exit(code)
