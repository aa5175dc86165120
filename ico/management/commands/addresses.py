"""`manage.py addresses`: what the owner of the account keys must know of the deposit addresses; their list."""

import csv
import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import transactions
from ico import addresses
from ico.addresses import USUAL_GAP, Published
from ico.models import DepositAddress

COLUMNS = ("chain", "path", "address", "handed_out_at")
SHOWN = 10  # wrong addresses that are named; the rest is counted


class Command(BaseCommand):
    help = "How many deposit addresses were handed out, up to which index, and the gap limit that the wallet needs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON instead of a table")
        parser.add_argument(
            "--csv", type=Path, metavar="FILE", help="write all addresses there, for the wallet's owner"
        )
        parser.add_argument(
            "--check", action="store_true", help="derive every address again (0.4 ms each); exit 1 when one is another"
        )

    def handle(self, *, as_json: bool, csv: Path | None, check: bool, **options: Any) -> None:
        with transactions.one_moment():
            published = addresses.published()
            wrong = _wrong() if check else None
            if csv:
                _write(csv)
        self.stdout.write(_json(published, wrong) if as_json else _table(published, wrong))
        if wrong:
            sys.exit(1)


def _rows() -> Iterator[tuple[str, int, str, datetime | None]]:
    listed = DepositAddress.objects.order_by("chain", "index")
    return listed.values_list("chain", "index", "address", "issued_at").iterator()


def _wrong() -> list[str]:
    return [
        f"{chain} {index}: {address}"
        for chain, index, address, _ in _rows()
        if addresses.derived(chain=chain, index=index) != address
    ]


def _write(path: Path) -> None:
    """`path` in a row is the one below the account key."""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for chain, index, address, issued_at in _rows():
                writer.writerow((chain, f"0/{index}", address, issued_at.isoformat() if issued_at else ""))
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}", returncode=2) from None


def _json(published: list[Published], wrong: list[str] | None) -> str:
    chains = [{**asdict(row), "gap_limit": row.gap_limit} for row in published]
    return json.dumps({"chains": chains} | ({} if wrong is None else {"not_of_the_key": wrong}), indent=2)


def _table(published: list[Published], wrong: list[str] | None) -> str:
    lines = [f"  {'chain':<8}{'handed out':>12}{'highest index':>16}{'waiting':>10}{'gap limit':>12}"]
    for row in published:
        highest = "-" if row.highest is None else f"{row.highest:,}"
        lines.append(f"  {row.chain:<8}{row.issued:>12,}{highest:>16}{row.waiting:>10,}{row.gap_limit:>12,}")
    lines.append(
        f"A wallet looks {USUAL_GAP} unused addresses ahead by itself; set its gap limit to find every payment."
    )
    return "\n".join(lines + _verdict(wrong))


def _verdict(wrong: list[str] | None) -> list[str]:
    if wrong is None:
        return []
    if not wrong:
        return ["Every address is what the account key gives."]
    more = [f"  … and {len(wrong) - SHOWN:,} more"] if len(wrong) > SHOWN else []
    return ["NOT WHAT THE ACCOUNT KEY GIVES:", *(f"  {each}" for each in wrong[:SHOWN]), *more]
