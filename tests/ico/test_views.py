"""The pages of the sale, as a browser without script meets them."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ico import invitations, sales, terms
from ico.models import DepositAddress, Entrant, Invitation, OutboxMessage, Release, Sale
from tests.ico.conftest import invite_all, join, numbered

pytestmark = pytest.mark.django_db

BTC = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
ETH = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.fixture(autouse=True)
def _plain_static(settings: Any, tmp_path: Path) -> None:
    """Templates name static files without any having been collected."""
    settings.STATIC_ROOT = tmp_path
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def browser() -> Client:
    return Client(headers={"accept": "text/html,application/xhtml+xml", "sec-fetch-site": "same-origin"})


@pytest.fixture
def invitation(sale: Sale, now: datetime) -> Invitation:
    join(sale, "ann@example.org")
    return invite_all(sale, now)[0]


def link(invitation: Invitation, step: str = "") -> str:
    return f"/i/{invitations.token_of(invitation.nonce)}/{step}"


def text_of(response: Any) -> str:
    return unescape(response.content.decode())


def is_private(response: Any) -> bool:
    return response["Cache-Control"] == "private, no-store" and response["Referrer-Policy"] == "no-referrer"


def accepted(invitation: Invitation, now: datetime) -> Invitation:
    invitations.accept_terms(invitation=invitation, client_address=None, now=now)
    invitation.refresh_from_db()
    return invitation


# --- the landing page -------------------------------------------------------------------------------------------------
def test_the_landing_page_is_public_and_knows_no_cookie(browser: Client, sale: Sale) -> None:
    browser.cookies["sessionid"] = "something"
    response = browser.get("/")
    assert response.status_code == 200
    assert response["Cache-Control"] == "public, max-age=5, stale-while-revalidate=10"
    assert "Vary" not in response or "Cookie" not in response["Vary"]
    assert not response.cookies
    assert "Test sale" in text_of(response)
    assert "never send real funds" in text_of(response)


def test_the_landing_page_shows_the_board(browser: Client, sale: Sale, now: datetime) -> None:
    for name in ("a", "b", "c"):
        join(sale, f"{name}@example.org")
    numbered(sale)
    assert '<dd class="figure" data-figure="waiting">3</dd>' in text_of(browser.get("/"))


def test_head_is_answered_like_get(browser: Client, sale: Sale) -> None:
    response = browser.head("/")
    assert (response.status_code, response.content) == (200, b"")


def test_without_a_sale_the_pages_say_so(browser: Client, db: None) -> None:
    for response in (browser.get("/"), browser.post("/signup/", {"email": "ann@example.org"})):
        assert response.status_code == 503
        assert response["Retry-After"] == "30"
        assert "No sale yet" in text_of(response)


def test_no_page_holds_inline_script_or_style(
    browser: Client, sale: Sale, invitation: Invitation, now: datetime
) -> None:
    invitation = accepted(invitation, now)
    wallet = text_of(browser.get(link(invitation, "wallet/")))
    invitations.enter_wallets(invitation=invitation, btc_address=BTC, eth_address=ETH, now=now)
    place = join(sale, "zoe@example.org")
    pages = [
        wallet,
        *(text_of(browser.get(url)) for url in ("/", f"/line/{place.ticket}/", link(invitation, "payment/"))),
    ]
    for page in pages:
        assert " style=" not in page
        assert "<style" not in page
        assert "<script>" not in page
        assert " onclick=" not in page


# --- signing up -------------------------------------------------------------------------------------------------------
def test_a_signup_leads_to_the_place_in_line(browser: Client, sale: Sale) -> None:
    response = browser.post("/signup/", {"email": " Ann@Example.org "})
    assert response.status_code == 303
    assert response["Location"].startswith("/line/h")
    assert is_private(response)
    assert not response.cookies
    assert Entrant.objects.get().email == "ann@example.org"
    assert browser.get(response["Location"]).status_code == 200


def test_a_client_that_wants_json_gets_json(sale: Sale) -> None:
    response = Client().post("/signup/", {"email": "ann@example.org"}, headers={"accept": "application/json"})
    assert response.status_code == 202
    assert response.json()["position_url"].startswith("/api/position/")


BAD_EMAILS = {
    "empty": "",
    "blank": "   ",
    "no at": "ann.example.org",
    "two ats": "ann@@example.org",
    "too long": "a" * 300 + "@example.org",
    "header injection": "ann@example.org\r\nBcc: everybody@example.org",
    "NUL": "ann@exam\x00ple.org",
    "display name": "Ann <ann@example.org>",
    "direction override": "ann\u202egro.elpmaxe@example.org",
    "zero width": "ann\u200b@example.org",
    "lone surrogate": "ann\ud800@example.org".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    "script": "<script>alert(1)</script>@example.org",
    "emoji domain": "ann@\U0001f600",
}


@pytest.mark.parametrize("email", BAD_EMAILS.values(), ids=BAD_EMAILS)
def test_a_bad_email_comes_back_with_the_field_named(browser: Client, sale: Sale, email: str) -> None:
    response = browser.post("/signup/", {"email": email})
    page = text_of(response)
    assert response.status_code == 422
    assert 'aria-invalid="true"' in page
    assert 'id="email-error"' in page
    assert "<script>alert" not in response.content.decode()
    assert not Entrant.objects.exists()
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", "application/x-www-form-urlencoded"),
        ("mail=ann%40example.org", "application/x-www-form-urlencoded"),
        ("email=a%40example.org&email=b%40example.org", "application/x-www-form-urlencoded"),
        ("email=%FF%FE%40example.org", "application/x-www-form-urlencoded"),
        ("ann@example.org", "text/plain"),
    ],
    ids=["nothing", "other field", "twice", "no UTF-8", "plain text"],
)
def test_a_form_without_one_email_is_refused(browser: Client, sale: Sale, body: str, content_type: str) -> None:
    response = browser.generic("POST", "/signup/", body, content_type=content_type)
    assert response.status_code == 422
    assert 'id="email-error"' in text_of(response)
    assert not Entrant.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("email=" + "a" * 70_000, "application/x-www-form-urlencoded", 413),
        ("&".join(f"f{n}=1" for n in range(60)), "application/x-www-form-urlencoded", 400),
        ("nonsense", "multipart/form-data", 400),
    ],
    ids=["huge", "many fields", "broken multipart"],
)
def test_a_body_that_cannot_be_a_form_is_refused(
    browser: Client, sale: Sale, body: str, content_type: str, status: int
) -> None:
    response = browser.generic("POST", "/signup/", body, content_type=content_type)
    assert response.status_code == status
    assert "<h1>" in text_of(response)
    assert not Entrant.objects.exists()


def test_a_signup_from_another_site_is_refused(sale: Sale) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        response = Client(headers=headers).post("/signup/", {"email": "ann@example.org"})
        assert response.status_code == 403
        assert "That is not allowed from here" in text_of(response)
    assert not Entrant.objects.exists()


@pytest.mark.usefixtures("still")
def test_too_many_signups_are_asked_to_wait(browser: Client, sale: Sale, settings: Any) -> None:
    settings.SIGNUPS_PER_MINUTE = 2
    answers = [browser.post("/signup/", {"email": f"p{n}@example.org"}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [303, 303, 429]
    assert 0 < int(answers[2]["Retry-After"]) <= 60
    assert "That was too often" in text_of(answers[2])
    assert Entrant.objects.count() == 2


def test_after_the_end_nobody_is_taken_in(browser: Client, sale: Sale, now: datetime) -> None:
    Sale.objects.update(opens_at=now - timedelta(days=2), closes_at=now - timedelta(days=1))
    response = browser.post("/signup/", {"email": "ann@example.org"})
    assert response.status_code == 409
    assert "The line is closed" in text_of(response)
    assert 'name="email"' not in text_of(browser.get("/"))
    assert not Entrant.objects.exists()


@pytest.mark.parametrize(
    ("method", "url", "allowed"),
    [
        ("GET", "/signup/", "POST"),
        ("PUT", "/signup/", "POST"),
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/line/x/", "GET, HEAD"),
        ("GET", "/line/x/leave/", "POST"),
        ("POST", "/i/x/", "GET, HEAD"),
        ("GET", "/i/x/terms/", "POST"),
        ("PUT", "/i/x/wallet/", "GET, HEAD, POST"),
        ("POST", "/i/x/payment/", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_a_page_that_says_what_is_right(
    browser: Client, sale: Sale, method: str, url: str, allowed: str
) -> None:
    response = browser.generic(method, url)
    assert response.status_code == 405
    assert response["Allow"] == allowed
    assert "That page works differently" in text_of(response)


# --- waiting ----------------------------------------------------------------------------------------------------------
def test_the_waiting_page_shows_the_position(browser: Client, sale: Sale) -> None:
    join(sale, "first@example.org")
    ticket = join(sale, "second@example.org").ticket
    page = text_of(browser.get(f"/line/{ticket}/"))
    assert "Your number is being assigned" in page
    numbered(sale)
    response = browser.get(f"/line/{ticket}/")
    page = text_of(response)
    assert is_private(response)
    assert '<span class="place-figure figure" data-fill="position">2</span>' in page
    assert '<dd class="figure" data-fill="ahead">1</dd>' in page
    assert '<dd data-fill="estimate">not known yet</dd>' in page
    assert '<meta http-equiv="refresh"' in page
    assert f'data-url="/api/position/{ticket}"' in page


def test_the_waiting_page_of_the_invited_does_not_show_the_link(
    browser: Client, sale: Sale, invitation: Invitation
) -> None:
    ticket = join(sale, "ann@example.org").ticket
    page = text_of(browser.get(f"/line/{ticket}/"))
    assert '<section class="card" data-when="invited">' in page
    assert "/i/" not in page
    assert 'http-equiv="refresh"' not in page


def test_leaving_gives_the_place_up(browser: Client, sale: Sale) -> None:
    ticket = join(sale, "ann@example.org").ticket
    numbered(sale)
    response = browser.post(f"/line/{ticket}/leave/")
    assert (response.status_code, response["Location"]) == (303, f"/line/{ticket}/")
    assert '<section class="card" data-when="left">' in text_of(browser.get(f"/line/{ticket}/"))
    assert Entrant.objects.get().state == "left"


def test_whoever_only_knows_the_email_cannot_leave_for_its_owner(browser: Client, sale: Sale) -> None:
    join(sale, "ann@example.org")
    ticket = browser.post("/signup/", {"email": "ann@example.org"})["Location"].split("/")[2]
    assert "Leave the line" not in text_of(browser.get(f"/line/{ticket}/"))
    response = browser.post(f"/line/{ticket}/leave/")
    assert response.status_code == 403
    assert Entrant.objects.get().state == "waiting"


def test_leaving_from_another_site_is_refused(sale: Sale) -> None:
    ticket = join(sale, "ann@example.org").ticket
    assert Client(headers={"sec-fetch-site": "cross-site"}).post(f"/line/{ticket}/leave/").status_code == 403
    assert Entrant.objects.get().state == "waiting"


def test_who_has_joined_cannot_leave_any_more(
    browser: Client, sale: Sale, invitation: Invitation, now: datetime
) -> None:
    ticket = f"/line/{_holder(invitation)}/leave/"
    invitations.enter_wallets(invitation=accepted(invitation, now), btc_address=BTC, eth_address=ETH, now=now)
    response = browser.post(ticket)
    assert response.status_code == 409
    assert "That is not possible any more" in text_of(response)


def _holder(invitation: Invitation) -> str:
    from ico.tickets import Kind, Ticket

    return str(Ticket(Kind.HOLDER, invitation.sale_id, invitation.entrant_id))


@pytest.mark.parametrize("ticket", ["x", "h1.1.forged", "h1.1", "..", "%00", "h" * 5000, "h1.99.é"])
def test_a_forged_ticket_is_unknown(browser: Client, sale: Sale, ticket: str) -> None:
    for response in (browser.get(f"/line/{ticket}/"), browser.post(f"/line/{ticket}/leave/")):
        assert response.status_code == 404
        assert "There is no such page" in text_of(response)


# --- the invited ------------------------------------------------------------------------------------------------------
def test_the_way_from_the_invitation_to_the_addresses(browser: Client, invitation: Invitation) -> None:
    page = text_of(browser.get(link(invitation)))
    assert "version 1" in page
    assert "Test terms." in page
    step = browser.post(link(invitation, "terms/"), {"accept": "on"})
    assert (step.status_code, step["Location"]) == (303, link(invitation, "wallet/"))
    assert browser.get(step["Location"]).status_code == 200
    step = browser.post(link(invitation, "wallet/"), {"btc_address": BTC, "eth_address": ETH})
    assert (step.status_code, step["Location"]) == (303, link(invitation, "payment/"))
    response = browser.get(step["Location"])
    page = text_of(response)
    assert is_private(response)
    assert not response.cookies
    for issued in DepositAddress.objects.all():
        assert page.count(issued.address) >= 2  # as text and in the name of its QR code
    assert page.count('<svg role="img"') == 2
    assert "0.01666667" in page  # 1,000.00 at 60,000.00 a coin, rounded up to a whole satoshi
    assert "Waiting for your payment" in page


def test_every_step_out_of_order_leads_to_the_step_that_is_due(
    browser: Client, invitation: Invitation, now: datetime
) -> None:
    def leads(method: str, step: str) -> str:
        response = browser.generic(method, link(invitation, step))
        assert response.status_code == 303
        assert is_private(response)
        return str(response["Location"])

    for method, step in (("GET", "wallet/"), ("POST", "wallet/"), ("GET", "payment/")):
        assert leads(method, step) == link(invitation)
    invitation = accepted(invitation, now)
    for method, step in (("GET", ""), ("POST", "terms/"), ("GET", "payment/")):
        assert leads(method, step) == link(invitation, "wallet/")
    invitations.enter_wallets(invitation=invitation, btc_address=BTC, eth_address=ETH, now=now)
    for method, step in (("GET", ""), ("POST", "terms/"), ("GET", "wallet/"), ("POST", "wallet/")):
        assert leads(method, step) == link(invitation, "payment/")
    assert DepositAddress.objects.count() == 2


@pytest.mark.parametrize("body", ["", "accept=", "accept=off", "accept=on&accept=on", "accept=%00", "yes=on"])
def test_terms_that_were_not_accepted_are_shown_again(browser: Client, invitation: Invitation, body: str) -> None:
    form = "application/x-www-form-urlencoded"
    response = browser.generic("POST", link(invitation, "terms/"), body, content_type=form)
    assert response.status_code == 422
    assert 'id="accept-error"' in text_of(response)
    invitation.refresh_from_db()
    assert (invitation.state, invitation.terms_id) == ("open", None)


def test_terms_that_changed_meanwhile_are_read_again(browser: Client, invitation: Invitation, now: datetime) -> None:
    terms.publish(version="2", text="Other terms.", now=now)
    response = browser.post(link(invitation, "terms/"), {"accept": "on", "version": "1"})
    assert response.status_code == 409
    assert "Other terms." in text_of(response)
    invitation.refresh_from_db()
    assert invitation.state == "open"
    assert browser.post(link(invitation, "terms/"), {"accept": "on", "version": "2"}).status_code == 303


BAD_WALLETS = {
    "missing": {},
    "empty": {"btc_address": "", "eth_address": ""},
    "wrong checksum": {"btc_address": BTC[:-1] + "x", "eth_address": ETH[:-1] + "D"},
    "testnet": {"btc_address": "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "eth_address": "0x"},
    "swapped": {"btc_address": ETH, "eth_address": BTC},
    "too long": {"btc_address": "b" * 5000, "eth_address": "0x" + "a" * 5000},
    "NUL": {"btc_address": BTC + "\x00", "eth_address": "\x00" + ETH},
    "look-alike": {"btc_address": BTC.replace("a", "\u0430"), "eth_address": ETH.replace("A", "\u0410")},
    "twice": {"btc_address": [BTC, BTC], "eth_address": [ETH, ETH]},
    "a script": {"btc_address": '"><script>alert(1)</script>', "eth_address": "'\" onfocus=alert(1)"},
}


@pytest.mark.parametrize("sent", BAD_WALLETS.values(), ids=BAD_WALLETS)
def test_bad_wallets_come_back_with_each_field_named(
    browser: Client, invitation: Invitation, now: datetime, sent: dict[str, Any]
) -> None:
    accepted(invitation, now)
    response = browser.post(link(invitation, "wallet/"), sent)
    page = text_of(response)
    assert response.status_code == 422
    assert page.count('aria-invalid="true"') == 2
    assert 'id="btc_address-error"' in page
    assert 'id="eth_address-error"' in page
    assert "<script>alert" not in response.content.decode()
    assert b"\x00" not in response.content
    invitation.refresh_from_db()
    assert (invitation.state, invitation.btc_wallet) == ("accepted", "")
    assert not DepositAddress.objects.exists()


def test_one_bad_wallet_keeps_what_was_typed_in_both(browser: Client, invitation: Invitation, now: datetime) -> None:
    accepted(invitation, now)
    page = text_of(browser.post(link(invitation, "wallet/"), {"btc_address": BTC, "eth_address": ETH[:-1] + "D"}))
    assert f'value="{BTC}"' in page
    assert f'value="{ETH[:-1]}D"' in page
    assert 'id="btc_address-error"' not in page
    assert 'id="eth_address-error"' in page
    assert 'aria-describedby="eth_address-error eth_address-hint"' in page


def test_our_own_deposit_address_is_no_wallet(browser: Client, sale: Sale, now: datetime) -> None:
    for name in ("ann", "bob"):
        join(sale, f"{name}@example.org")
    ann, bob = invite_all(sale, now)
    invitations.enter_wallets(invitation=accepted(ann, now), btc_address=BTC, eth_address=ETH, now=now)
    ours = ann.addresses.get(chain="BTC").address
    accepted(bob, now)
    page = text_of(browser.post(link(bob, "wallet/"), {"btc_address": ours, "eth_address": ETH}))
    assert 'id="btc_address-error"' in page
    assert bob.addresses.count() == 0


def test_an_ended_invitation_is_gone_and_says_why(browser: Client, invitation: Invitation, now: datetime) -> None:
    Invitation.objects.update(expires_at=now - timedelta(seconds=1))
    for method, step in (("GET", ""), ("POST", "terms/"), ("GET", "wallet/"), ("POST", "wallet/"), ("GET", "payment/")):
        response = browser.generic(method, link(invitation, step))
        assert response.status_code == 410
        assert is_private(response)
        assert "This invitation has ended" in text_of(response)


@pytest.mark.parametrize("token", ["x", "a" * 43, "é", "%00", "a" * 5000])
def test_a_forged_invitation_is_unknown(browser: Client, sale: Sale, token: str) -> None:
    for step in ("", "wallet/", "payment/"):
        assert browser.get(f"/i/{token}/{step}").status_code == 404


def test_accepting_from_another_site_is_refused(invitation: Invitation) -> None:
    foreign = Client(headers={"sec-fetch-site": "cross-site"})
    assert foreign.post(link(invitation, "terms/"), {"accept": "on"}).status_code == 403
    invitation.refresh_from_db()
    assert invitation.state == "open"


# --- the operator -----------------------------------------------------------------------------------------------------
def test_the_panel_is_for_staff(client: Client, sale: Sale, django_user_model: Any) -> None:
    assert client.get("/ops/").status_code == 302
    assert client.get("/ops/data.json").status_code == 403
    client.force_login(django_user_model.objects.create_user("eve"))
    assert client.get("/ops/").status_code == 302
    assert client.get("/ops/data.json").status_code == 403


def test_the_panel_shows_the_line_and_why(admin_client: Client, sale: Sale, invitation: Invitation) -> None:
    assert admin_client.get("/ops/")["Cache-Control"] == "private, no-store"
    answer = admin_client.get("/ops/data.json?history=1").json()
    assert (answer["line"]["served"], answer["line"]["given"], answer["line"]["waiting"]) == (1, 1, 0)
    assert answer["caps"] == {"currency": "EUR", "total": 30_000_000, "reserved": 100_000, "credited": 0}
    mails = answer["outbox"]
    assert mails == {"pending": 2, "claimed": 0, "sent": 0, "parked": 0, "overdue_seconds": mails["overdue_seconds"]}
    assert [(row["reason"], row["size"]) for row in answer["decisions"]] == [("released", 1)]
    assert [(row["served"], row["reserved"]) for row in answer["history"]] == [(1, 100_000)]
    assert "history" not in admin_client.get("/ops/data.json").json()


def test_the_panels_queries_do_not_grow_with_the_line(admin_client: Client, sale: Sale, now: datetime) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert admin_client.get("/ops/data.json").status_code == 200
        return len(captured)

    join(sale, "first@example.org")
    invite_all(sale, now)
    anew, few = queries(), queries()  # the second time what is counted is remembered
    for number in range(30):
        join(sale, f"p{number}@example.org")
    invite_all(sale, now + timedelta(minutes=1))
    assert queries() <= few <= 12
    assert anew <= 22


ADMIN_LISTS = (
    "sale", "entrant", "release", "invitation", "outboxmessage", "deposit", "depositaddress", "ledgerentry", "rate",
    "terms", "chaincursor", "chainreading",
)  # fmt: skip


@pytest.mark.parametrize("name", ADMIN_LISTS)
def test_admin_lists_take_a_bounded_number_of_queries(
    admin_client: Client, sale: Sale, now: datetime, name: str
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(f"/admin/ico/{name}/").status_code == 200
        return len(captured)

    join(sale, "first@example.org")
    invite_all(sale, now)
    few = queries()
    for number in range(10):
        join(sale, f"p{number}@example.org")
    invite_all(sale, now + timedelta(minutes=1))
    assert queries() <= few


def test_the_operator_pauses_and_resumes(admin_client: Client, sale: Sale) -> None:
    def act(action: str) -> bool:
        admin_client.post("/admin/ico/sale/", {"action": action, "_selected_action": [sale.pk]})
        sale.refresh_from_db()
        return sale.paused

    assert act("pause") is True
    assert act("resume") is False


def test_the_operator_sends_a_parked_mail_again(admin_client: Client, sale: Sale) -> None:
    join(sale, "ann@example.org")
    OutboxMessage.objects.update(state="parked", attempts=8)
    chosen = list(OutboxMessage.objects.values_list("pk", flat=True))
    admin_client.post("/admin/ico/outboxmessage/", {"action": "send_again", "_selected_action": chosen})
    assert list(OutboxMessage.objects.values_list("state", "attempts")) == [("pending", 0)]


def test_the_admin_never_shows_what_opens_an_invitation(admin_client: Client, invitation: Invitation) -> None:
    for url in ("/admin/ico/invitation/", f"/admin/ico/invitation/{invitation.pk}/change/"):
        page = text_of(admin_client.get(url))
        assert "ann@example.org" in page
        for secret in (invitation.nonce, invitation.token_digest, invitations.token_of(invitation.nonce)):
            assert secret not in page


def test_editing_a_sale_leaves_its_counters_alone(admin_client: Client, sale: Sale, now: datetime) -> None:
    form = admin_client.get(f"/admin/ico/sale/{sale.pk}/change/").context["adminform"].form
    sent = {f"{name}": value for name, value in form.initial.items() if name in form.fields and value is not None}
    for name in ("opens_at", "closes_at"):
        sent |= {f"{name}_0": f"{sent[name]:%Y-%m-%d}", f"{name}_1": f"{sent.pop(name):%H:%M:%S}"}
    sent = {name: value for name, value in sent.items() if value is not False}
    join(sale, "ann@example.org")
    invite_all(sale, now)  # while the operator has the form open
    admin_client.post(f"/admin/ico/sale/{sale.pk}/change/", {**sent, "batch_size": 77})
    sale.refresh_from_db()
    assert (sale.batch_size, sale.served, sale.last_number, sale.reserved_cents) == (77, 1, 1, 100_000)


def test_the_operator_publishes_terms_but_never_changes_them(admin_client: Client, sale: Sale) -> None:
    admin_client.post("/admin/ico/terms/add/", {"version": "2", "text": "Newer terms."})
    newest = terms.current()
    assert (newest.version, newest.text, len(newest.digest)) == ("2", "Newer terms.", 64)
    admin_client.post(f"/admin/ico/terms/{newest.pk}/change/", {"version": "2", "text": "Forged."})
    newest.refresh_from_db()
    assert newest.text == "Newer terms."


def test_decisions_cannot_be_edited(admin_client: Client, invitation: Invitation) -> None:
    release = Release.objects.get()
    url = f"/admin/ico/release/{release.pk}/change/"
    assert admin_client.get(url).status_code == 200
    assert admin_client.post(url, {"size": 5}).status_code == 403


# --- when it does not work --------------------------------------------------------------------------------------------
def test_a_fault_is_a_page_without_a_trace(sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("the reason")

    monkeypatch.setattr("ico.board.current", fails)
    response = Client(raise_request_exception=False, headers={"accept": "text/html"}).get("/")
    assert response.status_code == 500
    assert "Something went wrong on our side" in text_of(response)
    assert "the reason" not in text_of(response)


def test_without_the_database_the_page_says_to_try_again(
    browser: Client, sale: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("connection refused at db.internal")

    monkeypatch.setattr("ico.waitlist.join", away)
    response = browser.post("/signup/", {"email": "ann@example.org"})
    assert response.status_code == 503
    assert response["Retry-After"]
    assert "Not available just now" in text_of(response)
    assert "db.internal" not in text_of(response)


def test_a_closed_sale_offers_no_form_and_promises_no_turn(browser: Client, sale: Sale, now: datetime) -> None:
    place = join(sale, "ann@example.org")
    numbered(sale)
    Sale.objects.update(opens_at=now - timedelta(days=2), closes_at=now - timedelta(days=1))
    sales.forget()
    assert "<form" not in text_of(browser.get("/"))
    page = text_of(browser.get(f"/line/{place.ticket}/"))
    assert 'data-when="over">' in page
    assert 'data-when="waiting" hidden' in page
    assert "<div data-moving hidden>" in page
    assert "waiting.js" not in page
