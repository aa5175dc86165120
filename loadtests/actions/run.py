"""One run: from a plan to its record, its report and an exit code."""

import shlex
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from rich.console import Console

from loadtests import audit, letters, mailbox, plans, record, runs, saying, target
from loadtests.actions import worker
from loadtests.planning import plan_files
from loadtests.replay import mix, preparing
from loadtests.running import progress
from loadtests.shapes import SPACINGS

NAME = "run"
HELP = "one run"
RECORDED = "recorded"
ARRIVALS = "poisson (a scenario's default) or constant; recorded: replay as the log's visitors came"


def add_arguments(parser: ArgumentParser) -> None:
    """Options that are not given leave what the plan says."""
    parser.add_argument("plan", help="a scenario's name, a plan's name (`loadtest plans`) or the path of a .toml")
    parser.add_argument("--users", type=int, help="how many visitors (a scenario's default: 100)")
    parser.add_argument("--rate", type=float, help="arrivals per second")
    parser.add_argument("--duration", type=float, help="seconds over which they arrive (default 60 x time scale)")
    parser.add_argument("--arrivals", choices=(*SPACINGS, RECORDED), help=ARRIVALS)
    parser.add_argument("--time-scale", type=float, help="every wait of a visitor times this (default 1)")
    parser.add_argument("--host", help=f"which host (default: the plan's, or {settings.PUBLIC_URL})")
    parser.add_argument("--environment", help="what the target has to say it is (default: what it is here)")
    parser.add_argument(
        "--allow-host", dest="allow", action="append", help="a host beyond this machine; can be repeated"
    )
    parser.add_argument("--seed", type=int, help="same seed, same arrivals and hesitations (default 1)")
    parser.add_argument("--timeout", type=float, help="seconds an answer may take (default 30)")
    parser.add_argument("--intention", help="what this run is to find out; kept with its record")
    parser.add_argument("--log", help="replay: an access log, or a pattern of several in quotes")
    parser.add_argument("--weight", action="append", metavar="KIND=FACTOR", help="replay: as in deals=3")
    parser.add_argument("--kinds", help="replay: a file of what addresses are called (default: the shop's)")
    parser.add_argument("--urls", help="replay: a file with one path a line, where the log has routes only")
    parser.add_argument("--moving", type=float, help="change the shop's data so many times a second meanwhile")
    parser.add_argument("--run-dir", type=Path, help="where to; new or empty (default runs/<time>-<scenario>-<id>)")
    parser.add_argument("--mailbox", type=Path, help="purchase: Maildir with invitations (default: the data folder's)")
    parser.add_argument("--links", type=Path, help="purchase: a file with one invitation link a line, instead")
    parser.add_argument("--wait-for-mail", type=float, default=0.0, metavar="SECONDS", help="purchase: for more")
    parser.add_argument("--no-audit", action="store_true", help="leave the books alone; the run then cannot pass")
    parser.add_argument("--processes", type=int, help="generators on this machine (default: by the number of visitors)")
    parser.add_argument("--workers", type=int, default=0, help="wait for so many of `loadtest worker`, elsewhere")
    parser.add_argument("--bind", default="127.0.0.1:0", metavar="HOST:PORT", help="where those reach us (%(default)s)")


def handle(options: dict[str, Any], console: Console) -> int:
    plan = _plan(options)
    root: Path = settings.BASE_DIR / "runs"
    where: Path | None = options["run_dir"]
    console.print(f"[bold]{runs.title(plan)}[/]", soft_wrap=True)
    links = _links(options, plan, where.parent if where else root, console)
    bind, port = worker.address(options["bind"], lowest_port=0)
    with progress.shown(console, runs.title(plan)) as show:
        around = runs.Surroundings(
            root=root,
            run_dir=where,
            links=[invitation.link for invitation in links],
            command=lambda run_dir: again(options, plan, run_dir),
            audit=lambda run_dir: _books(options, run_dir),
            show=show,
            say=lambda text: console.print(text, soft_wrap=True),
            remote=options["workers"],
            local=options["processes"] if options["workers"] else None,
            bind=bind,
            port=port,
        )
        kept, run_dir = runs.execute(plan, around=around)
    saying.say_verdict(kept, run_dir / "report.html", console)
    return int(kept["verdict"]["exit_code"])


