"""Which share of the pages is of which kind: as a log has it, as it is wanted, and whether two of these are one.

Weights move whole visits: `deals=3` wants three times as many pages of deals beside the others as the log has, and gets
them by making visits that go there more often. The weight of a visit changes with its share of such pages, by the
multiplicative steps of maximum likelihood for a mixture (Dempster, Laird, Rubin 1977): weights stay positive, visits
of the same make-up stay alike, and the result is the wanted mix wherever any weights reach it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_STEPS = 2_000
_CLOSE = 1e-4  # of a share
_LEAST_EXPECTED = 5


class MixMistake(Exception):
    """The weights name what is not there, or cannot be reached with whole visits; the message says which."""


@dataclass(frozen=True, slots=True)
class Group:
    """Visits of one make-up: how many pages of each kind one of them has. `new`: of clients not seen before."""

    pages: Mapping[str, int]
    new: bool
    visits: int

    @property
    def length(self) -> int:
        return sum(self.pages.values())


def shares(groups: Sequence[Group], weights: Sequence[float] | None = None) -> dict[str, float]:
    """Kind -> share of all pages, each visit counted as often as it weighs."""
    counted: dict[str, float] = {}
    for group, weight in zip(groups, weights or [1.0] * len(groups), strict=True):
        for kind, pages in group.pages.items():
            counted[kind] = counted.get(kind, 0.0) + weight * group.visits * pages
    total = sum(counted.values())
    return {kind: count / total for kind, count in sorted(counted.items())}


def wanted(log: Mapping[str, float], factors: Mapping[str, float]) -> dict[str, float]:
    """The log's mix with some kinds that many times as frequent beside the others. Raises `MixMistake`."""
    unknown = factors.keys() - log.keys()
    if unknown:
        raise MixMistake(f"the log has no page of {', '.join(sorted(unknown))}; it has {', '.join(sorted(log))}")
    if not all(math.isfinite(factor) and 0 < factor <= 1_000 for factor in factors.values()):
        raise MixMistake("a weight is above 0 and at most 1000")
    raw = {kind: share * factors.get(kind, 1.0) for kind, share in log.items()}
    total = sum(raw.values())
    return {kind: share / total for kind, share in raw.items()}


def visit_weights(groups: Sequence[Group], factors: Mapping[str, float]) -> list[float]:
    """How often a visit of each group is made, beside the others; 1 for all without factors. Reaches the wanted mix of
    the kinds that are named (against all others together) and the log's share of new clients. Raises `MixMistake`."""
    log = shares(groups)
    aim = wanted(log, factors)
    if not factors:
        return [1.0] * len(groups)
    target = {kind: aim[kind] for kind in factors} | {"": sum(aim[kind] for kind in aim.keys() - factors.keys())}
    makeup = [_makeup(group, factors) for group in groups]
    share_new = sum(group.visits for group in groups if group.new) / sum(group.visits for group in groups)
    weights = [1.0] * len(groups)
    for _ in range(_STEPS):
        weights = _keep_new(groups, weights, share_new)
        got = _shares_of(groups, weights, makeup, target)
        if all(abs(got[kind] - share) < _CLOSE * max(share, 0.01) for kind, share in target.items()):
            return weights
        step = {kind: share / got[kind] if got[kind] else 1.0 for kind, share in target.items()}
        weights = [
            weight * sum(part * step[kind] for kind, part in parts.items())
            for weight, parts in zip(weights, makeup, strict=True)
        ]
    said = ", ".join(f"{kind or 'the others'} {got[kind]:.1%} of {share:.1%}" for kind, share in target.items())
    raise MixMistake(f"no choice of whole visits has this mix; the nearest has {said}")


def _makeup(group: Group, factors: Mapping[str, float]) -> dict[str, float]:
    """Share of the group's pages, by kind; all that are not named under ""."""
    parts: dict[str, float] = {}
    for kind, pages in group.pages.items():
        name = kind if kind in factors else ""
        parts[name] = parts.get(name, 0.0) + pages / group.length
    return parts


def _keep_new(groups: Sequence[Group], weights: Sequence[float], share_new: float) -> list[float]:
    of_new = sum(weight * group.visits for group, weight in zip(groups, weights, strict=True) if group.new)
    of_old = sum(weight * group.visits for group, weight in zip(groups, weights, strict=True) if not group.new)
    up_new = share_new / of_new if of_new else 0.0
    up_old = (1 - share_new) / of_old if of_old else 0.0
    total = sum(group.visits for group in groups)
    return [weight * total * (up_new if group.new else up_old) for group, weight in zip(groups, weights, strict=True)]


def _shares_of(
    groups: Sequence[Group],
    weights: Sequence[float],
    makeup: Sequence[Mapping[str, float]],
    target: Mapping[str, float],
) -> dict[str, float]:
    got = dict.fromkeys(target, 0.0)
    for group, weight, parts in zip(groups, weights, makeup, strict=True):
        for kind, part in parts.items():
            got[kind] += weight * group.visits * group.length * part
    total = sum(got.values())
    return {kind: count / total for kind, count in got.items()}


@dataclass(frozen=True, slots=True)
class Fit:
    """Pearson's chi-square of counts against shares. `p`: how often chance alone is that far off; None where there is
    too little to say."""

    chi_square: float
    freedom: int
    p: float | None


def fit(counted: Mapping[str, int], planned: Mapping[str, float], *, pages_of_a_visit: float = 1.0) -> Fit:
    """Pages of one visit come together, so they say less than as many by themselves: the statistic is divided by
    `pages_of_a_visit`, the mean length of the visit that a page stands in (the design effect of a sample of clusters
    that are all of one kind, which is the most it can be). Kinds of which fewer than 5 such visits are expected are
    one kind together (Cochran 1954)."""
    effect, total, whole = max(1.0, pages_of_a_visit), sum(counted.values()), sum(planned.values())
    expected = {kind: total * planned.get(kind, 0) / whole for kind in planned.keys() | counted.keys()}
    cells = _cells(expected, counted, least=_LEAST_EXPECTED * effect)
    freedom = len(cells) - 1
    if freedom < 1:
        return Fit(0.0, 0, None)
    statistic = sum((got - wanted) ** 2 / wanted for wanted, got in cells) / effect
    return Fit(statistic, freedom, chi_square_above(statistic, freedom))


def _cells(expected: Mapping[str, float], counted: Mapping[str, int], *, least: float) -> list[tuple[float, int]]:
    """(expected, counted), the rarest kinds put together until each cell has enough of them."""
    cells, rare, rare_got = list[tuple[float, int]](), 0.0, 0
    for count, kind in sorted((count, kind) for kind, count in expected.items()):
        rare, rare_got = rare + count, rare_got + counted.get(kind, 0)
        if rare >= least:
            cells.append((rare, rare_got))
            rare, rare_got = 0.0, 0
    return cells


def chi_square_above(statistic: float, freedom: int) -> float:
    """The chance of a value above this one: the regularised upper incomplete gamma function Q(freedom/2, x/2), by its
    recurrence from Q(1/2, .) or Q(1, .) (Abramowitz and Stegun 26.4.4 and 26.4.5)."""
    half = statistic / 2
    order = 1.0 if freedom % 2 == 0 else 0.5
    found = math.exp(-half) if freedom % 2 == 0 else math.erfc(math.sqrt(half))
    while order < freedom / 2 - 1e-9:
        found += math.exp(order * math.log(half) - half - math.lgamma(order + 1)) if half > 0 else 0.0
        order += 1
    return min(1.0, found)
