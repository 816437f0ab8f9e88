"""A lumen divided along the neck of its aneurysm into the sac and the vessel.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from meshing.aneurysm_neck import Neck, NoNeck
from meshing.curve_cut import CurveDoesNotCut, draw_into
from meshing.geodesics import Geodesics
from meshing.holes import half_edges
from meshing.surface import SurfaceMesh
from segmentation.contract import FrameMismatch

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Parts:
    """A surface with the neck among its edges.

    Attributes:
        points_mm, triangles: of the whole surface.
        sac: which triangles are the sac's.
        rim: point numbers along the neck.
        origin: for each triangle its number in the surface before, -1 where it was divided.
    """

    points_mm: Floats
    triangles: Ints
    sac: Bools
    rim: Ints
    origin: Ints


def divided_at_neck(lumen: SurfaceMesh, neck: Neck) -> Parts:
    """Return a lumen, open or closed, divided along a neck.

    Raises:
        FrameMismatch: if both live in different frames.
        NoNeck: if the neck does not divide this surface.
    """
    if lumen.frame_uid != neck.frame_uid:
        raise FrameMismatch(
            f"the lumen lies in frame {lumen.frame_uid!r} and the neck in {neck.frame_uid!r}; "
            "find the neck on this lumen"
        )
    return divided(lumen, neck.points_mm, np.array(neck.inside_mm))


def divided(lumen: SurfaceMesh, curve_mm: Floats, inside_mm: Floats) -> Parts:
    """Return a lumen divided along a closed curve on it; the sac has the point ``inside_mm``.

    Raises:
        NoNeck: if the curve does not divide the surface.
    """
    try:
        drawn = draw_into(lumen, curve_mm)
    except CurveDoesNotCut:  # the curve was made on other triangles
        ways = Geodesics(lumen, curve_mm)
        lumen = ways.mesh
        try:
            drawn = draw_into(lumen, ways.way(curve_mm, closed=True))
        except CurveDoesNotCut as error:
            raise NoNeck(f"the neck does not lie on this surface: {error}") from error
    sides = _sides(drawn.triangles, drawn.rim, len(drawn.points))
    near = np.linalg.norm(drawn.points[drawn.triangles].mean(axis=1) - inside_mm, axis=1)
    sac = sides == sides[int(np.argmin(near))]
    if sac.all():
        raise NoNeck("the neck does not divide the surface; draw it around the sac")
    origin = _origin(lumen.triangles, drawn.triangles)
    return Parts(drawn.points, drawn.triangles, sac, drawn.rim, origin)


def _sides(triangles: Ints, rim: Ints, count: int) -> Ints:
    """Return for each triangle the part that it belongs to when a curve of edges divides them."""
    start, end = half_edges(triangles)
    key = np.minimum(start, end) * count + np.maximum(start, end)
    after = np.roll(rim, -1)
    wall = np.minimum(rim, after) * count + np.maximum(rim, after)
    open_edge = ~np.isin(key, wall)
    order = np.argsort(key, kind="stable")
    same = (key[order[1:]] == key[order[:-1]]) & open_edge[order[1:]]
    one, other = order[1:][same] // 3, order[:-1][same] // 3
    cells = len(triangles)
    graph = csr_array((np.ones(len(one), np.int8), (one, other)), (cells, cells))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _origin(before: Ints, after: Ints) -> Ints:
    """Return for each triangle the row of the same one before, or -1."""
    keys = [np.sort(cells, axis=1) for cells in (before, after)]
    rows = {tuple(cell): n for n, cell in enumerate(keys[0].tolist())}
    return np.array([rows.get(tuple(cell), -1) for cell in keys[1].tolist()], np.int64)
