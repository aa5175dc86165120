"""Lies for a `Liar` to tell: about the conversation, and about either chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.nodes.liar import Liar as Liar
from tests.nodes.liar import Lie as Lie
from tests.nodes.liar import Object as Object
from tests.nodes.liar import Reply as Reply
from tests.nodes.liar import before as before

Change = Callable[[Any, list[Any]], Any]  # of a result, knowing the call's parameters

# --- about the conversation, whichever the chain ----------------------------------------------------------------------


def always(reply: Reply) -> Lie:
    return lambda calls, answers: reply


def half_a_batch(calls: list[Object], answers: list[Object]) -> Any:
    return answers[: len(answers) // 2]


def ids_swapped(calls: list[Object], answers: list[Object]) -> Any:
    """The first answer comes as if it were the second's, and the other way round."""
    if len(answers) > 1:
        answers[0]["id"], answers[1]["id"] = answers[1]["id"], answers[0]["id"]
    return answers


def of_many(lie: Lie, method: str) -> Lie:
    """Only about two or more calls of this method, asked for together."""

    def about(calls: list[Object], answers: list[Object]) -> Any:
        of_it = [call["method"] == method for call in calls]
        return lie(calls, answers) if len(calls) > 1 and all(of_it) else answers

    return about


def ids_doubled(calls: list[Object], answers: list[Object]) -> Any:
    return [{**answer, "id": answers[0]["id"]} for answer in answers]


def one_too_many(calls: list[Object], answers: list[Object]) -> Any:
    return [*answers, answers[-1]]


def ids_of_another_batch(calls: list[Object], answers: list[Object]) -> Any:
    return [{**answer, "id": answer["id"] + 1_000_000} for answer in answers]


def ids_as_text(calls: list[Object], answers: list[Object]) -> Any:
    return [{**answer, "id": str(answer["id"])} for answer in answers]


def shuffled(calls: list[Object], answers: list[Object]) -> Any:
    """No lie: the standard allows it."""
    return answers[::-1]


def neither_result_nor_error(calls: list[Object], answers: list[Object]) -> Any:
    return [{"jsonrpc": "2.0", "id": answer["id"]} for answer in answers]


def result_and_error(calls: list[Object], answers: list[Object]) -> Any:
    return [{**answer, "error": {"code": -1, "message": "no"}} for answer in answers]


def error(code: Any, message: Any) -> Lie:
    """In the place of every result."""
    return lambda calls, answers: [{"id": one["id"], "error": {"code": code, "message": message}} for one in answers]


def refused_as_a_whole(code: int, message: str) -> Lie:
    return lambda calls, answers: {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}


not_json = always(Reply(b"<html>Bad gateway \x1b[31m</html>"))
endless = always(Reply(b"[", endless=True))
hangs = always(Reply(hangs=True))
head_drips = always(Reply(drips=b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 10_000))
hints_drip = always(Reply(drips=b"HTTP/1.1 103 Early Hints\r\n\r\n"))
asked_too_much = always(Reply(status=429))
wrong_password = always(Reply(status=401))
broken = always(Reply(b"internal error", status=500))


def changed(*methods: str, by: Change) -> Lie:
    """The results of these methods are others, unless they are null."""

    def lie(calls: list[Object], answers: list[Object]) -> Any:
        asked = {call["id"]: call for call in calls}
        for answer in answers:
            call = asked[answer["id"]]
            if call["method"] in methods and answer.get("result") is not None:
                answer["result"] = by(answer["result"], call["params"])
        return answers

    return lie


def with_field(name: str, value: Any, *methods: str) -> Lie:
    return changed(*methods, by=lambda result, parameters: {**result, name: value})


def without_field(name: str, *methods: str) -> Lie:
    return changed(*methods, by=lambda result, parameters: {key: result[key] for key in result if key != name})


# --- about Ethereum ---------------------------------------------------------------------------------------------------

BLOCKS = ("eth_getBlockByNumber", "eth_getBlockByHash")
NOWHERE = "0x" + "de" * 32

missing_parent = with_field("parentHash", NOWHERE, *BLOCKS)
no_parent_named = without_field("parentHash", *BLOCKS)
block_without_hash = with_field("hash", None, *BLOCKS)
height_of_80_digits = with_field("number", "9" * 80, *BLOCKS)
height_as_a_number = with_field("number", int("9" * 80), *BLOCKS)
another_height = with_field("number", "0x3039", *BLOCKS)
transactions_not_a_list = with_field("transactions", {"0": "x"}, *BLOCKS)
other_chain_id = changed("eth_chainId", by=lambda result, parameters: "0x1")
syncing = changed("eth_syncing", by=lambda result, parameters: {"currentBlock": "0x1", "highestBlock": "0xffff"})
no_receipts = changed("eth_getTransactionReceipt", by=lambda result, parameters: None)
receipts_of_another_block = with_field("blockHash", NOWHERE, "eth_getTransactionReceipt")


def _another_genesis(block: Object, parameters: list[Any]) -> Object:
    return {**block, "hash": NOWHERE} if block["number"] == "0x0" else block


other_genesis = changed(*BLOCKS, by=_another_genesis)
