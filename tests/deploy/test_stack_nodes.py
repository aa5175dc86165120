"""A stack with real nodes of the chains: what it is made of. Nothing here starts a server."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config import supervising
from deploy.local import anvil, chains, environment, ethereum, knots, layout, npm, programs, stack, table
from deploy.local.keeping import kept
from deploy.local.layout import CannotStart, Layout

NO_KNOTS = "Bitcoin Knots could not be fetched: no mirror"


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    found = layout.with_nodes(Layout(tmp_path / "stack", base_port=9950), layout.CHAINS)
    layout.make_folders(found)
    return found


def names(place: Layout) -> list[str]:
    return [program.name for program in programs.programs(place)]


def test_a_chain_is_simulated_or_has_a_node_and_never_both(place: Layout) -> None:
    added = {"ethereum", "bitcoin", "miner"}
    assert set(names(place)) == set(layout.PROGRAMS) - {"chain"} | added
    assert "chain" in names(layout.with_nodes(Layout(place.folder), ("ethereum",)))
    assert set(names(Layout(place.folder))) == set(layout.PROGRAMS)
    assert layout.asked(place.folder, only=None, base_port=None, relaxed=False).programs == layout.PROGRAMS


def test_nodes_stop_after_those_who_ask_them(place: Layout) -> None:
    ranks = {program.name: program.rank for program in programs.programs(place)}
    assert ranks["follower"] == ranks["miner"] > ranks["ethereum"] == ranks["bitcoin"] == ranks["primary"]


def test_the_application_is_told_of_the_nodes(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAMPEDE_ETH_NODE", "https://elsewhere")  # of no node but the stack's, and of its network
    monkeypatch.setenv("STAMPEDE_BTC_NETWORK", "mainnet")
    found = environment.variables(place)
    assert (found["STAMPEDE_ETH_NODE"], found["STAMPEDE_ETH_CHAIN_ID"]) == ("http://127.0.0.1:9995", "31337")
    bitcoin = urlsplit(found["STAMPEDE_BTC_NODE"])
    assert (bitcoin.hostname, bitcoin.port, bitcoin.password) == ("127.0.0.1", 9996, place.bitcoin_password)
    assert found["STAMPEDE_BTC_NETWORK"] == "regtest"


def test_without_nodes_the_application_is_told_of_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAMPEDE_ETH_NODE", "https://elsewhere")
    monkeypatch.delenv("STAMPEDE_ETH_CHAIN_ID", raising=False)
    found = environment.variables(Layout(tmp_path))
    assert [name for name in found if name.endswith(("_NODE", "_CHAIN_ID"))] == []


def test_the_password_of_a_node_is_for_its_owner_only(place: Layout) -> None:
    place.save()
    environment.write(place)
    programs.write(place)
    assert layout.load(place.folder).bitcoin_password == place.bitcoin_password
    secret = place.bitcoin_password.encode()
    holding = [path for path in place.folder.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert {path.name for path in holding} == {"stack.json", "environment.json"}
    assert {path.stat().st_mode & 0o777 for path in holding} == {0o600}
    printed = table.addresses(place, "told once")
    assert place.bitcoin_password not in printed + repr(place)
    assert "127.0.0.1:9995" in printed
    assert "127.0.0.1:9996" in printed


def test_books_do_not_go_on_with_another_chain(place: Layout) -> None:
    place.save()
    chains.must_follow_the_same_chains(place)
    for other in (Layout(place.folder), layout.with_nodes(Layout(place.folder), ("ethereum",))):
        with pytest.raises(CannotStart, match="follow real nodes of ethereum and bitcoin, and would now follow"):
            chains.must_follow_the_same_chains(other)
    # ... unless there are no books
    chains.must_follow_the_same_chains(Layout(place.folder, programs=("redis",)))


def test_where_bitcoin_cannot_be_had_its_chain_stays_simulated_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(knots, "install", lambda say: NO_KNOTS)
    chosen = chains.with_real_nodes(Layout(tmp_path), said.append)
    assert chosen.chains == ("ethereum",)
    assert chosen.has("chain")
    assert said == [f"The bitcoin chain stays a simulated one, for its node cannot be started here: {NO_KNOTS}"]
    monkeypatch.setattr(knots, "install", lambda say: None)
    assert chains.with_real_nodes(Layout(tmp_path), said.append).chains == layout.CHAINS
    assert len(said) == 1


def test_books_keep_the_chains_that_they_began_with(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Layout(place.folder)
    layout.with_nodes(asked, ("ethereum",)).save()
    monkeypatch.setattr(knots, "install", lambda say: None)  # it can be had by now
    said: list[str] = []
    again = chains.with_real_nodes(asked, said.append)
    chains.must_follow_the_same_chains(again)
    assert again.chains == ("ethereum",)
    assert said == ["The bitcoin chain stays a simulated one, as it was when the books of this stack began."]
    place.save()
    assert chains.with_real_nodes(asked, said.append).chains == layout.CHAINS
    monkeypatch.setattr(knots, "install", lambda say: NO_KNOTS)
    with pytest.raises(CannotStart, match=f"follow a real node of bitcoin, which cannot run: {NO_KNOTS}"):
        chains.with_real_nodes(asked, said.append)
    asked.save()
    monkeypatch.setattr(knots, "install", lambda say: pytest.fail("fetched for books that cannot use it"))
    with pytest.raises(CannotStart, match="follow simulated chains only, and would now follow real nodes of"):
        chains.with_real_nodes(asked, said.append)
    assert len(said) == 1


def test_on_another_platform_only_who_wants_a_real_node_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(npm, "install", lambda *_, **__: pytest.fail("installed what cannot run"))
    monkeypatch.setattr(knots, "install", lambda say: None)
    why = "anvil is had for Linux on x86_64 only, and this is Linux on aarch64"
    said: list[str] = []
    anvil.install(Layout(tmp_path), said.append)
    assert said == [f"{why}: there is no real Ethereum node here."]
    assert anvil.missing() == why
    with pytest.raises(CannotStart, match=why):
        chains.with_real_nodes(Layout(tmp_path), said.append)
    with pytest.raises(CannotStart, match=why):  # however it was asked for
        stack.up(Layout(tmp_path / "stack", programs=("ethereum",)), said.append)


def test_who_mines_bitcoin_needs_its_node() -> None:
    assert layout.chosen("miner,bitcoin,redis") == ("redis", "bitcoin", "miner")
    with pytest.raises(CannotStart, match="the miner needs bitcoin"):
        layout.chosen("miner")


def test_nodes_mine_at_the_pace_of_the_simulated_chains(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAMPEDE_ETH_BLOCK_SECONDS", "3")
    monkeypatch.setenv("STAMPEDE_BTC_BLOCK_SECONDS", "7")
    commands: dict[str, supervising.Program] = {program.name: program for program in programs.programs(place)}
    for name, seconds in (("ethereum", "3"), ("miner", "7")):
        words = commands[name].command
        assert words[words.index("--block-seconds") + 1] == seconds


def test_a_chain_of_which_half_was_written_is_passed_over(place: Layout) -> None:
    folder = place.folder / "ethereum"
    folder.mkdir()
    assert ethereum.newest(folder) is None
    kept(folder).write_text('{"blocks": []}')
    (folder / "closed.json").write_text('{"blocks": [')
    assert ethereum.newest(folder) == kept(folder)
    (folder / "closed.json").write_text('{"blocks": []}')
    assert ethereum.newest(folder) == folder / "closed.json"


def test_a_stack_from_before_there_were_nodes_is_still_read(place: Layout) -> None:
    replace(place, programs=layout.PROGRAMS).save()
    file = place.folder / "stack.json"
    file.write_text(file.read_text().replace(f'"bitcoin_password": "{place.bitcoin_password}"', '"relaxed": false'))
    assert layout.load(place.folder).bitcoin_password != place.bitcoin_password
