"""The walks themselves, the same on every chain."""

from __future__ import annotations

import pytest
from django.db.models import Sum

from ico import books
from ico.models import Deposit, LedgerEntry
from tests.nodes.world import Walk

ROUNDS = 400
CHECKED_EVERY = 20
SEEDS = (1, 2, 3)
SETTINGS = ((6, 4), (2, 7))  # required depth, deepest reorg


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
    assert world.behind > 0
    assert LedgerEntry.objects.filter(cents__gt=0).count() > 50
    assert Deposit.objects.filter(review=Deposit.Review.EXCESS).exists()
    assert Deposit.objects.filter(state=Deposit.State.DROPPED).exists()
    compensated = LedgerEntry.objects.filter(cents__lt=0).exists()
    assert compensated == (world.reorgs >= world.depth)  # only a reorg as deep as the credit needs compensation


def must_go_wrong_without_compensation(world: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: credits that a deep reorg undid stay in the books."""
    monkeypatch.setattr(books, "compensate", lambda deposits, *, now: None)
    for _ in range(ROUNDS // 2):
        world.move()
    world.player.mine(2)
    world.catch_up()
    booked = LedgerEntry.objects.aggregate(sum=Sum("cents"))["sum"]
    assert booked != sum(Deposit.objects.values_list("credited_cents", flat=True)) or booked > world.worth_of_all()
