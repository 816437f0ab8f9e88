"""Where a cut of another kind begins: from the cut that is there, and from the tumour.

Space is DICOM patient LPS in millimetres; normals point to the specimen.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from segmentation.volume import LabelMap
from workstation.planning.cut_surface_sheet import Sheet
from workstation.planning.proposal import Point, as_point, sample_mm, tight
from workstation.planning.resection import Cut, CutPlane, unit_normal

MARGIN_MM = 10.0
APART_MM = 40.0  # between two planes where no tumour says it
SAMPLES = 20_000
WORTH = 0.02  # share of the tumour that a territory must hold to be taken


def plane_of(cut: Cut, tumor: LabelMap | None) -> tuple[Point, Point]:
    """Return a point (LPS mm) and a unit normal (LPS) that stand for a cut of any shape."""
    if isinstance(cut, CutPlane):
        return cut.point_mm, cut.normal
    if cut.sheet is not None:
        return cut.sheet.point_mm, cut.sheet.normal
    middle = cut.surface.points_mm.mean(axis=0)
    lesion = None if tumor is None else tight(tumor)
    if lesion is None:
        return as_point(middle), (-1.0, 0.0, 0.0)
    way = sample_mm(lesion, SAMPLES).mean(axis=0) - middle
    near = np.linalg.norm(way) < 1.0  # a wedge all round
    return as_point(middle), (-1.0, 0.0, 0.0) if near else unit_normal(way)


def facing_planes(
    point_mm: Point, normal: Point, tumor: LabelMap | None
) -> tuple[tuple[Point, Point], tuple[Point, Point]]:
    """Return points (LPS mm) and normals of a plane and of a second that faces it.

    The second keeps 10 mm from the tumour's far side; without a tumour it stands 40 mm away.
    """
    lesion = None if tumor is None else tight(tumor)
    apart = APART_MM
    if lesion is not None:
        along = (sample_mm(lesion, SAMPLES) - point_mm) @ np.asarray(normal)
        apart = max(float(along.max()), 0.0) + MARGIN_MM
    x, y, z = normal
    other = as_point(np.asarray(point_mm) + apart * np.asarray(normal))
    return (point_mm, other), (normal, (-x, -y, -z))


def territories_with(tumor: LabelMap | None, territories: LabelMap) -> tuple[str, ...]:
    """Return the names of the territories that hold the tumour, at least 2 % of it each.

    Without one, it is the first territory of all.
    """
    names = [label.name for label in territories.labels.values()]
    lesion = None if tumor is None else tight(tumor)
    if lesion is None:
        return tuple(names[:1])
    points = sample_mm(lesion, SAMPLES)
    index = np.rint(territories.geometry.to_index(points)[:, ::-1].T)
    values = map_coordinates(territories.array, index, order=0, mode="constant")
    share = {value: float((values == value).mean()) for value in territories.labels}
    found = [territories.labels[value].name for value in share if share[value] >= WORTH]
    return tuple(found or names[:1])


def turned(sheet: Sheet) -> Sheet:
    """Return the same sheet with specimen and remnant swapped."""
    x, y, z = sheet.normal
    heights = tuple(tuple(-v for v in row) for row in reversed(sheet.heights_mm))
    return Sheet(sheet.point_mm, (-x, -y, -z), sheet.along, sheet.reach_mm, heights)
