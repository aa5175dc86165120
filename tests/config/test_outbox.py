"""Two outboxes, one relay, one budget: the sale's and the shop's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.mail import EmailMessage as DjangoMail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import IntegrityError, transaction
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from config import budget, delivery, outbox, outbox_figures, tasks
from config.models import Mail
from ico import outbox as sale_outbox
from ico import tasks as sale_tasks
from ico.models import Entrant, OutboxMessage, Sale
from shop import outbox as shop_outbox
from shop.models import Category, Order, OrderLine, OrderMail, Product, Variant

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
State = Mail.State


def signups(sale: Sale, count: int, now: datetime) -> None:
    """So many people in line, each with a mail that is due."""
    people = [Entrant(sale=sale, email=f"v{n}@example.org", email_digest=f"v{n}") for n in range(count)]
    Entrant.objects.bulk_create(people)
    sale_outbox.put(kind=OutboxMessage.Kind.PLACE, entrants=Entrant.objects.order_by("pk"), now=now)


def orders(count: int, now: datetime) -> list[Order]:
    """So many orders of two hats, each with a mail that is due."""
    customer, _ = get_user_model().objects.get_or_create(username="ada@example.org")
    shelf, _ = Category.objects.get_or_create(slug="hats", name="Hats")
    hat, _ = Product.objects.get_or_create(slug="hat", category=shelf, title="Hat & feather", price_cents=1_250)
    variant, _ = Variant.objects.get_or_create(product=hat, sku="HAT-1", price_cents=1_250)
    made = []
    for n in range(count):
        order = Order.objects.create(
            number=f"S-{n}", key=f"key-{n}", customer=customer, total_cents=2_500, email="ada@example.org",
            address={}, placed_at=now, reserved_until=now,
        )  # fmt: skip
        OrderLine.objects.create(
            order=order, variant=variant, title="Hat & feather", sku="HAT-1", unit_cents=1_250, quantity=2
        )
        shop_outbox.put(kind=OrderMail.Kind.PLACED, order=order, now=now)
        made.append(order)
    return made


def relayed(now: datetime) -> list[outbox.Batch]:
    batches: list[outbox.Batch] = []
    outbox.relay(publish=batches.append, now=now)
    return batches


def counts(batches: Sequence[outbox.Batch]) -> dict[str, int]:
    return {name: sum(len(batch.ids) for batch in batches if batch.outbox == name) for name in ("sale", "orders")}


@pytest.fixture
def mailbox(settings: Settings, tmp_path: Path) -> Path:
    settings.EMAIL_BACKEND = "config.maildir.EmailBackend"
    settings.MAILBOX_DIR = tmp_path
    return tmp_path / "new"


def mails(mailbox: Path) -> dict[str, EmailMessage]:
    """By the subject."""
    found = [message_from_bytes(path.read_bytes(), policy=default) for path in mailbox.iterdir()]
    return {str(mail["Subject"]): mail for mail in found}  # type: ignore[misc]


# --- what each of them is ---------------------------------------------------------------------------------------------
def test_no_two_outboxes_have_a_name_or_a_kind_in_common() -> None:
    """Message-IDs are made of kind and number."""
    kinds = [choice for kept in outbox.kept() for choice, _ in kept.rows._meta.get_field("kind").choices or ()]
    assert len(kinds) == len(set(kinds)) == 5
    assert len({kept.name for kept in outbox.kept()}) == len(outbox.kept()) == 2


@pytest.mark.django_db
def test_both_are_relayed_and_sent(sale: Sale, mailbox: Path) -> None:
    signups(sale, 1, NOON)
    (order,) = orders(1, NOON)
    for batch in relayed(NOON):
        tasks.deliver(batch.outbox, list(batch.ids), batch.claim)
    found = mails(mailbox)
    assert set(found) == {f"You are in line for {sale.name}", f"Your order {order.number}"}
    row, mail = OrderMail.objects.get(), found[f"Your order {order.number}"]
    assert (row.state, row.attempts, row.key) == (State.SENT, 1, f"placed:{order.pk}")
    assert (mail["To"], mail["Message-ID"]) == ("ada@example.org", row.message_id)
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
    for content, title in ((text, "Hat & feather"), (html, "Hat &amp; feather")):
        assert title in content
        assert "€12.50" in content
        assert "€25.00" in content
        assert f"http://127.0.0.1:8000/shop/orders/{order.number}/" in content


@pytest.mark.django_db
@pytest.mark.parametrize("kind", list(OrderMail.Kind))
def test_each_kind_of_mail_names_the_order(kind: OrderMail.Kind) -> None:
    (order,) = orders(1, NOON)
    OrderMail.objects.all().delete()
    shop_outbox.put(kind=kind, order=order, now=NOON)
    mail = shop_outbox.OUTBOX.compose(OrderMail.objects.get(), message_id="<m@x>")
    assert order.number in mail.subject
    assert "\n" not in mail.subject
    assert order.number in str(mail.body)


@pytest.mark.django_db
def test_a_second_mail_of_one_kind_about_one_order_is_a_bug() -> None:
    (order,) = orders(1, NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        shop_outbox.put(kind=OrderMail.Kind.PLACED, order=order, now=NOON)
    shop_outbox.put(kind=OrderMail.Kind.PAID, order=order, now=NOON)


@pytest.mark.django_db
def test_an_outbox_of_a_later_release_is_told_and_its_rows_are_left_alone() -> None:
    orders(1, NOON)
    (batch,) = relayed(NOON)
    with pytest.raises(LookupError, match="no outbox 'fan club'"):
        tasks.deliver("fan club", list(batch.ids), batch.claim)
    assert OrderMail.objects.get().claim == batch.claim


@pytest.mark.django_db
def test_a_message_of_the_release_before_is_the_sales(sale: Sale, mailbox: Path) -> None:
    signups(sale, 1, NOON)
    (batch,) = relayed(NOON)
    sale_tasks.deliver(list(batch.ids), batch.claim)
    assert OutboxMessage.objects.get().state == State.SENT


# --- one budget -------------------------------------------------------------------------------------------------------
class Away(BaseEmailBackend):
    asked = 0

    def send_messages(self, email_messages: Sequence[DjangoMail]) -> int:
        Away.asked += 1
        raise ConnectionRefusedError("refused")


@pytest.mark.django_db
def test_a_server_that_one_outbox_found_away_is_not_asked_for_the_other(sale: Sale, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "tests.config.test_outbox.Away"
    signups(sale, 2, NOON)
    orders(2, NOON)
    for batch in relayed(NOON):
        assert delivery.deliver(batch, clock=lambda: NOON) == 0
    assert Away.asked == 1
    assert relayed(NOON + SECOND) == []
    assert set(OrderMail.objects.values_list("state", "attempts")) == {(State.PENDING, 0)}


# --- fair shares ------------------------------------------------------------------------------------------------------
@given(
    room=st.integers(0, 40),
    outboxes=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=4),
)
def test_a_share_is_taken_from_nobody_who_has_less(room: int, outboxes: list[tuple[int, int]]) -> None:
    waiting, busy = [list(column) for column in zip(*outboxes, strict=True)]
    given_ = outbox.shares(room, waiting=waiting, with_workers=busy)
    assert sum(given_) == min(room, sum(waiting))
    assert all(0 <= count <= waits for count, waits in zip(given_, waiting, strict=True))
    for taker, count in enumerate(given_):
        for other, waits in enumerate(waiting):
            if count and given_[other] < waits:  # the other could have had more
                assert busy[taker] + count <= busy[other] + given_[other] + 1


def by_age(room: int, *, waiting: Sequence[int], with_workers: Sequence[int]) -> list[int]:
    """Who has waited longest first, whatever the others get."""
    given_ = []
    for count in waiting:
        given_.append(min(room, count))
        room -= given_[-1]
    return given_


@pytest.mark.django_db
@pytest.mark.parametrize("fair", [True, False])
def test_a_backlog_of_the_sale_holds_up_no_order(sale: Sale, monkeypatch: pytest.MonkeyPatch, fair: bool) -> None:
    """Without fair shares, the negative control, the order's mail waits for the whole backlog."""
    monkeypatch.setattr(budget, "MOST_AHEAD", 10)
    if not fair:
        monkeypatch.setattr(outbox, "shares", by_age)
    signups(sale, 30, NOON)
    orders(2, NOON + SECOND)
    assert counts(relayed(NOON + 2 * SECOND)) == ({"sale": 8, "orders": 2} if fair else {"sale": 10, "orders": 0})


