"""`manage.py audit`: are the books right? Exit 0 when every invariant holds, 1 when one does not."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config import audit


class Command(BaseCommand):
    help = "Check every invariant against the books; exit 1 on a breach."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON instead of a table")
        parser.add_argument(
            "--acknowledged",
            action="append",
            type=Path,
            default=[],
            metavar="FILE",
            help="signups that a load run was told are taken (acknowledged.jsonl of its folder); may be repeated",
        )
        parser.add_argument(
            "--evidence",
            action="append",
            type=Path,
            default=[],
            metavar="FILE",
            help="what else its visitors were told: where to pay, which orders are theirs (evidence.jsonl); likewise",
        )

    def handle(self, *, as_json: bool, acknowledged: list[Path], evidence: list[Path], **options: Any) -> None:
        try:
            signups, told = audit.acknowledged(acknowledged), audit.told(evidence)
        except audit.BadEvidence as error:
            raise CommandError(str(error), returncode=2) from None
        report = audit.run(audit.Evidence(now=timezone.now(), acknowledged=signups, **told))
        self.stdout.write(report.as_json() if as_json else _table(report))
        if not report.clean:
            sys.exit(1)


def _table(report: audit.Audit) -> str:
    lines = []
    for result in report.results:
        mark = "ok    " if result.holds else "BREACH"
        lines.append(f"  {mark} {result.name:<28} {result.checked:>9,} checked  {result.description}")
        lines += [f"           {breach}" for breach in result.breaches]
    verdict = "The books are right." if report.clean else "THE BOOKS ARE WRONG."
    return "\n".join([*lines, verdict])
