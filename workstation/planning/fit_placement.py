"""What a small error of placing an implant does to its fit: twelve moves, all of them told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from meshing.comparison import point_areas_mm2
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, isosurface
from segmentation.contract import (
    Finding,
    Measurements,
    Number,
    Progress,
    Severity,
    share,
    silent,
)
from segmentation.volume import Floats, LabelMap
from workstation.planning.fit import bone_to_fit, centre_mm, facing_bone

AXES = ("out of the head", "along its length", "across its length")


@dataclass(frozen=True, eq=False)
class SmallMove:
    """One rigid move of a part about a middle, LPS mm."""

    said: str
    turn: Rotation
    middle_mm: Floats
    shift_mm: Floats

    def of(self, points_mm: Floats) -> Floats:
        """Return points (n, 3) as they are moved with the part."""
        return (
            np.asarray(self.turn.apply(points_mm - self.middle_mm))
            + self.middle_mm
            + (self.shift_mm)
        )

    def back(self, points_mm: Floats) -> Floats:
        """Return points (n, 3) as the moved part sees them."""
        local = points_mm - self.middle_mm - self.shift_mm
        return np.asarray(self.turn.inv().apply(local)) + self.middle_mm


def placement_error(
    implant: SurfaceMesh,
    skull: LabelMap,
    *,
    move_mm: Annotated[float, Ge(0), Le(10)] = 1.0,
    turn_degrees: Annotated[float, Ge(0), Le(15)] = 1.0,
    progress: Progress = silent,
) -> Measurements:
    """Tell how the fit of an implant changes when it is placed a little wrong.

    It is moved there and back along three axes (out of the head, along its length, across it) and
    turned both ways about each, one at a time: twelve moves. Value is the mean of the twelve, the
    band goes from the least to the worst of them.

    Args:
        implant: the closed surface of the implant, where it should lie.
        skull: the skull with the hole.
        move_mm: how far it is moved.
        turn_degrees: how far it is turned about its middle.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the implant is not closed.
        FrameMismatch: if implant and skull lie in different frames of reference.
        ValueError: if there is no bone near the implant.
    """
    around = bone_to_fit(implant, skull)
    bone, body = NearestOnSurface(isosurface(around)), NearestOnSurface(implant)
    _, edge = facing_bone(implant, bone, share(progress, 0, 4))
    rim, areas = implant.points_mm[edge], point_areas_mm2(implant)[edge]
    if not len(rim):
        raise ValueError("the implant faces bone nowhere, so its place has no fit to change")
    moves = list(_moves(implant, centre_mm(skull), move_mm, turn_degrees))
    middle = moves[0].middle_mm
    reach = move_mm + np.radians(turn_degrees) * float(
        np.linalg.norm(implant.points_mm - middle, axis=1).max()
    )
    voxels = around.geometry.to_world(np.argwhere(around.mask())[:, ::-1])
    apart, _ = cKDTree(implant.points_mm).query(voxels)
    spacing = float(max(around.geometry.spacing_mm))
    near = voxels[apart <= reach + spacing]
    gaps, depths, overlaps = [], [], []
    for number, move in enumerate(moves):
        progress(0.25 + 0.75 * number / len(moves), move.said)
        away = bone.signed_mm(move.of(rim))
        gaps.append(float((np.abs(away) * areas).sum() / areas.sum()))
        inside = -body.signed_mm(move.back(near)) if len(near) else np.zeros(0)
        depths.append(max(0.0, float(inside.max(initial=0.0))))
        overlaps.append(float((inside > 0).sum()) * around.geometry.voxel_ml)
    how = f"twelve moves of {move_mm:g} mm and {turn_degrees:g} degrees; their mean, least, worst"
    numbers = (
        _banded("gap", gaps, "mm", f"mean distance of the edge from bone, either way; {how}"),
        _banded("depth", depths, "mm", f"deepest middle of a bone voxel in the implant; {how}"),
        _banded("overlap", overlaps, "mL", f"bone voxels whose middles lie in the implant; {how}"),
    )
    return Measurements(numbers, (_told(moves, overlaps, gaps),))


def _moves(
    implant: SurfaceMesh, head_mm: Floats, move_mm: float, turn: float
) -> Iterator[SmallMove]:
    """Yield the twelve moves of an implant, always in the same order."""
    middle = implant.points_mm.mean(axis=0)
    out = middle - head_mm
    out /= np.linalg.norm(out)
    flat = implant.points_mm - middle
    flat = flat - np.outer(flat @ out, out)
    along = np.linalg.eigh(flat.T @ flat)[1][:, -1]
    along *= np.sign(along[int(np.abs(along).argmax())])
    yield from small_moves(middle, (out, along, np.cross(out, along)), AXES, move_mm, turn)


def small_moves(
    middle_mm: Floats, axes: Sequence[Floats], words: Sequence[str], move_mm: float, turn: float
) -> Iterator[SmallMove]:
    """Yield twelve moves: there and back along three unit axes, and both ways about each.

    ``words`` say where each axis leads; turns (degrees) are about lines through the middle.
    """
    still = Rotation.identity()
    for axis, said in zip(axes, words):
        for sign in (1.0, -1.0):
            there = "" if sign > 0 else "back, "
            yield SmallMove(f"moved {there}{said}", still, middle_mm, sign * move_mm * axis)
            about = Rotation.from_rotvec(np.radians(sign * turn) * axis)
            way = "one way" if sign > 0 else "the other way"
            yield SmallMove(f"turned {way} about the axis {said}", about, middle_mm, np.zeros(3))


def _banded(name: str, values: list[float], unit: str, source: str) -> Number:
    return Number(name, float(np.mean(values)), unit, source, min(values), max(values))


def _told(moves: list[SmallMove], overlaps: list[float], gaps: list[float]) -> Finding:
    """Return which move is the worst."""
    worst = int(np.lexsort((gaps, overlaps))[-1])
    if overlaps[worst] > 0:
        text = f"it overlaps bone by {overlaps[worst]:.2g} mL"
    else:
        worst = int(np.argmax(gaps))
        text = f"its edge is {gaps[worst]:.1f} mm from bone on average, and it overlaps none"
    said = f"of small errors of placement the worst is when the implant is {moves[worst].said}"
    return Finding(Severity.INFO, "placement_worst", f"{said}: {text}")
