"""What the operator reads of what is owed back: on the page, in the file, and nothing that a node could smuggle in."""

from __future__ import annotations

import csv
import io
import secrets
from datetime import datetime

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ico import ops_owed, owed
from ico.amounts import in_coins
from ico.models import Deposit, Invitation
from tests.ico.people import joined

ETHER = 10**18
WALLETS = {"btc_wallet": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "eth_wallet": "0x" + "a" * 40}


@pytest.fixture
def person(sale, now) -> Invitation:
    person = joined(sale=sale, now=now)
    Invitation.objects.filter(pk=person.pk).update(**WALLETS)
    return person


def owe(person: Invitation, chain: str, amount: int, owed_back: int, reason: str, now: datetime, **more) -> Deposit:
    state = "review" if reason else "credited"
    values = {"txid": secrets.token_hex(32), "state": state, "review": reason, "first_seen_at": now} | more
    address = person.addresses.get(chain=chain)
    return Deposit.objects.create(chain=chain, address=address, amount=amount, owed_back=owed_back, **values)


@pytest.fixture
def several(person, now) -> list[Deposit]:
    return [
        owe(person, "ETH", 10 * ETHER, 9 * ETHER + 1, "excess", now),
        owe(person, "BTC", 900, 900, "dust", now),
        owe(person, "BTC", 10**8, 0, "", now),
        owe(person, "ETH", 3, 3, "late", now),
        owe(person, "ETH", 3, 0, "reorg", now),
    ]


def test_every_deposit_that_is_owed_back_newest_first_with_the_wallet_of_its_chain(several, person) -> None:
    rows = owed.listed()
    assert [(row.chain, row.owed_coins, row.coins, row.reason, row.wallet) for row in rows] == [
        ("ETH", "0.000000000000000003", "0.000000000000000003", "late", WALLETS["eth_wallet"]),
        ("BTC", "0.000009", "0.000009", "dust", WALLETS["btc_wallet"]),
        ("ETH", "9.000000000000000001", "10", "excess", WALLETS["eth_wallet"]),
    ]
    assert {(row.invitation_id, row.email) for row in rows} == {(person.pk, person.entrant.email)}


def test_the_totals_are_exact_beyond_what_json_can_count(several) -> None:
    assert owed.totals() == {"BTC": {"dust": 900}, "ETH": {"excess": 9 * ETHER + 1, "late": 3}}


@pytest.mark.parametrize(
    ("chain", "reason", "found"),
    [("ETH", "", 2), ("BTC", "", 1), ("", "late", 1), ("BTC", "late", 0), ("ETH", "excess", 1), ("", "", 3)],
)
def test_by_chain_and_reason(several, admin_client, chain: str, reason: str, found: int) -> None:
    assert len(owed.listed(chain=chain, reason=reason)) == found
    page = admin_client.get("/ops/owed/", {"chain": chain, "reason": reason}).content.decode()
    assert page.count("<tr>") == (found + 1 if found else 0)
    file = read(admin_client.get("/ops/owed/list.csv", {"chain": chain, "reason": reason}))
    assert len(file) == found + 1


def test_all_are_read_in_pieces(several, monkeypatch) -> None:
    monkeypatch.setattr(owed, "CHUNK", 1)
    pieces = []
    honest = owed.listed
    monkeypatch.setattr(owed, "listed", lambda **options: pieces.append(found := honest(**options, most=1)) or found)
    assert [row.reason for row in owed.every()] == ["late", "dust", "excess"]
    assert [len(piece) for piece in pieces] == [1, 1, 1, 0]


def read(response) -> list[list[str]]:
    assert response.streaming
    return list(csv.reader(io.StringIO(b"".join(response.streaming_content).decode())))


def test_the_file_says_the_same_as_the_page(several, person, admin_client) -> None:
    response = admin_client.get("/ops/owed/list.csv")
    assert response["Content-Disposition"].startswith('attachment; filename="owed-back-')
    assert response["Cache-Control"] == "private, no-store"
    header, *rows = read(response)
    assert tuple(header) == ops_owed.COLUMNS
    first = dict(zip(header, rows[0], strict=True))
    assert (first["owed_back"], first["reason"], first["send_to"]) == (
        "0.000000000000000003",
        "late",
        WALLETS["eth_wallet"],
    )
    assert [row[header.index("txid")] for row in rows] == [several[n].txid for n in (3, 1, 0)]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert ops_owed.guarded(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["1=1", "0.5", "a@example.org", ""])
