"""Letting another stage make a result of a plan: a cut of another kind, a combination of two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from workstation.planning.plan import Plan, PlanError, Step
from workstation.stage import Stage, StageError
from workstation.stages import STAGES, find_stage

STAGE = "stage"
"""The word that stands for the stage of a step in ``STEP.stage=NAME``."""

BY_HAND: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"planning.cranial_implant": ("planning.move_implant", "implant")}
)
"""Stages that make what a hand can move, the stage that moves it and its input for that."""

PLACED: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {"planning.cut_wedge": ("planning.cut_plane", ("point_mm", "normal"))}
)
"""Stages that find their place by themselves, the one to which a place is given, and its words."""


def restaged(plan: Plan, output: str, stage: str) -> Plan:
    """Return ``plan`` with ``output`` made by another stage; a new result is added.

    Inputs and parameters that the stage shares with the one before stay. What else it needs is
    taken from the results of the plan: for an input ``ARG`` the one called ``OUTPUT_ARG``, ``ARG``
    or ``ARG_lines``. Where the stage takes its own result (a combination of cuts), the step before
    stays as its first input.

    Raises:
        PlanError: for a stage that is not known or makes something that the plan cannot use.
    """
    new = _stage(stage)
    known = {step.output for step in plan.steps}
    if output not in known:
        return _added(plan, output, new)
    step = plan.step(output)
    if step.stage == stage:
        return plan
    parts = _parts(step)
    if parts and not any(i.name in parts for i in new.inputs):
        plan = _without_parts(plan.without(output), output, parts)
        step = plan.step(output)
    _require_fitting(plan, output, new)
    if step.stage == stage:
        return plan
    kept = {name: value for name, value in step.params.items() if _accepts(new, name, value)}
    before = {*plan.sources, *_earlier(plan, output)}
    own = output if any(i.name == output and not i.optional for i in new.inputs) else None
    inputs = _inputs(new, output, step.inputs, before, without=own)
    made = Step(new.name, output, new.version, inputs, {} if own else kept)
    return plan.followed(output, own, made) if own else plan.with_step(made)


def with_input(plan: Plan, output: str, argument: str, name: str) -> Plan:
    """Return ``plan`` with one input of a step taken from another result."""
    step = plan.step(output)
    return plan.with_step(replace(step, inputs={**step.inputs, argument: name}))


def set_one(plan: Plan, output: str, word: str, value: Any) -> Plan:
    """Return ``plan`` with the stage, an input or a parameter of a step set.

    A wedge whose point or normal is set becomes the plane there.

    Raises:
        PlanError: if there is no such step, or no such stage.
        StageError: for a parameter that the stage has not.
    """
    if word == STAGE:
        return restaged(plan, output, str(value))
    placed, words = PLACED.get(plan.step(output).stage, ("", ()))
    if word in words:
        plan = restaged(plan, output, placed)
    plan, output = _moved_or_made(plan, output, word)
    stage = find_stage(plan.step(output))
    if word not in stage.parameters and any(word == i.name for i in stage.inputs):
        return with_input(plan, output, word, str(value))
    if word not in stage.parameters:
        known = ", ".join(stage.parameters) or "none"
        raise StageError(f"{stage.name} has no parameter {word!r}; it has: {known}")
    if stage.parameters[word].annotation is str and type(value) in (int, float):
        value = json.dumps(value)  # a size such as 4 is text, however it is typed
    if value is not None:
        stage.parameters[word].check(value)
    return plan.with_params(output, **{word: value})


def _moved_or_made(plan: Plan, output: str, word: str) -> tuple[Plan, str]:
    """Return the plan and the step that a setting means where a hand moves what a step makes.

    The first move puts a step behind the one that makes it; settings of its shape stay with that.
    """
    step = plan.step(output)
    stage = find_stage(step)
    if word in stage.parameters or any(word == i.name for i in stage.inputs):
        return plan, output
    for making, (moving, argument) in BY_HAND.items():
        if step.stage == making and word in STAGES[moving].parameters:
            needed = {i.name for i in STAGES[moving].inputs}
            inputs = {a: name for a, name in step.inputs.items() if a in needed}
            made = Step(moving, output, STAGES[moving].version, inputs)
            return plan.followed(output, argument, made), output
        if step.stage == moving:
            before = step.inputs[argument]
            if word in find_stage(plan.step(before)).parameters:
                return plan, before
    return plan, output


def _stage(name: str) -> Stage:
    if name not in STAGES:
        group = name.split(".")[0]
        near = ", ".join(sorted(n for n in STAGES if n.split(".")[0] == group)) or "none"
        raise PlanError(f"there is no stage {name!r}; of that group there are: {near}")
    return STAGES[name]


def _parts(step: Step) -> dict[str, str]:
    """Return the inputs of a step that are parts of its own result, by argument."""
    return {a: name for a, name in step.inputs.items() if name.startswith(f"{step.output}_")}


def _without_parts(plan: Plan, output: str, parts: Mapping[str, str]) -> Plan:
    """Return the plan without the parts of a former result that nothing takes any more."""
    for name in parts.values():
        there = any(step.output == name for step in plan.steps)
        if there and not plan.downstream(name):
            plan = plan.without(name)
    return plan


def _earlier(plan: Plan, output: str) -> list[str]:
    names = [step.output for step in plan.steps]
    return names[: names.index(output)] if output in names else names


def _inputs(
    stage: Stage, output: str, old: Mapping[str, str], there: set[str], without: str | None
) -> dict[str, str]:
    found = {}
    for needed in stage.inputs:
        if needed.name == without:
            continue
        own, lines = f"{output}_{needed.name}", f"{needed.name}_lines"  # lines: of a tree of veins
        names = (old.get(needed.name, ""), own, needed.name, lines)
        name = next((n for n in names if n in there), None)
        if name is not None:
            found[needed.name] = name
    return found


def _accepts(stage: Stage, name: str, value: Any) -> bool:
    if name not in stage.parameters:
        return False
    try:
        stage.parameters[name].check(value)
    except StageError:
        return False
    return True


def _require_fitting(plan: Plan, output: str, stage: Stage) -> None:
    for step in plan.steps:
        for needed in find_stage(step).inputs:
            kinds = needed.kind.split(" | ")
            if step.inputs.get(needed.name) == output and stage.output_kind not in kinds:
                raise PlanError(
                    f"{step.output!r} takes {output!r} as {needed.kind}, and {stage.name} makes "
                    f"{stage.output_kind}; choose another stage"
                )


def _added(plan: Plan, output: str, stage: Stage) -> Plan:
    """Return the plan with a new result, as early as what it needs is there.

    A stage of a single value takes the only result of its kind whatever its name; where a person
    must still say what a stage takes, the step stands last, behind all that can be said.
    """
    there = {*plan.sources, *(step.output for step in plan.steps)}
    inputs = _inputs(stage, output, {}, there, without=None)
    needed = [i for i in stage.inputs if not i.optional]
    if len(needed) == 1 and not inputs:
        fitting = _of_kind(plan, needed[0].kind)
        inputs = {needed[0].name: fitting[0]} if len(fitting) == 1 else {}
    made = Step(stage.name, output, stage.version, inputs)
    if any(i.name not in inputs for i in needed):
        return plan.added(made)
    last = max(
        (n for n, step in enumerate(plan.steps, 1) if step.output in inputs.values()), default=0
    )
    return replace(plan, steps=(*plan.steps[:last], made, *plan.steps[last:]))


def _of_kind(plan: Plan, kind: str) -> list[str]:
    """Return the results of a plan that an input of a kind could take."""
    kinds = kind.split(" | ")
    return [step.output for step in plan.steps if find_stage(step).output_kind in kinds]
