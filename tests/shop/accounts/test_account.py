"""A customer's own pages as a browser sees them."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from shop import address_book, cart, events, views
from shop.members import own_way
from shop.models import Address, Event, Product
from tests.shop.accounts.conftest import PASSWORD, TYPED, customer_of, enter
from tests.shop.conftest import small_shop

pytestmark = pytest.mark.django_db
SIGNUP, LOGIN = "/account/signup/", "/account/login/"
MEMBERS = ["/account/", "/account/password/", "/account/addresses/", "/account/addresses/1/", "/shop/fans/"]


def error_of(response: Any, field: str) -> str:
    found = re.search(rf'id="{field}-error">([^<]*)<', response.content.decode())
    return found[1] if found else ""


def is_private(response: Any) -> bool:
    return bool(response["Cache-Control"] == "private, no-store")


class TestSignup:
    def test_leads_to_the_account_logged_in(self, client: Client) -> None:
        response = client.post(SIGNUP, {"email": "Ada@Example.org", "password": PASSWORD})
        assert (response.status_code, response["Location"]) == (303, "/account/")
        assert is_private(response)
        page = client.get("/account/")
        assert "ada@example.org" in page.content.decode()
        assert is_private(page)

    @pytest.mark.parametrize(
        ("sent", "status", "field", "says"),
        [
            ({"email": "ada"}, 422, "email", ""),
            ({"email": ""}, 422, "email", "enter your email"),
            ({"password": ""}, 422, "password", "choose a password"),
            ({"password": "short"}, 422, "password", "at least 10"),
            ({"email": ["a@example.org", "b@example.org"]}, 422, "email", "more than once"),
            ({"email": "eve@example.org"}, 409, "email", "an account with this address already"),
        ],
    )
    def test_what_cannot_be_taken_is_named(
        self, client: Client, sent: dict[str, Any], status: int, field: str, says: str
    ) -> None:
        customer_of("eve@example.org")
        response = client.post(SIGNUP, {"email": "ada@example.org", "password": PASSWORD, **sent})
        assert response.status_code == status
        assert says in error_of(response, field) != ""
        assert PASSWORD not in response.content.decode()
        assert not response.cookies
        assert User.objects.count() == 1

    @pytest.mark.usefixtures("still")
    def test_too_many_from_one_address_wait(self, client: Client, settings: Settings) -> None:
        settings.SIGNUPS_PER_MINUTE = 1
        client.post(SIGNUP, {"email": "a@example.org", "password": PASSWORD})
        response = Client().post(SIGNUP, {"email": "b@example.org", "password": PASSWORD})
        assert response.status_code == 429
        assert 0 < int(response["Retry-After"]) <= 60
        assert User.objects.count() == 1


class TestLogin:
    def test_leads_where_one_wanted_to_go(self, client: Client, customer: User) -> None:
        asked = client.get("/shop/fans/")
        assert (asked.status_code, asked["Location"]) == (303, "/account/login/?next=%2Fshop%2Ffans%2F")
        assert 'name="next" value="/shop/fans/"' in client.get(asked["Location"]).content.decode()
        assert enter(client, next="/shop/fans/")["Location"] == "/shop/fans/"
        assert client.get(LOGIN + "?next=/shop/fans/")["Location"] == "/shop/fans/", "who is logged in goes on"

    @pytest.mark.parametrize("ending", ["pay", "cancel"])
    def test_from_a_button_of_an_order_back_to_the_order(self, client: Client, customer: User, ending: str) -> None:
        """The button's own address shows nothing."""
        asked = client.post(f"/shop/orders/ABCD-EFGH/{ending}/")
        assert asked["Location"] == "/account/login/?next=%2Fshop%2Forders%2FABCD-EFGH%2F"
        assert enter(client, next="/shop/orders/ABCD-EFGH/")["Location"] == "/shop/orders/ABCD-EFGH/"

    @pytest.mark.parametrize(
        "foreign", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x", "shop"]
    )
    def test_never_to_another_site(self, client: Client, customer: User, foreign: str) -> None:
        assert enter(client, next=foreign)["Location"] == "/account/"
        assert own_way("/shop/cart/?x=1", "") == "/shop/cart/?x=1"

    @pytest.mark.parametrize(
        "sent", [{"password": "guessed"}, {"email": "nobody@example.org"}, {"email": "no address"}]
    )
    def test_tells_not_what_was_wrong(self, client: Client, customer: User, sent: dict[str, str]) -> None:
        response = client.post(LOGIN, {"email": "ada@example.org", "password": PASSWORD, **sent})
        assert response.status_code == 422
        assert error_of(response, "password") == "There is no account with this address and this password."
        assert not response.cookies

    def test_sets_one_cookie_that_scripts_cannot_read(self, client: Client, customer: User) -> None:
        response = enter(client)
        assert set(response.cookies) == {"sessionid"}
        assert response.cookies["sessionid"]["httponly"]
        assert response.cookies["sessionid"]["samesite"] == "Lax"

    def test_the_session_is_another_one_afterwards(self, client: Client, customer: User) -> None:
        """Whoever planted a session in somebody's browser does not know the one that is logged in."""
        client.cookies["sessionid"] = "planted0planted0planted0planted0"
        enter(client)
        assert client.cookies["sessionid"].value != "planted0planted0planted0planted0"

    @pytest.mark.usefixtures("still")
    def test_of_one_account_is_tried_so_often_in_whatever_spelling(
        self, client: Client, customer: User, settings: Settings
    ) -> None:
        settings.LOGINS_PER_ACCOUNT = 4
        spellings = ["ada@example.org", "ADA@example.org ", "ada@ex\uff41mple.org", "Ada@example\u3002org"]
        guesses = [
            Client(REMOTE_ADDR=f"192.0.2.{number}").post(LOGIN, {"email": email, "password": "guessed"})
            for number, email in enumerate([*spellings, *spellings])
        ]
        assert [guess.status_code for guess in guesses] == [422] * 4 + [429] * 4
        assert int(guesses[-1]["Retry-After"]) > 0
        assert enter(client).status_code == 429, "the right password is not even looked at"
        assert enter(client, "eve@example.org").status_code == 422, "another account is another matter"

    @pytest.mark.usefixtures("still")
    def test_one_stranger_never_holds_back_an_owner(self, client: Client, customer: User) -> None:
        """With the limits as they are delivered; a second stranger at another address could."""
        thief = Client(REMOTE_ADDR="192.0.2.9")
        guesses = [thief.post(LOGIN, {"email": "ada@example.org", "password": "guessed"}) for _ in range(70)]
        assert [guess.status_code for guess in guesses] == [422] * 5 + [429] * 65
        assert enter(client).status_code == 303

    @pytest.mark.usefixtures("still")
    def test_from_one_address_is_tried_so_often(self, client: Client, settings: Settings) -> None:
        settings.LOGINS_PER_MINUTE = 2
        guesses = [client.post(LOGIN, {"email": f"v{n}@example.org", "password": "guessed"}) for n in range(3)]
        assert [guess.status_code for guess in guesses] == [422, 422, 429]

    @pytest.mark.parametrize(
        ("name", "spelling"), [("operator", "Operator"), ("op@example.org", "OP@example\u3002org")]
    )
    @pytest.mark.usefixtures("still")
    def test_the_operators_own_login_is_tried_no_more_often(
        self, client: Client, settings: Settings, name: str, spelling: str
    ) -> None:
        settings.LOGINS_PER_ACCOUNT = 6  # 3 from one address
        User.objects.create_superuser(name, password=PASSWORD)
        answers = [
            client.post("/admin/login/", {"username": spelling, "password": "guessed", "next": "/admin/"}).status_code
            for _ in range(3)
        ]
        right = {"username": name, "password": PASSWORD, "next": "/admin/"}
        assert [*answers, client.post("/admin/login/", right).status_code] == [200] * 4
        settings.LOGINS_PER_ACCOUNT = 0
        assert client.post("/admin/login/", right).status_code == 302

    def test_without_limits_nobody_waits(self, client: Client, customer: User, settings: Settings) -> None:
        """The negative control of both."""
        settings.LOGINS_PER_MINUTE = settings.LOGINS_PER_ACCOUNT = 0
        guesses = [client.post(LOGIN, {"email": "ada@example.org", "password": "guessed"}) for _ in range(70)]
        assert {guess.status_code for guess in guesses} == {422}

    @pytest.mark.parametrize(
        "way", [enter, lambda client: client.post(SIGNUP, {"email": "n@example.org", "password": PASSWORD})]
    )
    def test_brings_the_guests_cart(
        self, client: Client, customer: User, catalogue_of_12: list[Product], way: Any
    ) -> None:
        assert client.post("/shop/cart/add/", {"product": catalogue_of_12[0].slug, "quantity": "2"}).status_code == 303
        assert way(client).status_code == 303
        held = cart.look(cart.Owner(customer=int(client.session["_auth_user_id"])))
        assert [(line.product, line.quantity) for line in held.lines] == [(catalogue_of_12[0].pk, 2)]
        assert client.cookies["cart"].value == ""


