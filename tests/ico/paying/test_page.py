"""What the payment page says, and when it says nothing."""

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from ico import deposits
from ico.models import ChainCursor, Invitation
from tests.ico.people import address_of

ETHER = 10**18
BLIND, NOTHING = "is not lost: it shows here", "Nothing has arrived yet."


def lines_with(page: str, words: str) -> list[bool]:
    """For each line with these words, whether a reader sees the element that says them."""
    before = page.split(words)[:-1]
    return [" hidden>" not in part[part.rindex("<p") :] for part in before]


def test_the_page_says_when_a_chain_cannot_be_seen(chains, person, token, now) -> None:
    def page() -> str:
        return Client().get(f"/i/{token}/payment/").content.decode()

    for name, chain in chains.items():
        deposits.follow(chain=name, client=chain, now=timezone.now())
    assert (lines_with(page(), BLIND), lines_with(page(), NOTHING)) == ([False], [True])
    ChainCursor.objects.filter(chain="BTC").update(followed_at=now - timedelta(minutes=5))
    assert (lines_with(page(), BLIND), lines_with(page(), NOTHING)) == ([True], [False])
    assert "We cannot see <span data-unseen>Bitcoin</span> just now." in page()
    assert f'As of <time datetime="{now - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}">' in page()


def test_where_the_chain_itself_says_what_is_final_no_number_is_promised(
    chains, person, token, answer, settings, monkeypatch
) -> None:
    settings.ETH_FINALITY = "finalized"
    final = [0]
    monkeypatch.setattr(chains["ETH"], "final_height", lambda: final[0])
    words = "until the chain calls the block final"

    def page() -> str:
        return Client().get(f"/i/{token}/payment/").content.decode()

    assert [one["final"] for one in answer()["deposits"]] == ["depth", "finalized"]
    assert f"<span data-goal hidden>, {words}</span>" in page()
    assert page().count("<progress") == 1
    chains["ETH"].send(address_of(person, "ETH"), ETHER // 10)
    chains["ETH"].mine(14)
    ethereum = answer()["deposits"][1]
    assert (ethereum["confirmations"], ethereum["required"], answer()["state"]) == (14, 3, "confirming")
    assert f'data-deposit="depth">14</span><span data-goal>, {words}</span>' in page()
    assert f"ETH: 14 confirmations, {words}. " in page()
    final[0] = 14
    assert answer()["state"] == "paid"
    assert f"<span data-goal hidden>, {words}</span>" in page()
    settings.ETH_FINALITY = "depth"
    assert 'data-deposit="depth">3</span> of 3' in page()
    assert page().count("<progress") == 2


WORDS = {
    "excess": "More arrived than your allowance.",
    "dust": "less than the minimum of 1 EUR.",
    "late": "after your time to pay was over.",
    "reorg": "The chain took back a block",
}


def shown(page: str) -> set[str]:
    """The reasons whose words a reader sees."""
    found = {line.split('"')[1]: line for line in page.splitlines() if line.startswith("<p data-why=")}
    assert found.keys() == WORDS.keys()
    assert all(WORDS[reason] in line for reason, line in found.items())
    return {reason for reason, line in found.items() if " hidden>" not in line}


def test_the_page_says_why_a_payment_is_in_review(chains, person, token, answer, now) -> None:
    def page() -> set[str]:
        answer()
        response = Client().get(f"/i/{token}/payment/")
        told = Client().get(f"/api/payment/{token}").json()
        assert response.status_code == 200
        assert told["review"] == [reason for reason in WORDS if reason in shown(response.content.decode())]
        return shown(response.content.decode())

    assert page() == set()
    chains["BTC"].send(address_of(person, "BTC"), 1_000)
    chains["BTC"].mine(2)
    assert page() == {"dust"}
    chains["ETH"].send(address_of(person, "ETH"), ETHER)
    chains["ETH"].mine(3)
    assert page() == {"dust", "excess"}
    chains["ETH"].reorg(3)
    assert page() == {"dust", "reorg"}
    Invitation.objects.filter(pk=person.pk).update(pay_until=now)
    chains["BTC"].send(address_of(person, "BTC"), 100_000)
    late = now + timedelta(hours=1)
    chains["BTC"].mine(2, now=late.timestamp())
    deposits.follow(chain="BTC", client=chains["BTC"], now=late)
    assert page() == {"dust", "late", "reorg"}
    chains["ETH"].drop(chains["ETH"].mempool()[0].txid)
    assert page() == {"dust", "late"}  # as of any other that was dropped, nothing is waited for
