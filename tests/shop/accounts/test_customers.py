"""Who a customer is: signing up once, being recognised, another password."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from config.emails import InvalidEmail
from shop import customers
from tests.shop.accounts.conftest import PASSWORD, customer_of

pytestmark = pytest.mark.django_db


def test_an_address_in_another_spelling_is_the_same_account() -> None:
    made = customer_of(" Ada@Example.ORG ")
    assert made.username == made.email == "ada@example.org"
    with pytest.raises(customers.AlreadyKnown):
        customer_of("ADA@example.org")
    assert User.objects.count() == 1


def test_who_signs_up_in_the_same_moment_is_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rival comes after the look and before the row: the unique name decides."""
    honest = customers.make_password

    def overtaken(password: str) -> str:
        User.objects.create(username="ada@example.org")
        return honest(password)

    monkeypatch.setattr(customers, "make_password", overtaken)
    with pytest.raises(customers.AlreadyKnown):
        customer_of()
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("short", "at least 10"),
        ("password123", "too common"),
        ("ada@example.org", "too similar"),
        ("x" * 129, "at most 128"),
    ],
)
def test_a_weak_password_is_refused_and_nothing_is_written(password: str, says: str) -> None:
    with pytest.raises(customers.BadPassword, match=says):
        customers.sign_up(email="ada@example.org", password=password, now=timezone.now())
    assert not User.objects.exists()


@pytest.mark.parametrize("email", ["", "ada", "a" * 140 + "@example.org", "ada@example.org\r\nBcc: x@example.org"])
def test_what_is_no_address_or_too_long_for_the_table_is_refused(email: str) -> None:
    with pytest.raises(InvalidEmail):
        customer_of(email)


class TestRecognise:
    def test_by_address_and_password(self, customer: User) -> None:
        assert customers.recognise(email="ADA@example.org", password=PASSWORD) == customer

    @pytest.mark.parametrize(
        ("email", "password"),
        [
            ("ada@example.org", "three green boat"),
            ("eve@example.org", PASSWORD),
            ("no address", PASSWORD),
            ("ada@example.org", PASSWORD + "x" * 128),
        ],
    )
    def test_nobody_else(self, customer: User, email: str, password: str) -> None:
        with pytest.raises(customers.NotRecognised):
            customers.recognise(email=email, password=password)

    def test_nobody_whom_an_operator_shut_out(self, customer: User) -> None:
        User.objects.filter(pk=customer.pk).update(is_active=False)
        with pytest.raises(customers.NotRecognised):
            customers.recognise(email=customer.email, password=PASSWORD)

    @pytest.mark.parametrize("email", ["ada@example.org", "eve@example.org"])
    def test_an_address_that_nobody_has_costs_the_same_work(
        self, customer: User, monkeypatch: pytest.MonkeyPatch, email: str
    ) -> None:
        from django.contrib.auth.hashers import MD5PasswordHasher

        worked: list[str] = []
        honest = MD5PasswordHasher.encode
        monkeypatch.setattr(MD5PasswordHasher, "encode", lambda *args: worked.append("") or honest(*args))
        with pytest.raises(customers.NotRecognised):
            customers.recognise(email=email, password="another password")
        assert len(worked) == 1


class TestAnotherPassword:
    NEW = "seven yellow trains"

    def test_takes_the_old_ones_place(self, customer: User) -> None:
        customers.change_password(customer=customer, old=PASSWORD, new=self.NEW)
        assert customers.recognise(email=customer.email, password=self.NEW) == customer
        with pytest.raises(customers.NotRecognised):
            customers.recognise(email=customer.email, password=PASSWORD)

    def test_needs_the_old_one(self, customer: User) -> None:
        with pytest.raises(customers.NotRecognised):
            customers.change_password(customer=customer, old="guessed it was", new=self.NEW)
        assert customers.recognise(email=customer.email, password=PASSWORD) == customer

    @pytest.mark.parametrize("new", [PASSWORD, "short"])
    def test_is_another_one_and_a_good_one(self, customer: User, new: str) -> None:
        with pytest.raises(customers.BadPassword):
            customers.change_password(customer=customer, old=PASSWORD, new=new)

    def test_of_two_at_a_time_one_counts(self, customer: User) -> None:
        """Both tabs know the old one; the second finds that it is not the password any more."""
        other_tab = User.objects.get(pk=customer.pk)
        customers.change_password(customer=customer, old=PASSWORD, new=self.NEW)
        with pytest.raises(customers.NotRecognised):
            customers.change_password(customer=other_tab, old=PASSWORD, new="nine silver spoons")
        assert customers.recognise(email=customer.email, password=self.NEW) == customer
