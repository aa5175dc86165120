"""The JSON endpoints as a foreign client sees them: shapes, statuses, headers, and what bad input does."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.wsgi import get_wsgi_application
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client, RequestFactory
from pytest_django import DjangoAssertNumQueries, Settings

from ico import board, invitations, waitlist
from ico.models import Entrant, Sale
from tests.ico.conftest import invite_all, join, numbered
from tests.ico.test_invitations import BTC, ETH, accept, enter

pytestmark = pytest.mark.django_db

POSITION = {
    "state",
    "number",
    "position",
    "ahead",
    "waiting",
    "estimated_wait_seconds",
    "poll_after_seconds",
    "as_of",
}


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def sign_up(client: Client, email: object = "ada@example.org", **headers: str) -> HttpResponse:
    return client.post(
        "/signup/",
        json.dumps({"email": email}),
        content_type="application/json",
        headers={"Accept": "application/json", **headers},
    )


def is_problem(response: HttpResponse, status: int) -> dict[str, object]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem = json.loads(response.content)
    assert problem["status"] == status
    assert problem["detail"]
    return problem  # type: ignore[no-any-return]


class TestSignup:
    @pytest.mark.parametrize("kind", ["json", "form", "multipart"])
    def test_is_answered_with_a_ticket(self, client: Client, sale: Sale, kind: str) -> None:
        headers = {"Accept": "application/json"}
        if kind == "json":
            response = sign_up(client)
        elif kind == "form":
            body = "email=ada%40example.org"
            response = client.post("/signup/", body, content_type="application/x-www-form-urlencoded", headers=headers)
        else:
            response = client.post("/signup/", {"email": "ada@example.org"}, headers=headers)
        assert response.status_code == 202
        answer = response.json()
        assert set(answer) == {"ticket", "number", "position_url"}
        assert answer["number"] is None
        assert answer["position_url"] == f"/api/position/{answer['ticket']}"
        assert client.get(answer["position_url"]).json()["state"] == "placing"
        assert response["Cache-Control"] == "private, no-store"
        assert not response.cookies

    def test_a_repetition_looks_the_same(self, client: Client, sale: Sale) -> None:
        first = sign_up(client)
        numbered(sale)
        second = sign_up(client, " ADA@example.org")
        assert second.status_code == first.status_code == 202
        assert set(second.json()) == set(first.json())
        assert second.json()["number"] is None
        assert len(second.content) == len(first.content)
        assert Entrant.objects.count() == 1

    @pytest.mark.parametrize(
        "email", [None, 7, [], {}, "", "x", "a@b", "x@example.org\nBcc: y@example.org", "\x00", "é" * 300]
    )
    def test_a_bad_email_is_named(self, client: Client, sale: Sale, email: object) -> None:
        assert is_problem(sign_up(client, email), 422)["field"] == "email"
        assert not Entrant.objects.exists()

    @pytest.mark.parametrize("body", [b" ", b"{", b"[1]", b'"x"', b"null", b"\xff\xfe", b"[" * 5000])
    def test_a_body_that_is_no_json_object_is_refused(self, client: Client, sale: Sale, body: bytes) -> None:
        response = client.post(
            "/signup/", body, content_type="application/json", headers={"Accept": "application/json"}
        )
        is_problem(response, 400)

    def test_a_field_sent_twice_is_refused(self, client: Client, sale: Sale) -> None:
        headers = {"Accept": "application/json"}
        form = "email=a%40example.org&email=b%40example.org"
        kind = "application/x-www-form-urlencoded"
        assert is_problem(client.post("/signup/", form, content_type=kind, headers=headers), 422)["field"] == "email"
        body = b'{"email": "a@example.org", "email": "b@example.org"}'
        is_problem(client.post("/signup/", body, content_type="application/json", headers=headers), 422)
        assert not Entrant.objects.exists()

    def test_an_uploaded_file_is_refused_by_its_length(self, client: Client, sale: Sale) -> None:
        upload = SimpleUploadedFile("big.bin", b"x" * 70_000)
        response = client.post(
            "/signup/", {"email": "a@example.org", "file": upload}, headers={"Accept": "application/json"}
        )
        is_problem(response, 413)

    def test_a_body_without_a_length_is_refused_and_not_taken_for_empty(self, client: Client, sale: Sale) -> None:
        request = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "HTTP_ACCEPT": "application/json"}
        is_problem(client.generic("POST", "/signup/", b"", content_type="application/json", **request), 411)

    def test_a_huge_body_is_refused(self, client: Client, sale: Sale) -> None:
        is_problem(sign_up(client, "a" * 70_000 + "@example.org"), 413)

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://["},
        ],
    )
    def test_another_sites_page_is_refused(self, client: Client, sale: Sale, headers: dict[str, str]) -> None:
        is_problem(sign_up(client, **headers), 403)
        assert not Entrant.objects.exists()

    @pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://testserver"}])
    def test_our_own_page_is_taken(self, client: Client, sale: Sale, headers: dict[str, str]) -> None:
        assert sign_up(client, **headers).status_code == 202

    @pytest.mark.usefixtures("still")
    def test_too_many_from_one_client_wait(self, client: Client, sale: Sale, settings: Settings) -> None:
        settings.SIGNUPS_PER_MINUTE = 3
        assert [sign_up(client, f"v{n}@example.org").status_code for n in range(3)] == [202, 202, 202]
        refused = sign_up(client, "late@example.org")
        is_problem(refused, 429)
        assert 1 <= int(refused["Retry-After"]) <= 60

    def test_a_spoofed_address_is_not_believed(self, client: Client, sale: Sale, settings: Settings) -> None:
        sign_up(client, **{"X-Forwarded-For": "203.0.113.5"})
        assert Entrant.objects.get().client_address == "127.0.0.1"
        settings.TRUSTED_PROXIES = ["127.0.0.1", "10.0.0.1"]
        sign_up(client, "bob@example.org", **{"X-Forwarded-For": "198.51.100.1, 203.0.113.5, 10.0.0.1"})
        assert Entrant.objects.get(email="bob@example.org").client_address == "203.0.113.5"

    def test_a_forwarded_address_that_is_none_is_not_stored(
        self, client: Client, sale: Sale, settings: Settings
    ) -> None:
        settings.TRUSTED_PROXIES = ["127.0.0.1"]
        assert sign_up(client, **{"X-Forwarded-For": "not an address"}).status_code == 202
        assert Entrant.objects.get().client_address == "127.0.0.1"

    def test_after_the_end_the_line_is_closed(self, client: Client, sale: Sale, now: datetime) -> None:
        Sale.objects.update(opens_at=now - timedelta(days=2), closes_at=now - timedelta(days=1))
        waitlist.forget()
        is_problem(sign_up(client), 409)

    def test_without_a_sale_it_says_so(self, client: Client, db: None) -> None:
        response = sign_up(client)
        is_problem(response, 503)
        assert response["Retry-After"]

    def test_a_database_that_is_away_is_503_and_not_a_traceback(
        self, client: Client, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(**fields: object) -> None:
            raise OperationalError("disk I/O error at /secret/path")

        monkeypatch.setattr(waitlist.Entrant.objects, "create", away)
        client.raise_request_exception = False
        response = sign_up(client)
        is_problem(response, 503)
        assert response["Retry-After"]
        assert b"secret" not in response.content

    def test_the_wrong_method_is_405_with_what_is_allowed(self, client: Client, sale: Sale) -> None:
        response = client.put("/signup/", headers={"Accept": "application/json"})
        is_problem(response, 405)
        assert "POST" in response["Allow"]


class TestPosition:
    def test_has_the_promised_shape(self, client: Client, sale: Sale) -> None:
        place = join(sale, "ada@example.org")
        numbered(sale)
        response = client.get(f"/api/position/{place.ticket}")
        answer = response.json()
        assert set(answer) == POSITION
        assert (answer["state"], answer["number"], answer["position"], answer["ahead"]) == ("waiting", 1, 1, 0)
        assert answer["estimated_wait_seconds"] is None
        assert datetime.fromisoformat(answer["as_of"]).tzinfo is not None
        assert response["Cache-Control"] == "private, no-store"
        assert "Vary" not in response or "Cookie" not in response["Vary"]

    def test_costs_no_query_in_steady_state(
        self, client: Client, sale: Sale, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        place = join(sale, "ada@example.org")
        numbered(sale)
        url = f"/api/position/{place.ticket}"
        client.get(url)
        with django_assert_num_queries(0):
            assert client.get(url).json()["position"] == 1

    def test_the_board_says_the_same_to_who_knows_the_number(self, client: Client, sale: Sale, now: datetime) -> None:
        places = [join(sale, f"v{n}@example.org") for n in range(12)]
        numbered(sale)
        invite_all(sale, now - timedelta(seconds=20), batch_size=2)
        invite_all(sale, now, batch_size=1)
        for gone in (5, 6, 9):
            waitlist.leave(places[gone].ticket)
        line = client.get("/api/board").json()
        for number, place in enumerate(places, start=1):
            answer = client.get(f"/api/position/{place.ticket}").json()
            if number <= line["served"] or number in line["departed"]:
                assert answer["position"] is None
                continue
            ahead = number - line["served"] - 1 - sum(gone < number for gone in line["departed"])
            assert (answer["ahead"], answer["position"]) == (ahead, ahead + 1)
            pace = line["seconds_per_place"]
            assert answer["estimated_wait_seconds"] == -int(-(ahead + 1) * pace // 1)
            assert answer["waiting"] == line["waiting"] == 6

    def test_polls_are_spread_around_the_pace_the_server_names(self, client: Client, sale: Sale) -> None:
        place = join(sale, "first@example.org")
        for n in range(sale.batch_size):
            last = join(sale, f"v{n}@example.org")
        numbered(sale)
        near = {client.get(f"/api/position/{place.ticket}").json()["poll_after_seconds"] for _ in range(20)}
        far = {client.get(f"/api/position/{last.ticket}").json()["poll_after_seconds"] for _ in range(20)}
        assert all(9 <= pause <= 11 for pause in near)
        assert all(27 <= pause <= 33 for pause in far)
        assert len(far) > 5

    @pytest.mark.parametrize("ticket", ["x", "h1.1.x", "h9.9." + "A" * 43, "%00", "a" * 3000])
    def test_a_forged_ticket_is_404(self, client: Client, sale: Sale, ticket: str) -> None:
        is_problem(client.get(f"/api/position/{ticket}"), 404)
        is_problem(client.delete(f"/api/position/{ticket}"), 404)

    def test_leaving_answers_204_and_the_second_ticket_may_not(self, client: Client, sale: Sale) -> None:
        first, second = sign_up(client).json(), sign_up(client).json()
        numbered(sale)
        is_problem(client.delete(second["position_url"]), 403)
        assert client.get(first["position_url"]).json()["state"] == "waiting"
        gone = client.delete(first["position_url"])
        assert (gone.status_code, gone.content) == (204, b"")
        assert client.get(first["position_url"]).json()["state"] == "left"
        assert client.delete(first["position_url"]).status_code == 204

    def test_leaving_from_another_sites_page_is_refused(self, client: Client, sale: Sale) -> None:
        url = sign_up(client).json()["position_url"]
        is_problem(client.delete(url, headers={"Sec-Fetch-Site": "cross-site"}), 403)
        assert Entrant.objects.get().state == "waiting"

    def test_who_has_joined_cannot_leave(self, client: Client, sale: Sale, now: datetime) -> None:
        url = sign_up(client).json()["position_url"]
        (invitation,) = invite_all(sale, now)
        accept(invitation, now)
        enter(invitation, now)
        is_problem(client.delete(url), 409)
        assert client.get(url).json()["state"] == "joined"

    def test_goes_on_without_the_database(self, client: Client, sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
        """Positions are answered from what is known, with its age."""
        place = join(sale, "ada@example.org")
        numbered(sale)
        client.get(f"/api/position/{place.ticket}")
        from django.db import connection

        def away(*args: object) -> None:
            raise OperationalError("away")

        with connection.execute_wrapper(away):  # type: ignore[arg-type]
            assert client.get(f"/api/position/{place.ticket}").json()["position"] == 1

    def test_a_number_that_is_not_on_the_board_yet_has_no_position(
        self, client: Client, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The moment between giving a number and publishing the board, held."""
        stays, leaves = join(sale, "ada@example.org"), join(sale, "bob@example.org")
        client.delete(f"/api/position/{leaves.ticket}")
        with monkeypatch.context() as held:
            held.setattr(board, "publish", lambda sale_id: None)
            numbered(sale)
            assert client.get(f"/api/position/{stays.ticket}").json()["state"] == "placing"
            assert client.get(f"/api/position/{leaves.ticket}").json()["state"] == "left"
        board.publish(sale.pk)
        assert client.get(f"/api/position/{stays.ticket}").json()["position"] == 1
        assert client.get(f"/api/position/{leaves.ticket}").json()["state"] == "left"


