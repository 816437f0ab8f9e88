"""The largest sphere in the sac that is meant: listed, clicked, or found.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from meshing.aneurysm_neck import NoNeck
from meshing.aneurysm_vessel import Ball, share_outside
from meshing.centerline import Centerline
from meshing.lumen import Piece
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh

Floats = npt.NDArray[np.float64]
Vector = tuple[float, float, float]

CLIMB = 60  # steps from a click to the largest sphere around,
STRIDE = 0.2  # each of this share of the sphere's radius
NEAR = 1.3  # radii of the sphere from the click at the most
INSIDE = 1.2  # radii of a listed sac: a click so near its centre means it
NOTABLE = 0.4  # radii that the wall of a sac stands out of its vessel at least
LARGER = 1.5  # times as wide as every end and every listed sac: the line runs through a sac
AT_END = 2.5  # radii around an end that are not looked at
WIDER = 1.2  # than the middle of its branch, a vessel is not


def ball_in_sac(
    pieces: list[Piece], centerline: Centerline, click_mm: Vector | None
) -> tuple[Ball, Piece, bool]:
    """Return the largest sphere in the sac that is meant, its piece, and whether it was guessed.

    It lies around a click, or is the largest sac of the centerline. Where this lists none, or
    something much larger stands out, that is taken and guessed.

    Raises:
        NoNeck: if there is nothing of the kind.
    """
    if click_mm is None:
        return _largest(pieces, centerline)
    click = np.array(click_mm, float)
    piece = piece_around(pieces, click)
    for sac in centerline.sacs:
        centre = np.array(sac.centre_mm)
        if np.linalg.norm(click - centre) < INSIDE * sac.radius_mm:
            return Ball(centre, sac.radius_mm), piece, False
    return climbed(piece, click), piece, False


def _largest(pieces: list[Piece], centerline: Centerline) -> tuple[Ball, Piece, bool]:
    """Return the sphere in the largest sac, its piece, and whether it was guessed."""
    least = max((s.radius_mm for s in centerline.sacs), default=0.0)
    widest = max((centerline.nodes[n].radius_mm for n in centerline.ends.values()), default=np.inf)
    at = int(np.argmax(centerline.radius_mm))
    on_line = Ball(centerline.points_mm[at], float(centerline.radius_mm[at]))
    if on_line.radius_mm > LARGER * max(widest, least):  # the line runs through a sac at a fork
        return on_line, piece_around(pieces, on_line.centre_mm), True
    if centerline.sacs:
        centre = np.array(centerline.sacs[0].centre_mm)
        return Ball(centre, least), piece_around(pieces, centre), False
    return *_farthest(pieces, centerline), True


def _farthest(pieces: list[Piece], centerline: Centerline) -> tuple[Ball, Piece]:
    """Return the sphere in what stands out farthest of the vessel around the centerline.

    Raises:
        NoNeck: if nothing stands out notably.
    """
    radius = centerline.radius_mm.copy()
    for branch in centerline.branches:
        own = radius[branch.points]
        radius[branch.points] = np.minimum(own, WIDER * np.median(own))
    best = max(pieces, key=lambda p: _standing_out(p, centerline, radius)[0])
    share, tip = _standing_out(best, centerline, radius)
    if share < NOTABLE:
        raise NoNeck(
            f"no saccular aneurysm found: nothing stands out of the vessel by {NOTABLE:g} of its "
            "radius; click in the dome, or draw the neck by points on the surface"
        )
    return climbed(best, tip), best


def _standing_out(piece: Piece, centerline: Centerline, radius: Floats) -> tuple[float, Floats]:
    """Return how far the wall stands out of the vessel at the most, in radii, and where.

    The wall next to an end does not count; its edge stands out where the end is cut askew.
    """
    share = share_outside(piece.points_mm, centerline.points_mm, radius)
    for node in (centerline.nodes[n] for n in centerline.ends.values()):
        away = np.linalg.norm(piece.points_mm - np.array(node.point_mm), axis=1)
        share[away < AT_END * node.radius_mm] = -1.0
    at = int(np.argmax(share))
    return float(share[at]), piece.points_mm[at]


def piece_around(pieces: list[Piece], point: Floats) -> Piece:
    """Return the piece of a lumen next to a point, LPS mm."""
    return min(pieces, key=lambda p: float(np.linalg.norm(p.points_mm - point, axis=1).min()))


def climbed(piece: Piece, start: Floats) -> Ball:
    """Return the largest sphere uphill of a place, by its distance to the wall.

    The way ends where it leads out of a small sac into the vessel, that is, where the sphere
    does not lie around the start any more.

    Raises:
        NoNeck: if the place is outside.
    """
    wall = NearestOnSurface(SurfaceMesh(piece.points_mm, piece.triangles, ""))
    centre, depth = start, -float(wall.signed_mm(start[None])[0])
    steps = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
    steps = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1)  # none favoured
    least = STRIDE * piece.mean_radius_mm
    for _ in range(CLIMB):
        around = centre + STRIDE * max(depth, least) * steps
        depths = -wall.signed_mm(around)
        best = int(np.argmax(depths))
        away = float(np.linalg.norm(around[best] - start))
        if depths[best] <= depth * 1.001 or (depth > least and away > NEAR * depths[best]):
            break
        centre, depth = around[best], float(depths[best])
    if depth <= 0:
        raise NoNeck("the place is outside of the vessel; click in the dome")
    return Ball(centre, depth)
