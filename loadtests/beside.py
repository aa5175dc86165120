"""What goes on beside the load while a run lasts: probes, the bystander, whatever moves the data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loadtests.plans import Plan
from loadtests.target import Target


@dataclass(slots=True)
class Running:
    """A run that is about to begin. `began`: the moment of its second 0, of time.time(); a Beside that takes long to
    start moves it, so read it when you need it and do not copy it in `start`. `stop(why)`: no more arrivals,
    those present finish; `leave(why)`: they leave at once. Both may be called from any thread, and again.
    `event(text)`: marks this moment in the record and on the report's time axis (`events.jsonl`)."""

    run_id: str
    run_dir: Path
    plan: Plan
    target: Target
    began: float
    stop: Callable[[str], None]
    leave: Callable[[str], None]
    event: Callable[[str], None]


class Beside(Protocol):
    """Started before the first arrival, stopped after the last answer, also when the run went wrong. Neither raises
    because of what the target does; `start` may refuse the run by one of the named errors of the laboratory."""

    def start(self, running: Running) -> None: ...

    def stop(self) -> None: ...
