"""The doubt of a plan's results: the steps that measure it, and the bands they give numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workstation.planning.plan import Plan, PlanError, Step
from workstation.replay import REPEATED
from workstation.stages import STAGES, find_stage

DOUBT_STAGE = "segmentation.doubt"
SPREAD_STAGE = "planning.spread"
FLOW_STAGE = "hemodynamics.simulate_flow"
FOLLOWING_GROUP = "Plan"

INFLOW_SHARE = 0.19
EXPONENTS = (2.0, 3.0)


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
    """Return the number records of a case with the bands that steps of doubt and spread found.

    A band found for a number of a result takes its place there; the record of the step that
    found it is left out.
    """
    about = doubt_steps(plan) | spread_steps(plan)
    records = [dict(number) for number in numbers]
    shown = {(number["step"], _quantity(number)): number for number in records}
    taken = set()
    for place, number in shown.items():
        target = shown.get((about.get(place[0], ""), place[1]))
        if target is not None:
            target |= {end: number[end] for end in ("low", "high", "source")}
            taken.add(place)
    return [number for place, number in shown.items() if place not in taken]


def _quantity(number: Mapping[str, Any]) -> str:
    return str(number["name"]).removeprefix(f"{number['step']}.")


def spread_steps(plan: Plan) -> dict[str, str]:
    """Return the result that each step which measures its spread is about, by the step's output."""
    return {s.output: s.inputs["result"] for s in plan.steps if s.stage == SPREAD_STAGE}


def can_spread(plan: Plan, output: str) -> bool:
    """Tell whether ``output`` is a result that can be repeated under other inputs."""
    kinds = STAGES[SPREAD_STAGE].inputs[0].kind.split(" | ")
    return find_stage(plan.step(output)).output_kind in kinds


def with_spread(
    plan: Plan, output: str, vary: Sequence[tuple[str, float, float]], members: int | None = None
) -> Plan:
    """Return ``plan`` with a step that measures how far ``output`` moves under other inputs.

    The step is called OUTPUT_spread; one that is there takes the new ranges.

    Raises:
        PlanError: if a varied step is none that ``output`` depends on.
        StageError: for a range or count that is refused.
    """
    upstream = {step.output for step in plan.only(output).steps}
    for name, _, _ in vary:
        step, _, parameter = name.partition(".")
        known = find_stage(plan.step(step)).parameters
        if step not in upstream:
            raise PlanError(f"{output} does not depend on {step}, so {name} cannot move it")
        if parameter not in known:
            raise PlanError(f"{step} has no parameter {parameter!r}; it has: {', '.join(known)}")
    stage = STAGES[SPREAD_STAGE]
    given: dict[str, Any] = {"vary": tuple(tuple(one) for one in vary)}
    given |= {} if members is None else {"members": members}
    stage.check_params(given)
    held = {of: name for name, of in spread_steps(plan).items()}
    if output in held:
        return plan.with_params(held[output], **given)
    step_of = Step(SPREAD_STAGE, f"{output}_spread", stage.version, {"result": output}, given)
    return plan.added(step_of)


def usual_ranges(
    plan: Plan, output: str, numbers: Iterable[Mapping[str, Any]]
) -> list[tuple[str, float, float]]:
    """Return what is usually not known about the flows that ``output`` is computed from.

    The inflow varies by 19 percent, as among people (Ford 2005, doi:10.1088/0967-3334/26/4/013:
    275 with a deviation of 52 mL/min), and the exponent of the outlets' split between 2 and 3.
    """
    ranges: list[tuple[str, float, float]] = []
    flows = {str(n["name"]): float(n["value"]) for n in numbers if n["unit"] == "mL/s"}
    for step in plan.only(output).steps:
        if step.stage != FLOW_STAGE:
            continue
        ends = {n.removeprefix(f"{step.output}."): q for n, q in flows.items()}
        into = sum(q for n, q in ends.items() if n.startswith("inlet") and n.endswith(".flow"))
        if into > 0:
            low, high = (1 - INFLOW_SHARE) * into, (1 + INFLOW_SHARE) * into
            ranges.append((f"{step.output}.mean_flow_ml_s", low, high))
        if sum(n.startswith("outlet") and n.endswith(".flow") for n in ends) > 1:
            ranges.append((f"{step.output}.exponent", *EXPONENTS))
    return ranges


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
