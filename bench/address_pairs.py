"""How long does it take to derive 30,000 pairs of deposit addresses, in one process and in two, and to hand them out?

python -m bench.address_pairs [pairs] [rounds] [handed out]

Each process parses both account keys itself. The rounds share the pairs out among them, one process and two in turn.
Then as many pairs as are handed out go through the pool on a SQLite file: derived ahead in the clock's steps, and given
to one invitation each, in a transaction each.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.pool import Pool

from bench.side_by_side import machine, ratio

CHAINS = ("BTC", "ETH")
PART = 250  # pairs that a process takes at a time


def main() -> None:
    pairs, rounds, handed_out = (int(value) for value in (*sys.argv[1:], *("30000", "3", "1000")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder:
        os.environ.update(STAMPEDE_DATA=folder, DJANGO_SETTINGS_MODULE="config.settings", STAMPEDE_LOG_LEVEL="WARNING")
        found: dict[int, list[float]] = {1: [], 2: []}
        with multiprocessing.Pool(1, _ready) as one, multiprocessing.Pool(2, _ready) as two:
            for pool in (one, two):
                _seconds(pool, 0, 4 * PART)  # until its processes are ready
            for number in range(rounds):
                first = number * (pairs // rounds)
                for processes, pool in ((1, one), (2, two)):
                    found[processes].append(_seconds(pool, first, pairs // rounds))
        for processes, seconds in found.items():
            print(
                f"{pairs:,} pairs, {processes} process(es): {sum(seconds):.1f} s, {_each(seconds, pairs):.3f} ms a pair"
            )
        _through_the_pool(handed_out)
    print(f"two processes: {ratio(found[1], found[2]):.2f} of the rate of one ({machine()})")


def _each(seconds: list[float], pairs: int) -> float:
    return 1000 * sum(seconds) / pairs


def _ready() -> None:
    """Everything that a process does once."""
    import django

    django.setup()
    _derive(range(1))


def _derive(indexes: range) -> int:
    from ico import addresses

    return len({addresses.derived(chain=chain, index=index) for index in indexes for chain in CHAINS})


def _seconds(pool: Pool, first: int, pairs: int) -> float:
    parts = [range(start, min(start + PART, first + pairs)) for start in range(first, first + pairs, PART)]
    begun = time.perf_counter()
    derived = sum(pool.imap_unordered(_derive, parts))
    if derived != len(CHAINS) * pairs:
        sys.exit(f"{derived} different addresses of {pairs} pairs")
    return time.perf_counter() - begun


def _through_the_pool(pairs: int) -> None:
    _ready()
    from django.conf import settings
    from django.core.management import call_command

    from bench.joins import invited
    from ico import addresses

    call_command("migrate", verbosity=0)
    call_command("seed_sale", verbosity=0)
    settings.ADDRESSES_AHEAD = pairs
    begun = time.perf_counter()
    for chain in CHAINS:
        while addresses.derive_ahead(chain=chain, most=addresses.AT_ONCE):
            pass
    filled = time.perf_counter() - begun
    invitations = invited(pairs)
    begun = time.perf_counter()
    for invitation in invitations:
        _hand_out(invitation)
    given = time.perf_counter() - begun
    highest = {row.highest for row in addresses.published()}
    if highest != {pairs - 1}:
        sys.exit(f"handed out up to {highest}")
    print(f"{pairs:,} pairs into the pool: {filled:.1f} s")
    print(f"{pairs:,} pairs handed out: {given:.1f} s, {1000 * given / pairs:.2f} ms a pair")


def _hand_out(invitation: object) -> None:
    from django.db import transaction
    from django.utils import timezone

    from ico import addresses

    with transaction.atomic():
        for chain in CHAINS:
            addresses.issue(chain=chain, invitation=invitation, now=timezone.now())


if __name__ == "__main__":
    main()
