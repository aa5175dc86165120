"""The walks themselves, the same on every chain."""

from __future__ import annotations

import os
from datetime import datetime

import pytest
from django.conf import settings
from django.db.models import Sum
from pytest_django import Settings

from ico import books
from ico.models import Deposit, LedgerEntry, Sale
from tests.nodes.players import Player
from tests.nodes.world import Walk, people

ROUNDS = 400
CHECKED_EVERY = 20
PATIENCE = {1: 600, 2: 60, 3: 0}  # by seed, seconds for a node that is behind: always, at times and never enough
ONE = 2  # the seed of what is walked once
SHALLOW = {"depth": 6, "reorgs": 4}  # required depth and deepest reorg
DEEP = {"depth": 2, "reorgs": 7}

# The servers of the stack show another database, not another chain: one walk of each kind is enough there.
seeds = pytest.mark.parametrize("seed", [ONE] if os.environ.get("TEST_ON") == "stack" else PATIENCE)
one_seed = pytest.mark.parametrize("seed", [ONE])  # a control that goes wrong shows what it is to show
on_a_node = [pytest.mark.process, pytest.mark.django_db]
many_wallets = pytest.mark.parametrize("wallets", [300])  # each payment that was replaced or dropped takes one more


def begun(player: Player, *, own: Settings, seed: int, sale: Sale, now: datetime, depth: int, reorgs: int) -> Walk:
    """A new world, with settings of its own: the fixture `settings`, which puts them back."""
    own.CONFIRMATIONS = {"BTC": depth, "ETH": depth}
    own.NODE_PATIENCE_SECONDS = PATIENCE[seed]
    return Walk(seed=seed, player=player, people=people(sale=sale, now=now), depth=depth, reorgs=reorgs, now=now)


def must_keep_the_books(world: Walk, *, restarts: int = 0) -> None:
    """Rounds with as many restarts of the node spread over them."""
    stops = {ROUNDS * (n + 1) // (restarts + 1) for n in range(restarts)}
    for number in range(ROUNDS):
        if number in stops:
            world.restart()
        world.move()
        world.must_be_sound()
        if number % CHECKED_EVERY == CHECKED_EVERY - 1:
            world.catch_up()
            world.must_equal_the_chain()
    world.player.mine(world.depth)
    world.catch_up()
    world.must_equal_the_chain()
    _must_have_been_a_walk(world)


def _must_have_been_a_walk(world: Walk) -> None:
    """Else nothing was shown."""
    assert world.deepest == world.reorgs
    assert (world.behind > 0) == (settings.NODE_PATIENCE_SECONDS > 0)
    assert LedgerEntry.objects.filter(cents__gt=0).count() > 50
    assert Deposit.objects.filter(review=Deposit.Review.EXCESS).exists()
    assert Deposit.objects.filter(state=Deposit.State.DROPPED).exists()
    compensated = LedgerEntry.objects.filter(cents__lt=0).exists()
    assert compensated == (world.reorgs >= world.depth)  # only a reorg as deep as the credit needs compensation


def must_go_wrong_without_compensation(world: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: credits that a deep reorg undid stay in the books."""
    monkeypatch.setattr(books, "compensate", lambda deposits, *, now: [])
    for _ in range(ROUNDS // 2):
        world.move()
    world.player.mine(2)
    world.catch_up()
    booked = LedgerEntry.objects.aggregate(sum=Sum("cents"))["sum"]
    assert booked != sum(Deposit.objects.values_list("credited_cents", flat=True)) or booked > world.worth_of_all()