class TestJourneyOfAJsonClient:
    def test_steps_out_of_order_are_409_and_bad_fields_are_named(
        self, client: Client, sale: Sale, now: datetime
    ) -> None:
        join(sale, "ada@example.org")
        (invitation,) = invite_all(sale, now)
        start = f"/i/{invitations.token_of(invitation.nonce)}/"
        json_please = {"Accept": "application/json"}

        def post(step: str, **fields: str) -> HttpResponse:
            return client.post(start + step, fields, headers=json_please)

        wallets = {"btc_address": BTC, "eth_address": ETH}
        assert is_problem(post("wallet/", **wallets), 409)["due"] == "terms"
        assert is_problem(client.get(start + "payment/", headers=json_please), 409)["due"] == "terms"
        assert is_problem(post("terms/"), 422)["field"] == "accept"
        assert post("terms/", accept="on").status_code == 303
        assert is_problem(post("terms/", accept="on"), 409)["due"] == "wallet"
        refused = is_problem(post("wallet/", **{**wallets, "eth_address": "0x0"}), 422)
        assert set(refused["errors"]) == {"eth_address"}  # type: ignore[call-overload]
        assert post("wallet/", **wallets).status_code == 303
        assert is_problem(post("wallet/", **wallets), 409)["due"] == "payment"