class TestLogout:
    def test_ends_it_and_says_so_by_the_cookie(self, member: Client) -> None:
        stolen = member.cookies["sessionid"].value
        response = member.post("/account/logout/")
        assert (response.status_code, response["Location"]) == (303, "/shop/")
        assert member.cookies["sessionid"].value == ""
        thief = Client()
        thief.cookies["sessionid"] = stolen
        assert thief.get("/account/").status_code == 303

    def test_is_no_link(self, member: Client) -> None:
        assert member.get("/account/logout/").status_code == 405
        assert member.get("/account/").status_code == 200

    def test_needs_nobody(self, client: Client) -> None:
        assert client.post("/account/logout/").status_code == 303


@pytest.mark.parametrize("path", MEMBERS)
class TestMembersAlone:
    def test_others_are_led_to_the_login(self, client: Client, path: str) -> None:
        response = client.get(path)
        assert response.status_code == 303
        assert response["Location"].startswith(f"{reverse('shop:login')}?next=")
        assert is_private(response)
        assert not response.cookies

    def test_a_client_that_wants_json_is_told(self, client: Client, path: str) -> None:
        response = client.get(path, headers={"Accept": "application/json"})
        assert response.status_code == 401
        assert response["Content-Type"] == "application/problem+json"
        assert is_private(response)


