"""A mail of one visitor in another's hands is found."""

import json
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from loadtests import identities, letters

_numbers = count()


def who(index: int, run_id: str = "aaaaaa") -> str:
    return identities.email(run_id=run_id, index=index, worker=1)


def deliver(folder: Path, *, to: str, text: str, html: str = "") -> None:
    (folder / "new").mkdir(parents=True, exist_ok=True)
    mail = EmailMessage()
    mail["To"], mail["Subject"] = to, "Ihre Bestellung – danke"
    mail.set_content(f"Grüße,\n{text}\n")
    if html:
        mail.add_alternative(html, subtype="html")
    (folder / "new" / str(next(_numbers))).write_bytes(mail.as_bytes())


def breaches(tmp_path: Path) -> list[str]:
    found = letters.checked(tmp_path / "mail", run_dir=tmp_path)
    assert found["holds"] == (not found["breaches"])
    return list(found["breaches"])


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    """Two visitors with a mail each of a link and of an order, and somebody of another run."""
    orders = [{"kind": "order", "number": f"AAAA-BBBB-000{n}", "email": who(n), "total_cents": 1} for n in (1, 2)]
    told = {"kind": "deposit_addresses", "mark": "", "addresses": {}}
    (tmp_path / "evidence.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*orders, told]))
    for n in (1, 2):
        deliver(tmp_path / "mail", to=who(n), text=f"http://127.0.0.1/i/token-{n}/ for {who(n)}")
        deliver(tmp_path / "mail", to=who(n), text=f"http://127.0.0.1/i/token-{n}/ order AAAA-BBBB-000{n}")
    deliver(tmp_path / "mail", to=who(1, "bbbbbb"), text=f"{who(5)} http://127.0.0.1/i/token-1/")
    return tmp_path / "mail"


def test_honest_mails_hold_and_those_of_other_runs_are_left_alone(mail: Path, tmp_path: Path) -> None:
    assert breaches(tmp_path) == []
    assert letters.checked(mail, run_dir=tmp_path)["checked"] == 4
    assert letters.checked(mail, run_dir=tmp_path / "none")["checked"] == 0


def test_foreign_mail_is_found(mail: Path, tmp_path: Path) -> None:
    deliver(mail, to=who(3), text="nothing", html=f"<p>Dear {who(1)}</p>")
    assert breaches(tmp_path) == [f"the mail to {who(3)} shows {who(1)}"]


def test_one_link_for_two_is_found(mail: Path, tmp_path: Path) -> None:
    deliver(mail, to=who(3), text="http://127.0.0.1/i/token-1/")
    (found,) = set(breaches(tmp_path))
    assert who(1) in found
    assert found.endswith("were sent one link")


def test_mails_that_went_to_each_other_are_found(tmp_path: Path) -> None:
    """Each has one link and nobody shares one: only the answers to the signups say that they are swapped."""
    promised = [{"email": who(n), "ticket": f"h1.{n}.signed", "number": n} for n in (1, 2)]
    (tmp_path / "acknowledged.jsonl").write_text("".join(json.dumps(line) + "\n" for line in promised))
    deliver(tmp_path / "mail", to=who(1), text="http://127.0.0.1/line/h1.1.signed/")
    assert breaches(tmp_path) == []
    deliver(tmp_path / "mail", to=who(2), text="http://127.0.0.1/line/h1.1.signed/")
    deliver(tmp_path / "mail", to=who(1), text="http://127.0.0.1/line/h1.2.signed/")
    assert sorted(breaches(tmp_path)) == [
        f"the mail to {who(1)} has the link to the place of {who(2)}",
        f"the mail to {who(2)} has the link to the place of {who(1)}",
    ]


def test_anothers_order_is_found(mail: Path, tmp_path: Path) -> None:
    deliver(mail, to=who(2), text="AAAA-BBBB-0001 is paid")
    assert breaches(tmp_path) == [f"the mail to {who(2)} is about order AAAA-BBBB-0001 of {who(1)}"]


def test_one_mail_to_two_is_found(mail: Path, tmp_path: Path) -> None:
    deliver(mail, to=f"{who(3)}, {who(4)}", text="hello")
    assert breaches(tmp_path) == [f"one mail went to 2 visitors: {who(3)}, {who(4)}"]


@pytest.mark.parametrize(("holds", "clean"), [(True, True), (False, False)])
def test_it_is_one_more_invariant_of_the_books(holds: bool, clean: bool) -> None:
    books: dict[str, Any] = {"audited": True, "clean": True, "invariants": []}
    assert letters.added(books, {"holds": holds}) == {"audited": True, "clean": clean, "invariants": [{"holds": holds}]}
    assert letters.added({**books, "clean": False}, {"holds": True})["clean"] is False
    assert letters.added({"audited": False, "why": "no"}, {"holds": False}) == {"audited": False, "why": "no"}
