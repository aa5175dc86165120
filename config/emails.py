"""An email address as one person would write it: validated, and brought to one spelling."""

import hashlib

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

MAXIMUM_LENGTH = 254

# A rehearsal needs addresses that can reach nobody. RFC 6761 keeps these names for that; the library refuses them.
for _name in ("test", "example", "invalid"):
    if _name in SPECIAL_USE_DOMAIN_NAMES:
        SPECIAL_USE_DOMAIN_NAMES.remove(_name)


class InvalidEmail(ValueError):
    """The text is no email address; the message says what is wrong with it."""


def normalised(text: str) -> str:
    """The one spelling of an address: no space around it, NFC, domain in its ASCII form, all in lower case.

    RFC 5321 lets a mail server tell `A@x.org` from `a@x.org`; none that people use does, and a second place for a
    capital letter is what this must prevent. Raises `InvalidEmail`.
    """
    stripped = text.strip()
    if not stripped:
        raise InvalidEmail("Please enter your email address.")
    if len(stripped) > MAXIMUM_LENGTH:
        raise InvalidEmail(f"An email address has at most {MAXIMUM_LENGTH} characters.")
    if "\ufffd" in stripped:
        raise InvalidEmail("The email address was sent in an encoding other than UTF-8.")
    if any(ord(character) < 32 or ord(character) == 127 for character in stripped):
        raise InvalidEmail("An email address has no line breaks or control characters.")
    try:
        checked = validate_email(stripped, check_deliverability=False, strict=True, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise InvalidEmail(str(error)) from None
    spelling = f"{checked.local_part}@{checked.ascii_domain}".lower()
    if len(spelling) > MAXIMUM_LENGTH:
        raise InvalidEmail(f"An email address has at most {MAXIMUM_LENGTH} characters.")
    return spelling


def digest(address: str) -> str:
    """SHA-256 of a normalised address, the key that makes a place unique whatever a database's collation thinks."""
    return hashlib.sha256(address.encode()).hexdigest()
