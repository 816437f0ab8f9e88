"""The doubt of a plan's labels: the steps that measure it, and the bands that they give numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workstation.planning.plan import Plan, PlanError, Step
from workstation.replay import REPEATED
from workstation.stages import STAGES, find_stage

DOUBT_STAGE = "segmentation.doubt"
FOLLOWING_GROUP = "Plan"


def doubt_steps(plan: Plan) -> dict[str, str]:
    """Return the label that each step which measures doubt is about, by the step's output."""
    return {s.output: s.inputs["labels"] for s in plan.steps if s.stage == DOUBT_STAGE}


def with_doubt(plan: Plan, label: str, params: Mapping[str, Any] | None = None) -> Plan:
    """Return ``plan`` with steps that measure the doubt about ``label`` and the parts cut from it.

    The step is called LABEL_doubt; one that is there takes the new ``params``. Parts, such as
    the remnant, share the label's repeats, so their bands cost little more.

    Raises:
        PlanError: if ``label`` is no label of the plan, or was made from no image.
    """
    step = plan.step(label)
    if find_stage(step).output_kind != "LabelMap":
        raise PlanError(f"{label!r} is no label, so there is no outline to be in doubt")
    image, held = image_of(plan, label), {of: name for name, of in doubt_steps(plan).items()}
    parts = [
        s.output
        for s in plan.steps
        if s.output in plan.downstream(label)
        and (STAGES[s.stage].group, STAGES[s.stage].output_kind) == (FOLLOWING_GROUP, "LabelMap")
    ]
    stage = STAGES[DOUBT_STAGE]
    stage.check_params(params or {})
    for name in (label, *parts):
        own = {**(params or {}), **({} if name == label else {"places": 0})}  # listed once
        if name in held:
            plan = plan.with_params(held[name], **own)
        else:
            inputs = {"labels": name, "volume": image}
            plan = plan.added(Step(DOUBT_STAGE, f"{name}_doubt", stage.version, inputs, own))
    return plan


def image_of(plan: Plan, label: str) -> str:
    """Return the name of the first image that ``label`` is made from.

    Raises:
        PlanError: if there is none.
    """
    for step in plan.only(label).steps:
        for needed in find_stage(step).inputs:
            name = step.inputs.get(needed.name, "")
            if needed.kind == "Volume" and name in plan.sources:
                return name
    raise PlanError(f"{label!r} is made from no image of the plan, so it cannot be repeated")


def with_bands(plan: Plan, numbers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the number records of a case with the bands that its steps of doubt found.

    A band found for a number of the label takes its place there; the record of the step of
    doubt itself is left out.
    """
    about = doubt_steps(plan)
    shown = {number["name"]: dict(number) for number in numbers}
    for name, number in list(shown.items()):
        if number["step"] not in about:
            continue
        quantity = name.removeprefix(f"{number['step']}.")
        target = shown.get(f"{about[number['step']]}.{quantity}")
        if target is not None:
            target |= {end: number[end] for end in ("low", "high", "source")}
            del shown[name]
    return list(shown.values())


def cost_text(plan: Plan, label: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """Say how often ``label`` is made again, and how long that took in earlier ``runs``."""
    held = {of: name for name, of in doubt_steps(plan).items()}
    params = plan.step(held[label]).params if label in held else {}
    repeats = params.get("repeats", STAGES[DOUBT_STAGE].parameters["repeats"].default)
    once = repeat_seconds(plan, label, runs)
    took = "" if once is None else f", about {_duration(once * repeats)}"
    return f"{label.replace('_', ' ')} is made {repeats} times again{took}"


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"


def repeat_seconds(plan: Plan, label: str, runs: Sequence[Mapping[str, Any]]) -> float | None:
    """Return how long (s) making ``label`` once took in earlier ``runs``; None if not known.

    Counted are the steps that a repeat runs again.
    """
    took = {s["output"]: s["seconds"] for r in runs for s in r["steps"] if s["state"] == "done"}
    repeated = [
        step.output
        for step in plan.only(label).steps
        if find_stage(step).output_kind in REPEATED and step.stage != DOUBT_STAGE
    ]
    if not all(output in took for output in repeated):
        return None
    return float(sum(took[output] for output in repeated))
