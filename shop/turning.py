"""The way from one page of a shelf or a search to its others."""

from dataclasses import dataclass

from shop.filters import Filters


@dataclass(frozen=True, slots=True)
class Step:
    """A page to turn to; `number` is 0 where some are left out."""

    number: int
    address: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """The way to a shelf's other pages."""

    steps: tuple[Step, ...]
    before: str
    after: str


def turn(asked: Filters, page: int, pages: int, **others: str) -> Turn:
    """The first page, the last one and those around this one. `others`: what else the address says."""

    def address(number: int) -> str:
        return asked.address(page=number, others=others) or "?"

    shown = sorted({1, page - 1, page, page + 1, pages} & set(range(1, pages + 1)))
    steps: list[Step] = []
    for before, number in zip([0, *shown], shown, strict=False):
        if number > before + 1:
            steps.append(Step(0))
        steps.append(Step(number, address(number), current=number == page))
    return Turn(
        steps=tuple(steps),
        before=address(page - 1) if page > 1 else "",
        after=address(page + 1) if page < pages else "",
    )