class TestCookies:
    @pytest.mark.parametrize("path", ["/", "/api/board", "/healthz", "/api/openapi.json"])
    def test_a_public_answer_does_not_look_at_one(self, client: Client, sale: Sale, path: str) -> None:
        client.cookies["sessionid"] = "x"
        client.cookies["messages"] = "x"
        response = client.get(path)
        assert response.status_code == 200
        assert not response.cookies
        assert "Cookie" not in response.get("Vary", "")

    @pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
    @pytest.mark.parametrize("path", ["/", "/healthz", "/api/board", "/line/x/", "/i/x/", "/i/x/payment/"])
    def test_a_public_page_takes_reading_only(self, client: Client, sale: Sale, method: str, path: str) -> None:
        response = getattr(client, method)(path)
        assert response.status_code == 405
        assert "GET" in response["Allow"]
        assert response["Cache-Control"]

    def test_the_operators_still_log_in(self, client: Client, sale: Sale, admin_user: object) -> None:
        assert client.get("/ops/").status_code == 302
        client.force_login(admin_user)  # type: ignore[arg-type]
        assert client.get("/ops/").status_code == 200
        assert client.get("/admin/").status_code == 200


class TestBoard:
    def test_is_the_same_bytes_for_everybody(self, client: Client, sale: Sale) -> None:
        one, other = client.get("/api/board"), Client().get("/api/board")
        assert one.content == other.content
        assert one["Cache-Control"] == "public, max-age=1, stale-while-revalidate=10"
        assert not one.cookies
        assert "Vary" not in one or "Cookie" not in one["Vary"]

    def test_a_missing_board_is_built_from_the_rows(self, client: Client, sale: Sale) -> None:
        join(sale, "ada@example.org")
        numbered(sale)
        board.forget()
        assert client.get("/api/board").json()["last_number"] == 1