def test_other_cells_are_as_they_are(cell: str) -> None:
    assert ops_owed.guarded(cell) == cell
    assert ops_owed.guarded(None) == ""


def test_nothing_of_a_node_or_a_person_is_markup_or_formula(person, now, admin_client) -> None:
    evil = '<script>alert("1")</script>'
    owe(person, "ETH", 5, 5, "dust", now, txid=f"={evil}")
    person.entrant.email = f"=cmd|{evil}@example.org"
    person.entrant.save()
    page = admin_client.get("/ops/owed/").content.decode()
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(&quot;1&quot;)") == 2
    _, row = read(admin_client.get("/ops/owed/list.csv"))
    assert (row[8], row[11]) == (f"'=cmd|{evil}@example.org", f"'={evil}")


def test_page_after_page_without_a_gap(person, now, admin_client, monkeypatch) -> None:
    monkeypatch.setattr(ops_owed, "PAGE", 2)
    made = [owe(person, "BTC", n, n, "dust", now).txid for n in range(1, 6)]
    seen, query = [], "chain=BTC"
    for _ in range(3):
        page = admin_client.get(f"/ops/owed/?{query}").content.decode()
        seen += [txid for txid in reversed(made) if txid in page]
        query = page.split('rel="next"')[0].rsplit("/ops/owed/?", 1)[1].split('"')[0].replace("&amp;", "&")
    assert seen == made[::-1]
    assert 'rel="next"' not in page
    assert "Newest" in page


def test_a_page_costs_the_same_with_many_rows(person, now, admin_client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get("/ops/owed/").status_code == 200
        return len(captured)

    owe(person, "BTC", 1, 1, "dust", now)
    few = queries()
    for n in range(20):
        owe(person, "BTC", n + 1, n + 1, "dust", now)
    assert queries() <= few <= 8


@pytest.mark.parametrize("path", ["/ops/owed/", "/ops/owed/list.csv"])
def test_only_for_staff(client: Client, several, path: str, django_user_model) -> None:
    assert client.get(path).status_code == 302
    client.force_login(django_user_model.objects.create_user("eve"))
    assert client.get(path).status_code == 302


@pytest.mark.parametrize(
    "granted", [[], ["view_deposit"], ["view_invitation"], ["view_deposit", "view_invitation"]], ids=len
)
def test_staff_who_may_not_view_people_and_payments_sees_neither(
    client: Client, several, person, granted: list[str], django_user_model
) -> None:
    allowed = len(granted) == 2
    user = django_user_model.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="ico", codename__in=granted))
    client.force_login(user)
    for path in ("/ops/owed/", "/ops/owed/list.csv"):
        answer = client.get(path)
        said = b"".join(answer).decode()
        assert answer.status_code == (200 if allowed else 403)
        assert (person.entrant.email in said) is allowed
        assert ("may view deposits and invitations" in said) is not allowed
    assert ('href="/ops/owed/"' in client.get("/ops/").content.decode()) is allowed
    (alarm,) = [alarm for alarm in client.get("/ops/data.json").json()["alarms"] if "Owed back" in alarm["text"]]
    assert alarm["url"] == ("/ops/owed/" if allowed else None)


@pytest.mark.parametrize(
    "query", ["chain=DOGE", "reason=reorg", "reason=%3Cb%3E", "before=x", "before=-1", f"before={'9' * 30}"]
)
def test_what_makes_no_sense_is_refused(several, admin_client, query: str) -> None:
    assert admin_client.get(f"/ops/owed/?{query}").status_code == 400


def test_the_page_of_an_empty_list(sale, admin_client) -> None:
    page = admin_client.get("/ops/owed/")
    assert page["Cache-Control"] == "private, no-store"
    assert "Nothing is owed back." in page.content.decode()


def test_the_admin_lists_what_is_owed_back(several, admin_client) -> None:
    page = admin_client.get("/admin/ico/deposit/?owed=yes").content.decode()
    assert [deposit.txid in page for deposit in several] == [True, True, False, True, False]
    page = admin_client.get("/admin/ico/deposit/?owed=no").content.decode()
    assert [deposit.txid in page for deposit in several] == [False, False, True, False, True]


def test_amounts_in_the_admin_are_exact(several, admin_client) -> None:
    page = admin_client.get("/admin/ico/deposit/").content.decode()
    assert f"{in_coins(9 * ETHER + 1, 'ETH')} ETH" in page
