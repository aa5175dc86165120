"""How many people a second can join on MariaDB, with addresses derived ahead, beside deriving under the counter's lock?

python -m bench.joins [rounds] [joins a round] [clients]

Joining is the last step of `invitations.enter_wallets`, to the commit, nothing relaxed. The other way is what it was
before docs/decisions/0019: the chains' counters are locked first, then both addresses derived and inserted. Both go in
turn, each client in a process of its own. The pool is filled before a round, as the clock does it all the time.
"""

import multiprocessing
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from bench.local_stack import servers
from bench.side_by_side import machine, ratio, shown

START_SECONDS = 60
Join = Callable[[Any], None]


def main() -> None:
    rounds, joins, clients = (int(value) for value in (*sys.argv[1:], *("5", "400", "8")[len(sys.argv) - 1 :]))
    with (
        tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder,
        servers(Path(folder), "mariadb", "redis") as environment,
    ):
        os.environ.update(environment, DJANGO_SETTINGS_MODULE="config.settings", STAMPEDE_LOG_LEVEL="WARNING")
        _prepare()
        found: dict[str, list[float]] = {"under the counter's lock": [], "out of the pool": []}
        for _ in range(rounds):
            for name, way in (("under the counter's lock", _counted), ("out of the pool", _pooled)):
                _fill(joins)
                found[name].append(_rate(way, joins, clients))
    shown(found, unit=f"joins a second, {rounds} rounds of {joins} joins, {clients} clients")
    gain = ratio(found["out of the pool"], found["under the counter's lock"])
    print(f"joins out of the pool: {gain:.2f} of the rate of deriving under the counter's lock ({machine()})")


def _prepare() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("seed_sale", verbosity=0)


def invited(count: int) -> list[Any]:
    """People who have accepted the terms and are about to enter their wallets."""
    from django.utils import timezone

    from ico import caps
    from ico.models import Entrant, Invitation, Release, Sale, Terms

    now, sale, terms = timezone.now(), Sale.objects.get(), Terms.objects.get()
    numbers: dict[str, Any] = {"size": count, "served_before": 0, "served_after": count, "inputs": {}}
    release = Release.objects.create(sale=sale, decided_at=now, last_decided_at=now, reason="released", **numbers)
    rates = {"btc_rate": caps.rate_now("BTC"), "eth_rate": caps.rate_now("ETH")}
    rows = []
    for _ in range(count):
        entrant = Entrant.objects.create(sale=sale, email=f"{secrets.token_hex(8)}@example.org", state="invited")
        rows.append(
            Invitation.objects.create(
                sale=sale,
                entrant=entrant,
                release=release,
                nonce=secrets.token_hex(16),
                token_digest=secrets.token_hex(32),
                state=Invitation.State.ACCEPTED,
                terms=terms,
                accepted_at=now,
                invited_at=now,
                expires_at=now + timedelta(days=1),
                allowance_cents=0,
                **rates,
            )
        )
    return rows


def _fill(wanted: int) -> None:
    """So many wait, and no more."""
    from ico import addresses
    from ico.models import Chain

    for chain in Chain.values:
        missing = wanted - addresses.waiting(chain).count()
        if missing > 0:
            addresses.derive(chain=chain, count=missing)


def _rate(way: Join, joins: int, clients: int) -> float:
    from django.db import connections

    each = joins // clients
    people = [row.pk for row in invited(each * clients)]
    connections.close_all()  # a connection does not survive a fork
    start = multiprocessing.Barrier(clients + 1)
    parts = [people[n * each : (n + 1) * each] for n in range(clients)]
    processes = [multiprocessing.Process(target=_work, args=(way, part, start)) for part in parts]
    for process in processes:
        process.start()
    start.wait(START_SECONDS)
    begun = time.perf_counter()
    for process in processes:
        process.join()
    took = time.perf_counter() - begun
    if any(process.exitcode for process in processes) or not _all_joined(people):
        sys.exit("not everybody has joined")
    return each * clients / took


def _work(way: Join, people: list[int], start: Barrier) -> None:
    from ico.models import Invitation

    mine = list(Invitation.objects.select_related("sale").filter(pk__in=people))
    start.wait(START_SECONDS)
    for invitation in mine:
        way(invitation)


def _all_joined(people: list[int]) -> bool:
    from ico.models import DepositAddress, Invitation

    joined = Invitation.objects.filter(pk__in=people, state="joined").count()
    return joined == len(people) and DepositAddress.objects.filter(invitation__in=people).count() == 2 * len(people)


def _pooled(invitation: Any) -> None:
    from django.utils import timezone

    from ico import invitations, wallets

    entered = wallets.Wallets(btc="bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", eth="0x" + "1" * 40)
    now = timezone.now()
    while not invitations._joined(invitation, entered, now + timedelta(days=7), now):
        pass


def _counted(invitation: Any) -> None:
    from django.utils import timezone

    from config import transactions
    from ico import invitations, wallets
    from ico.models import ChainCursor

    entered = wallets.Wallets(btc="bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", eth="0x" + "1" * 40)
    now = timezone.now()

    @transactions.retried
    def join() -> None:
        list(ChainCursor.objects.select_for_update().order_by("chain"))
        invitations._join(invitation, entered, now + timedelta(days=7), now)

    honest, invitations.addresses.issue = invitations.addresses.issue, _derive_and_insert
    try:
        join()
    finally:
        invitations.addresses.issue = honest


def _derive_and_insert(*, chain: str, invitation: Any, now: Any) -> Any:
    from django.db.models import F

    from ico import addresses
    from ico.models import ChainCursor, DepositAddress

    counter = ChainCursor.objects.filter(chain=chain)
    counter.update(next_index=F("next_index") + 1)
    index = counter.values_list("next_index", flat=True).get() - 1
    row = {"chain": chain, "index": index, "address": addresses.derived(chain=chain, index=index)}
    return DepositAddress.objects.create(invitation=invitation, issued_at=now, **row)


if __name__ == "__main__":
    main()