class TestPayment:
    def test_every_step_before_it_is_409_with_what_is_due(self, client: Client, sale: Sale, now: datetime) -> None:
        join(sale, "ada@example.org")
        (invitation,) = invite_all(sale, now)
        url = f"/api/payment/{invitations.token_of(invitation.nonce)}"
        assert is_problem(client.get(url), 409)["due"] == "terms"
        accept(invitation, now)
        assert is_problem(client.get(url), 409)["due"] == "wallet"
        enter(invitation, now)
        answer = client.get(url).json()
        promised = {"state", "allowance", "deposits", "poll_after_seconds", "as_of"}
        assert set(answer) == promised | {"review", "unseen", "now"}
        assert answer["state"] == "awaiting"
        assert [deposit["chain"] for deposit in answer["deposits"]] == ["BTC", "ETH"]
        assert answer["allowance"]["cap"] == "1000.00"

    def test_unknown_is_404_and_ended_is_410(self, client: Client, sale: Sale, now: datetime) -> None:
        is_problem(client.get("/api/payment/" + "A" * 43), 404)
        place = join(sale, "ada@example.org")
        (invitation,) = invite_all(sale, now)
        waitlist.leave(place.ticket)
        is_problem(client.get(f"/api/payment/{invitations.token_of(invitation.nonce)}"), 410)


def test_every_answer_carries_a_request_id(client: Client, sale: Sale) -> None:
    assert len(client.get("/api/board")["X-Request-ID"]) == 32
    assert client.get("/healthz", headers={"X-Request-ID": "from-the-edge-1"})["X-Request-ID"] == "from-the-edge-1"
    assert (
        client.get("/nowhere", headers={"X-Request-ID": "bad id\twith space"})["X-Request-ID"] != "bad id\twith space"
    )


@pytest.mark.parametrize("path", ["/", "/api/board", "/healthz", "/nowhere"])
def test_head_has_the_headers_of_get_and_no_body(sale: Sale, path: str) -> None:
    head = RequestFactory().head(path)
    response = get_wsgi_application().get_response(head)
    assert response.content == b""
    same = get_wsgi_application().get_response(RequestFactory().get(path))
    assert response["Content-Length"] == str(len(same.content))
    assert (response.status_code, response["Content-Type"]) == (same.status_code, same["Content-Type"])


def test_an_unknown_api_address_is_a_problem_document(client: Client, sale: Sale) -> None:
    is_problem(client.get("/api/nothing"), 404)
    is_problem(client.post("/api/board"), 405)
