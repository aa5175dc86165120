"""`manage.py reconcile`: whether the nodes hold at our addresses what the books say, and what each difference means."""

import json
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ico import balance_sheet, nodes, reconciliation
from ico.amounts import in_coins
from ico.chains.base import ChainError
from ico.models import Chain
from ico.reconciliation import Compared, Difference, Kind

EQUAL, DIFFERENT, NOT_COMPARED = 0, 1, 2
PROGRESS_SECONDS = 5.0


@dataclass(slots=True)
class Outcome:
    """What one chain's comparison came to. `named` are the first differences, `kinds` counts all of them."""

    addresses: int = 0
    height: int | None = None
    kinds: Counter[Kind] = field(default_factory=Counter)
    amounts: Counter[Kind] = field(default_factory=Counter)
    acknowledged: int = 0
    named: list[Difference] = field(default_factory=list)
    trouble: str = ""

    def take(self, batch: Compared, limit: int) -> None:
        self.addresses += batch.addresses
        self.height = batch.block.height
        self.acknowledged += batch.acknowledged
        for one in batch.differences:
            self.kinds[one.kind] += 1
            self.amounts[one.kind] += abs(one.held - one.booked)
        self.named += batch.differences[: max(0, limit - len(self.named))]

    @property
    def code(self) -> int:
        if self.kinds.total() > self.kinds[Kind.BEHIND]:
            return DIFFERENT
        return NOT_COMPARED if self.trouble or self.kinds[Kind.BEHIND] else EQUAL


class Command(BaseCommand):
    help = "Hold the ledger against the nodes' balances. Exit code 0: equal, 1: differences, 2: could not compare all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--chain", choices=Chain.values, help="only this one")
        parser.add_argument("--json", action="store_true", help="for machines")
        parser.add_argument(
            "--limit", type=_count, default=100, metavar="N", help="name so many of a chain (default 100)"
        )
        parser.add_argument("--wait", type=float, default=30, metavar="SECONDS", help="for a follower that is behind")
        parser.add_argument(
            "--moved-out",
            type=Path,
            metavar="FILE",
            help="addresses, one in a line, from which their owner moved funds: no difference if all of it arrived",
        )

    def handle(self, **options: Any) -> None:
        moved_out = _addresses(options["moved_out"])
        chains = [options["chain"]] if options["chain"] else Chain.values
        found = {chain: self._compare(chain, options, moved_out) for chain in chains}
        sums = balance_sheet.sums()
        if options["json"]:
            answer = {chain: {**_as_json(chain, found[chain]), **_sums(chain, sums[chain])} for chain in chains}
            self.stdout.write(json.dumps(answer, indent=2))
        else:
            for chain in chains:
                self._tell(chain, found[chain], sums[chain])
        codes = {outcome.code for outcome in found.values()}
        code = DIFFERENT if DIFFERENT in codes else max(codes)
        if code:
            raise SystemExit(code)

    def _compare(self, chain: str, options: Any, moved_out: Collection[str]) -> Outcome:
        outcome = Outcome()
        patience = reconciliation.Patience(options["wait"])
        told = time.monotonic()
        try:
            client = nodes.client_for(chain)
            for batch in reconciliation.compare(chain=chain, client=client, patience=patience, moved_out=moved_out):
                outcome.take(batch, options["limit"])
                if time.monotonic() - told >= PROGRESS_SECONDS:
                    told = time.monotonic()
                    self.stderr.write(f"{chain}: {outcome.addresses:,} addresses compared")
        except ChainError as error:
            outcome.trouble = str(error) or type(error).__name__
        return outcome

    def _tell(self, chain: str, outcome: Outcome, sums: balance_sheet.Sums) -> None:
        for one in outcome.named:
            self.stdout.write(str(one))
        if outcome.kinds.total() > len(outcome.named):
            self.stdout.write(f"{chain}: and {outcome.kinds.total() - len(outcome.named):,} more differences")
        if outcome.trouble:
            self.stdout.write(f"{chain}: could not compare: {outcome.trouble}")
        at = "" if outcome.height is None else f" at block {outcome.height}"
        kinds = [
            f"{count:,} {kind} ({in_coins(outcome.amounts[kind], chain)} {chain})"
            for kind, count in outcome.kinds.items()
        ]
        if outcome.acknowledged:
            kinds.append(f"moved out as said: {in_coins(outcome.acknowledged, chain)} {chain}")
        self.stdout.write(f"{chain}: {outcome.addresses:,} addresses{at}: {'; '.join(kinds) or 'no difference'}")
        self.stdout.write(f"{chain}: {_in_words(chain, sums)}")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError("a number from 0 up")
    return int(text)


def _addresses(path: Path | None) -> frozenset[str]:
    """As blocks write them. Bech32 may be all upper case in a QR code; base58 means its case."""
    if path is None:
        return frozenset()
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    return frozenset(line.lower() for line in lines if line and not line.startswith("#"))


def _as_json(chain: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "addresses": outcome.addresses,
        "height": outcome.height,
        "equal": outcome.code == EQUAL,
        "trouble": outcome.trouble,
        "counts": {str(kind): count for kind, count in outcome.kinds.items()},
        "amounts": {str(kind): in_coins(amount, chain) for kind, amount in outcome.amounts.items()},
        "moved_out_as_said": in_coins(outcome.acknowledged, chain),
        "differences": [
            {
                "kind": str(one.kind),
                "address": one.address,
                "books": in_coins(one.booked, chain),
                "chain": in_coins(one.held, chain),
                "height": one.block.height,
                "meaning": one.meaning,
            }
            for one in outcome.named
        ],
    }


def _sums(chain: str, sums: balance_sheet.Sums) -> dict[str, Any]:
    return {
        "deposits": sums.deposits,
        "credited": {currency: f"{cents // 100}.{cents % 100:02d}" for currency, cents in sums.credited_cents.items()},
        "owed_back": {reason: in_coins(amount, chain) for reason, amount in sums.owed_back.items()},
        "in_review": dict(sums.in_review),
        "on_the_way": in_coins(sums.on_the_way, chain),
    }


def _in_words(chain: str, sums: balance_sheet.Sums) -> str:
    told = _sums(chain, sums)
    credited = ", ".join(f"{amount} {currency}" for currency, amount in told["credited"].items()) or "nothing"
    review = ", ".join(f"{count} {reason}" for reason, count in told["in_review"].items())
    return (
        f"{sums.deposits:,} deposits, credited {credited}, owed back {in_coins(sums.owed, chain)} {chain}, "
        f"on the way {told['on_the_way']} {chain}, in review {review or 'none'}"
    )
