"""Customers, and what they hold. Passwords are hashed the quick way: the true one takes a third of a second each."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from shop import customers

PASSWORD = "three green boats"
TYPED = {"name": "Ada Quick", "street": "Long Lane 7", "postcode": "10115", "city": "Berlin", "country": "DE"}


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def customer_of(email: str = "ada@example.org") -> User:
    return customers.sign_up(email=email, password=PASSWORD, now=timezone.now())


@pytest.fixture
def customer(db: None) -> User:
    return customer_of()


def enter(client: Client, email: str = "ada@example.org", **fields: Any) -> Any:
    return client.post("/account/login/", {"email": email, "password": PASSWORD, **fields})


@pytest.fixture
def member(client: Client, customer: User) -> Client:
    assert enter(client).status_code == 303
    return client
