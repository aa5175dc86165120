"""Are the mails of a run for those who got them? Looked at in the Maildir that this machine's mails are kept in: a mail
shows no other visitor's address, link or order. Pages are checked by the visitors themselves, who read no mail.
"""

import re
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default as modern
from heapq import nlargest
from pathlib import Path
from typing import Any

from loadtests import identities, jsonlines

MOST = 5_000  # mails that are opened, the newest of the run
_HEAD = 4_000  # bytes in which the recipient stands
_SECRET = re.compile(r"/(?:i|line)/([A-Za-z0-9_.~-]+)/")
_RUN = re.compile(rf"visitor-\d+\.w\d+\.(\w+)@{re.escape(identities.MAIL_DOMAIN)}")
_ORDER = re.compile(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4}\b")
NAME, DESCRIPTION = "mails-are-ones-own", "no mail shows another visitor's address, link or order"


def checked(folder: Path, *, run_dir: Path) -> dict[str, Any]:
    """As an invariant of the audit: {"name", "description", "holds", "checked", "breaches"}. Whose run it is follows
    from what its visitors were promised; a run that promised nothing sent no mail."""
    run_id = _run_id(run_dir)
    mails = _of_run(folder, run_id) if run_id else []
    breaches = list(_foreign(mails, orders=_orders(run_dir), places=_places(run_dir)))
    shown = breaches[:20] + ([f"and {len(breaches) - 20} more"] if len(breaches) > 20 else [])
    return {
        "name": NAME,
        "description": DESCRIPTION,
        "holds": not breaches,
        "checked": len(mails),
        "breaches": shown,
    }


def added(books: dict[str, Any], finding: dict[str, Any]) -> dict[str, Any]:
    """What the audit said (`audit.run`), and this. Books that were not audited stay so."""
    if not books.get("audited"):
        return books
    clean = books["clean"] and finding["holds"]
    return {**books, "clean": clean, "invariants": [*books["invariants"], finding]}


def _run_id(run_dir: Path) -> str | None:
    for name in ("acknowledged.jsonl", "evidence.jsonl"):
        if (run_dir / name).exists():
            with (run_dir / name).open() as file:
                found = next((found for line in file if (found := _RUN.search(line))), None)
            if found:
                return found[1]
    return None


def _of_run(folder: Path, run_id: str) -> list[tuple[set[str], str]]:
    """Whom each mail went to, and its text."""
    paths = [path for part in ("new", "cur") for path in (folder / part).glob("*")]
    mark = f".{run_id}@{identities.MAIL_DOMAIN}".encode()
    mine = (path for path in paths if mark in _head(path))
    newest = map(_read, nlargest(MOST, mine, key=lambda path: path.stat().st_mtime))
    return [(to, text) for to, text in newest if any(mark.decode() in email for email in to)]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _read(path: Path) -> tuple[set[str], str]:
    mail = BytesParser(_class=EmailMessage, policy=modern).parsebytes(path.read_bytes())
    recipients = identities.emails_in(" ".join(map(str, mail.get_all("To", []))).encode())
    parts = (part.get_content() for part in mail.walk() if part.get_content_maintype() == "text")
    return recipients, f"{mail['Subject']}\n" + "\n".join(parts)


def _foreign(mails: list[tuple[set[str], str]], *, orders: dict[str, str], places: dict[str, str]) -> Iterator[str]:
    """`places`: whose each ticket is, as its visitor was told. Whose an invitation is nobody was told before the mail:
    of those only two mails with one link are found here."""
    owners = dict(places)
    for recipients, text in mails:
        if len(recipients) != 1:
            yield f"one mail went to {len(recipients)} visitors: {', '.join(sorted(recipients))}"
            continue
        (to,) = recipients
        for email in sorted(identities.emails_in(text.encode()) - {to}):
            yield f"the mail to {to} shows {email}"
        for secret in sorted(set(_SECRET.findall(text))):
            owner = owners.setdefault(secret, to)
            if owner != to and secret in places:
                yield f"the mail to {to} has the link to the place of {owner}"
            elif owner != to:
                yield f"{owner} and {to} were sent one link"
        for number in sorted(set(_ORDER.findall(text))):
            if orders.get(number, to) != to:
                yield f"the mail to {to} is about order {number} of {orders[number]}"


def _orders(run_dir: Path) -> dict[str, str]:
    """Whose each order is, by what was confirmed to visitors."""
    entries = jsonlines.read(run_dir / "evidence.jsonl")
    return {entry["number"]: entry["email"] for entry in entries if entry.get("kind") == "order"}


def _places(run_dir: Path) -> dict[str, str]:
    """Whose each ticket is, by the answer to the signup: the mail of the place has the same."""
    entries = jsonlines.read(run_dir / "acknowledged.jsonl")
    return {entry["ticket"]: entry["email"] for entry in entries if entry.get("ticket")}
