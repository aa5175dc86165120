"""A plan with a log becomes one that can be run: its visits are chosen and lie in the run directory, and the plan knows
how long the longest of them lasts."""

import glob
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from loadtests.plans import JOURNEY_SECONDS, Plan, PlanMistake
from loadtests.replay import filling, mix, preparing, reading, rules
from loadtests.shapes import Piece, Shape

NAME = "replay"


def prepared(plan: Plan, run_dir: Path) -> Plan:
    """The plan itself if it replays nothing. Raises `PlanMistake`: what is wrong with the log, or with what is wanted
    of it, is a mistake of the plan."""
    if NAME not in plan.mix:
        return plan
    mine = [arrival.index for arrival in plan.arrivals() if arrival.scenario == NAME]
    if not mine:
        return plan
    try:
        told = preparing.prepare(wanted=_wanted(plan), arrivals=mine, seed=plan.seed, run_dir=run_dir)
    except (reading.NoLog, preparing.NothingToReplay) as error:
        raise PlanMistake("log:", str(error)) from error
    except mix.MixMistake as error:
        raise PlanMistake("weights:", str(error)) from error
    except (rules.KindMistake, filling.NoSample) as error:
        raise PlanMistake("kinds, urls:", str(error)) from error
    return replace(
        plan,
        shape=_shape(plan, told["log"]["curve"]),
        journey_seconds=max(told["chosen"]["longest_seconds"], *_others(plan), 1.0),
        stay_seconds=told["chosen"]["mean_seconds"] if len(plan.mix) == 1 else 0.0,
    )


def _shape(plan: Plan, curve: Mapping[str, Any]) -> Shape:
    """The plan's own, or the same people as the log's came: over the plan's time, or over the log's."""
    if not plan.curve:
        return plan.shape
    whole = plan.shape.seconds if plan.curve == "log" else curve["seconds"] * len(curve["visits"])
    each, scale = whole / len(curve["visits"]), plan.users / sum(curve["visits"])
    pieces = tuple(Piece(each, visits * scale / each, visits * scale / each) for visits in curve["visits"])
    return Shape("recorded", pieces, plan.shape.spacing)


def summary(told: dict[str, Any]) -> str:
    """Some lines of `replay.json` for a terminal."""
    read, log, chosen = told["read"], told["log"], told["chosen"]
    return (
        f"log: {read['lines']:,} lines, {sum(read['unread'].values()):,} not read, {log['visits']:,} visits of "
        f"{log['hours']:.1f} h, {log['new']:.0%} new; {read['lines_per_second'] or 0:,.0f} lines/s\n"
        f"replayed: {chosen['visits']:,} visits, {sum(chosen['pages'].values()):,} pages of {chosen['addresses']:,} "
        f"addresses, {chosen['new']:.0%} new; the longest lasts {chosen['longest_seconds'] / 60:.0f} min"
    )


def _others(plan: Plan) -> list[float]:
    return [JOURNEY_SECONDS[scenario] for scenario in plan.mix if scenario != NAME]


def _wanted(plan: Plan) -> preparing.Wanted:
    """A log may be a pattern: all servers' logs, rotated ones too."""
    logs = tuple(Path(name) for name in sorted(glob.glob(plan.log))) or (Path(plan.log),)
    return preparing.Wanted(
        logs=logs,
        weights=plan.weights,
        kinds=Path(plan.kinds) if plan.kinds else rules.OUR_KINDS,
        urls=Path(plan.urls) if plan.urls else None,
    )


def achieved(run_dir: Path, results: dict[str, Any] | None) -> dict[str, Any] | None:
    """Planned against achieved pages, of a run's results; None for a run that replayed nothing."""
    if results is None:
        return None
    counted = {
        name: sum(int(step[kind]) for kind in ("success", "failure", "timeout", "untrue"))
        for name, step in results["steps"].items()
    }
    return preparing.achieved(run_dir=run_dir, answered=counted)
