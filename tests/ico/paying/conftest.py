"""A person who may pay on two simulated chains, and what they are told."""

from hashlib import sha256

import pytest

from ico import deposits, invitations
from ico.chains.simulated import SimulatedChain
from ico.models import Chain, Invitation, Terms
from tests.ico.people import joined


@pytest.fixture
def chains(tmp_path, settings) -> dict[str, SimulatedChain]:
    settings.CONFIRMATIONS = {"BTC": 2, "ETH": 3}
    return {name: SimulatedChain(tmp_path / f"{name}.sqlite3", chain=name) for name in Chain.values}


@pytest.fixture
def person(sale, now) -> Invitation:
    return joined(sale=sale, now=now)


@pytest.fixture
def token(person, now) -> str:
    """That opens the person's page."""
    token = invitations.token_of(person.nonce)
    digest = sha256(token.encode()).hexdigest()
    Invitation.objects.filter(pk=person.pk).update(token_digest=digest, terms=Terms.objects.get(), accepted_at=now)
    return token


@pytest.fixture
def answer(chains, person, now):
    def read() -> dict:
        for name, chain in chains.items():
            deposits.follow(chain=name, client=chain, now=now)
        return deposits.status(Invitation.objects.get(pk=person.pk), now=now).as_json()

    return read
