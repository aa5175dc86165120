"""How much this host's generator can drive and still tell the truth: measured, and kept as its certificate."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from rich.console import Console

from loadtests.calibrating import calibration, certificate, known_server

NAME = "calibrate"
HELP = "measure this host's generator against known answers, and write its certificate"
NOTHING_HELD = 3
# 70 % of it are 15,000: half of the 30,000 of the plan that has most, with two generators.
MOST_SESSIONS = 22_000


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--processes", type=int, default=1, help="generator processes that drive at once (default 1)")
    parser.add_argument("--seconds", type=int, default=8, help="how long each rung is measured (default 8)")
    parser.add_argument("--most-rate", type=float, default=16_000.0, help="requests/s to climb to (default 16000)")
    parser.add_argument(
        "--most-sessions", type=int, default=MOST_SESSIONS, help=f"of a process, to climb to (default {MOST_SESSIONS})"
    )


def handle(options: dict[str, Any], console: Console) -> int:
    rungs: list[dict[str, Any]] = []

    def said(rung: calibration.Rung) -> None:
        rungs.append(rung.as_json())
        console.print(_line(rung), soft_wrap=True)

    root = settings.BASE_DIR / "runs"
    processes: int = options["processes"]
    with known_server.running() as server:
        found = calibration.climb(
            lambda rate, sessions: calibration.measured(
                server, rate=rate, sessions=sessions, processes=processes, seconds=options["seconds"]
            ),
            processes=processes,
            most_rate=options["most_rate"],
            most_sessions=options["most_sessions"] * processes,
            said=said,
        )
    if found is None:
        certificate.revoke(root)
        console.print("[bold red]no certificate[/]: not even the lowest rung held; is the machine busy otherwise?")
        return NOTHING_HELD
    rate, sessions = found.rate / processes, found.sessions // processes
    now = datetime.now(UTC).isoformat(timespec="seconds")
    path = certificate.write(root, rate=rate, sessions=sessions, processes=processes, at=now, rungs=rungs)
    console.print(f"[bold]{rate:.0f} requests/s and {sessions} sessions a process[/], {processes} at once\n{path}")
    return 0


def _line(rung: calibration.Rung) -> str:
    apart = ", ".join(f"{apart:+.2f}" for apart in rung.apart_ms)
    figures = (
        f"{rung.rate:7.0f}/s {rung.sessions:6d} sessions: {rung.reached:7.0f}/s, cpu {rung.cpu:4.0%}, "
        f"late p99 {rung.late_p99_ms:4.0f} ms, p50, p95, p99 off by {apart} ms, "
        f"{rung.rss_bytes / 2**20:.0f} MiB, server {rung.server_cpu:.0%}"
    )
    why = calibration.gave_way(rung)
    return f"{figures}  [red]{why}[/]" if why else f"{figures}  [green]holds[/]"
