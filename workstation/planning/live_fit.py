"""How a part lies against bone while a hand moves it: a map of gaps, contact and penetration.

Moves are 4x4 matrices in DICOM patient LPS mm, from where the part lies to where it is held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from meshing.clipping import split_by_plane
from meshing.decimation import decimate
from meshing.measuring import require_one_frame
from meshing.nearest import NearestOnSurface
from meshing.remeshing import remesh
from meshing.surface import SurfaceMesh, area_mm2, is_watertight
from meshing.symmetry import even_points
from segmentation.contract import FrameMismatch, Number
from segmentation.volume import Floats
from workstation.planning.bone_moves import as_transform
from workstation.planning.osteotomy import (
    SAMPLES,
    contact_numbers,
    cut_face,
    move_numbers,
    wedge_numbers,
)
from workstation.planning.resection import CutPlane

GAP = "gap_mm"
FEW = 5000
"""Triangles of the part that is drawn, and judged, while it moves."""

SPOTS = 2000
"""Points of the part, of the bone and of a cut's face that are looked at."""

TOUCHING_MM = 0.5
NEAR_MM = 3.0
"""Bone farther away is not faced; the map ends there."""

FACING = 0.7
"""Cosine between the way out of the part and that to bone, above which it faces it."""

Mask = npt.NDArray[np.bool_]
Told = Callable[[Floats], Sequence[Number]]
"""Tells numbers of a move."""


@dataclass(frozen=True, eq=False)
class LiveFit:
    """A part as it is held: its surface with the map ``gap_mm``, negative in bone, and numbers."""

    part: SurfaceMesh
    numbers: tuple[Number, ...]


class LivePart:
    """A part and the bone beside it, prepared once, so that a move is judged in milliseconds."""

    def __init__(
        self, part: SurfaceMesh, bone: SurfaceMesh | None, told: Told | None = None
    ) -> None:
        """Prepare a part and the bone that it must fit; without bone there is no map.

        ``told`` tells the numbers instead of contact, gap and penetration.

        Raises:
            FrameMismatch: if they lie in different frames.
            ValueError: if one of them has no triangle.
        """
        if bone is not None:
            require_one_frame(part, bone)
        self.proxy = _proxy(part)
        self._told = told
        self._bone = None
        if bone is None:
            return
        self._bone, self._part = NearestOnSurface(bone), NearestOnSurface(part)
        self._spots, self._normals = even_points(part, SPOTS)
        self._area = area_mm2(part)
        self._theirs = _beside(bone, part)
        self._low, self._high = part.points_mm.min(axis=0), part.points_mm.max(axis=0)

    def at(self, move: Floats) -> LiveFit:
        """Return how the part lies where a move takes it."""
        points = _moved(move, self.proxy.points_mm)
        held = self.proxy.reshaped(points, self.proxy.triangles)
        if self._bone is None:
            return LiveFit(held, tuple(self._told(move)) if self._told else ())
        gap = self._bone.signed_mm(points)
        mapped = replace(held, point_data={GAP: np.clip(gap, -NEAR_MM, NEAR_MM)})
        if self._told is not None:
            return LiveFit(mapped, tuple(self._told(move)))
        spots = _moved(move, self._spots)
        found = self._bone(spots)
        width = found.distance_mm * self._bone.side(spots, found)
        out = self._normals @ move[:3, :3].T
        towards = np.einsum("ij,ij->i", (found.point_mm - spots) * np.sign(width)[:, None], out)
        faces = (towards > FACING * np.abs(width)) & (np.abs(width) < NEAR_MM)
        deep = max(-float(gap.min()), -float(width.min()), self._depth_of_bone(move), 0.0)
        least = min(float(gap.min()), float(width.min()))
        return LiveFit(mapped, tuple(_numbers(width, faces, self._area, deep, least)))

    def _depth_of_bone(self, move: Floats) -> float:
        """Return how deep points of the bone lie in the part, mm."""
        there = _moved(_back(move), self._theirs)
        there = there[((there > self._low) & (there < self._high)).all(axis=1)]
        return -float(self._part.signed_mm(there).min()) if len(there) else 0.0


