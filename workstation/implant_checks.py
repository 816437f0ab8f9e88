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
from workstation.dicom.datasets import open_dataset
from workstation.dicom.files import DicomError
from workstation.dicom.values import text as text_of
from workstation.dicom_export import source_series
from workstation.planning.aneurysm_patient import PatientFacts
from workstation.planning.cranioplasty import side_of
from workstation.planning.plan import Plan, Step
from workstation.planning.release_marking import SEEN, UNSEEN
from workstation.planning.screw_clearance import screw_problems
from workstation.planning.template import templates

IMPLANT, MARKED = "planning.cranial_implant", "planning.mark_implant"
MOVED = "planning.move_implant"
GUIDE, PLATE, PART = "planning.cutting_guide", "planning.bent_plate", "planning.mark_part"
ORBITAL, MARKED_ORBITAL = "planning.orbital_plate", "planning.mark_orbital_plate"
MADE = {IMPLANT: "implant", ORBITAL: "orbital plate", GUIDE: "guide", PLATE: "plate"}
"""Stages that make what is given to a maker, and what that is called."""

MARKING = {IMPLANT: MARKED, ORBITAL: MARKED_ORBITAL, GUIDE: PART, PLATE: PART}
"""The stage that writes the side on each."""

LATER = {MOVED: "implant", MARKED: "implant", MARKED_ORBITAL: "plate", PART: "part"}
"""Stages that go on with what was made, and how they call it."""

BY_PLANE = (IMPLANT, ORBITAL)
"""Made in the head, on one side of the mid-sagittal plane, and put in along a direction."""

FIT, PRINT, PATH = "planning.implant_fit", "meshing.printability", "planning.insertion_path"
PATIENT, PLANE = "planning.cranial_patient", "meshing.symmetry_plane"
OPERATED, DONOR = "planning.operated_side", "planning.donor_leg"
LATERALITY = ("Laterality", "ImageLaterality")
"""Which side images of one of paired parts say that they show: (0020,0060), (0020,0062)."""


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
        origin: the step that made it, before anything was written on it.
        surface: its surface.
        number: the plan that it belongs to.
        plan: that plan.
        values: the results of that plan that there are, by name.
        fresh: whether that is the current plan.
    """

    name: str
    origin: Step
    surface: SurfaceMesh
    number: int
    plan: Plan
    values: Mapping[str, Any]
    fresh: bool

    @property
    def title(self) -> str:
        """What it is: implant, guide or plate."""
        return MADE[self.origin.stage]


def released_names(plan: Plan) -> dict[str, Step]:
    """Return what a plan makes for a maker: the last result, moved and marked, to what made it."""
    return {name: steps[0] for name, steps in _lineages(plan).items()}


def lineage(plan: Plan, name: str) -> tuple[str, ...]:
    """Return the results that a released one came from, the one that was made first, itself last.

    Empty if the plan does not make it for a maker.
    """
    return tuple(step.output for step in _lineages(plan).get(name, ()))


def _lineages(plan: Plan) -> dict[str, tuple[Step, ...]]:
    """Return by name what leads to each result for a maker: what makes, moves and marks it."""
    found: dict[str, tuple[Step, ...]] = {}
    for step in plan.steps:
        if step.stage in MADE:
            found[step.output] = (step,)
        elif step.stage in LATER:
            before = found.pop(step.inputs.get(LATER[step.stage], ""), None)
            if before is not None:
                found[step.output] = (*before, step)
    return found


def _placed_as(made: Made) -> tuple[str, ...]:
    """Return the results that lie where the released one does: those since it was moved last."""
    steps = _lineages(made.plan).get(made.name, ())
    moves = [n for n, step in enumerate(steps) if step.stage == MOVED]
    return tuple(step.output for step in steps[moves[-1] if moves else 0 :])


def released_name(plan: Plan, wanted: str = "") -> str:
    """Return the result of a plan that is to be made: the one that is wanted, or the only one.

    Raises:
        CaseError: if the plan makes none, several, or not the one that is wanted.
    """
    found = released_names(plan)
    if not found:
        start = "start one with: hilum plan cranioplasty, or hilum plan fixation with an option"
        if options := _making(plan):
            start = f"start it anew with an option ({options})"
        raise CaseError(f"the plan makes no implant, guide or plate; {start}")
    if wanted:
        for name in found:
            if wanted in lineage(plan, name):
                return name
    implants = [name for name, step in found.items() if step.stage == IMPLANT]
    if not wanted and (implants or len(found) == 1):
        return (implants or list(found))[-1]
    why = f"the plan makes no {wanted!r} for a maker" if wanted else "the plan makes several parts"
    raise CaseError(f"{why}; name one of them, such as release:{next(iter(found))} (there are: "
                    f"{', '.join(found)})")  # fmt: skip


def _making(plan: Plan) -> str:
    """Return the options of a plan's template that make a guide or a plate, as they are asked."""
    template = templates().get(plan.template)
    options = template.options if template else {}
    return ", ".join(
        f"--with {name}"
        for name, option in options.items()
        if any(step.stage in MADE for step in option.steps)
    )


