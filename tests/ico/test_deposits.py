"""The life of a deposit on a simulated chain, told by one transfer after another."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError
from django.db.models import F, Sum

from ico import arrivals, books, caps, cursors, deposits, onchain, sightings
from ico.chains.base import BadAnswer, ChainUnavailable, NodeBehind, WrongChain
from ico.chains.simulated import SimulatedChain
from ico.models import (
    ChainCursor,
    ChainReading,
    Deposit,
    DepositAddress,
    FollowedBlock,
    Invitation,
    LedgerEntry,
)
from tests.ico.people import address_of, joined

ETHER = 10**18
CENTS_PER_ETHER = 300_000  # the test sale's rate
FULL = ETHER // 3 + 1  # fills an allowance of 100,000 cents
DEPTH = 3
PATIENCE = 600


@pytest.fixture(autouse=True)
def _depth(settings) -> None:
    settings.CONFIRMATIONS = {"BTC": 2, "ETH": DEPTH}
    settings.NODE_PATIENCE_SECONDS = PATIENCE


@pytest.fixture
def chain(tmp_path) -> SimulatedChain:
    return SimulatedChain(tmp_path / "eth.sqlite3", chain="ETH")


@pytest.fixture
def person(sale, now) -> Invitation:
    return joined(sale=sale, now=now)


@pytest.fixture
def step(chain, now):
    """Follow until there is no lag; answers the last step."""

    def run(moment: datetime = now) -> deposits.Followed:
        while True:
            followed = deposits.follow(chain="ETH", client=chain, now=moment)
            if followed.lag <= 0:
                return followed

    run()
    return run


def only() -> Deposit:
    return Deposit.objects.get()


def told(deposit: Deposit) -> tuple[str, str, int, int]:
    return deposit.state, deposit.review, deposit.credited_cents, deposit.owed_back


def credited(person: Invitation) -> int:
    person.refresh_from_db()
    entries = LedgerEntry.objects.filter(invitation=person).aggregate(sum=Sum("cents"))["sum"] or 0
    assert entries == person.credited_cents
    return person.credited_cents


def test_seen_then_confirming_then_credited_at_the_depth_and_not_before(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), ETHER // 10)
    step()
    assert told(only()) == ("seen", "", 0, 0)
    for _ in range(DEPTH - 1):
        chain.mine()
        step()
        assert told(only()) == ("confirming", "", 0, 0)
        assert credited(person) == 0
    chain.mine()
    followed = step()
    assert (followed.booked, followed.lag) == (1, 0)
    assert told(only()) == ("credited", "", 30_000, 0)
    assert credited(person) == 30_000
    assert list(LedgerEntry.objects.values_list("cents", "deposit")) == [(30_000, only().pk)]


def test_a_depth_of_one_credits_in_the_first_block(chain, person, step, settings) -> None:
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 1}
    chain.send(address_of(person, "ETH"), ETHER // 10)
    chain.mine()
    step()
    assert credited(person) == 30_000


def test_payments_of_strangers_leave_no_row(chain, person, step) -> None:
    chain.send("0x" + "1" * 40, ETHER)
    chain.mine(DEPTH)
    step()
    assert not Deposit.objects.exists()


def test_one_transaction_can_pay_several_of_us_and_one_of_us_twice(chain, person, sale, now, step) -> None:
    other = joined(sale=sale, now=now)
    mine, theirs = address_of(person, "ETH"), address_of(other, "ETH")
    chain.send_many([(mine, ETHER // 10), ("0x" + "1" * 40, 5), (theirs, ETHER // 5), (mine, ETHER // 20)])
    chain.mine(DEPTH)
    step()
    assert sorted(Deposit.objects.values_list("position", "credited_cents")) == [(0, 30_000), (2, 60_000), (3, 15_000)]
    assert (credited(person), credited(other)) == (45_000, 60_000)


def test_failed_and_worthless_transactions_are_no_deposits(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), ETHER, fails=True)
    chain.send(address_of(person, "ETH"), 0)
    chain.mine(DEPTH)
    step()
    assert not Deposit.objects.exists()


def test_a_transaction_that_fails_in_its_block_ends_as_dropped(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), ETHER, fails=True)
    step()
    assert told(only()) == ("seen", "", 0, 0)
    chain.mine(DEPTH)
    step()
    assert told(only()) == ("dropped", "", 0, 0)
    assert credited(person) == 0


def test_overpayment_fills_the_allowance_and_owes_the_rest_back(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), ETHER)
    chain.mine(DEPTH)
    step()
    assert told(only()) == ("review", "excess", 100_000, ETHER - FULL)
    assert credited(person) == person.allowance_cents == 100_000
    chain.send(address_of(person, "ETH"), ETHER)
    chain.mine(DEPTH)
    step()
    assert told(Deposit.objects.latest("pk")) == ("review", "excess", 0, ETHER)
    assert credited(person) == 100_000


def test_exactly_the_allowance_leaves_nothing_over(chain, person, step) -> None:
    assert caps.amount_for(100_000, person.eth_rate, "ETH") == FULL
    chain.send(address_of(person, "ETH"), FULL)
    chain.mine(DEPTH)
    step()
    assert told(only()) == ("credited", "", 100_000, 0)


def test_dust_is_recorded_and_credited_to_nobody(chain, person, step) -> None:
    minimum = caps.amount_for(person.sale.minimum_deposit_cents, person.eth_rate, "ETH")
    chain.send(address_of(person, "ETH"), minimum - 1)
    chain.send(address_of(person, "ETH"), minimum)
    chain.mine(DEPTH)
    step()
    dust, enough = Deposit.objects.order_by("amount")
    assert told(dust) == ("review", "dust", 0, minimum - 1)
    assert told(enough) == ("credited", "", 100, 0)


def test_what_is_first_seen_after_the_time_is_late(chain, person, step, now) -> None:
    after = person.pay_until + timedelta(seconds=1)
    chain.send(address_of(person, "ETH"), FULL)
    step(after)
    chain.mine(DEPTH, now=after.timestamp() + 1)
    step(after)
    assert told(only()) == ("review", "late", 0, FULL)
    assert credited(person) == 0


def test_what_was_seen_in_time_counts_however_long_the_chain_takes(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), FULL)
    step()
    after = person.pay_until + timedelta(days=1)
    chain.mine(DEPTH, now=after.timestamp())
    step(after)
    assert told(only()) == ("credited", "", 100_000, 0)


def test_after_a_downtime_the_time_of_the_block_counts(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), FULL)
    chain.mine(DEPTH)
    step(person.pay_until + timedelta(days=1))
    assert told(only()) == ("credited", "", 100_000, 0)


@pytest.mark.parametrize("state", [Invitation.State.EXPIRED, Invitation.State.DECLINED])
def test_an_invitation_that_has_ended_is_credited_nothing(chain, person, step, state: str) -> None:
    Invitation.objects.filter(pk=person.pk).update(state=state)
    chain.send(address_of(person, "ETH"), FULL)
    chain.mine(DEPTH)
    step()
    assert told(only()) == ("review", "late", 0, FULL)


def test_after_the_sale_has_closed_it_is_late(chain, person, step, now) -> None:
    person.sale.closes_at = now - timedelta(minutes=1)
    person.sale.save()
    chain.send(address_of(person, "ETH"), FULL)
    step()
    chain.mine(DEPTH)
    step()
    assert told(only()) == ("review", "late", 0, FULL)


def test_a_replaced_transaction_ends_as_dropped_and_its_successor_counts(chain, person, step) -> None:
    first = chain.send(address_of(person, "ETH"), ETHER // 10, fee=10**10)
    step()
    second = chain.replace(first, fee=10**11)
    chain.mine(DEPTH)
    step()
    assert dict(Deposit.objects.values_list("txid", "state")) == {first: "dropped", second: "credited"}
    assert credited(person) == 30_000


def test_a_dropped_transaction_that_comes_back_counts(chain, person, step) -> None:
    txid = chain.send(address_of(person, "ETH"), ETHER // 10)
    chain.mine()
    step()
    chain.reorg(1, dropped=[txid])
    step()
    step()
    assert only().state == "dropped"
    assert deposits.status(person, now=person.joined_at).state == "awaiting"
    with chain._writing() as db:  # a wallet broadcasts the same transaction again
        db.execute("INSERT INTO mempool (txid) VALUES (?)", (txid,))
    step()
    assert only().state == "seen"
    chain.mine(DEPTH)
    step()
    assert told(only()) == ("credited", "", 30_000, 0)


def test_a_reorg_above_the_depth_unconfirms_without_a_trace_in_the_ledger(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), ETHER // 10)
    chain.mine(DEPTH - 1)
    step()
    chain.reorg(DEPTH - 1)
    followed = step()
    assert followed.rewound == DEPTH - 1
    assert told(only()) == ("seen", "", 0, 0)
    assert (only().block_height, only().block_hash) == (None, "")
    chain.mine(DEPTH)
    step()
    assert told(only()) == ("credited", "", 30_000, 0)
    assert LedgerEntry.objects.count() == 1


def test_a_reorg_deeper_than_the_credit_is_compensated_and_alarms(chain, person, step, caplog) -> None:
    txid = chain.send(address_of(person, "ETH"), ETHER // 10)
    chain.mine(DEPTH)
    step()
    chain.reorg(DEPTH, dropped=[txid])
    step()
    assert told(only()) == ("review", "reorg", 0, 0)
    assert credited(person) == 0
    assert list(LedgerEntry.objects.order_by("pk").values_list("cents", flat=True)) == [30_000, -30_000]
    (alarm,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert txid in alarm.getMessage()
    assert "30000 cents" in alarm.getMessage()
    chain.mine(5)
    step()
    assert told(only()) == ("dropped", "reorg", 0, 0)  # the ledger and the word for it keep the trace
    step()
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_a_compensated_payment_that_the_chain_takes_in_again_is_credited_again(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), ETHER // 10)
    chain.mine(DEPTH)
    step()
    chain.reorg(DEPTH)
    step()
    chain.mine(DEPTH - 1)
    step()
    assert told(only()) == ("review", "reorg", 0, 0)
    chain.reorg(1)
    step()
    chain.mine(DEPTH)
    step()
    assert told(only()) == ("credited", "", 30_000, 0)
    assert list(LedgerEntry.objects.order_by("pk").values_list("cents", flat=True)) == [30_000, -30_000, 30_000]
    assert credited(person) == 30_000


def test_without_compensation_money_would_be_credited_that_is_not_there(chain, person, step, monkeypatch) -> None:
    """The negative control of the compensation."""
    monkeypatch.setattr(books, "compensate", lambda deposits, *, now: [])
    txid = chain.send(address_of(person, "ETH"), ETHER // 10)
    chain.mine(DEPTH)
    step()
    chain.reorg(DEPTH, dropped=[txid])
    step()
    assert credited(person) == 30_000
    assert not [t for h in range(chain.tip().height + 1) for t in chain.transfers([chain.block_at(h)])[0]]


def test_a_settled_excess_follows_a_reorg_too(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), ETHER)
    chain.mine(DEPTH)
    step()
    chain.reorg(DEPTH, mined_again=True)
    step()
    assert told(only()) == ("review", "excess", 100_000, ETHER - FULL)
    assert list(LedgerEntry.objects.order_by("pk").values_list("cents", flat=True)) == [100_000, -100_000, 100_000]


def test_a_tip_that_goes_down_and_stays_there_is_followed_down(chain, person, step, now) -> None:
    chain.send(address_of(person, "ETH"), ETHER // 10)
    chain.mine(2)
    step()
    chain.reorg(2, length=0)
    follower = deposits.Follower(chain)
    with pytest.raises(NodeBehind):
        follower.step(now)
    follower.step(now + timedelta(seconds=PATIENCE))
    assert ChainCursor.objects.get(chain="ETH").height == chain.tip().height == 0
    assert only().state == "seen"


def test_the_same_block_delivered_twice_changes_nothing(chain, person, step, now) -> None:
    chain.send(address_of(person, "ETH"), ETHER // 10)
    found = arrivals.ours("ETH", [(t, block) for block in chain.mine(DEPTH) for t in chain.transfers([block])[0]])
    step()
    before = list(Deposit.objects.values())
    for _ in range(2):
        arrivals.record(chain="ETH", found=found, never=[], now=now)
        books.settle(chain="ETH", tip=chain.tip().height, final=chain.tip().height, now=now)
    assert list(Deposit.objects.values()) == before
    assert LedgerEntry.objects.count() == 1
    assert credited(person) == 30_000


def test_without_the_look_at_known_deposits_the_database_still_refuses(chain, person, step, now, monkeypatch) -> None:
    """The negative control: a second delivery that is taken for new meets the unique identity."""
    chain.send(address_of(person, "ETH"), ETHER // 10)
    found = arrivals.ours("ETH", [(t, block) for block in chain.mine(DEPTH) for t in chain.transfers([block])[0]])
    step()
    monkeypatch.setattr(arrivals, "_known", lambda chain, keys: {})
    with pytest.raises(IntegrityError):
        arrivals.record(chain="ETH", found=found, never=[], now=now)


def test_without_the_condition_of_the_credit_the_constraint_still_holds(person) -> None:
    """The negative control of the personal cap."""
    with pytest.raises(IntegrityError):
        Invitation.objects.filter(pk=person.pk).update(credited_cents=F("allowance_cents") + 1)


def test_an_allowance_that_shrinks_under_a_booking_undoes_the_step(chain, person, step, monkeypatch) -> None:
    chain.send(address_of(person, "ETH"), FULL)
    chain.mine(DEPTH)
    read = books._locked

    def shrinking(rows):
        invitations = read(rows)
        Invitation.objects.filter(pk=person.pk).update(allowance_cents=1_000)
        return invitations

    monkeypatch.setattr(books, "_locked", shrinking)
    before = ChainCursor.objects.get(chain="ETH")
    with pytest.raises(books.CapMoved):
        step()
    assert not Deposit.objects.exists()
    assert ChainCursor.objects.get(chain="ETH").height == before.height
    person.refresh_from_db()
    assert (person.credited_cents, person.allowance_cents) == (0, 100_000)


def test_a_follower_that_was_overtaken_changes_nothing(chain, person, step, now, monkeypatch) -> None:
    chain.send(address_of(person, "ETH"), ETHER // 10)
    chain.mine(DEPTH)
    slow_look = sightings.look

    def overtaken(client, **where):
        view = slow_look(client, **where)
        monkeypatch.setattr(sightings, "look", slow_look)
        deposits.follow(chain="ETH", client=client, now=now)  # a rival does the same step meanwhile
        return view

    monkeypatch.setattr(sightings, "look", overtaken)
    assert deposits.follow(chain="ETH", client=chain, now=now).overtaken
    assert LedgerEntry.objects.count() == 1
    assert credited(person) == 30_000


def test_steps_are_bounded_and_tell_their_lag(chain, person, step, now, monkeypatch) -> None:
    monkeypatch.setattr(sightings, "MOST_BLOCKS", 4)
    chain.mine(10)
    assert [deposits.follow(chain="ETH", client=chain, now=now).lag for _ in range(4)] == [6, 2, 0, 0]
    cursor = ChainCursor.objects.get(chain="ETH")
    assert (cursor.height, cursor.tip_height, cursor.followed_at) == (10, 10, now)


def test_only_recent_blocks_are_kept_and_a_reorg_within_them_is_found(chain, person, step, now, monkeypatch) -> None:
    monkeypatch.setattr(cursors, "KEPT_BLOCKS", 6)
    for _ in range(4):
        chain.mine(4)
        step()
    assert list(FollowedBlock.objects.order_by("height").values_list("height", flat=True)) == [0, *range(11, 17)]
    chain.send(address_of(person, "ETH"), ETHER // 10)
    chain.reorg(4, mined_again=True)
    step()
    assert only().block_height == 13
    chain.reorg(6)
    before = ChainCursor.objects.get(chain="ETH")
    with pytest.raises(WrongChain, match="none of the 6 newest"):
        step()
    assert ChainCursor.objects.get(chain="ETH").block_hash == before.block_hash


def test_another_chain_is_refused_by_its_genesis(chain, person, step, tmp_path, now) -> None:
    other = SimulatedChain(tmp_path / "other.sqlite3", chain="ETH")
    other.mine(5)
    with pytest.raises(WrongChain, match="genesis"):
        deposits.follow(chain="ETH", client=other, now=now)
    assert ChainCursor.objects.get(chain="ETH").height == 0


def test_a_node_that_does_not_answer_changes_nothing(chain, person, step, now, monkeypatch) -> None:
    def gone() -> None:
        raise ChainUnavailable("gone")

    before = ChainCursor.objects.get(chain="ETH")
    monkeypatch.setattr(chain, "tip", gone)
    with pytest.raises(ChainUnavailable):
        deposits.follow(chain="ETH", client=chain, now=now)
    after = ChainCursor.objects.get(chain="ETH")
    assert (after.height, after.followed_at) == (before.height, before.followed_at)


def test_following_begins_before_the_first_address_was_issued(tmp_path, sale, now) -> None:
    old = int((now - timedelta(hours=9)).timestamp())
    late = SimulatedChain(tmp_path / "old.sqlite3", chain="ETH", now=old)
    for hour in range(9):
        late.mine(1, now=old + hour * 3600)
    person = joined(sale=sale, now=now)
    late.send(address_of(person, "ETH"), ETHER // 10)
    late.mine(DEPTH, now=now.timestamp())
    deposits.follow(chain="ETH", client=late, now=now)
    assert credited(person) == 30_000
    assert FollowedBlock.objects.order_by("height").values_list("height", flat=True)[1] == 7


def test_an_idle_step_is_cheap(chain, person, step, now, django_assert_max_num_queries) -> None:
    chain.mine(5)
    step()
    with django_assert_max_num_queries(9):
        deposits.follow(chain="ETH", client=chain, now=now)


def test_the_audit_reads_the_same_from_the_chain(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), ETHER // 10)
    chain.send(address_of(person, "ETH"), ETHER, fails=True)
    chain.mine(DEPTH)
    step()
    paid = Deposit.objects.get(state="credited")
    assert onchain.transfers_to_us("ETH", chain, last=chain.tip().height) == {
        (paid.txid, 0): onchain.OnChain(height=1, address=address_of(person, "ETH").lower(), amount=ETHER // 10)
    }
    assert onchain.transfers_to_us("ETH", chain, last=0) == {}


def test_the_load_is_as_old_as_the_newest_block(chain, sale, now) -> None:
    chain.mine(20, background=1.2, now=(now - timedelta(minutes=5)).timestamp())
    # The genesis block was made just now and time does not run backwards, so the newest block cannot be older.
    deposits.read_load(client=chain, now=now + timedelta(hours=1))
    reading = ChainReading.objects.get(chain="ETH")
    assert reading.load == 1.0
    assert reading.base_fee == chain.fee_history(1).base_fees[-1]
    assert int(reading.observed_at.timestamp()) == chain.tip().time
    assert reading.tip == chain.fee_history(1).tips[0] > 0
    slow = now - timedelta(seconds=30)  # a clock that is a little ahead of ours makes no future
    deposits.read_load(client=chain, now=slow)
    assert ChainReading.objects.get(chain="ETH").observed_at == slow
    with pytest.raises(BadAnswer, match="ends at"):
        deposits.read_load(client=chain, now=now - timedelta(hours=1))
    assert ChainReading.objects.get(chain="ETH").observed_at == slow


def test_bitcoin_is_followed_by_the_same_rules(sale, now, tmp_path, person) -> None:
    bitcoin = SimulatedChain(tmp_path / "btc.sqlite3", chain="BTC")
    deposits.follow(chain="BTC", client=bitcoin, now=now)
    bitcoin.send(address_of(person, "BTC"), 1_000_000)
    bitcoin.mine(2)
    deposits.follow(chain="BTC", client=bitcoin, now=now)
    assert told(only()) == ("credited", "", 60_000, 0)
    assert only().address == DepositAddress.objects.get(chain="BTC")