class LiveOsteotomy:
    """The cut of a bone, prepared once: wedge, contact and lengthening while a piece moves."""

    def __init__(self, bone: SurfaceMesh, cut: CutPlane, *, trim: bool = True) -> None:
        """Prepare a bone and its cut; ``trim`` takes off what would lie beyond the cut.

        Raises:
            FrameMismatch: if they lie in different frames.
            OpenSurface: if the bone is not closed.
            ValueError: if the plane misses the bone.
        """
        if cut.frame_uid != bone.frame_uid:
            raise FrameMismatch("the cut lies in another frame of reference than the bone")
        self._normal, self._trim = np.asarray(cut.normal), trim
        self.piece, self.rest = split_by_plane(bone, cut.point_mm, cut.normal)
        face = cut_face(self.rest, np.asarray(cut.point_mm), self._normal)
        self._spots, self._area = even_points(face, SPOTS)[0], area_mm2(face)
        self._centre = even_points(cut.surface, SAMPLES)[0].mean(axis=0)
        self._piece = NearestOnSurface(self.piece)

    def __call__(self, move: Floats) -> tuple[Number, ...]:
        """Return the numbers of a move of the piece; the wedge taken away as that of a prism."""
        lift = (_moved(move, self._spots) - self._spots) @ self._normal
        taken = self._area * float(np.maximum(-lift, 0).mean()) if self._trim else 0.0
        away = self._piece.signed_mm(_moved(_back(move), self._spots))
        transform = as_transform(move, self.piece.frame_uid, self._centre)
        return (
            *move_numbers(move, self._centre, self._normal),
            *wedge_numbers(self._spots, transform, self._normal, taken, self._area),
            *contact_numbers(np.maximum(away, 0.0), self._area),
        )


def _back(move: Floats) -> Floats:
    return np.asarray(np.linalg.inv(move), np.float64)


def _moved(move: Floats, points: Floats) -> Floats:
    return np.asarray(points @ move[:3, :3].T + move[:3, 3])


def _proxy(part: SurfaceMesh) -> SurfaceMesh:
    """Return a part of few, even triangles; flat sides keep enough of them for a map."""
    plain = replace(part, point_data={}, numbers=(), findings=())
    if len(part.triangles) <= FEW:
        return plain
    if not is_watertight(part):
        return replace(decimate(plain, triangles=FEW), numbers=(), findings=())
    edge = float(np.sqrt(area_mm2(part) / FEW * 4 / np.sqrt(3)))
    return replace(remesh(plain, edge_length_mm=edge), numbers=(), findings=())


def _beside(bone: SurfaceMesh, part: SurfaceMesh) -> Floats:
    """Return points of the bone that the part can meet when it is moved by up to its own size."""
    low, high = part.points_mm.min(axis=0), part.points_mm.max(axis=0)
    room = 0.5 * float(np.linalg.norm(high - low))
    points = even_points(bone, 4 * SPOTS)[0]
    near = points[((points > low - room) & (points < high + room)).all(axis=1)]
    return np.asarray(near[:: max(1, len(near) // SPOTS)])


def _numbers(gap: Floats, faces: Mask, area: float, deep: float, least: float) -> list[Number]:
    """Return contact, gap and penetration from distances at points even over the part."""
    touching = area * float((gap < TOUCHING_MM).mean())
    numbers = [
        Number("contact_area", touching / 100, "cm2",
               f"surface of the part within {TOUCHING_MM:g} mm of bone, or in it"),
        Number("penetration", deep, "mm", "largest depth of part and bone in each other"),
    ]  # fmt: skip
    if not faces.any():
        return [*numbers, Number("least_distance", least, "mm", "of part and bone")]
    part = 100 * float((gap[faces] <= TOUCHING_MM).mean())
    source = f"over the part's surface that faces bone within {NEAR_MM:g} mm"
    return [
        *numbers,
        Number("contact_share", part, "%", f"{source}; up to {TOUCHING_MM:g} mm"),
        Number("gap_mean", float(gap[faces].mean()), "mm", source),
    ]
