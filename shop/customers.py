"""Customers: who they are. Django's users, named by their email address in its one spelling (`config.emails`).

Hashing a password takes a third of a second of a core, on purpose. It is done outside of transactions: on SQLite one
would hold the only write lock meanwhile.
"""

from datetime import datetime

from django.contrib.auth import authenticate
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from config import emails
from config.emails import InvalidEmail

LONGEST_NAME = 150  # characters of a user's name in Django's table
LONGEST_PASSWORD = 128


class AlreadyKnown(ValueError):
    """There is an account with this address."""


class BadPassword(ValueError):
    """This must not be a password here; the message says why, to the person who chose it."""


class NotRecognised(ValueError):
    """No account has this address and this password; which of the two is wrong is not told."""


def sign_up(*, email: str, password: str, now: datetime) -> User:
    """A new customer. Raises `InvalidEmail`, `BadPassword`, `AlreadyKnown`."""
    name = _name(email)
    _refuse_weak(password, User(username=name, email=name))
    if User.objects.filter(username=name).exists():
        raise AlreadyKnown(name)
    hashed = make_password(password)
    try:
        with transaction.atomic():
            return User.objects.create(username=name, email=name, password=hashed, date_joined=now)
    except IntegrityError:  # twice in the same moment
        raise AlreadyKnown(name) from None


def recognise(*, email: str, password: str) -> User:
    """The customer with this address and password. Raises `NotRecognised`, after the same work for an address that
    nobody has: the time must not tell."""
    try:
        name = _name(email)
    except InvalidEmail:
        raise NotRecognised from None
    if len(password) > LONGEST_PASSWORD:
        raise NotRecognised
    found = authenticate(None, username=name, password=password)
    if not isinstance(found, User):
        raise NotRecognised
    return found


def change_password(*, customer: User, old: str, new: str) -> User:
    """The customer with the new password; whoever is logged in with the old one is not any more. Raises
    `NotRecognised` when `old` is not the password, also when it has just been changed elsewhere; `BadPassword`."""
    if len(old) > LONGEST_PASSWORD or not check_password(old, customer.password):
        raise NotRecognised
    if new == old:
        raise BadPassword("This is the password you have. Please choose another one.")
    _refuse_weak(new, customer)
    hashed = make_password(new)
    if not User.objects.filter(pk=customer.pk, password=customer.password).update(password=hashed):
        raise NotRecognised
    return User.objects.get(pk=customer.pk)


def _name(email: str) -> str:
    spelling = emails.normalised(email)
    if len(spelling) > LONGEST_NAME:
        raise InvalidEmail(f"An account's email address has at most {LONGEST_NAME} characters.")
    return spelling


def _refuse_weak(password: str, user: User) -> None:
    if len(password) > LONGEST_PASSWORD:
        raise BadPassword(f"A password has at most {LONGEST_PASSWORD} characters.")
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise BadPassword(" ".join(error.messages)) from None
