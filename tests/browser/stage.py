"""What workers, miners and investors do, one step at a time and on command, so that a test decides when it happens.

Run as a process of its own beside the web server: a line in (`word argument...`), a line of JSON out.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from config import delivery, outbox  # noqa: E402
from ico import board, deposits, invitations, nodes, release, sales, waitlist  # noqa: E402
from ico.models import Chain, ChainCursor, Invitation, Sale  # noqa: E402
from tests.browser import shop_stage  # noqa: E402


def prepare() -> None:
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("seed_sale", batch_size=50, batch_interval=1, stdout=sys.stderr)
    get_user_model().objects.create_superuser("operator", "", "operator")


def number() -> None:
    """Number whoever has signed up, and send their mails."""
    waitlist.give_numbers(sale_id=_sale_id())
    _send_mails()


def invite() -> int:
    """Invite everybody in line, and send the invitations. Returns how many were invited."""
    Sale.objects.update(batch_interval_seconds=0)
    if not settings.NODES[Chain.ETH]:
        nodes.simulated(Chain.ETH).mine()
    deposits.read_load(client=nodes.client_for(Chain.ETH), now=timezone.now())
    decision = release.release(sale_id=_sale_id(), holder="stage", now=timezone.now())
    board.publish(_sale_id())
    _send_mails()
    return decision.size if decision else 0


def pay(chain: str, address: str, amount: str) -> None:
    """Send a payment; it is in no block yet."""
    nodes.simulated(chain).send(address, int(amount))
    _follow()


def mine(chain: str, count: str) -> None:
    nodes.simulated(chain).mine(int(count))
    _follow()


def let_lapse(address: str) -> None:
    """The invitation of this person runs out, whether it was used or not."""
    over = timezone.now() - timedelta(minutes=1)
    Invitation.objects.filter(entrant__email=address).update(expires_at=over, pay_until=over)
    for chain in Chain.values:
        if not settings.NODES[chain]:
            nodes.simulated(chain).mine()  # payments are looked for until the newest block
    _follow()
    invitations.expire(now=timezone.now())


def close(hours: str) -> None:
    """Move the sale's end to so many hours from now."""
    Sale.objects.update(closes_at=timezone.now() + timedelta(hours=float(hours)))


def fill(blocks: str, full: str) -> None:
    """So many blocks on Ethereum, as full as that; the gauge reads them, and the releaser decides."""
    nodes.simulated(Chain.ETH).mine(int(blocks), background=float(full))
    deposits.read_load(client=nodes.gauged(), now=timezone.now())
    release.release(sale_id=_sale_id(), holder="stage", now=timezone.now())


def followed(chain: str) -> bool:
    """Whether the follower of this chain, a process of its own, has taken in a block."""
    return ChainCursor.objects.filter(chain=chain, height__gte=0).exists()


def trouble(chain: str, *words: str) -> None:
    """The follower of this chain stands still, and wrote down what its node said."""
    known = {"followed_at": timezone.now(), "trouble": " ".join(words), "trouble_since": timezone.now()}
    ChainCursor.objects.update_or_create(chain=chain, defaults=known)


def blind(chain: str) -> None:
    """Nobody has followed this chain for two minutes."""
    ChainCursor.objects.filter(chain=chain).update(followed_at=timezone.now() - timedelta(minutes=2))


def take_away(table: str) -> None:
    """The database answers with an error where this table is needed."""
    _rename(table, f"{table}_away")


def put_back(table: str) -> None:
    _rename(f"{table}_away", table)


def _rename(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


def _follow() -> None:
    for chain in Chain.values:
        deposits.follow(chain=chain, client=nodes.client_for(chain), now=timezone.now())


def _send_mails() -> None:
    batches: list[outbox.Batch] = []
    outbox.relay(publish=batches.append, now=timezone.now())
    for batch in batches:
        delivery.deliver(batch, clock=timezone.now)


def _sale_id() -> int:
    return sales.current().pk


_ACTS = (prepare, number, invite, pay, mine, let_lapse, close, fill, followed, trouble, blind, take_away, put_back)
ACTS: dict[str, Callable[..., Any]] = {**{act.__name__: act for act in _ACTS}, **shop_stage.ACTS}

if __name__ == "__main__":
    for line in sys.stdin:
        word, *arguments = line.split()
        print(json.dumps(ACTS[word](*arguments)), flush=True)  # noqa: T201 (this is how it answers)
