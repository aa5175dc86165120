"""The two wallets a participant enters."""

import pytest

from ico import addresses, wallets
from tests.ico.people import address_of, joined

BTC = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"  # BIP84
ETH = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55


def test_both_come_back_in_their_normal_form(db: None, django_assert_num_queries) -> None:
    with django_assert_num_queries(1):
        checked = wallets.validate(btc_address=f" {BTC.upper()} ", eth_address=ETH.lower(), network="mainnet")
    assert checked == wallets.Wallets(btc=BTC, eth=ETH)


def test_each_wrong_field_is_named(db: None) -> None:
    with pytest.raises(wallets.InvalidWallets) as both:
        wallets.validate(btc_address="", eth_address="0X" + ETH[2:], network="mainnet")
    assert both.value.errors == {
        "btc_address": "Enter your Bitcoin address.",
        "eth_address": "An Ethereum address is 0x and 40 hexadecimal digits.",
    }
    with pytest.raises(wallets.InvalidWallets) as one:
        wallets.validate(btc_address=BTC, eth_address=ETH, network="testnet")
    assert one.value.errors == {"btc_address": "This Bitcoin address is not one of the testnet network."}


def test_our_own_deposit_addresses_are_refused_however_they_are_written(sale, now) -> None:
    somebody = joined(sale=sale, now=now)
    btc, eth = address_of(somebody, "BTC"), address_of(somebody, "ETH")
    for text in (btc, btc.upper()):
        with pytest.raises(wallets.InvalidWallets) as refused:
            wallets.validate(btc_address=text, eth_address=ETH, network="mainnet")
        assert refused.value.errors == {"btc_address": wallets.OURS}
    for text in (eth, eth.lower(), "0x" + eth[2:].upper()):
        with pytest.raises(wallets.InvalidWallets) as refused:
            wallets.validate(btc_address="nothing", eth_address=text, network="mainnet")
        assert set(refused.value.errors) == {"btc_address", "eth_address"}
        assert refused.value.errors["eth_address"] == wallets.OURS


def test_one_that_waits_in_the_pool_is_ours_too(db: None, django_assert_num_queries) -> None:
    addresses.derive(chain="BTC", count=2)
    addresses.derive(chain="ETH", count=2)
    btc, eth = addresses.derived(chain="BTC", index=1), addresses.derived(chain="ETH", index=0)
    written = [(btc, eth), (btc.upper(), eth.lower()), (f" {btc} ", "0x" + eth[2:].upper())]
    for btc_text, eth_text in written:
        with django_assert_num_queries(1), pytest.raises(wallets.InvalidWallets) as refused:
            wallets.validate(btc_address=btc_text, eth_address=eth_text, network="mainnet")
        assert refused.value.errors == {"btc_address": wallets.OURS, "eth_address": wallets.OURS}