@pytest.mark.parametrize("path", [SIGNUP, LOGIN, "/account/logout/", "/account/password/", "/account/addresses/"])
def test_another_sites_form_is_refused(member: Client, path: str) -> None:
    """With Django's own guard off, as it would be for a browser that holds a token: ours alone refuses."""
    for foreign in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert member.post(path, TYPED, headers=foreign).status_code == 403
    assert not Address.objects.exists()
    assert member.get("/account/").status_code == 200
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(path, {}).status_code != 403, "and none of ours needs a token"


class TestPassword:
    CHANGE = {"old": PASSWORD, "new": "seven yellow trains"}

    def test_a_change_ends_every_other_session(self, member: Client) -> None:
        elsewhere = Client()
        assert enter(elsewhere).status_code == 303
        assert member.post("/account/password/", self.CHANGE).status_code == 303
        assert member.get("/account/").status_code == 200
        assert elsewhere.get("/account/").status_code == 303

    @pytest.mark.parametrize(
        ("sent", "field"), [({"old": "guessed it was"}, "old"), ({"new": "short"}, "new"), ({"new": ""}, "new")]
    )
    def test_what_cannot_be_taken_is_named(self, member: Client, sent: dict[str, str], field: str) -> None:
        response = member.post("/account/password/", {**self.CHANGE, **sent})
        assert response.status_code == 422
        assert error_of(response, field)
        assert enter(Client()).status_code == 303, "it is what it was"

    @pytest.mark.usefixtures("still")
    def test_the_old_one_is_not_guessed_either(self, member: Client, settings: Settings) -> None:
        settings.LOGINS_PER_ACCOUNT = 6  # 3 from one address, and one of them was the login
        tries = [member.post("/account/password/", {**self.CHANGE, "old": "guessed"}) for _ in range(3)]
        assert [each.status_code for each in tries] == [422, 422, 429]


