"""The vessels that a cut goes through, and the widest of them.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from scipy.spatial import cKDTree
from skimage.measure import points_in_poly

from meshing.centerline import Centerline
from meshing.clipping import cross_section, level_loops
from meshing.surface import SurfaceMesh
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Measurements,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.volume import LabelMap
from workstation.planning.proposal import Floats, as_point, skin_of
from workstation.planning.resection import Cut, CutPlane, require_frame
from workstation.planning.vein_crossings import Crossing
from workstation.planning.vein_dissection import DISSECTED_MM
from workstation.planning.vein_division import divided_by

VESSEL_REACH_MM = 3.0
FINE = 48  # places along each side of a loop that stand for its inside
LEAST = 3  # of them, or the loop has no width
BY_TREES = "crossings of the branches of the trees with the cut, in the organ"
BY_LOOPS = "closed loops of the vessels' surface in the cut, since no tree of them was given"


def cut_vessels(
    vessels: LabelMap,
    cut: Cut,
    liver: LabelMap | None = None,
    portal: Centerline | None = None,
    hepatic: Centerline | None = None,
    tumor: LabelMap | None = None,
    *,
    dissected_mm: Annotated[float, Ge(0), Le(150)] = DISSECTED_MM,
    progress: Progress = silent,
) -> Measurements:
    """Count the vessels that the cut goes through and measure the widest.

    With trees, each place counts where the axis of a branch passes from one side to the other in
    the organ; the diameter is that of the branch, at right angles to it. A stem that is freed of
    the specimen, for what stays needs it, is not crossed. Without, loops of the label's surface
    within 3 mm of the organ count, and a finding says so.

    Args:
        vessels: the vessels, counted where there is no tree; all labels together.
        cut: the cut.
        liver: the organ that is cut, which the trees need.
        portal: the tree of the veins that supply.
        hepatic: the tree of the veins that drain.
        tumor: stems whose wall lies within 1 mm of it are not freed.
        dissected_mm: the longest stretch (mm) of a stem in the specimen that is freed where what
            stays needs it; 0 counts all as crossed.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if vessels, organ, trees, tumour and cut live in different frames.
        ValueError: if there is a tree but no organ, or an empty one.
    """
    require_frame(cut, vessels)
    progress(0.1, "cutting the vessels")
    trees = [tree for tree in (portal, hepatic) if tree is not None]
    if not trees:
        return _of_loops(vessels, cut)
    if liver is None:
        raise ValueError("crossings of trees are counted in an organ; give the liver too")
    require_frame(cut, liver)
    if tumor is not None:
        require_frame(cut, tumor)
    if any(tree.frame_uid != cut.frame_uid for tree in trees):
        raise FrameMismatch("cut and trees live in different frames; register one first")
    found = [divided_by(cut, liver, tree, tumor, dissected_mm).crossings for tree in trees]
    return _of_trees([crossing for crossings in found for crossing in crossings])


def _of_trees(crossings: list[Crossing]) -> Measurements:
    count = Number("crossed", float(len(crossings)), "", BY_TREES)
    if not crossings:
        return Measurements((count,))
    widest = max(crossings, key=lambda one: one.diameter_mm)
    source = f"twice the radius of the branch's largest sphere there; {BY_TREES}"
    number = Number("largest_diameter", widest.diameter_mm, "mm", source)
    return Measurements((count, number), (_told(widest.diameter_mm, widest.point_mm),))


def _told(diameter_mm: float, place: tuple[float, float, float]) -> Finding:
    text = f"The widest vessel in the cut measures {diameter_mm:.1f} mm."
    return Finding(Severity.INFO, "vessel_crossed", text, place)


def _of_loops(vessels: LabelMap, cut: Cut) -> Measurements:
    skin = skin_of(vessels)
    loops = [] if skin is None else _loops(skin, cut)
    count = Number("crossed", float(len(loops)), "", BY_LOOPS)
    said = Finding(
        Severity.INFO,
        "vessels_without_tree",
        "The vessels crossed are counted as loops of their surface in the cut, for there is no "
        "tree of them: branches that touch count once, a bend may count twice.",
        remedy="Give the step the liver and the trees of the veins.",
    )
    if not loops:
        return Measurements((count,), (said,))
    widths = [_width_mm(loop) for loop in loops]
    n = int(np.argmax(widths))
    source = f"short axis of the ellipse like a loop, which an oblique cut leaves; {BY_LOOPS}"
    widest = Number("largest_diameter", widths[n], "mm", source)
    place = as_point(loops[n].mean(axis=0))
    return Measurements((count, widest), (_told(widths[n], place), said))


def _loops(skin: SurfaceMesh, cut: Cut) -> list[Floats]:
    """Return the loops (n, 3), in the cut near its organ, that lie around what is solid."""
    organ = cKDTree(cut.surface.points_mm)
    return [
        loop
        for area, loop in _sections(skin, cut)
        if area > 0 and np.min(organ.query(loop)[0]) <= VESSEL_REACH_MM
    ]


def _sections(skin: SurfaceMesh, cut: Cut) -> list[tuple[float, Floats]]:
    """Return area in mm2 and loop (n, 3) of each section of a closed surface, largest first."""
    if isinstance(cut, CutPlane):
        section = cross_section(skin, cut.point_mm, cut.normal)
        return list(zip(section.areas_mm2, section.loops_mm))
    found = []
    for loop in level_loops(skin, cut.side_mm(skin.points_mm)):
        vector = _flat_area(loop)
        area = float(np.linalg.norm(vector))
        step = vector / max(area, 1e-9)
        middle = loop.mean(axis=0)
        rises = float(np.diff(cut.side_mm([middle - step, middle + step]))[0])
        found.append((area if rises >= 0 else -area, loop))
    return sorted(found, key=lambda one: -abs(one[0]))


def _flat_area(loop: Floats) -> Floats:
    """Return the area vector in mm2 of the flat loop that a bent one is seen as (Newell)."""
    arms = loop - loop[0]
    return np.asarray(np.cross(arms, np.roll(arms, -1, axis=0)).sum(axis=0) / 2.0)


def _width_mm(loop: Floats) -> float:
    """Return the width in mm across a loop (n, 3): the short axis of the like ellipse.

    That ellipse has the second moments of the loop's inside. A tube cut obliquely is longer there,
    but no wider.
    """
    _, _, axes = np.linalg.svd(loop - loop.mean(axis=0), full_matrices=False)
    flat = (loop - loop.mean(axis=0)) @ axes[:2].T
    grid = np.meshgrid(*np.linspace(flat.min(axis=0), flat.max(axis=0), FINE).T)
    places = np.stack(grid, -1).reshape(-1, 2)
    within = places[points_in_poly(places, flat)]
    if len(within) < LEAST:
        return 0.0
    return 4.0 * float(np.sqrt(max(np.linalg.eigvalsh(np.cov(within.T))[0], 0.0)))
