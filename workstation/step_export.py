"""A part of an implant library that a plan places, as a STEP file."""

from __future__ import annotations

from pathlib import Path

from segmentation.contract import Progress, silent
from segmentation.measured import Measured
from workstation.case import Case, CaseError
from workstation.planning.implant_families import Part
from workstation.planning.implant_library_stages import meant_part
from workstation.planning.plan import Plan, Step
from workstation.planning.size_search import Pose
from workstation.planning.step_files import ENDINGS, is_step, write_step

STEP = "step"
"""What `hilum export CASE NAME` calls the part that the plan places, as a STEP file."""

PLACED = "planning.place_implant"
BESIDE = ("contact_weight", "coverage_weight", "gap_weight", "interference_weight")
"""Parameters that say nothing of the part or its pose."""


def placed_steps(plan: Plan) -> list[Step]:
    """Return the steps of a plan that place a part of a library."""
    return [step for step in plan.steps if step.stage == PLACED]


def export_step(case: Case, name: str, path: Path, progress: Progress = silent) -> Path:
    """Write the placed part ``name``, or the last one for "step", as STEP; return ``path``.

    It lies as it is placed in the patient, LPS mm, and is read back and compared with its surface.

    Raises:
        CaseError: if it is no part of a library, has no exact solid, or is not computed.
        StepFailed: if the solid cannot be made, or is not that of the surface.
    """
    plan = case.plan()
    step = _meant(plan, name)
    if not is_step(path.name):
        raise CaseError(f"a STEP file ends in {' or '.join(ENDINGS)}, not as {path.name} does")
    if not path.parent.is_dir():
        raise CaseError(f"the folder {path.parent} is not there; make it first")
    mesh = case.value(step.output, plan)
    part, pose = _part_of(case, plan, step)
    if not part.dimensions and part.solid is None:
        raise CaseError(
            f"{step.output!r} is a surface of the library {part.library}, which has no STEP "
            "file of it; export it as STL or 3MF"
        )
    return write_step(
        mesh,
        path,
        name=part.mesh.name,
        pose=pose,
        family=part.family,
        dimensions=part.dimensions,
        source=part.solid,
        note=part.note,
        progress=progress,
    )


def _meant(plan: Plan, name: str) -> Step:
    steps = placed_steps(plan)
    found = [step for step in steps if name in (STEP, step.output)]
    if found:
        return found[-1]
    there = ", ".join(step.output for step in steps)
    if name == STEP:
        why = (
            "the plan places no part of an implant library; start one with: hilum plan implant-fit"
        )
    else:
        why = (
            f"{name!r} has no exact solid, since it is made of the patient's own shape; export it "
            "as STL or 3MF. STEP is for parts of a library"
        )
    raise CaseError(f"{why} (here: {there})" if there else why)


def _part_of(case: Case, plan: Plan, step: Step) -> tuple[Part, Pose]:
    """Return the part that a step places, and its pose."""
    chosen = step.inputs.get("choice")
    choice = case.value(chosen, plan) if chosen else None
    given = {name: value for name, value in step.params.items() if name not in BESIDE}
    return meant_part(choice if isinstance(choice, Measured) else None, **given)
