from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest

from config import emails
from ico import board, invitations, release, tickets, waitlist
from ico.models import Entrant, OutboxMessage, Sale
from ico.tickets import Kind
from tests.ico.conftest import invite_all, join, numbered, read_load

pytestmark = pytest.mark.django_db


def counted(entrant: Entrant) -> int:
    """The position by counting rows: what every answer must agree with."""
    ahead = Entrant.objects.filter(sale=entrant.sale, state="waiting", number__lt=entrant.number).count()
    return ahead + 1


def test_a_place_is_a_row_and_its_mail(sale: Sale, now: datetime) -> None:
    place = waitlist.join(email="Ada@Example.org ", client_address="192.0.2.7", now=now)
    entrant = Entrant.objects.get()
    assert (entrant.email, entrant.client_address, entrant.number) == ("ada@example.org", "192.0.2.7", None)
    assert place.number is None
    assert OutboxMessage.objects.get().key == f"place:{entrant.pk}"


@pytest.mark.parametrize("again", ["ada@example.org", "ADA@EXAMPLE.ORG", "  ada@example.org\t", "Ada@Example.Org"])
def test_the_same_email_has_one_place(sale: Sale, now: datetime, again: str) -> None:
    first = waitlist.join(email="ada@example.org", client_address=None, now=now)
    second = waitlist.join(email=again, client_address=None, now=now)
    assert second.entrant_id == first.entrant_id
    assert Entrant.objects.count() == OutboxMessage.objects.count() == 1


def test_who_knows_an_email_can_look_but_not_leave(sale: Sale, now: datetime) -> None:
    first = join(sale, "ada@example.org")
    second = join(sale, "ada@example.org")
    numbered(sale)
    assert waitlist.look_up(second.ticket).number == waitlist.look_up(first.ticket).number == 1
    with pytest.raises(waitlist.NotTheHolder):
        waitlist.leave(second.ticket)
    assert Entrant.objects.get().state == "waiting"


def test_a_second_ticket_tells_no_more_of_an_invitation_than_the_board(sale: Sale, now: datetime) -> None:
    join(sale, "ada@example.org")
    second = join(sale, "ada@example.org")
    invite_all(sale, now)
    invitations.expire(now=now + timedelta(days=2))
    assert Entrant.objects.get().state == "expired"
    assert waitlist.look_up(second.ticket).state == "invited"


@pytest.mark.parametrize(
    "email",
    [
        "",
        "   ",
        "no-at-sign",
        "two@@example.org",
        "a@b",
        "x@example.org\nBcc: y@example.org",
        "x@example.org\r\n",
        "\x00@example.org",
        "a" * 65 + "@example.org",
        "a@" + "b" * 250 + ".org",
        "Ada <ada@example.org>",
        "ada@exa mple.org",
        "ada@example.org, bob@example.org",
        "ada@[127.0.0.1]",
        "\u202eada@example.org",
        "\ufffdda@example.org",
        "\u00e9mile@example.org",  # no mail of ours could reach it
    ],
)
def test_a_bad_email_takes_no_place(sale: Sale, now: datetime, email: str) -> None:
    if email.strip() == "x@example.org":
        assert emails.normalised(email) == "x@example.org"  # a line break around an address is only space
        return
    with pytest.raises(emails.InvalidEmail) as refusal:
        waitlist.join(email=email, client_address=None, now=now)
    assert str(refusal.value)
    assert not Entrant.objects.exists()
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("ada@EXÄMPLE.org", "ada@xn--exmple-cua.org"),
        ("ada@xn--exmple-cua.org", "ada@xn--exmple-cua.org"),
        ("ada+sale@example.org", "ada+sale@example.org"),
        ("visitor-1@load.test", "visitor-1@load.test"),
        ("visitor-1@load.example", "visitor-1@load.example"),
    ],
)
def test_an_address_has_one_spelling(written: str, normal: str) -> None:
    assert emails.normalised(written) == normal


def test_nobody_joins_a_sale_that_has_ended(sale: Sale, now: datetime) -> None:
    with pytest.raises(waitlist.LineClosed):
        waitlist.join(email="ada@example.org", client_address=None, now=sale.closes_at)
    assert not Entrant.objects.exists()


def test_numbers_are_given_in_order_and_dense(sale: Sale) -> None:
    places = [join(sale, f"v{n}@example.org") for n in range(7)]
    assert waitlist.give_numbers(sale_id=sale.pk, limit=3) == 3
    assert waitlist.give_numbers(sale_id=sale.pk, limit=3) == 3
    assert waitlist.give_numbers(sale_id=sale.pk, limit=3) == 1
    assert waitlist.give_numbers(sale_id=sale.pk, limit=3) == 0
    numbers = dict(Entrant.objects.values_list("pk", "number"))
    assert [numbers[place.entrant_id] for place in places] == [1, 2, 3, 4, 5, 6, 7]


def test_before_its_number_a_place_is_being_placed(sale: Sale, now: datetime) -> None:
    place = join(sale, "ada@example.org")
    standing = waitlist.look_up(place.ticket)
    assert (standing.state, standing.number, standing.position) == ("placing", None, None)
    assert standing.poll_after_seconds == board.PLACING_POLL_SECONDS