def steps_of(plan: Plan, stage: str) -> list[Step]:
    """Return the steps of a plan that call a stage."""
    return [step for step in plan.steps if step.stage == stage]


def find_made(case: Case, wanted: str = "") -> Made:
    """Return the part of the current plan, or the last one that was computed before it.

    ``wanted`` names one of several, by its own or its marked result.

    Raises:
        CaseError: if the plan makes no such part, or none was ever computed.
    """
    plan = case.plan()
    name = released_name(plan, wanted)
    origin = released_names(plan)[name]
    for number in [case.plan_number, *_earlier(case)]:
        older = case.plan(number)
        key = older.keys().get(name)
        if key is not None and key in case.values:
            values = {n: case.values[k] for n, k in older.keys().items() if k in case.values}
            fresh = number == case.plan_number
            origin = released_names(older).get(name, origin)
            return Made(name, origin, values[name], number, older, values, fresh)
    why = _failure(case, plan, name)
    raise CaseError(why or f"{name!r} is not computed yet; run the plan first")


def computed_parts(case: Case, name: str) -> list[Made]:
    """Return what the current plan has computed of a part: as it was made, moved and marked."""
    plan = case.plan()
    keys = plan.keys()
    values = {n: case.values[k] for n, k in keys.items() if k in case.values}
    origin = released_names(plan)[name]
    return [
        Made(name, origin, values[n], case.plan_number, plan, values, True)
        for n in lineage(plan, name)
        if n in values
    ]


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
    closed = is_watertight(surface)
    return (
        _fresh(case, made),
        side_check(case, made),
        _marked(made),
        Check("watertight", "Closed", closed,
              "the surface is closed" if closed else "the surface has holes",
              "" if closed else "make the implant again, or repair it"),
        Check("one_piece", "One piece", pieces == 1,
              "it is one piece" if pieces == 1 else f"it falls into {pieces} pieces",
              "" if pieces == 1 else "keep the largest, or change the implant"),
        _of_findings("sound", "Sound solid", faults, "no fault of the surface was found"),
        _thickness(made),
        _printing(made),
        _overlap(made),
        *((_way_in(made),) if made.origin.stage in BY_PLANE else _screws(made)),
    )  # fmt: skip


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


def _whose_side(plan: Plan, name: str) -> Step | None:
    """Return the step that declares the side of a part, None where none is named for it."""
    marking = next((s for s in plan.steps if s.output == name and s.stage == PART), None)
    wanted = marking.inputs.get("patient") if marking else None
    return next((s for s in plan.steps if s.output == wanted), None)


def _declared_now(plan: Plan, name: str) -> str:
    """Return the side that a plan declares for a part, "" for none."""
    step = _whose_side(plan, name)
    if step is not None and step.stage == DONOR:
        axis = next((s for s in plan.steps if s.output == step.inputs["axis"]), None)
        return str(axis.params.get("leg") or "") if axis else ""
    steps = [step] if step else [*steps_of(plan, PATIENT), *steps_of(plan, OPERATED)]
    return str(steps[-1].params.get("side") or "") if steps else ""


def _fits(made: Made, declared: str, lies: str) -> bool:
    """Return whether a part may lie there; an operation on both sides has parts on either."""
    return declared == lies or (declared == "bilateral" and made.origin.stage not in BY_PLANE)


def declared_side(made: Made) -> str:
    """Return the side that was declared for the operation, or the donor's leg, "" for none."""
    own = _whose_side(made.plan, made.name)
    if own is not None and isinstance(facts := made.values.get(own.output), PatientFacts):
        return str(facts.facts.get("side", ""))
    for stage in (PATIENT, OPERATED):
        facts = _first(made, stage, PatientFacts)
        if facts is not None:
            return str(facts.facts.get("side", ""))
    return ""


