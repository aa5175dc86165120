"""The stack with real nodes of the chains: people pay on them, a node and the follower are killed in the middle, and
afterwards everything that arrived is credited, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from deploy.local import anvil, environment, knots, layout
from deploy.local.asking import ask
from deploy.local.layout import Layout
from tests.absent import absent
from tests.beside import beside
from tests.deadline import until
from tests.deploy.driving import nothing_runs
from tests.deploy.driving import stack as typed
from tests.process.crowd import audited_clean, run
from tests.survival.conftest import Stack

pytestmark = pytest.mark.process

PROGRAMS = "primary,redis,sqs,smtp,web,worker,clock,follower,chain"
FEWER = "primary,redis,follower,chain"  # enough to follow
PEOPLE = ("--users", "30", "--duration", "3")
PACE = {"STAMPEDE_MAIL_GATHER_SECONDS": "1", "STAMPEDE_BTC_CONFIRMATIONS": "3", "STAMPEDE_ETH_CONFIRMATIONS": "4"}
_BOOKED = "SELECT COUNT(*) FROM ico_deposit WHERE state IN ('credited', 'review')"
_FOLLOWED = "SELECT COUNT(*) FROM ico_chaincursor WHERE chain = 'ETH' AND height >= {}"
_OPEN = "SELECT COUNT(*) FROM ico_deposit WHERE state IN ('seen', 'confirming')"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if reason := anvil.missing():
        absent(reason)
    folder = tmp_path_factory.mktemp("nodes")
    where = ["--folder", str(folder)]
    try:
        up = typed("up", *where, "--base-port", "0", "--relaxed", "--nodes", "--only", PROGRAMS, **PACE)
        assert up.returncode == 0, up.stdout + up.stderr
        place = layout.load(folder)
        assert f"ethereum   127.0.0.1:{place.port('ethereum')}" in up.stdout
        yield Stack(place, environment.whole(folder))
        down = typed("down", *where)
        assert down.returncode == 0, down.stdout + down.stderr
        assert nothing_runs(folder)
    finally:
        typed("down", *where)


def investors(stack: Stack) -> AbstractContextManager[None]:
    """People who pay for as long as the block lasts, and look again when a node was away."""
    command = ["play_investors", "--mix", "exact=60,under=20,over=20"]
    return beside(*command, environment=stack.environment, log=stack.data / "investors.log")


def test_bitcoin_is_a_real_node_wherever_it_can_be_had(stack: Stack) -> None:
    real = knots.why_not() is None
    assert stack.layout.chains == (layout.CHAINS if real else ("ethereum",))
    assert stack.layout.has("chain") is not real
    assert stack.layout.has("miner") is real


def test_whoever_pays_is_credited_once_whatever_is_killed_meanwhile(stack: Stack, tmp_path: Path) -> None:
    with run(stack, "signup", tmp_path / "signup", *PEOPLE):
        pass
    mailbox = ["--mailbox", str(stack.data / "mail"), "--wait-for-mail", "30"]
    with investors(stack), run(stack, "purchase", tmp_path / "purchase", *PEOPLE, *mailbox):
        until(lambda: stack.count(_BOOKED) > 0, "the first payments are booked")
        for program in (*stack.layout.chains, "follower"):
            stack.replaced(program, stack.kill(program))
    joined = stack.count("SELECT COUNT(*) FROM ico_invitation WHERE joined_at IS NOT NULL")
    assert joined >= 20, (tmp_path / "purchase" / "run.json").read_text()[:2000]
    with investors(stack):  # who sees that a killed node forgot a payment sends it again
        until(lambda: stack.count(_BOOKED) >= joined and stack.count(_OPEN) == 0, "everybody's payment is booked")
    assert stack.count(_BOOKED) == joined
    assert stack.count("SELECT COUNT(*) FROM ico_chaincursor WHERE trouble <> ''") == 0
    audited_clean(stack, tmp_path / "signup")
    compared = stack.manage("reconcile")
    assert compared.returncode == 0, compared.stdout + compared.stderr


def test_a_stopped_node_is_named_by_status_and_by_the_follower(stack: Stack) -> None:
    stack.stop("ethereum")
    told = typed("status", "--folder", str(stack.layout.folder))
    assert told.returncode == 1
    (line,) = [line for line in told.stdout.splitlines() if "NO: " in line]
    assert line.split()[0] == "ethereum"
    until(lambda: trouble(stack), "the follower says so in the books")
    stack.start("ethereum")
    until(lambda: not trouble(stack), "it follows again")


def trouble(stack: Stack) -> int:
    return stack.count("SELECT COUNT(*) FROM ico_chaincursor WHERE chain = 'ETH' AND trouble <> ''")


def test_the_chain_goes_on_where_it_was_after_down_and_up(stack: Stack) -> None:
    place = stack.layout
    before = block(place, 5)
    where = ["--folder", str(place.folder)]
    assert typed("down", *where).returncode == 0
    refused = typed("up", *where, "--only", PROGRAMS)
    assert refused.returncode != 0
    assert "the books in" in refused.stderr
    again = typed("up", *where, "--relaxed", "--nodes", "--only", FEWER, **PACE)
    assert again.returncode == 0, again.stdout + again.stderr
    assert block(place, 5) == before
    reached = height(place)
    until(lambda: stack.count(_FOLLOWED.format(reached)) == 1, "the follower goes on with it")
    assert trouble(stack) == 0


def height(place: Layout) -> int:
    return int(ask(environment.ethereum(place), "eth_blockNumber"), 16)


def block(place: Layout, number: int) -> Any:
    return ask(environment.ethereum(place), "eth_getBlockByNumber", hex(number), False)["hash"]
