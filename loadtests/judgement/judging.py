"""What a record says of a run beside its figures: its limits, Little's law, its mix, and the verdict on all of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from loadtests import verdict
from loadtests.frames import Frame
from loadtests.histogram import Histogram
from loadtests.judgement import achieved, little, windows
from loadtests.plans import Plan


def judged(
    *,
    plan: Plan,
    frames: Sequence[Frame],
    results: dict[str, Any] | None,
    books: Mapping[str, Any],
    probes: Mapping[str, Any] | None = None,
    counted: Mapping[str, Any] | None = None,
    certificate: Mapping[str, Any] | None = None,
    staleness: Mapping[str, Any] | None = None,
    replay: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """{"limits", "little", "mix", "verdict"} of the record; little and mix are None where nothing was measured.
    `staleness`: as `staleness.measured` gives it; `replay`: as `replay.running.achieved` does."""
    law = mix = None
    ages = Histogram.from_json(staleness["ages"]) if staleness else None
    findings = windows.judged(plan.limits, frames=frames, phases=plan.phases(), probes=probes, staleness=ages)
    if results is not None:
        law, mix = little.of(frames, seconds=results["seconds"]), achieved.mix(plan, frames)
    said = verdict.judge(
        plan=plan,
        results=results,
        findings=findings,
        books=books,
        little=law,
        mix=mix,
        counted=counted,
        certificate=certificate,
        staleness=staleness,
        replay=replay,
    )
    limits = [{"text": one.limit.text, "holds": one.holds, "worst": one.worst, "at": one.at} for one in findings]
    return {"limits": limits, "little": law, "mix": mix, "verdict": said.as_json()}