def found_side(made: Made) -> str:
    """Return the side on which the part lies by the image, "" where that does not tell."""
    if made.origin.stage not in BY_PLANE:
        seen = [f.code for f in made.surface.findings if f.code.startswith(SEEN)]
        return seen[-1].removeprefix(SEEN) if seen else ""
    plane = _first(made, PLANE, Measured)
    return side_of(made.surface.points_mm, plane) if plane is not None else ""


def side_check(case: Case, made: Made) -> Check:
    """Return whether the side is declared and that of the implant; another one stops all."""
    declared, found = declared_side(made), found_side(made)
    now = _declared_now(case.plan(), made.name)
    fix = "check the image and patient.side"
    lies = found or _written_side(made)
    if now and lies and not _fits(made, now, lies):
        text = (
            f"the operation is declared for {_for(now)}, but the {made.title} lies {_where(lies)}"
        )
        return Check("side", "Side", False, text, fix, final=True)
    pictured = _pictured_side(case, made)
    if pictured and declared in ("left", "right") and pictured != declared:
        text = (
            f"the operation is declared for {_for(declared)}, but the images say that they show "
            f"the {pictured} side"
        )
        return Check("side", "Side", False, text, fix, final=True)
    if not declared:
        text = "the side of the operation was not declared, so it cannot be checked"
        return Check("side", "Side", False, text, "set patient.side at the start of the case")
    if not found:
        text = f"nothing in the image told the side of the {made.title}"
        remedy = ""
        if made.origin.stage not in BY_PLANE:
            unseen = [f.remedy for f in made.surface.findings if f.code == UNSEEN]
            remedy = unseen[-1] if unseen else "mark it with its side (planning.mark_part)"
        return Check("side", "Side", False, text, remedy)
    if not _fits(made, declared, found):
        text = (
            f"the operation is declared for {_for(declared)}, but the {made.title} lies "
            f"{_where(found)}"
        )
        return Check("side", "Side", False, text, fix, final=True)
    text = f"declared for {_for(declared)}; the {made.title} lies {_where(found)}"
    return Check("side", "Side", True, text)


def _pictured_side(case: Case, made: Made) -> str:
    """Return the side that the DICOM headers of the images name (0020,0060), "" for none."""
    try:
        source = source_series(case, made.plan, made.surface.frame_uid).files[0]
        header = open_dataset(source, pixels=False)
    except (CaseError, DicomError):
        return ""  # the images did not come from DICOM
    said = {text_of(header, word) for word in LATERALITY} & {"L", "R"}
    return {"L": "left", "R": "right"}[said.pop()] if len(said) == 1 else ""


def _written_side(made: Made) -> str:
    """Return the side that is written on a part, "" for none."""
    written = [f.code for f in made.surface.findings if f.code.startswith("marked_")]
    return written[-1].removeprefix("marked_") if written else ""


def _for(side: str) -> str:
    return {"bilateral": "both sides"}.get(side, f"the {side}")


def _where(side: str) -> str:
    return {"bilateral": "across the midline"}.get(side, f"on the patient's {side}")


def _marked(made: Made) -> Check:
    written = [f for f in made.surface.findings if f.code.startswith("marked_")]
    if not written:
        text = "no side is written on it"
        remedy = f"add the step {MARKING[made.origin.stage]}"
        return Check("marked", "Marking", False, text, remedy)
    side = _written_side(made)
    wanted, found = declared_side(made), found_side(made)
    wanted = found if found and _fits(made, wanted, found) else wanted or found
    text = written[-1].sentence
    if side != wanted:
        return Check("marked", "Marking", False, text, "write the side anew", final=True)
    return Check("marked", "Marking", True, text)


LEAST = {IMPLANT: "thickness.minimum", ORBITAL: "thickness", GUIDE: "wall_least",
         PLATE: "thickness"}  # fmt: skip
"""The number that says how thin a part is."""

THIN = ("thin_implant", "thin_wall")
NARROW = "narrow_walls"
"""Small places thinner than the printer makes: no reason to hold a part back, but to be told."""


def _thickness(made: Made) -> Check:
    body = made.values.get(made.origin.output)
    course = made.values.get(made.origin.inputs.get("course", ""))
    known = {n.quantity: n for value in (course, body) for n in getattr(value, "numbers", ())}
    least = known.get(LEAST[made.origin.stage])
    if body is None or least is None:
        text = "the least thickness is not known"
        return Check("thickness", "Thickness", False, text, "run the plan again")
    thin = [f for f in body.findings if f.code in THIN]
    if thin:
        return Check("thickness", "Thickness", False, thin[0].sentence, thin[0].remedy)
    band = f" ({least.low:.1f} to {least.high:.1f})" if least.low is not None else ""
    text = f"{least.value:.1f} mm{band} at the least, as asked for"
    if made.origin.stage == ORBITAL:
        text = f"{least.value:.1f} mm as set, half of it at its edges"
    return Check("thickness", "Thickness", True, text)


