"""When visitors arrive. Arrivals are open: they come at their moment, whether or not those before are done."""

import random
from collections.abc import Callable

Shape = Callable[[int, float, random.Random], list[float]]


def constant(users: int, rate: float, chance: random.Random) -> list[float]:
    """One every 1/rate seconds, the first at 0."""
    return [index / rate for index in range(users)]


def poisson(users: int, rate: float, chance: random.Random) -> list[float]:
    """People who do not know of each other: exponential gaps with mean 1/rate."""
    moments, moment = [], 0.0
    for _ in range(users):
        moments.append(moment)
        moment += chance.expovariate(rate)
    return moments


SHAPES: dict[str, Shape] = {"poisson": poisson, "constant": constant}
