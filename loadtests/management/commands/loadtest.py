"""`manage.py loadtest run signup|purchase` and `manage.py loadtest report <run directory>`."""

import shlex
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console

from loadtests import audit, launch, mailbox, plans, progress, record, report, target, verdict
from loadtests.shapes import SHAPES

REFUSALS = (plans.PlanMistake, target.TargetRefused, record.RunDirUnusable, mailbox.NotEnoughLinks)
MARKS = {"holds": "[green]✓[/]", "broken": "[red]✗[/]", "unknown": "[yellow]?[/]"}


class Command(BaseCommand):
    help = (
        "Drive the sale as visitors do, measure, audit the books, and say what it means. "
        "Exit codes: 0 passed, 1 limits broken, 2 books wrong, 3 invalid (or the books were not audited)."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        _run_arguments(actions.add_parser("run", help="one run"))
        again = actions.add_parser("report", help="make the report of a run again")
        again.add_argument("run_dir", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.ending = ""  # rich ends its lines itself
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]  # a text file in all but name
        try:
            code = _run(options, console) if options["action"] == "run" else _report(options["run_dir"], console)
        except REFUSALS as error:
            raise CommandError(str(error), returncode=verdict.Outcome.INVALID.value) from error
        if code:
            sys.exit(code)


def _run_arguments(parser: CommandParser) -> None:
    parser.add_argument("scenario", choices=plans.SCENARIOS)
    parser.add_argument("--users", type=int, default=100, help="how many visitors (default 100)")
    parser.add_argument("--rate", type=float, help="arrivals per second")
    parser.add_argument("--duration", type=float, help="seconds over which they arrive (default 60 x time scale)")
    parser.add_argument("--arrivals", choices=SHAPES, default="poisson", help="poisson (default) or constant")
    parser.add_argument("--time-scale", type=float, default=1.0, help="every wait of a visitor times this (default 1)")
    parser.add_argument("--host", default=settings.PUBLIC_URL, help="which host; loopback only (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same arrivals and hesitations (default 1)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds an answer may take (default 30)")
    parser.add_argument("--run-dir", type=Path, help="where to; new or empty (default runs/<time>-<scenario>-<id>)")
    parser.add_argument("--mailbox", type=Path, help="purchase: Maildir with invitations (default: the data folder's)")
    parser.add_argument("--links", type=Path, help="purchase: a file with one invitation link a line, instead")
    parser.add_argument("--wait-for-mail", type=float, default=0.0, metavar="SECONDS", help="purchase: for more")
    parser.add_argument("--no-audit", action="store_true", help="leave the books alone; the run then cannot pass")


def _run(options: dict[str, Any], console: Console) -> int:
    plan = plans.make(
        request_timeout=options["timeout"],
        **{name: options[name] for name in ("scenario", "users", "rate", "duration", "arrivals", "time_scale", "seed")},
        host=target.resolve(options["host"]).url,
    )
    run_id = record.new_run_id()
    root = settings.BASE_DIR / "runs"
    now = timezone.now()
    run_dir = record.prepare(chosen=options["run_dir"], root=root, scenario=plan.scenario, run_id=run_id, now=now)
    console.print(f"[bold]{_title(plan)}[/]\n{run_dir}", soft_wrap=True)
    links = _links(options, plan, run_dir, console)
    with progress.shown(console, _title(plan)) as show:
        launch.drive(plan=plan, run_dir=run_dir, run_id=run_id, links=links, show=show)
    measured = record.measured(run_dir)
    books = _books(options, run_dir, console)
    judged = verdict.judge(measured=measured, limits=plan.limits, books=books)
    kept = record.write(
        run_dir=run_dir,
        run_id=run_id,
        plan=plan,
        command=shlex.join(["manage.py", "loadtest", "run", *plan.as_arguments()]),
        measured=measured,
        books=books,
        verdict=judged,
    )
    _say_verdict(kept, report.write(run_dir=run_dir, record=kept), console)
    return judged.outcome.value


def _report(run_dir: Path, console: Console) -> int:
    kept = record.read(run_dir)
    _say_verdict(kept, report.write(run_dir=run_dir, record=kept), console)
    return 0


def _links(options: dict[str, Any], plan: plans.Plan, run_dir: Path, console: Console) -> list[mailbox.Invitation]:
    if plan.scenario != "purchase":
        return []
    file: Path | None = options["links"]
    folder: Path = options["mailbox"] or Path(settings.MAILBOX_DIR)
    if file is not None and not file.is_file():
        raise mailbox.NotEnoughLinks(f"--links {file}: there is no such file")
    found = mailbox.gather(
        source=(lambda: mailbox.from_file(file)) if file is not None else mailbox.Mailbox(folder).invitations,
        where=str(file or folder),
        needed=plan.users,
        spent=record.spent(run_dir.parent),
        wait_seconds=options["wait_for_mail"],
        waiting=lambda count: console.print(f"{count} of {plan.users} invitations are in the mail", soft_wrap=True),
    )
    here = target.resolve(plan.host)
    try:
        for invitation in found:
            here.path_of(invitation.link)
    except target.ForeignHost as error:
        raise target.TargetRefused(f"an invitation leads elsewhere: {error} (STAMPEDE_PUBLIC_URL, --host)") from error
    return found


def _books(options: dict[str, Any], run_dir: Path, console: Console) -> dict[str, Any]:
    if options["no_audit"]:
        return audit.skipped("--no-audit")
    console.print("auditing the books")
    return audit.run(manage=settings.BASE_DIR / "manage.py", acknowledged=run_dir / "acknowledged.jsonl")


def _say_verdict(kept: dict[str, Any], report_file: Path, console: Console) -> None:
    judged = kept["verdict"]
    colour = "green" if judged["exit_code"] == 0 else "red"
    console.print(f"\n[bold {colour}]{judged['outcome'].replace('_', ' ')}[/] {judged['sentence']}", soft_wrap=True)
    for check in judged["checks"]:
        console.print(f"  {MARKS[check['mark']]} {check['name']}: ", end="")
        console.print(check["detail"], markup=False, soft_wrap=True)
    if kept["results"]:
        latency = kept["results"]["total"]["latency_ms"]
        if latency["count"]:
            figures = ", ".join(f"{name} {latency[name]:.1f} ms" for name in ("p50", "p95", "p99", "max"))
            console.print(f"  {latency['count']} right answers: {figures}", soft_wrap=True)
    console.print(f"report: {report_file}", soft_wrap=True)


def _title(plan: plans.Plan) -> str:
    who = f"{plan.scenario}: {plan.users} visitors, {plan.rate:.3g}/s ({plan.arrivals})"
    return f"{who}, time x {plan.time_scale:g}, seed {plan.seed}, {plan.host}"