@pytest.mark.django_db
@pytest.mark.parametrize("fair", [True, False])
def test_a_rate_of_one_a_second_is_halved(
    sale: Sale, settings: Settings, monkeypatch: pytest.MonkeyPatch, fair: bool
) -> None:
    """There is room for one mail at a time then, which is where a share could be rounded to nothing."""
    settings.MAILS_PER_SECOND = 1
    if not fair:
        monkeypatch.setattr(outbox, "shares", by_age)
    signups(sale, 40, NOON)
    orders(40, NOON + SECOND)
    now, waiting, sent = NOON + 2 * SECOND, [], {"sale": 0, "orders": 0}
    for _ in range(30):
        waiting += [(batch.outbox, key) for batch in relayed(now) for key in batch.ids]
        name, key = waiting.pop(0)  # a worker sends it
        outbox.rows_of(outbox.named(name)).filter(pk=key).update(state=State.SENT)
        sent[name] += 1
        now += SECOND
    assert sent == ({"sale": 15, "orders": 15} if fair else {"sale": 30, "orders": 0})


# --- figures ----------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_figures_tell_the_outboxes_apart_and_the_panel_adds_them_up(sale: Sale) -> None:
    signups(sale, 3, NOON)
    orders(2, NOON - 5 * SECOND)
    OrderMail.objects.filter(pk=OrderMail.objects.order_by("-pk")[0].pk).update(state=State.PARKED)
    (group,) = outbox_figures.FIGURES
    told: dict[Any, float] = {(figure.name, labels): value for figure, labels, value in group.read()}
    assert told["stampede_outbox_messages", ("sale", "pending")] == 3
    assert told["stampede_outbox_messages", ("orders", "pending")] == 1
    assert told["stampede_outbox_messages", ("orders", "parked")] == 1
    assert outbox_figures.of_all(NOON + SECOND) == {
        "pending": 4, "claimed": 0, "sent": 0, "parked": 1, "overdue_seconds": 6.0,
    }  # fmt: skip
    early = NOON - 60 * SECOND
    assert [outbox_figures.overdue(kept, now=early) for kept in outbox.kept()] == [0.0, 0.0]


# --- what an operator may do ------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_an_operator_sends_a_parked_mail_about_an_order_again(admin_client: Client) -> None:
    orders(2, NOON)
    parked, pending = OrderMail.objects.order_by("pk")
    OrderMail.objects.filter(pk=parked.pk).update(state=State.PARKED, attempts=20)
    chosen = [parked.pk, pending.pk]
    answer = admin_client.post(
        "/admin/shop/ordermail/", {"action": "send_again", "_selected_action": chosen}, follow=True
    )
    assert "1 of 2 will be tried again" in answer.content.decode()
    assert list(OrderMail.objects.order_by("pk").values_list("state", "attempts")) == [(State.PENDING, 0)] * 2
