"""What of a plan can be moved by hand, and what that needs to be judged while it moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from meshing.decimation import decimate
from meshing.measuring import as_vector
from meshing.surface import SurfaceMesh, isosurface
from segmentation.contract import Number
from segmentation.transform import Transform
from segmentation.volume import Floats, LabelMap
from workstation.planning.bone_landmarks_record import bone_surface
from workstation.planning.bone_moves import as_transform
from workstation.planning.fit import bone_around
from workstation.planning.implant_library_stages import fit_numbers, meant_part
from workstation.planning.live_fit import LiveOsteotomy, LivePart
from workstation.planning.live_fit_moves import (
    HingeHold,
    Hold,
    PlaneHold,
    PointsHold,
    Values,
    pose_hold,
    pose_of_params,
    seated_hold,
    six_hold,
)
from workstation.planning.osteotomy import osteotomy_move
from workstation.planning.plan import Plan, Step
from workstation.planning.resection import CutPlane
from workstation.planning.size_search import Pose, Weights, bone_field, judge
from workstation.restaging import set_one
from workstation.stages import STAGES

Get = Callable[[str], Any]
"""Returns the value of a name in the plan; raises KeyError where it is not computed."""

IMPLANT, REDUCTION = "planning.place_implant", "planning.reduction_move"
OSTEOTOMY, CUTTING = "planning.osteotomy_move", "planning.osteotomy"
MOVED = "planning.move_fragment"
MOVING = "planning.move_implant"
SEATED = ("planning.cranial_implant", MOVING, "planning.orbital_plate")
"""Stages of what fits one place in the skull; it is moved by a shift and a turn."""

PLANES = ("planning.bone_cut", "planning.mandible_cut")
POINTS: Mapping[str, tuple[str, ...]] = {
    "planning.screw_paths": ("entries_mm", "targets_mm"),
    "planning.plate_course": ("path_mm",),
}
FOLLOWING = ("planning.move_landmarks", "planning.leg_alignment")
"""Stages that follow a move in milliseconds."""

BESIDE = ("other", "skull", "bone")
"""How stages that judge a part call the bone that it must fit."""

SLOW = ("critical",)
"""Inputs that are left out while points move."""

ROOM_MM = 30.0
BONE_TRIANGLES = 12_000
WEIGHTS = ("contact_weight", "coverage_weight", "gap_weight", "interference_weight")


@dataclass(frozen=True, eq=False)
class Seen:
    """What there is to show of something that is held: values by name, numbers, or a problem."""

    values: Mapping[str, object]
    numbers: Sequence[Number] = ()
    problem: str = ""


@dataclass(frozen=True, eq=False)
class Movable:
    """Something that a hand can move now.

    Attributes:
        hold: how it is held, and what parameters say so.
        see: tells what it is at some values of the hold.
    """

    hold: Hold
    see: Callable[[Values], Seen]


def movable_steps(plan: Plan) -> list[Step]:
    """Return the steps of a plan whose parameters a hand can move."""
    moved = {step.inputs["implant"] for step in plan.steps if step.stage == MOVING}
    return [step for step in plan.steps if _can_move(step) and step.output not in moved]


def shown_by(plan: Plan) -> dict[str, str]:
    """Return by the name of each part that is shown in 3D the step that moves it."""
    found = {}
    for step in movable_steps(plan):
        stages = {REDUCTION: (MOVED,), OSTEOTOMY: (CUTTING,)}.get(step.stage)
        shown = _made_with(plan, step.output, stages) if stages else step.output
        found[shown] = step.output
    return found


def _can_move(step: Step) -> bool:
    if step.stage in POINTS:
        return all(len(step.params.get(name, ())) for name in POINTS[step.stage])
    return step.stage in (IMPLANT, REDUCTION, OSTEOTOMY, *SEATED, *PLANES)


def prepare(plan: Plan, step: Step, get: Get) -> Movable:
    """Return what a hand can move by a step; it takes a second, so it belongs in a job.

    Raises:
        KeyError: if a value that it needs is not computed.
        ValueError: if the part and the bone do not go together.
    """
    if step.stage == IMPLANT:
        return _implant(step, get)
    if step.stage in SEATED:
        return _seated(step, get)
    if step.stage == REDUCTION:
        return _fragment(plan, step, get)
    if step.stage == OSTEOTOMY:
        return _osteotomy(plan, step, get)
    return _plane(step, get) if step.stage in PLANES else _points(step, get)


def _implant(step: Step, get: Get) -> Movable:
    bone, placed = get(step.inputs["bone"]), get(step.output)
    choice = get(step.inputs["choice"]) if "choice" in step.inputs else None
    params = {n: v for n, v in step.params.items() if n not in WEIGHTS}
    part, now = meant_part(choice, **params)
    asked = {n: v for n, v in params.items() if n not in ("position_mm", "turn_degrees")}
    home = Pose((0.0, 0.0, 0.0)) if choice is None else meant_part(choice, **asked)[1]
    points = part.mesh.points_mm
    hold = pose_hold(now, home, as_vector((points.min(axis=0) + points.max(axis=0)) / 2))
    reach = float(np.ptp(placed.points_mm, axis=0).max()) / 2 + ROOM_MM
    field = bone_field(bone, as_vector(placed.points_mm.mean(axis=0)), reach)
    weights = Weights(*(step.params.get(n, d) for n, d in zip(WEIGHTS, (1.0, 1.0, 30.0, 30.0))))
    live = LivePart(placed, _bone_near(placed, bone))

    def see(values: Values) -> Seen:
        fit = live.at(hold.matrix(values))
        seat = judge(part, pose_of_params(hold.params(values)), field, weights)
        return Seen({step.output: fit.part}, (*fit_numbers(seat), *fit.numbers))

    return Movable(hold, see)


def _seated(step: Step, get: Get) -> Movable:
    """Return how an implant of the skull is held: about its middle, off where it was made."""
    placed, skull = get(step.output), get(step.inputs["skull"])
    hold = seated_hold(as_vector(placed.points_mm.mean(axis=0)), step.params)
    live = LivePart(placed, _bone_near(placed, skull))

    def see(values: Values) -> Seen:
        fit = live.at(hold.matrix(values))
        return Seen({step.output: fit.part}, fit.numbers)

    return Movable(hold, see)


def moved_plan(plan: Plan, name: str, params: Mapping[str, Any]) -> Plan:
    """Return the plan with what a hand set; the first move of a part may add a step to it."""
    for word, value in params.items():
        plan = set_one(plan, name, word, value)
    return plan


def _fragment(plan: Plan, step: Step, get: Get) -> Movable:
    part, move = get(step.inputs["fragment"]), get(step.output)
    assert isinstance(move, Transform)
    hold = six_hold(move.affine, move.geometry.origin_mm, step.params)
    shown = _made_with(plan, step.output, (MOVED,))
    live = LivePart(part, _bone_beside(plan, step, shown, part, get))

    def see(values: Values) -> Seen:
        fit = live.at(hold.matrix(values))
        return Seen({shown or step.inputs["fragment"]: fit.part}, fit.numbers)

    return Movable(hold, see)


def _bone_beside(
    plan: Plan, step: Step, shown: str, part: SurfaceMesh, get: Get
) -> SurfaceMesh | None:
    """Return the bone that a moved part is judged by: that of the next step, or other fragments."""
    fragment = step.inputs["fragment"]
    for later in plan.steps:
        if shown and shown in later.inputs.values():
            names = (later.inputs[n] for n in BESIDE if later.inputs.get(n) not in (None, shown))
            for name in names:
                return _bone_near(part, get(name))
    others = [s for s in plan.steps if s.stage == "planning.fragment" and s.output != fragment]
    return get(others[0].output) if others else None


def _bone_near(part: SurfaceMesh, bone: SurfaceMesh | LabelMap) -> SurfaceMesh:
    if isinstance(bone, SurfaceMesh):
        return bone
    middle = part.points_mm.mean(axis=0)
    size = np.maximum(np.ptp(part.points_mm, axis=0), 1.0)
    grown = middle + (part.points_mm - middle) * (1 + 2 * ROOM_MM / size)
    return isosurface(bone_around(part.reshaped(grown, part.triangles), bone))


def _osteotomy(plan: Plan, step: Step, get: Get) -> Movable:
    cut, move = get(step.inputs["cut"]), get(step.output)
    shown = _made_with(plan, step.output, (CUTTING,))
    if not shown:
        raise ValueError("no step of the plan cuts the bone with this move; add one")
    cutting = plan.step(shown)
    bone = bone_surface(get(cutting.inputs["bone"]), cutting.params.get("label", ""))
    told = LiveOsteotomy(bone, cut, trim=cutting.params.get("trim", True))
    live, follow = LivePart(told.piece, told.rest, told), _following(plan, step.output, get)
    hold: Hold = _hinge(cut, step) or six_hold(
        move.affine, move.geometry.origin_mm, step.params, kind="free"
    )

    def see(values: Values) -> Seen:
        matrix = hold.matrix(values)
        fit = live.at(matrix)
        transform = as_transform(matrix, cut.frame_uid, move.geometry.origin_mm)
        return Seen({shown: fit.part}, (*follow(transform), *fit.numbers))

    return Movable(hold, see)


def _hinge(cut: CutPlane, step: Step) -> HingeHold | None:
    """Return how a wedge with a hinge is held; None for a piece that moves freely."""
    params = STAGES[OSTEOTOMY].check_params(step.params)
    if params.get("kind", "opening") == "free" or params.get("hinge_mm") is None:
        return None

    def turned(angle: float) -> Floats:
        return osteotomy_move(cut, **{**params, "angle_degrees": angle}).affine

    way = Rotation.from_matrix(turned(1.0)[:3, :3]).as_rotvec()
    axis = as_vector(way / np.linalg.norm(way))
    now = float(params.get("angle_degrees", 0.0))
    return HingeHold(now, params["hinge_mm"], axis, 60.0, turned)


def _following(plan: Plan, output: str, get: Get) -> Callable[[Transform], list[Number]]:
    """Return what tells the corrected angles of a move: the plan's own steps, run again."""
    after = plan.downstream(output)
    steps = [s for s in plan.steps if s.output in after and s.stage in FOLLOWING]
    known = {n: get(n) for s in steps for n in s.inputs.values() if n not in after | {output}}

    def follow(move: Transform) -> list[Number]:
        values, numbers = {**known, output: move}, []
        for step in steps:
            stage, inputs = STAGES[step.stage], {a: values[n] for a, n in step.inputs.items()}
            values[step.output] = stage.function(**inputs, **stage.check_params(step.params))
            if step.stage == FOLLOWING[-1]:
                numbers += list(values[step.output].numbers)
        return numbers

    return follow


