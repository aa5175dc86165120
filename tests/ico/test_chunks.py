"""Parts of a bounded size."""

from ico.chunks import OF_A_STATEMENT, chunks


def test_parts_keep_the_order_and_the_last_one_is_shorter() -> None:
    assert list(chunks(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(chunks(range(6), 3)) == [[0, 1, 2], [3, 4, 5]]
    assert list(chunks([], 3)) == []
    assert [len(chunk) for chunk in chunks(iter(range(OF_A_STATEMENT + 1)))] == [OF_A_STATEMENT, 1]