class TestAddresses:
    def test_are_added_changed_preferred_and_deleted(self, member: Client, customer: User) -> None:
        for street in ("Long Lane 7", "Short Lane 8"):
            assert member.post("/account/addresses/", {**TYPED, "street": street}).status_code == 303
        long, short = address_book.of(customer)
        page = f"/account/addresses/{short.pk}/"
        assert 'value="Short Lane 8"' in member.get(page).content.decode()
        assert "10115 Berlin<br>Germany</address>" in member.get("/account/addresses/").content.decode()
        assert member.post(page, {**TYPED, "city": "Bonn", "action": "save"}).status_code == 303
        assert member.post(page, {"action": "prefer"})["Location"] == "/account/addresses/"
        assert [(held.pk, held.city) for held in address_book.of(customer)] == [(short.pk, "Bonn"), (long.pk, "Berlin")]
        assert member.post(page, {"action": "delete"}).status_code == 303
        assert [held.pk for held in address_book.of(customer)] == [long.pk]
        assert member.get(page).status_code == 404

    def test_a_bad_one_comes_back_with_what_was_typed(self, member: Client) -> None:
        response = member.post(
            "/account/addresses/", {**TYPED, "city": "", "name": '"><script>', "postcode": ["1", "2"]}
        )
        assert response.status_code == 422
        assert error_of(response, "city")
        assert error_of(response, "postcode")
        assert "&quot;&gt;&lt;script&gt;" in response.content.decode()
        assert not Address.objects.exists()

    @pytest.mark.parametrize("sent", [{**TYPED, "country": "XX"}, {"action": "steal"}])
    def test_a_bad_change_changes_nothing(self, member: Client, customer: User, sent: dict[str, str]) -> None:
        member.post("/account/addresses/", TYPED)
        (held,) = address_book.of(customer)
        assert member.post(f"/account/addresses/{held.pk}/", sent).status_code == 422
        assert address_book.of(customer) == (held,)

    def test_a_bad_change_comes_back_as_it_was_typed(self, member: Client, customer: User) -> None:
        member.post("/account/addresses/", TYPED)
        (held,) = address_book.of(customer)
        page = f"/account/addresses/{held.pk}/"
        body = member.post(page, {**TYPED, "city": "", "street": "Short Lane 8", "country": "FR"}).content.decode()
        assert 'value="Short Lane 8"' in body
        assert re.findall(r'<option value="([A-Z]+)" selected', body) == ["FR"]
        assert re.findall(r'<option value="([A-Z]+)" selected', member.get(page).content.decode()) == ["DE"]

    def test_one_that_goes_between_the_looking_and_the_changing_is_not_there(
        self, member: Client, customer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        member.post("/account/addresses/", TYPED)
        (held,) = address_book.of(customer)
        look = address_book.one

        def other_tab(**whose: Any) -> Address:
            found = look(**whose)
            Address.objects.all().delete()
            return found

        monkeypatch.setattr(address_book, "one", other_tab)
        assert member.post(f"/account/addresses/{held.pk}/", {"action": "save"}).status_code == 422
        assert member.post(f"/account/addresses/{held.pk}/", {**TYPED, "action": "save"}).status_code == 404

    def test_a_full_book_says_so(self, member: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(address_book, "MOST", 0)
        assert member.post("/account/addresses/", TYPED).status_code == 409

    def test_anothers_is_not_there(self, member: Client) -> None:
        eve = customer_of("eve@example.org")
        hers = address_book.add(customer=eve, to=address_book.destination({**TYPED, "street": "Secret Lane 1"}))
        page = f"/account/addresses/{hers.pk}/"
        answers = [
            member.get(page),
            *(member.post(page, {**TYPED, "action": action}) for action in ("save", "prefer", "delete", "steal")),
            *(member.post(f"/account/addresses/{pk}/", {}) for pk in (hers.pk, hers.pk + 1, 10**40)),
        ]
        assert [answer.status_code for answer in answers] == [404] * 8
        assert not any(b"Secret" in answer.content for answer in answers)
        assert address_book.of(eve) == (hers,)


class TestFans:
    def test_shows_number_events_and_deals(self, member: Client, customer: User) -> None:
        small_shop(products=40)
        text = member.get("/shop/fans/").content.decode()
        assert f"data-club-number>{customer.pk:06d}<" in text
        assert 'href="/shop/events/winter-market/"' in text
        assert "Deals today" in text

    def test_what_is_told_to_members_is_told_to_them_alone(self, member: Client, customer: User) -> None:
        """Once as members read it, then on each public page, by a guest and by the member: those pages are kept."""
        product = small_shop(products=40)[0]
        secret = Event.objects.get(members_only=True)
        secret.products.add(product)
        shown = member.get("/shop/fans/").content.decode()
        assert secret.title in shown
        assert f'href="/shop/p/{product.slug}/"' in shown
        public = ["", "deals/", "events/", f"p/{product.slug}/", f"c/{product.category.slug}/", "events/winter-market/"]
        for client in (Client(), member):
            assert client.get(f"/shop/events/{secret.slug}/").status_code == 404
            for page in (client.get(f"/shop/{path}").content.decode() for path in public):
                assert "Stampede shop" in page
                assert secret.title not in page
                assert secret.slug not in page
        secret.members_only = False
        events.publish(secret, product_ids=[product.pk])
        assert secret.title in inspect.unwrap(views.events)(query={}).body  # the control

    def test_costs_a_few_queries_however_much_is_on(
        self, member: Client, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        small_shop(products=60)
        Event.objects.update(members_only=True)
        with django_assert_max_num_queries(9):
            assert member.get("/shop/fans/").content.count(b"For members, until") == 5


def test_the_overview_costs_three_queries(
    member: Client, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """The session, the user, the addresses; on Redis there is a copy of the session."""
    copied = settings.SESSION_ENGINE == "config.sessions"
    with django_assert_num_queries(2 if copied else 3):
        member.get("/account/")
