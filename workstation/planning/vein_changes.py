"""What a person changes about the branches of a tree of veins, each as another plan.

Names, clamps and the system that a vein belongs to are parameters of steps, so that a click in
the window and a change on the command line are the same. Points are DICOM patient LPS mm.
"""

from __future__ import annotations

import numpy as np

from meshing.centerline import Centerline
from segmentation.volume import Vector
from workstation.planning.couinaud_names import VALUES
from workstation.planning.plan import Plan, Step
from workstation.planning.vein_dissection import DISSECTED_MM
from workstation.planning.vein_names import branch_names, first_own_point, following, inner_point

LOST = "planning.lost_territory"
CROSSED = "planning.cut_vessels"
REACH = "planning.branch_territory"
APART = "planning.tell_veins_apart"
NEAR_MM = 6.0  # a correction so near to an earlier one takes its place
OTHER = {"portal_vein": "hepatic_mm", "hepatic_vein": "portal_mm"}
OWN = {"portal_vein": "portal_mm", "hepatic_vein": "hepatic_mm"}


def renamed(plan: Plan, output: str, tree: Centerline, branch: int, name: str) -> Plan:
    """Return the plan in which a branch, and what follows it, has another name.

    Raises:
        ValueError: if branches cannot have that name.
    """
    if name != "none" and name not in VALUES:
        raise ValueError(f"no branch can be called {name!r}; choose one of {', '.join(VALUES)}")
    given = tuple(plan.step(output).params.get("names", ()))
    behind = set(following(tree, branch))
    kept = tuple(row for row in given if branch_of(tree, row[1:]) not in behind)
    return plan.with_params(output, names=(*kept, (name, *inner_point(tree, branch))))


def lacks_move(plan: Plan, output: str) -> str:
    """Return what it needs to move a branch to the other tree, "" if it can be moved."""
    return "" if _apart(plan, output) else "veins that were told apart in one label"


def moved(plan: Plan, output: str, tree: Centerline, branch: int) -> Plan:
    """Return the plan in which a branch belongs to the other system of veins.

    Raises:
        ValueError: if the systems come from labels of their own.
    """
    found = _apart(plan, output)
    if found is None:
        raise ValueError(
            f"{output} is followed in a label of its own; correct that label to move a branch"
        )
    step, system = found
    place = inner_point(tree, branch)
    own, other = OWN[system], OTHER[system]
    kept = tuple(p for p in step.params.get(own, ()) if _apart_mm(p, place) > NEAR_MM)
    given = tuple(step.params.get(other, ()))
    return plan.with_params(step.output, **{own: kept, other: (*given, place)})


def clamp_steps(plan: Plan, output: str) -> tuple[str, ...]:
    """Return the steps that tell what is lost where branches of a tree are clamped."""
    return tuple(s.output for s in plan.steps if s.stage == LOST and s.inputs.get("tree") == output)


def is_clamped(plan: Plan, output: str, tree: Centerline, branch: int) -> bool:
    """Tell whether a branch is clamped itself, by its name or by a point on it."""
    name = branch_names(tree)[branch]
    return any(
        name in plan.step(step).params.get("clamped", ())
        or any(branch_of(tree, p) == branch for p in plan.step(step).params.get("clamps_mm", ()))
        for step in clamp_steps(plan, output)
    )


def clamped(plan: Plan, output: str, tree: Centerline, branch: int, on: bool = True) -> Plan:
    """Return the plan with a clamp where a branch begins, or without it.

    Raises:
        ValueError: if no step of the plan tells what a clamp does.
    """
    steps = clamp_steps(plan, output)
    if not steps:
        raise ValueError(f"no step tells what is lost behind a clamp of {output}; add one")
    name = branch_names(tree)[branch]
    for step in steps:
        params = plan.step(step).params
        kept = tuple(p for p in params.get("clamps_mm", ()) if branch_of(tree, p) != branch)
        if on:
            plan = plan.with_params(step, clamps_mm=(*kept, first_own_point(tree, branch)))
        else:
            names = tuple(n for n in params.get("clamped", ()) if n != name)
            plan = plan.with_params(step, clamps_mm=kept, clamped=names)
    return plan


def dissected_mm(plan: Plan, output: str) -> float:
    """Return the longest stretch in mm of stems of a tree that are freed of the specimen."""
    for step in plan.steps:
        if step.stage == LOST and step.inputs.get("tree") == output and "cut" in step.inputs:
            return float(step.params.get("dissected_mm", DISSECTED_MM))
    return DISSECTED_MM


def freeing_steps(plan: Plan) -> tuple[str, ...]:
    """Return the steps that follow what is freed of the specimen."""
    lost = (s.output for s in plan.steps if s.stage == LOST and "cut" in s.inputs)
    return (*lost, *(s.output for s in plan.steps if s.stage == CROSSED))


def with_dissected(plan: Plan, at_most_mm: float) -> Plan:
    """Return the plan in which stems are freed of the specimen so far, in every step alike."""
    for output in freeing_steps(plan):
        plan = plan.with_params(output, dissected_mm=float(at_most_mm))
    return plan


def with_territory(plan: Plan, output: str, tree: Centerline, branch: int) -> tuple[Plan, str]:
    """Return the plan with a step that makes the territory of a branch, and what it is called."""
    taken = plan.keys()
    name = next(n for n in (f"territory_{m}" for m in range(1, 10_000)) if n not in taken)
    inputs = {"liver": plan.step(output).inputs["liver"], "tree": output}
    params = {"places_mm": (first_own_point(tree, branch),)}
    return plan.added(Step(REACH, name, inputs=inputs, params=params)), name


def branch_of(tree: Centerline, point_mm: Vector | tuple[float, ...]) -> int:
    """Return the branch whose points are nearest to a place."""
    away = np.linalg.norm(tree.points_mm - np.asarray(point_mm, float), axis=1)
    nearest = int(np.argmin(away))
    return next(n for n, b in enumerate(tree.branches) if b.start <= nearest < b.stop)


def _apart_mm(a: Vector, b: Vector) -> float:
    return float(np.linalg.norm(np.subtract(a, b)))


def _apart(plan: Plan, output: str) -> tuple[Step, str] | None:
    """Return the step that told the systems apart, and the system that a tree shows."""
    made = {step.output: step for step in plan.steps}
    step: Step | None = made.get(output)
    for argument in ("tree", "vein"):
        step = made.get(step.inputs.get(argument, "")) if step is not None else None
    if step is None or step.stage != "planning.one_system":
        return None
    system = str(step.params.get("system", "portal_vein"))
    source = made.get(step.inputs.get("veins", ""))
    return (source, system) if source is not None and source.stage == APART else None
