import re

from bip_utils import EthAddrDecoder, SegwitBech32Decoder
from email_validator import validate_email

from ico.chains import destination
from loadtests import identities


def test_emails_are_accepted_by_the_validator_of_the_sale() -> None:
    address = identities.email(run_id="a1b2c3", index=7, worker=1)
    assert address == "visitor-000007.w1.a1b2c3@load.stampede-lab.org"
    assert validate_email(address, check_deliverability=False).normalized == address


def test_emails_of_two_runs_and_of_two_visitors_are_disjoint() -> None:
    runs, workers = ("aaaaaa", "bbbbbb"), (1, 2)
    emails = {
        identities.email(run_id=run_id, index=index, worker=worker)
        for run_id in runs
        for worker in workers
        for index in range(500)
    }
    assert len(emails) == 2000


def test_wallets_have_valid_checksums() -> None:
    for index in range(200):
        mine = identities.wallets(seed=1, run_id="a1b2c3", index=index, worker=1)
        version, program = SegwitBech32Decoder.Decode("bc", mine.btc)
        assert (version, len(program)) == (0, 20)
        assert EthAddrDecoder.DecodeAddr(mine.eth).hex() == mine.eth[2:].lower()
        assert re.search("[A-F]", mine.eth)


def test_wallets_are_of_the_network_that_is_named() -> None:
    who = {"seed": 1, "run_id": "a1b2c3", "index": 7, "worker": 1}
    found = {name: identities.wallets(**who, network=name).btc for name in identities.PREFIXES}
    assert {name: address.partition("1")[0] for name, address in found.items()} == identities.PREFIXES
    for name, address in found.items():
        assert destination.bitcoin(address, network=name) == address


def test_wallets_are_seeded_and_disjoint() -> None:
    def drawn(seed: int, run_id: str, worker: int = 1) -> set[identities.Wallets]:
        return {identities.wallets(seed=seed, run_id=run_id, index=index, worker=worker) for index in range(200)}

    assert drawn(1, "a") == drawn(1, "a")
    assert len(drawn(1, "a") | drawn(1, "b") | drawn(2, "a") | drawn(1, "a", worker=2)) == 800


def test_a_password_is_one_visitors_of_one_worker() -> None:
    def drawn(worker: int) -> set[str]:
        return {identities.password(seed=1, run_id="a", index=index, worker=worker) for index in range(200)}

    assert drawn(1) == drawn(1)
    assert len(drawn(1) | drawn(2)) == 400


def test_the_checksum_of_eip_55_is_the_one_of_its_examples() -> None:
    example = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55, test cases
    assert identities._checksummed(bytes.fromhex(example[2:])) == example
