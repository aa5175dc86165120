"""Blocks are grouped by how many transactions they have; what bounds an answer is how many bytes they take."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ico.chains import bitcoin
from ico.chains.bitcoin import BitcoinNode
from ico.chains.connection import TooLong
from ico.chains.rpc import Rpc
from tests.nodes.knots import knots

pytestmark = pytest.mark.process


def test_a_group_of_blocks_that_is_too_long_is_asked_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with knots(tmp_path) as node:
        node.mine(10)
        client = BitcoinNode(Rpc(urlsplit(node.url)))
        blocks = [block for block in client.blocks(range(1, 11)) if block]
        lengths = [len(json.dumps(node.rpc("getblock", block.hash, 2), default=str)) for block in blocks]
        whole = client.transfers(blocks)
        assert [len(transfers) for transfers in whole] == [1] * 10
        most = max(lengths) + 500  # and what is around an answer
        assert most < sum(lengths) / 2
        monkeypatch.setattr(bitcoin, "MOST_BYTES", most)
        assert client.transfers(blocks) == whole
        assert client.moved(blocks[0], {whole[0][0].txid}) == {whole[0][0].txid}
        monkeypatch.setattr(bitcoin, "MOST_BYTES", min(lengths) // 2)
        with pytest.raises(TooLong):
            client.transfers(blocks[:1])
