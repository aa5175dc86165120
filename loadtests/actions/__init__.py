"""What `manage.py loadtest` can do: one module an action, each a thin rim around a domain module of the same room.

A module has NAME and HELP, `add_arguments(parser)`, and `handle(options, console) -> exit code`. Listed in the order
of the help.
"""

from types import ModuleType

from loadtests.actions import (
    break_,
    calibrate,
    compare,
    ledger,
    list_,
    log,
    plans,
    report,
    run,
    stop,
    watch,
    watch_regressions,
    worker,
)

ACTIONS: tuple[ModuleType, ...] = (
    run,
    list_,
    watch,
    stop,
    worker,
    report,
    plans,
    log,
    ledger,
    break_,
    calibrate,
    compare,
    watch_regressions,
)
