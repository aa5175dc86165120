"""Fills a fresh data folder: people who have joined, and simulated chains on which all of them pay, spread over many
blocks. Writes what each is to be credited in the end, as JSON. Or holds the books against the chains again, and writes
what contradicts them: these people did not come by the line, so only the money is looked at.

STAMPEDE_DATA=... python -m tests.process.paid_people N BLOCKS | audit
"""

import json
import os
import sys

import django

CENTS = 30_000


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    sys.stdout.write(json.dumps(_audited() if sys.argv[1] == "audit" else _filled(*map(int, sys.argv[1:]))))


def _audited() -> list[str]:
    from django.utils import timezone

    from config.audit import Evidence
    from ico import money_invariants as of_money

    checks = (of_money.ledger_adds_up, of_money.deposits_explained, of_money.deposits_on_chain_once)
    found = [check(Evidence(now=timezone.now())) for check in checks]
    nothing = [
        f"{check.__name__} looked at nothing" for check, one in zip(checks, found, strict=True) if not one.checked
    ]
    return nothing + [breach for one in found for breach in one.breaches]


def _filled(people: int, blocks: int) -> dict[int, int]:
    from django.core.management import call_command
    from django.utils import timezone

    from ico import nodes, sales
    from ico.caps import amount_for
    from tests.ico.people import address_of, joined

    call_command("migrate", verbosity=0)
    call_command("seed_sale", verbosity=0)
    now = timezone.now()
    chains = {name: nodes.simulated(name) for name in ("BTC", "ETH")}
    made = [joined(sale=sales.current(), now=now) for _ in range(people)]
    for place, person in enumerate(made):
        for name, rate in (("BTC", person.btc_rate), ("ETH", person.eth_rate)):
            chains[name].send(address_of(person, name), amount_for(CENTS, rate, name))
            chains[name].mine(blocks * (place + 1) // people - blocks * place // people, now=now.timestamp())
    for chain in chains.values():
        chain.mine(20, now=now.timestamp())
    return {person.pk: 2 * CENTS for person in made}


if __name__ == "__main__":
    main()
