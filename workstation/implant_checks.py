"""What must hold before an implant leaves the case, each told in a plain sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from meshing.faults import pieces_of, solid_faults
from meshing.surface import SurfaceMesh, is_watertight
from segmentation.contract import Finding, Progress, Severity, as_sentence, silent
from segmentation.measured import Measured
from workstation.case import Case, CaseError
from workstation.planning.aneurysm_patient import PatientFacts
from workstation.planning.cranioplasty import side_of
from workstation.planning.plan import Plan, Step

IMPLANT, MARKED = "planning.cranial_implant", "planning.mark_implant"
FIT, PRINT = "planning.implant_fit", "meshing.printability"
PATIENT, PLANE = "planning.cranial_patient", "meshing.symmetry_plane"


@dataclass(frozen=True)
class Check:
    """One thing that must hold: whether it does, and in words why or why not.

    No reason lets an implant go that fails a ``final`` check.
    """

    name: str
    title: str
    passed: bool
    sentence: str
    remedy: str = ""
    final: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentence", as_sentence(self.sentence))
        object.__setattr__(self, "remedy", as_sentence(self.remedy))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class Made:
    """What the release of an implant is made of.

    Attributes:
        name: the result.
        surface: its surface.
        number: the plan that it belongs to.
        plan: that plan.
        values: the results of that plan that there are, by name.
        fresh: whether that is the current plan.
    """

    name: str
    surface: SurfaceMesh
    number: int
    plan: Plan
    values: Mapping[str, Any]
    fresh: bool


def released_name(plan: Plan) -> str:
    """Return the result of a plan that is the implant to be made: the marked one, if there is.

    Raises:
        CaseError: if the plan makes no implant.
    """
    steps = steps_of(plan, MARKED) or steps_of(plan, IMPLANT)
    if not steps:
        raise CaseError("the plan makes no implant; start one with: hilum plan cranioplasty")
    return steps[-1].output


def steps_of(plan: Plan, stage: str) -> list[Step]:
    """Return the steps of a plan that call a stage."""
    return [step for step in plan.steps if step.stage == stage]


def find_made(case: Case) -> Made:
    """Return the implant of the current plan, or the last one that was computed before it.

    Raises:
        CaseError: if the plan makes no implant, or none was ever computed.
    """
    plan = case.plan()
    name = released_name(plan)
    for number in [case.plan_number, *_earlier(case)]:
        older = case.plan(number)
        key = older.keys().get(name)
        if key is not None and key in case.values:
            values = {n: case.values[k] for n, k in older.keys().items() if k in case.values}
            return Made(name, values[name], number, older, values, number == case.plan_number)
    why = _failure(case, plan, name)
    raise CaseError(why or f"{name!r} is not computed yet; run the plan first")


def _earlier(case: Case) -> list[int]:
    """Return the numbers of the plans before the current one, the latest first."""
    return [r.plan for r in case.record.history[: case.record.position]][::-1]


def _failure(case: Case, plan: Plan, name: str) -> str:
    """Return why the newest run could not compute a result, "" where that is not known."""
    keys = plan.keys()
    wanted = {keys[step.output] for step in plan.steps} | {keys[name]}
    for run in reversed(case.runs()):
        for step in run["steps"]:
            if step["state"] == "failed" and step["key"] in wanted:
                return str(step["error"])
    return ""


def implant_checks(case: Case, made: Made, progress: Progress = silent) -> tuple[Check, ...]:
    """Return the checks of an implant that is to be released, in the order they are told."""
    surface = made.surface
    progress(0.1, "looking for faults")
    faults = solid_faults(surface, progress=progress)
    pieces = int(pieces_of(surface).max()) + 1 if len(surface.triangles) else 0
    return (
        _fresh(case, made),
        _side(case, made),
        _marked(made),
        Check(
            "watertight",
            "Closed",
            is_watertight(surface),
            "the surface is closed" if is_watertight(surface) else "the surface has holes",
            "" if is_watertight(surface) else "make the implant again, or repair it",
        ),
        Check(
            "one_piece",
            "One piece",
            pieces == 1,
            "it is one piece" if pieces == 1 else f"it falls into {pieces} pieces",
            "" if pieces == 1 else "keep the largest, or change the implant",
        ),
        _of_findings("sound", "Sound solid", faults, "no fault of the surface was found"),
        _thickness(made),
        _printing(made),
        _overlap(made),
    )


def _fresh(case: Case, made: Made) -> Check:
    if made.fresh:
        text = f"it belongs to the current plan {made.number}"
        return Check("fresh", "Up to date", True, text)
    why = _failure(case, case.plan(), made.name)
    text = f"it was made by plan {made.number}, and the plan has changed since"
    text += f" ({why})" if why else ""
    return Check("fresh", "Up to date", False, text, "run the plan again")


def _first(made: Made, stage: str, kind: type) -> Any:
    """Return the value of the first step of a stage, None where there is none."""
    values = (made.values.get(step.output) for step in steps_of(made.plan, stage))
    return next((value for value in values if isinstance(value, kind)), None)


def declared_side(made: Made) -> str:
    """Return the side that was declared for the operation, "" for none."""
    facts = _first(made, PATIENT, PatientFacts)
    return str(facts.facts.get("side", "")) if facts is not None else ""


def found_side(made: Made) -> str:
    """Return the side on which the implant lies, "" where there is no mid-sagittal plane."""
    plane = _first(made, PLANE, Measured)
    return side_of(made.surface.points_mm, plane) if plane is not None else ""


def _side(case: Case, made: Made) -> Check:
    """Return whether the side is declared and that of the implant; another one stops all."""
    declared, found = declared_side(made), found_side(made)
    now = [str(step.params.get("side") or "") for step in steps_of(case.plan(), PATIENT)]
    fix = "check the image and patient.side"
    if now and now[-1] and found and now[-1] != found:
        text = (
            f"the operation is declared for {_for(now[-1])}, but the implant lies {_where(found)}"
        )
        return Check("side", "Side", False, text, fix, final=True)
    if not declared:
        text = "the side of the operation was not declared, so it cannot be checked"
        return Check("side", "Side", False, text, "set patient.side at the start of the case")
    if not found:
        text = "the plan has no mid-sagittal plane that tells the side of the implant"
        return Check("side", "Side", False, text)
    if declared != found:
        text = (
            f"the operation is declared for {_for(declared)}, but the implant lies {_where(found)}"
        )
        return Check("side", "Side", False, text, fix, final=True)
    text = f"declared for {_for(declared)}; the implant lies {_where(found)}"
    return Check("side", "Side", True, text)


def _for(side: str) -> str:
    return {"bilateral": "both sides"}.get(side, f"the {side}")


def _where(side: str) -> str:
    return {"bilateral": "across the midline"}.get(side, f"on the patient's {side}")


def _marked(made: Made) -> Check:
    written = [f for f in made.surface.findings if f.code.startswith("marked_")]
    if not written:
        text = "no side is written on it"
        return Check("marked", "Marking", False, text, "add the step planning.mark_implant")
    side = written[-1].code.removeprefix("marked_")
    wanted = declared_side(made) or found_side(made)
    text = written[-1].sentence
    if side != wanted:
        return Check("marked", "Marking", False, text, "write the side anew", final=True)
    return Check("marked", "Marking", True, text)


def _thickness(made: Made) -> Check:
    steps = steps_of(made.plan, IMPLANT)
    body = made.values.get(steps[-1].output) if steps else None
    known = {n.quantity: n for n in getattr(body, "numbers", ())}
    least = known.get("thickness.minimum")
    if body is None or least is None:
        text = "the least thickness is not known"
        return Check("thickness", "Thickness", False, text, "run the plan again")
    thin = [f for f in body.findings if f.code == "thin_implant"]
    if thin:
        return Check("thickness", "Thickness", False, thin[0].sentence, thin[0].remedy)
    band = f" ({least.low:.1f} to {least.high:.1f})" if least.low is not None else ""
    text = f"{least.value:.1f} mm{band} at the least, as asked for"
    return Check("thickness", "Thickness", True, text)


def _printing(made: Made) -> Check:
    asked = [s for s in steps_of(made.plan, PRINT) if s.inputs.get("mesh") == made.name]
    checked = [made.values[s.output] for s in asked if s.output in made.values]
    if not checked:
        text = "it was not checked for a printer"
        return Check("printing", "Printing", False, text, f"check {made.name!r} in Print")
    problems = [f for value in checked for f in value.findings if f.severity is Severity.PROBLEM]
    return _of_findings("printing", "Printing", problems, "the printer of the plan can make it")


def _overlap(made: Made) -> Check:
    fit = _first(made, FIT, SurfaceMesh)
    known = {n.quantity: n.value for n in getattr(fit, "numbers", ())}
    if "overlap.volume" not in known:
        text = "how it fits was not measured"
        return Check("overlap", "Fit", False, text, "add the step planning.implant_fit")
    overlap = known["overlap.volume"]
    gap = f"; the gap is {known['gap.mean']:.2f} mm on average" if "gap.mean" in known else ""
    if overlap > 0:
        text = f"it overlaps bone by {overlap:.2g} mL{gap}"
        return Check("overlap", "Fit", False, text, "raise implant.clearance_mm")
    return Check("overlap", "Fit", True, f"it overlaps no bone{gap}")


def _of_findings(name: str, title: str, found: Sequence[Finding], well: str) -> Check:
    if not found:
        return Check(name, title, True, well)
    more = f" And {len(found) - 1} more." if len(found) > 1 else ""
    return Check(name, title, False, found[0].sentence + more, found[0].remedy)