def _printing(made: Made) -> Check:
    asked = [s for s in steps_of(made.plan, PRINT) if s.inputs.get("mesh") == made.name]
    checked = [made.values[s.output] for s in asked if s.output in made.values]
    if not checked:
        text = "it was not checked for a printer"
        return Check("printing", "Printing", False, text, f"check {made.name!r} in Print")
    problems = [f for value in checked for f in value.findings if f.severity is Severity.PROBLEM]
    thin = [f.sentence for value in checked for f in value.findings if f.code == NARROW]
    well = " But: ".join(["The printer of the plan can make it.", *thin])
    return _of_findings("printing", "Printing", problems, well)


def _overlap(made: Made) -> Check:
    if made.origin.stage not in BY_PLANE:
        return _seat(made)
    fit = made.values.get(made.origin.output)
    if made.origin.stage == IMPLANT:
        fit = _measured_by(made, FIT)
    known = {n.quantity: n.value for n in getattr(fit, "numbers", ())}
    if "overlap.volume" not in known:
        text = "how it fits where it lies was not measured"
        return Check("overlap", "Fit", False, text, "add the step planning.implant_fit")
    overlap = known["overlap.volume"]
    gap = f"; the gap is {known['gap.mean']:.2f} mm on average" if "gap.mean" in known else ""
    if overlap > 0:
        text = f"it overlaps bone by {overlap:.2g} mL{gap}"
        remedy = f"raise {_placed_as(made)[0]}.clearance_mm, or move it off the bone"
        return Check("overlap", "Fit", False, text, remedy)
    if known.get("gap.least", 0.0) < 0:
        dip = f"its surface dips {-known['gap.least']:.2g} mm into that of the bone"
        gap = f"; {dip}, which runs between voxels{gap}"
    return Check("overlap", "Fit", True, f"no voxel of bone has its middle in it{gap}")


def _measured_by(made: Made, stage: str) -> Any:
    """Return what a stage measured of the released part where that lies, None for nothing."""
    lies = _placed_as(made)
    asked = [s for s in steps_of(made.plan, stage) if s.inputs.get("implant") in lies]
    return next((made.values[s.output] for s in asked if s.output in made.values), None)


def _way_in(made: Made) -> Check:
    """Return whether a part meets no bone on its way in."""
    path = _measured_by(made, PATH)
    known = {n.quantity: n.value for n in getattr(path, "numbers", ())}
    if "collision.volume" not in known:
        text = "whether bone stops it on its way in was not looked at"
        return Check("way_in", "Way in", False, text, f"add the step {PATH}")
    met = known["collision.volume"]
    if met > 0:
        text = f"on its way in it meets {met:.2g} mL of bone"
        return Check("way_in", "Way in", False, text, "make it anew, or move it back")
    return Check("way_in", "Way in", True, "it meets no bone on its way in")


def _seat(made: Made) -> Check:
    """Return whether a guide or a plate keeps clear of bone and comes off it."""
    body = made.values.get(made.origin.output)
    course = made.values.get(made.origin.inputs.get("course", ""))
    known = {n.quantity: n.value for value in (course, body) for n in getattr(value, "numbers", ())}
    problems = [f for f in getattr(body, "findings", ()) if f.code in ("guide_in_bone", "undercut")]
    if problems:
        return _of_findings("overlap", "Fit", problems, "")
    if "gap_least" not in known:
        return Check("overlap", "Fit", False, "how it fits was not measured", "run the plan again")
    gap = known["gap_least"]
    text = f"it comes no nearer to bone than {gap:.2f} mm" if gap >= 0 else "it runs into bone"
    return Check("overlap", "Fit", gap >= 0, text, "" if gap >= 0 else "make it anew")


def _screws(made: Made) -> tuple[Check, ...]:
    """Return whether the screws of a guide or a plate collide with nothing, where it has any."""
    problems = screw_problems(made.plan, made.values, made.origin)
    if problems is None:
        return ()
    well = "its screws meet neither each other nor anything else they were held against"
    return (_of_findings("screws", "Screws", problems, well),)


def _of_findings(name: str, title: str, found: Sequence[Finding], well: str) -> Check:
    if not found:
        return Check(name, title, True, well)
    more = f" And {len(found) - 1} more." if len(found) > 1 else ""
    return Check(name, title, False, found[0].sentence + more, found[0].remedy)
