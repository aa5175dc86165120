"""One run: from a plan to its record, its report and an exit code."""

import shlex
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from rich.console import Console

from loadtests import audit, mailbox, plans, progress, record, runs, saying, target
from loadtests.shapes import SPACINGS

NAME = "run"
HELP = "one run"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("scenario", choices=plans.SCENARIOS)
    parser.add_argument("--users", type=int, default=100, help="how many visitors (default 100)")
    parser.add_argument("--rate", type=float, help="arrivals per second")
    parser.add_argument("--duration", type=float, help="seconds over which they arrive (default 60 x time scale)")
    parser.add_argument("--arrivals", choices=SPACINGS, default="poisson", help="poisson (default) or constant")
    parser.add_argument("--time-scale", type=float, default=1.0, help="every wait of a visitor times this (default 1)")
    parser.add_argument("--host", default=settings.PUBLIC_URL, help="which host; loopback only (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same arrivals and hesitations (default 1)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds an answer may take (default 30)")
    parser.add_argument("--run-dir", type=Path, help="where to; new or empty (default runs/<time>-<scenario>-<id>)")
    parser.add_argument("--mailbox", type=Path, help="purchase: Maildir with invitations (default: the data folder's)")
    parser.add_argument("--links", type=Path, help="purchase: a file with one invitation link a line, instead")
    parser.add_argument("--wait-for-mail", type=float, default=0.0, metavar="SECONDS", help="purchase: for more")
    parser.add_argument("--no-audit", action="store_true", help="leave the books alone; the run then cannot pass")


def handle(options: dict[str, Any], console: Console) -> int:
    plan = plans.make(
        request_timeout=options["timeout"],
        **{name: options[name] for name in ("scenario", "users", "rate", "duration", "arrivals", "time_scale", "seed")},
        host=target.resolve(options["host"]).url,
    )
    root: Path = settings.BASE_DIR / "runs"
    where: Path | None = options["run_dir"]
    console.print(f"[bold]{_title(plan)}[/]", soft_wrap=True)
    links = _links(options, plan, where.parent if where else root, console)
    with progress.shown(console, _title(plan)) as show:
        around = runs.Surroundings(
            root=root,
            run_dir=where,
            links=[invitation.link for invitation in links],
            command=shlex.join(["manage.py", "loadtest", "run", *plan.as_arguments()]),
            audit=lambda run_dir: _books(options, run_dir),
            show=show,
            say=console.print,
        )
        kept, run_dir = runs.execute(plan, around=around)
    saying.say_verdict(kept, run_dir / "report.html", console)
    return int(kept["verdict"]["exit_code"])


def _links(options: dict[str, Any], plan: plans.Plan, root: Path, console: Console) -> list[mailbox.Invitation]:
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
        spent=record.spent(root),
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


def _books(options: dict[str, Any], run_dir: Path) -> dict[str, Any]:
    if options["no_audit"]:
        return audit.skipped("--no-audit")
    return audit.run(manage=settings.BASE_DIR / "manage.py", acknowledged=run_dir / "acknowledged.jsonl", evidence=run_dir / "evidence.jsonl")


def _title(plan: plans.Plan) -> str:
    who = f"{plan.scenario}: {plan.users} visitors, {plan.rate:.3g}/s ({plan.shape.kind})"
    return f"{who}, time x {plan.time_scale:g}, seed {plan.seed}, {plan.host}"