def again(options: dict[str, Any], plan: plans.Plan, run_dir: Path) -> str:
    """The command that makes this run again, as written. What is no part of a plan is repeated as it was given."""
    said = ["manage.py", "loadtest", "run", *plan.as_arguments(file=str(run_dir / "plan.toml"))]
    for name in ("mailbox", "links"):
        if options[name]:
            said += [f"--{name}", str(options[name].resolve())]
    if options["wait_for_mail"]:
        said += ["--wait-for-mail", f"{options['wait_for_mail']:g}"]
    if options["workers"]:
        said += ["--workers", str(options["workers"]), "--bind", options["bind"]]
        said += ["--processes", str(options["processes"])] if options["processes"] else []
    return shlex.join([*said, *(["--no-audit"] if options["no_audit"] else [])])


def _plan(options: dict[str, Any]) -> plans.Plan:
    given = ("rate", "duration", "time_scale", "seed", "environment", "intention", "processes")
    given_too = ("log", "kinds", "urls", "moving")
    plan = plan_files.chosen(
        options["plan"],
        default_host=settings.PUBLIC_URL,
        host=options["host"],
        users=options["users"],
        request_timeout=options["timeout"],
        allow=None if options["allow"] is None else tuple(options["allow"]),
        weights=_weights(options["weight"]),
        **_arrivals(options),
        **{name: options[name] for name in (*given, *given_too)},
    )
    return replace(plan, host=target.resolve(plan.host, allow=plan.allow).url)


def _arrivals(options: dict[str, Any]) -> dict[str, str | None]:
    """Without a rate and a duration, the log's visitors come in the log's own time."""
    if options["arrivals"] != RECORDED:
        return {"arrivals": options["arrivals"]}
    timed = options["rate"] is not None or options["duration"] is not None
    return {"curve": "log" if timed else "log-time"}


def _weights(written: list[str] | None) -> dict[str, float] | None:
    try:
        return None if written is None else preparing.weights(written)
    except mix.MixMistake as error:
        raise plans.PlanMistake("--weight:", str(error)) from error


def _links(options: dict[str, Any], plan: plans.Plan, root: Path, console: Console) -> list[mailbox.Invitation]:
    needed = sum(arrival.scenario == "purchase" for arrival in plan.arrivals()) if "purchase" in plan.mix else 0
    if not needed:
        return []
    file: Path | None = options["links"]
    folder: Path = options["mailbox"] or Path(settings.MAILBOX_DIR)
    if file is not None and not file.is_file():
        raise mailbox.NotEnoughLinks(f"--links {file}: there is no such file")
    found = mailbox.gather(
        source=(lambda: mailbox.from_file(file)) if file is not None else mailbox.Mailbox(folder).invitations,
        where=str(file or folder),
        needed=needed,
        spent=record.spent(root),
        wait_seconds=options["wait_for_mail"],
        waiting=lambda count: console.print(f"{count} of {needed} invitations are in the mail", soft_wrap=True),
    )
    here = target.resolve(plan.host, allow=plan.allow)
    try:
        for invitation in found:
            here.path_of(invitation.link)
    except target.ForeignHost as error:
        raise target.TargetRefused(f"an invitation leads elsewhere: {error} (STAMPEDE_PUBLIC_URL, --host)") from error
    return found


def _books(options: dict[str, Any], run_dir: Path) -> dict[str, Any]:
    if options["no_audit"]:
        return audit.skipped("--no-audit")
    books = audit.run(
        manage=settings.BASE_DIR / "manage.py",
        acknowledged=run_dir / "acknowledged.jsonl",
        evidence=run_dir / "evidence.jsonl",
    )
    mails: Path = options["mailbox"] or Path(settings.MAILBOX_DIR)
    return letters.added(books, letters.checked(mails, run_dir=run_dir)) if mails.is_dir() else books
