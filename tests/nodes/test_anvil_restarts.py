"""The node that other tests stop and start again keeps its chain, from the first block on."""

from pathlib import Path

import pytest

from deploy.local import anvil as program
from tests.deadline import until
from tests.nodes import anvil

pytestmark = pytest.mark.process

RESTARTS = 12


def first_block_after_restart(node: anvil.Anvil) -> str:
    node.stop()
    node.start()
    return str(node.ask("eth_getBlockByNumber", "0x0", False)["hash"])


def test_a_chain_keeps_its_genesis_block(tmp_path: Path) -> None:
    with anvil.running(tmp_path, keeps=True) as node:
        node.mine(2)
        begun = first_block_after_restart(node)
        assert {first_block_after_restart(node) for _ in range(RESTARTS)} == {begun}


def test_anvil_alone_would_change_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: from the second restart on it is as good as a coin that is thrown."""
    monkeypatch.setattr(program, "keep_one_genesis", lambda state: None)
    with anvil.running(tmp_path, keeps=True) as node:
        node.mine(2)
        begun = first_block_after_restart(node)
        until(lambda: first_block_after_restart(node) != begun, "another genesis block")