def test_a_poll_in_steady_state_asks_no_database(sale: Sale, now: datetime, django_assert_num_queries: object) -> None:
    places = [join(sale, f"v{n}@example.org") for n in range(3)]
    numbered(sale)
    waitlist.look_up(places[2].ticket)
    with django_assert_num_queries(0):  # type: ignore[operator]
        standing = waitlist.look_up(places[2].ticket)
    assert (standing.state, standing.number, standing.position, standing.ahead) == ("waiting", 3, 3, 2)


def test_those_behind_a_leaver_move_up_at_once(sale: Sale, now: datetime) -> None:
    places = [join(sale, f"v{n}@example.org") for n in range(4)]
    numbered(sale)
    waitlist.leave(places[1].ticket)
    standings = [waitlist.look_up(place.ticket) for place in places]
    assert [s.state for s in standings] == ["waiting", "left", "waiting", "waiting"]
    assert [s.position for s in standings] == [1, None, 2, 3]
    assert [s.number for s in standings] == [1, 2, 3, 4]
    assert {s.waiting for s in standings} == {3}


def test_leaving_twice_is_leaving_once(sale: Sale, now: datetime) -> None:
    place = join(sale, "ada@example.org")
    waitlist.leave(place.ticket)
    waitlist.leave(place.ticket)
    assert waitlist.look_up(place.ticket).state == "left"
    numbered(sale)
    assert waitlist.look_up(place.ticket).state == "left"
    assert board.current(sale.pk).waiting == 0


def test_who_left_may_come_back_at_the_end(sale: Sale, now: datetime) -> None:
    first = join(sale, "ada@example.org")
    join(sale, "bob@example.org")
    numbered(sale)
    waitlist.leave(first.ticket)
    again = join(sale, "ada@example.org")
    numbered(sale)
    assert waitlist.look_up(again.ticket).number == 3
    assert waitlist.look_up(first.ticket).state == "left"


def test_an_invited_person_who_leaves_gives_the_allowance_back(sale: Sale, now: datetime) -> None:
    place = join(sale, "ada@example.org")
    invite_all(sale, now)
    sale.refresh_from_db()
    assert sale.reserved_cents == sale.personal_cap_cents
    waitlist.leave(place.ticket)
    sale.refresh_from_db()
    assert sale.reserved_cents == 0
    assert waitlist.look_up(place.ticket).state == "left"


@pytest.mark.parametrize("ticket", ["", "x", "h1.1", "h1.1.AAAA", "v1.1." + "A" * 43, "h1.1.\u00e9", "." * 50])
def test_a_forged_ticket_is_unknown(sale: Sale, now: datetime, ticket: str) -> None:
    with pytest.raises(tickets.UnknownTicket):
        waitlist.look_up(ticket)


def test_a_viewers_ticket_cannot_be_made_a_holders(sale: Sale, now: datetime) -> None:
    place = join(sale, "ada@example.org")
    viewer = str(tickets.Ticket(Kind.VIEWER, sale.pk, place.entrant_id))
    with pytest.raises(tickets.UnknownTicket):
        waitlist.leave("h" + viewer[1:])


def test_a_ticket_of_nobody_is_unknown(sale: Sale, now: datetime) -> None:
    with pytest.raises(tickets.UnknownTicket):
        waitlist.look_up(str(tickets.Ticket(Kind.HOLDER, sale.pk, 999_999)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_answer_agrees_with_a_count_of_the_rows(sale: Sale, now: datetime, seed: int) -> None:
    """A random life of the line: join, number, release, leave, expire; after each step every ticket is asked."""
    chance = random.Random(seed)
    places: list[waitlist.Place] = []
    moment = now
    for step in range(60):
        moment += timedelta(seconds=11)
        read_load(0.5, moment)
        match chance.choice(["join", "join", "number", "release", "leave", "leave", "expire"]):
            case "join":
                places += [join(sale, f"v{step}-{n}@example.org") for n in range(chance.randint(1, 4))]
            case "number":
                numbered(sale)
            case "release":
                Sale.objects.filter(pk=sale.pk).update(batch_size=chance.randint(1, 3))
                release.release(sale_id=sale.pk, holder="test", now=moment)
            case "leave" if places:
                waitlist.leave(chance.choice(places).ticket)
            case "expire":
                Sale.objects.filter(pk=sale.pk).update(invitation_lifetime_seconds=20)
                invitations.expire(now=moment)
        for place in places:
            agrees(place, moment)


def agrees(place: waitlist.Place, now: datetime) -> None:
    standing = waitlist.look_up(place.ticket)
    entrant = Entrant.objects.select_related("sale").get(pk=place.entrant_id)
    expected = "placing" if entrant.number is None and entrant.state == "waiting" else entrant.state
    assert standing.state == expected
    assert standing.number == entrant.number
    assert standing.position == (counted(entrant) if expected == "waiting" else None)
    in_line = Entrant.objects.filter(sale=entrant.sale, state="waiting", number__isnull=False).count()
    assert standing.waiting == board.current(entrant.sale_id).waiting == in_line
