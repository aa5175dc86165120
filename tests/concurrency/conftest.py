"""Invited people who are about to take the last step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from ico import invitations, terms
from ico.models import Invitation, Sale
from tests.ico.conftest import invite_all, join

PEOPLE = 12
WALLETS = {
    "btc_address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "eth_address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
}
A_MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def accepted(sale: Sale, now: datetime) -> list[Invitation]:
    """Twelve people who have accepted the terms and not entered their wallets."""
    for n in range(PEOPLE):
        join(sale, f"v{n}@example.org")
    made = invite_all(sale, now)
    for invitation in made:
        invitations.accept_terms(invitation=invitation, client_address=None, now=now, version=terms.current())
    return made


def enters_wallets(invitation: Invitation) -> Callable[[], None]:
    """The owner takes the last step in the last moment."""

    def step() -> None:
        mine = Invitation.objects.select_related("sale").get(pk=invitation.pk)
        invitations.enter_wallets(invitation=mine, **WALLETS, now=mine.expires_at - A_MOMENT)

    return step
