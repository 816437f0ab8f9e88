"""A synthetic mandible and fibula whose arch, axis and sides are known, as closed surfaces.

Both are crude solids for demonstrations and tests; they stand for no population. Space is DICOM
patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from manifold3d import CrossSection, Manifold, OpType

from meshing.booleans import from_solid
from meshing.mesh import SurfaceMesh
from segmentation.volume import Floats

Side = Literal["left", "right"]

BONE = (232, 222, 200)
SIDES = 24
EDGE_MM = 8.0

ARCH_MM, BODY_MM, RAMUS_MM = 42.0, 9.0, 48.0
"""Radius of the arch, half the thickness of its body, and height of a ramus above it."""

SECTION_MM = ((9.5, 0.0), (-5.0, 7.0), (-5.5, -6.0))
"""Corners of a fibula's section on the left: (lateral, anterior) before they are rounded."""

ROUND_MM = 2.0


@dataclass(frozen=True, eq=False)
class ArchPhantom:
    """A mandible whose body follows half a circle, and the middle line of that body.

    Attributes:
        mesh: the closed surface, LPS mm.
        line_mm: (n, 3) the middle line of the body from the patient's right to the left.
    """

    mesh: SurfaceMesh
    line_mm: Floats

    def at(self, degrees: float) -> Floats:
        """Return the place of the middle line at an angle: -90 right, 0 chin, 90 left."""
        return arch_point(degrees)


@dataclass(frozen=True, eq=False)
class FibulaPhantom:
    """A fibula, the way up its axis and the way out to its lateral side.

    Attributes:
        mesh: the closed surface, LPS mm.
        ankle_mm, knee_mm: the tips at both ends on the axis.
        lateral: unit direction.
    """

    mesh: SurfaceMesh
    ankle_mm: Floats
    knee_mm: Floats
    lateral: Floats


def arch_point(degrees: float) -> Floats:
    """Return the point of the arch's middle line at an angle from the chin, positive left."""
    turn = np.radians(degrees)
    return np.array([ARCH_MM * np.sin(turn), -ARCH_MM * np.cos(turn), 0.0])


def mandible(frame_uid: str = "2.25.9") -> ArchPhantom:
    """Return a mandible: half a circle in the plane z = 0 with a ramus up at either end."""
    line = np.array([arch_point(angle) for angle in np.arange(-90.0, 90.1, 0.5)])
    lean = np.array([0.0, 6.0, RAMUS_MM])
    path = [line[0] + lean, *line[::6], line[-1] + lean]
    ball = Manifold.sphere(BODY_MM, SIDES)
    links = [
        Manifold.batch_hull([ball.translate(tuple(a)), ball.translate(tuple(b))])
        for a, b in pairwise(path)
    ]
    solid = Manifold.batch_boolean(links, OpType.Add)
    return ArchPhantom(_mesh(solid, frame_uid, "mandible"), line)


def fibula(
    leg: Side = "left",
    *,
    length_mm: float = 360.0,
    turn: Floats | None = None,
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    frame_uid: str = "2.25.9",
) -> FibulaPhantom:
    """Return a fibula with a triangular shaft along z, turned and shifted.

    The ankle's end reaches further to the lateral side than the knee's.

    Args:
        leg: the side; a right one is the mirror image of a left one.
        length_mm: between the tips.
        turn: rotation (3, 3) about the origin, none for None.
        shift_mm: shift after the turn, LPS mm.
        frame_uid: its frame of reference.
    """
    flip = 1.0 if leg == "left" else -1.0
    corners = [(flip * a, -b) for a, b in SECTION_MM]
    section = CrossSection.batch_hull(
        [CrossSection.circle(ROUND_MM, SIDES).translate(corner) for corner in corners]
    )
    middle = _centroid(section)
    shaft = section.translate((-middle[0], -middle[1])).extrude(length_mm - 20.0)
    ankle = Manifold.sphere(10.0, SIDES).scale((1.1, 1.0, 2.2)).translate((3.0 * flip, 0.0, 22.0))
    knee = Manifold.sphere(12.0, SIDES).translate((0.0, 0.0, length_mm - 12.0))
    solid = shaft.translate((0.0, 0.0, 10.0)) + ankle + knee
    matrix = np.eye(3) if turn is None else np.asarray(turn, float)
    posed = solid.transform(np.column_stack([matrix, np.asarray(shift_mm)]))
    ends = [matrix @ np.array([0.0, 0.0, z]) + shift_mm for z in (0.0, length_mm)]
    mesh = _mesh(posed, frame_uid, f"{leg} fibula")
    return FibulaPhantom(mesh, ends[0], ends[1], matrix @ np.array([flip, 0.0, 0.0]))


def _centroid(section: CrossSection) -> Floats:
    """Return the middle of the area of a section without holes."""
    ring = np.asarray(section.to_polygons()[0])
    after = np.roll(ring, -1, axis=0)
    part = ring[:, 0] * after[:, 1] - after[:, 0] * ring[:, 1]
    return np.asarray(((ring + after) * part[:, None]).sum(axis=0) / (3 * part.sum()))


def _mesh(solid: Manifold, frame_uid: str, name: str) -> SurfaceMesh:
    like = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), frame_uid, name, BONE)
    return from_solid(like, solid.refine_to_length(EDGE_MM), np.zeros(3))
