from __future__ import annotations

import html
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from ico import leases, reasons, release
from ico.decision import Decision, Inputs, Reason, decide
from ico.models import Entrant, Invitation, OutboxMessage, Release, Sale
from tests.ico.conftest import invite_all, join, numbered, read_load

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
USUAL = Inputs(
    now=NOON,
    opens_at=NOON - timedelta(hours=1),
    closes_at=NOON + timedelta(hours=1),
    paused=False,
    room_cents=1_000_000,
    allowance_cents=1_000,
    batch_size=100,
    interval_seconds=60,
    last_released_at=NOON - timedelta(seconds=60),
    ready=100,
    rates_known=True,
    load=0.5,
    load_age_seconds=3,
    load_max_age_seconds=120,
    load_high=0.9,
    load_low=0.7,
    gate_closed=False,
)
GWEI = 10**9
PRICED = replace(USUAL, base_fee_wei=30 * GWEI, tip_wei=1 * GWEI, gas_price_high_gwei=40.0, gas_price_low_gwei=35.0)
UNPRICED = {"gas_price_high_gwei": None, "gas_price_low_gwei": None}


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        ({}, Decision(100, Reason.RELEASED, False)),
        ({"ready": 7}, Decision(7, Reason.RELEASED, False)),
        ({"room_cents": 3_999}, Decision(3, Reason.RELEASED, False)),
        ({"room_cents": 999}, Decision(0, Reason.CAP_REACHED, False)),
        ({"rates_known": False}, Decision(0, Reason.NO_RATE, False)),
        ({"ready": 0}, Decision(0, Reason.NOBODY_WAITING, False)),
        ({"paused": True}, Decision(0, Reason.PAUSED, False)),
        ({"opens_at": NOON + timedelta(seconds=1)}, Decision(0, Reason.NOT_OPEN, False)),
        ({"closes_at": NOON}, Decision(0, Reason.CLOSED, False)),
        ({"last_released_at": NOON - timedelta(seconds=59)}, Decision(0, Reason.INTERVAL, False)),
        ({"last_released_at": None}, Decision(100, Reason.RELEASED, False)),
        ({"load": None, "load_age_seconds": None}, Decision(0, Reason.NO_SIGNAL, False)),
        ({"load_age_seconds": 121}, Decision(0, Reason.NO_SIGNAL, False)),
        ({"load_age_seconds": -10}, Decision(100, Reason.RELEASED, False)),  # taken while the releaser waited
        ({"load_age_seconds": -10.1}, Decision(0, Reason.NO_SIGNAL, False)),
        ({"load": 0.91}, Decision(0, Reason.CHAIN_BUSY, True)),
        ({"load": 0.9}, Decision(100, Reason.RELEASED, False)),
        ({"load": 0.8, "gate_closed": True}, Decision(0, Reason.CHAIN_BUSY, True)),
        ({"load": 0.7, "gate_closed": True}, Decision(0, Reason.CHAIN_BUSY, True)),
        ({"load": 0.69, "gate_closed": True}, Decision(100, Reason.RELEASED, False)),
    ],
)
def test_the_decision(change: dict[str, object], decision: Decision) -> None:
    assert decide(replace(USUAL, **change)) == decision  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        ({}, Decision(100, Reason.RELEASED, False)),
        ({"base_fee_wei": 39 * GWEI}, Decision(100, Reason.RELEASED, False)),
        ({"base_fee_wei": 39 * GWEI + 1}, Decision(0, Reason.GAS_PRICE, True)),
        ({"tip_wei": 11 * GWEI}, Decision(0, Reason.GAS_PRICE, True)),  # what is paid is both together
        ({"base_fee_wei": 34 * GWEI, "gate_closed": True}, Decision(0, Reason.GAS_PRICE, True)),
        ({"base_fee_wei": 34 * GWEI - 1, "gate_closed": True}, Decision(100, Reason.RELEASED, False)),
        ({"load": 0.8, "gate_closed": True}, Decision(0, Reason.CHAIN_BUSY, True)),
        ({"load": 0.95, "base_fee_wei": 90 * GWEI}, Decision(0, Reason.CHAIN_BUSY, True)),
        ({"load_age_seconds": 121, "base_fee_wei": 90 * GWEI}, Decision(0, Reason.NO_SIGNAL, True)),
        ({"base_fee_wei": None}, Decision(0, Reason.NO_SIGNAL, False)),
        ({"tip_wei": None, "gate_closed": True}, Decision(0, Reason.NO_SIGNAL, True)),
        ({"base_fee_wei": 90 * GWEI, **UNPRICED}, Decision(100, Reason.RELEASED, False)),
    ],
)
def test_the_decision_with_price_marks(change: dict[str, object], decision: Decision) -> None:
    assert decide(replace(PRICED, **change)) == decision  # type: ignore[arg-type]


