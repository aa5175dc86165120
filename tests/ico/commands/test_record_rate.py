"""How an operator records what a coin is worth: by command and in the admin, and what is refused."""

import io

import pytest
from django.core.management import CommandError, call_command

from ico import caps
from ico.models import Rate
from tests.ico.people import joined


def record(*arguments: str) -> str:
    out = io.StringIO()
    call_command("record_rate", *arguments, stdout=out)
    return out.getvalue()


def newest(chain: str = "ETH") -> tuple[int, str]:
    rate = caps.rate_now(chain)
    return rate.cents_per_coin, rate.source


def test_a_rate_is_recorded_with_source_and_time(sale) -> None:
    assert record("ETH", "3500.25", "--source", "ECB reference").startswith("ETH 3500.25 (ECB reference), for invit")
    assert newest() == (350_025, "ECB reference")
    assert newest("BTC") == (6_000_000, "test")


def test_an_invitation_keeps_the_rate_that_was_fixed_on_it(sale, now) -> None:
    before = joined(sale=sale, now=now)
    record("ETH", "4000", "--source", "test")
    after = joined(sale=sale, now=now)
    before.refresh_from_db()
    assert (before.eth_rate.cents_per_coin, after.eth_rate.cents_per_coin) == (300_000, 400_000)


def test_a_digit_too_few_is_asked_back(sale) -> None:
    with pytest.raises(CommandError, match=r"less than half or more than twice of it\. If it is meant, say --even-so"):
        record("ETH", "350.00", "--source", "test")
    assert newest() == (300_000, "test")
    record("ETH", "350.00", "--source", "a crash", "--even-so")
    assert newest() == (35_000, "a crash")


@pytest.mark.parametrize(
    "arguments",
    [
        ("DOGE", "1", "--source", "x"),
        ("ETH", "3,500", "--source", "x"),
        ("ETH", "3500"),
        ("ETH", "3500", "--source", " "),
        ("ETH", "0", "--source", "x", "--even-so"),
    ],
)
def test_what_cannot_be_meant_is_refused(sale, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        record(*arguments)
    assert Rate.objects.count() == 2


ADD = "/admin/ico/rate/add/"


def test_the_admin_records_a_rate_and_changes_none(sale, admin_client) -> None:
    assert admin_client.get(ADD).status_code == 200
    answer = admin_client.post(ADD, {"chain": "ETH", "worth": "3500.25", "source": "ECB reference"})
    assert (answer.status_code, newest()) == (302, (350_025, "ECB reference"))
    row = Rate.objects.latest("pk")
    page = admin_client.get(f"/admin/ico/rate/{row.pk}/change/").content.decode()
    assert "3,500.25" in page
    assert 'name="worth"' not in page
    assert admin_client.post(f"/admin/ico/rate/{row.pk}/change/", {"source": "another"}).status_code == 403
    assert admin_client.post(f"/admin/ico/rate/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert (Rate.objects.count(), newest()) == (3, (350_025, "ECB reference"))
    assert "3,500.25" in admin_client.get("/admin/ico/rate/").content.decode()


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"worth": "350"}, "less than half"),
        ({"worth": "3,500"}, "like 3500"),
        ({"worth": "0", "even_so": "on"}, "at least one cent"),
        ({"worth": "99999999999", "even_so": "on"}, "like 3500"),
        ({"chain": "DOGE"}, "Select a valid choice"),
        ({"source": " "}, "This field is required"),
        ({"source": "x" * 121}, "at most 120"),
        ({"source": "two\nlines"}, "in one line"),
        ({"worth": ""}, "This field is required"),
    ],
)
def test_the_admin_refuses_in_words(sale, admin_client, given: dict[str, str], word: str) -> None:
    answer = admin_client.post(ADD, {"chain": "ETH", "worth": "3500", "source": "test", **given})
    assert answer.status_code == 200
    assert word in answer.content.decode()
    assert Rate.objects.count() == 2


def test_the_admin_takes_a_leap_that_is_meant(sale, admin_client) -> None:
    answer = admin_client.post(ADD, {"chain": "ETH", "worth": "350", "source": "a crash", "even_so": "on"})
    assert (answer.status_code, newest()) == (302, (35_000, "a crash"))
