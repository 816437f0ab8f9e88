"""How a cranial implant fits the bone around it, as a map on the implant and in numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from meshing.cell_sizes import point_normals
from meshing.comparison import point_areas_mm2, weighted_percentile
from meshing.distance_fields import winding
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, isosurface, require_watertight
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    share,
    silent,
)
from segmentation.volume import Floats, LabelMap

FACING = 0.7
"""Cosine between the way out of the implant and that to the nearest bone, above which it faces."""

NEAR_MM = 3.0
"""Bone farther away is not what the implant's edge meets."""

TOUCHING_MM = 0.5
"""A gap that counts as contact, printing and handling considered."""

AROUND_MM = 12.0


def implant_fit(
    implant: SurfaceMesh,
    skull: LabelMap,
    defect: LabelMap | None = None,
    *,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Measure how an implant fits the skull: gap, overlap and contact.

    Adds point data ``gap_mm``, the distance to bone, negative where the implant lies in it. The
    gap in numbers is that of the edge: where the implant faces bone within 3 mm.

    Args:
        implant: the closed surface of the implant.
        skull: the skull with the hole.
        defect: the missing bone; volumes are compared with it.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the implant is not closed.
        FrameMismatch: if implant and skull lie in different frames of reference.
        ValueError: if there is no bone near the implant.
    """
    require_watertight(implant)
    if implant.frame_uid != skull.geometry.frame_uid:
        raise FrameMismatch("the implant lies in another frame of reference than the skull")
    progress(0.0, "looking at the bone around the implant")
    around = _around(implant, skull)
    overlap = _overlap_ml(implant, around)
    bone = isosurface(around)
    finder = NearestOnSurface(bone)
    found = finder(implant.points_mm, share(progress, 1, 3))
    gap = found.distance_mm * finder.side(implant.points_mm, found)
    normals = point_normals(implant.points_mm, implant.triangles)
    towards = (found.point_mm - implant.points_mm) * np.sign(gap)[:, None]
    facing = np.einsum("ij,ij->i", towards, normals) > FACING * np.abs(gap)
    edge = facing & (np.abs(gap) < NEAR_MM)
    progress(0.9, "measuring the gap")
    numbers = _numbers(gap, edge, point_areas_mm2(implant), overlap)
    known = {number.quantity: number.value for number in implant.numbers}
    if defect is not None and "volume" in known and defect.mask().any():
        part = 100 * known["volume"] / defect.volume_ml()
        numbers += (Number("filled", part, "%", "volume of the implant, of the missing bone's"),)
    return replace(
        implant,
        name="fit map",
        point_data={**implant.point_data, "gap_mm": gap},
        numbers=numbers,
        findings=_findings(overlap, edge),
    )


def _around(implant: SurfaceMesh, skull: LabelMap) -> LabelMap:
    """Return the skull near an implant."""
    names = [label.name for label in skull.labels.values()]
    mask = skull.mask("skull" if "skull" in names else None)
    low, high = implant.points_mm.min(axis=0) - AROUND_MM, implant.points_mm.max(axis=0) + AROUND_MM
    box = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1])
                    for z in (low[2], high[2])])  # fmt: skip
    index = skull.geometry.to_index(box)
    start = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    stop = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, skull.geometry.size)
    if (stop <= start).any():
        raise ValueError("the implant lies outside the image of the skull")
    part = mask[start[2] : stop[2], start[1] : stop[1], start[0] : stop[0]]
    if not part.any():
        raise ValueError("there is no bone near the implant; choose the skull it was made for")
    return LabelMap(part.view(np.uint8), skull.geometry.cropped(start, part.shape[::-1]))


def _overlap_ml(implant: SurfaceMesh, bone: LabelMap) -> float:
    """Return the volume of bone whose voxels' centres lie in the implant, in mL."""
    local = bone.geometry.to_index(implant.points_mm)
    inside = np.abs(winding(local, implant.triangles, bone.geometry.shape)) > 0.5
    return float(np.count_nonzero(inside & bone.mask())) * bone.geometry.voxel_ml


def _numbers(
    gap: Floats, edge: npt.NDArray[np.bool_], areas: Floats, overlap: float
) -> tuple[Number, ...]:
    numbers = [
        Number("overlap.volume", overlap, "mL", "bone voxels whose centres lie in the implant",
               plain=True),
        Number("gap.least", float(gap.min()), "mm", "least distance of the implant from bone",
               plain=True),
    ]  # fmt: skip
    if edge.any():
        width, area = gap[edge], areas[edge]
        source = "distance to bone over the edge, where the implant faces bone within 3 mm"
        mean = float((width * area).sum() / area.sum())
        touching = 100 * float(area[width <= TOUCHING_MM].sum() / area.sum())
        numbers += [
            Number("gap.mean", mean, "mm", f"{source}; mean by area", plain=True),
            Number("gap.largest_95", weighted_percentile(width, area, 95), "mm",
                   f"{source}; 95th percentile", plain=True),
            Number("contact.share", touching, "%", f"{source}; up to {TOUCHING_MM:g} mm",
                   plain=True),
            Number("edge.area", float(area.sum()) / 100, "cm2", source, plain=True),
        ]  # fmt: skip
    return tuple(numbers)


def _findings(overlap: float, edge: npt.NDArray[np.bool_]) -> tuple[Finding, ...]:
    found = []
    if overlap > 0:
        text = f"the implant overlaps bone by {overlap:.2g} mL"
        remedy = "raise implant.clearance_mm"
        found.append(Finding(Severity.WARNING, "implant_overlaps", text, remedy=remedy))
    if not edge.any():
        text = "the implant faces bone nowhere, so it has no gap to measure"
        found.append(Finding(Severity.WARNING, "no_edge", text, remedy="check the implant"))
    return tuple(found)