@given(
    room=st.integers(0, 10**7),
    allowance=st.integers(1, 10**5),
    batch=st.integers(0, 500),
    ready=st.integers(0, 500),
    load=st.none() | st.floats(0, 1),
    age=st.none() | st.floats(-100, 1_000),
    closed=st.booleans(),
)
def test_no_decision_breaks_a_cap_or_opens_without_a_signal(
    room: int, allowance: int, batch: int, ready: int, load: float | None, age: float | None, closed: bool
) -> None:
    inputs = replace(
        USUAL,
        room_cents=room,
        allowance_cents=allowance,
        batch_size=batch,
        ready=ready,
        load=load,
        load_age_seconds=age,
        gate_closed=closed,
    )
    decision = decide(inputs)
    assert 0 <= decision.size <= min(batch, ready)
    assert decision.size * allowance <= room
    if load is None or age is None or not -10 <= age <= inputs.load_max_age_seconds or load > inputs.load_high:
        assert decision.size == 0


@pytest.mark.django_db
class TestCarriedOut:
    def test_the_first_in_line_are_invited_with_allowance_and_mail(self, sale: Sale, now: datetime) -> None:
        for n in range(5):
            join(sale, f"v{n}@example.org")
        invited = invite_all(sale, now, batch_size=3)
        sale.refresh_from_db()
        assert [i.entrant.number for i in invited] == [1, 2, 3]
        assert (sale.served, sale.reserved_cents) == (3, 3 * sale.personal_cap_cents)
        assert {i.expires_at for i in invited} == {now + timedelta(seconds=sale.invitation_lifetime_seconds)}
        assert OutboxMessage.objects.filter(kind="invitation").count() == 3
        decision = Release.objects.get()
        assert (decision.size, decision.served_before, decision.served_after) == (3, 0, 3)
        assert release.replay(decision).size == 3
        assert release.replay(decision, batch_size=2).size == 2
        assert release.replay(decision, load_high=0.4, load_low=0.3).reason == Reason.CHAIN_BUSY

    def test_the_record_holds_the_reading_and_the_marks(self, sale: Sale, now: datetime) -> None:
        Sale.objects.filter(pk=sale.pk).update(gas_price_high_gwei=40, gas_price_low_gwei=35)
        read_load(0.5, now - timedelta(seconds=7), base_fee=47 * GWEI, tip=1_200_000_000)
        record = release.release(sale_id=sale.pk, holder="test", now=now)
        assert record is not None
        assert (record.reason, record.size) == (Reason.GAS_PRICE, 0)
        record.refresh_from_db()
        told = {name: record.inputs[name] for name in record.inputs if name.startswith(("load", "base", "tip", "gas"))}
        assert told == {
            "load": 0.5, "load_age_seconds": 7, "load_max_age_seconds": 120, "load_high": 0.9, "load_low": 0.7,
            "base_fee_wei": 47 * GWEI, "tip_wei": 1_200_000_000, "gas_price_high_gwei": 40, "gas_price_low_gwei": 35,
        }  # fmt: skip
        assert reasons.recorded_why(record) == "the gas price 48.2 gwei is above 40"
        assert release.replay(record).reason == Reason.GAS_PRICE
        cheaper = release.replay(record, gas_price_high_gwei=50, gas_price_low_gwei=49)
        assert cheaper == Decision(0, Reason.NOBODY_WAITING, False)

    def test_a_decision_that_was_recorded_before_prices_were_can_be_replayed(self, sale: Sale, now: datetime) -> None:
        join(sale, "ada@example.org")
        invite_all(sale, now)
        record = Release.objects.get()
        old = {name: value for name, value in record.inputs.items() if not name.startswith(("base", "tip", "gas"))}
        assert len(old) == len(record.inputs) - 4
        Release.objects.update(inputs=old)
        record.refresh_from_db()
        assert release.replay(record) == Decision(1, Reason.RELEASED, False)
        assert release.replay(record, gas_price_high_gwei=40, gas_price_low_gwei=35).reason == Reason.NO_SIGNAL

    def test_leavers_are_passed_over(self, sale: Sale, now: datetime) -> None:
        from ico import waitlist

        places = [join(sale, f"v{n}@example.org") for n in range(4)]
        numbered(sale)
        waitlist.leave(places[0].ticket)
        invited = invite_all(sale, now, batch_size=2)
        assert [i.entrant.number for i in invited] == [2, 3]

    def test_a_hold_is_recorded_once_and_counted(self, sale: Sale, now: datetime) -> None:
        for second in range(3):
            release.release(sale_id=sale.pk, holder="test", now=now + timedelta(seconds=second))
        hold = Release.objects.get()
        assert (hold.reason, hold.size, hold.repeats) == (Reason.NO_SIGNAL, 0, 3)
        assert hold.last_decided_at == now + timedelta(seconds=2)

    def test_only_the_holder_of_the_lease_decides(self, sale: Sale, now: datetime) -> None:
        assert release.release(sale_id=sale.pk, holder="a", now=now) is not None
        assert release.release(sale_id=sale.pk, holder="b", now=now) is None
        later = now + timedelta(seconds=release.LEASE_SECONDS)
        assert release.release(sale_id=sale.pk, holder="b", now=later) is not None
        assert release.release(sale_id=sale.pk, holder="a", now=later) is None

    def test_the_total_cap_ends_the_releases_and_a_return_goes_to_the_next(self, sale: Sale, now: datetime) -> None:
        from ico import invitations

        for n in range(5):
            join(sale, f"v{n}@example.org")
        Sale.objects.filter(pk=sale.pk).update(total_cap_cents=2 * sale.personal_cap_cents)
        assert len(invite_all(sale, now)) == 2
        read_load(0.5, now)
        held = release.release(sale_id=sale.pk, holder="test", now=now)
        assert held is not None
        assert held.reason == Reason.CAP_REACHED
        later = now + timedelta(seconds=sale.invitation_lifetime_seconds)
        assert invitations.expire(now=later) == 2
        read_load(0.5, later)
        record = release.release(sale_id=sale.pk, holder="test", now=later)
        assert record is not None
        assert record.size == 2
        assert [i.entrant.number for i in Invitation.objects.filter(state="open").order_by("pk")] == [3, 4]
        assert Entrant.objects.filter(state="expired").count() == 2

    def test_nothing_is_written_when_somebody_leaves_in_the_same_moment(
        self, sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The rival stands exactly between choosing and inviting."""
        for n in range(2):
            join(sale, f"v{n}@example.org")
        numbered(sale)
        read_load(0.5, now)
        honest = release._next_in_line

        def choose_then_one_leaves(chosen_for: Sale) -> list[Entrant]:
            chosen = honest(chosen_for)
            Entrant.objects.filter(pk=chosen[0].pk).update(state="left")
            return chosen

        monkeypatch.setattr(release, "_next_in_line", choose_then_one_leaves)
        with pytest.raises(release.ReleaseRefused):
            release.release(sale_id=sale.pk, holder="test", now=now)
        sale.refresh_from_db()
        assert (sale.served, sale.reserved_cents) == (0, 0)
        assert not Invitation.objects.exists()
        assert not Release.objects.exists()


@pytest.mark.django_db
class TestAnOperatorsChange:
    def form(self, sale: Sale, **changed: object) -> dict[str, object]:
        fields = {
            name: getattr(sale, name)
            for name in (
                *("name", "slug", "currency", "total_cap_cents", "personal_cap_cents", "batch_size"),
                *("batch_interval_seconds", "invitation_lifetime_seconds", "payment_lifetime_seconds"),
                *("minimum_deposit_cents", "chain_load_high", "chain_load_low", "chain_load_max_age_seconds"),
                *("gas_price_high_gwei", "gas_price_low_gwei"),
            )
        }
        fields = {name: "" if value is None else value for name, value in fields.items()}
        for name in ("opens_at", "closes_at"):
            moment = getattr(sale, name)
            fields |= {f"{name}_0": f"{moment:%Y-%m-%d}", f"{name}_1": f"{moment:%H:%M:%S}"}
        return {**fields, **changed}

    def test_does_not_take_the_counters_back(
        self, sale: Sale, now: datetime, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The rival stands exactly between reading the sale for the form and saving it: somebody is invited."""
        from ico import sales

        join(sale, "ada@example.org")
        honest = sales.change

        def change_after_a_release(**rules: object) -> None:
            invite_all(sale, now)
            honest(**rules)  # type: ignore[arg-type]

        monkeypatch.setattr(sales, "change", change_after_a_release)
        answer = admin_client.post(f"/admin/ico/sale/{sale.pk}/change/", self.form(sale, batch_size=7))
        assert answer.status_code == 302, answer.content
        sale.refresh_from_db()
        assert (sale.batch_size, sale.last_number, sale.served) == (7, 1, 1)
        assert sale.reserved_cents == sale.personal_cap_cents

    @pytest.mark.parametrize(
        ("marks", "refused"),
        [
            ({"gas_price_high_gwei": 40, "gas_price_low_gwei": 35}, None),
            ({"gas_price_high_gwei": 0.04, "gas_price_low_gwei": 0.04}, None),
            ({"gas_price_high_gwei": 40}, "The gas price has two marks, or none."),
            ({"gas_price_low_gwei": 40}, "The gas price has two marks, or none."),
            ({"gas_price_high_gwei": 35, "gas_price_low_gwei": 40}, "low mark is above zero, and not above"),
            ({"gas_price_high_gwei": 35, "gas_price_low_gwei": 0}, "low mark is above zero, and not above"),
            ({"gas_price_high_gwei": "nan", "gas_price_low_gwei": 1}, "Enter a number."),
            ({"chain_load_high": 0.5, "chain_load_low": 0.6}, "low mark is above zero, and not above"),
            ({"chain_load_high": 90, "chain_load_low": 70}, "this mark would never hold"),
        ],
    )
    def test_of_the_marks_is_taken_in_order_or_refused_in_words(
        self, sale: Sale, admin_client: Client, marks: dict[str, object], refused: str | None
    ) -> None:
        before = Sale.objects.values().get()
        answer = admin_client.post(f"/admin/ico/sale/{sale.pk}/change/", self.form(sale, **marks))
        assert answer.status_code == (200 if refused else 302)
        if refused:
            assert refused in html.unescape(answer.content.decode())
            assert "is violated" not in answer.content.decode()
            assert Sale.objects.values().get() == before
        else:
            assert Sale.objects.values().get() == {**before, **marks}

    def test_cannot_lower_the_total_cap_below_what_is_promised(
        self, sale: Sale, now: datetime, admin_client: Client
    ) -> None:
        from ico import sales

        for n in range(2):
            join(sale, f"v{n}@example.org")
        invite_all(sale, now)
        sale.refresh_from_db()
        too_low = sale.reserved_cents - 1
        form = self.form(sale, total_cap_cents=too_low)
        answer = admin_client.post(f"/admin/ico/sale/{sale.pk}/change/", form)
        assert answer.status_code == 200
        assert b"promised or paid already" in answer.content
        with pytest.raises(sales.BelowReserved):
            sales.change(sale_id=sale.pk, total_cap_cents=too_low)
        sale.refresh_from_db()
        assert sale.total_cap_cents > too_low


@pytest.mark.django_db
class TestLeases:
    def test_one_holder_at_a_time(self, now: datetime) -> None:
        assert leases.held("job", holder="a", seconds=10, now=now)
        assert not leases.held("job", holder="b", seconds=10, now=now + timedelta(seconds=9))
        assert leases.held("job", holder="a", seconds=10, now=now + timedelta(seconds=9))
        assert not leases.held("job", holder="b", seconds=10, now=now + timedelta(seconds=18))
        assert leases.held("job", holder="b", seconds=10, now=now + timedelta(seconds=19))

    def test_given_up_is_free_at_once(self, now: datetime) -> None:
        assert leases.held("job", holder="a", seconds=10, now=now)
        leases.give_up("job", holder="b")
        assert not leases.held("job", holder="b", seconds=10, now=now)
        leases.give_up("job", holder="a")
        assert leases.held("job", holder="b", seconds=10, now=now)