def _plane(step: Step, get: Get) -> Movable:
    cut = get(step.output)
    hold = PlaneHold(cut.point_mm, cut.normal)
    return Movable(hold, _rerun(step, hold, {a: get(n) for a, n in step.inputs.items()}))


def _points(step: Step, get: Get) -> Movable:
    names = POINTS[step.stage]
    points = tuple(as_vector(np.asarray(p)) for name in names for p in step.params[name])
    inputs = {a: get(n) for a, n in step.inputs.items() if a not in SLOW}
    bone = bone_surface(inputs["bone"], step.params.get("label", ""))
    if len(bone.triangles) > BONE_TRIANGLES:
        bone = decimate(replace(bone, point_data={}), triangles=BONE_TRIANGLES)
    hold = PointsHold(names, points)
    plain = replace(step, params={n: v for n, v in step.params.items() if n != "label"})
    return Movable(hold, _rerun(plain, hold, {**inputs, "bone": bone}))


def _rerun(step: Step, hold: Hold, inputs: Mapping[str, Any]) -> Callable[[Values], Seen]:
    """Return what tells a step by running its own stage with what the hand sets."""
    stage = STAGES[step.stage]

    def see(values: Values) -> Seen:
        params = stage.check_params({**step.params, **hold.params(values)})
        try:
            value = stage.function(**inputs, **params)
        except ValueError as error:  # as where a plane misses the bone
            return Seen({}, problem=str(error))
        return Seen({step.output: value}, value.numbers)

    return see


def _made_with(plan: Plan, move: str, stages: Sequence[str]) -> str:
    """Return the output of the first step of some stages that takes a move, "" for none."""
    steps = (s for s in plan.steps if s.stage in stages and move in s.inputs.values())
    return next((step.output for step in steps), "")
