"""How each program of a stack is, now."""

from dataclasses import dataclass

from deploy.local import probing
from deploy.local.control import State, Supervisor
from deploy.local.layout import Layout


@dataclass(frozen=True, slots=True)
class Status:
    """One program: supervisor's state and words, what is wrong with it (None: it answers), and of a replica that
    applies what it gets, the seconds that it is behind."""

    name: str
    address: str
    state: str
    description: str
    trouble: str | None
    lag: float | None = None


def of(layout: Layout) -> list[Status]:
    """Each program of the stack, asked one after the other."""
    states = Supervisor(layout).states()
    return [_of_one(layout, name, states.get(name)) for name in layout.programs]


def _of_one(layout: Layout, name: str, state: State | None) -> Status:
    address = probing.address(layout, name)
    if state is None:
        return Status(name, address, "STOPPED", "", "no supervisor")
    trouble = probing.trouble(layout, name) if state.pid else "does not run"
    lag = probing.lag(layout, name) if name in layout.replicas and trouble is None else None
    return Status(name, address, state.name, state.description, trouble, lag)
