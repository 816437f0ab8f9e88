"""How a cranial implant fits the bone around it, as a map on the implant and in numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.cell_sizes import point_normals
from meshing.comparison import point_areas_mm2, weighted_percentile
from meshing.distance_fields import winding
from meshing.nearest import NearestOnSurface
from meshing.rays import first_hits
from meshing.surface import SurfaceMesh, isosurface, require_watertight
from meshing.thickness import thickness_map
from meshing.tree import triangle_tree
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

OUTWARD = 0.8
"""Cosine between a normal and the way out of the head, above which a point is on the outside."""

BESIDE_MM = 9.0
"""Bone's outside this near to that of the implant should go on without a step."""

EDGE_MM = 2.0
"""Next to an edge the outside may be round, and tells nothing of a step."""

BETWEEN = ", which runs between voxels: a little below zero no voxel's middle lies in the implant"
"""Why the least gap may be below zero where nothing overlaps."""

THICKEST_MM = 20.0
SKIN_MM = 0.05  # below the surface rays begin

Mask = npt.NDArray[np.bool_]


def implant_fit(
    implant: SurfaceMesh,
    skull: LabelMap,
    defect: LabelMap | None = None,
    *,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Measure how an implant fits the skull: gap, overlap, contact, step at the edge, thickness.

    Adds point data ``gap_mm``, the distance to bone, negative where the implant lies in it, and
    ``thickness_mm``. The gap in numbers is that of the edge: where the implant faces bone within
    3 mm.

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
    progress(0.0, "looking at the bone around the implant")
    around = bone_to_fit(implant, skull)
    overlap = _overlap_ml(implant, around)
    bone = isosurface(around)
    finder = NearestOnSurface(bone)
    gap, edge = facing_bone(implant, finder, share(progress, 1, 4))
    progress(0.5, "measuring how thick it is")
    thick = _thickness_mm(implant, share(progress, 2, 4))
    progress(0.9, "measuring the gap")
    areas = point_areas_mm2(implant)
    numbers = _numbers(gap, edge, areas, overlap) + _thickness_numbers(thick, areas)
    numbers += _step_numbers(edge_steps_mm(implant, bone, centre_mm(skull)))
    known = {number.quantity: number.value for number in implant.numbers}
    if defect is not None and "volume" in known and defect.mask().any():
        part = 100 * known["volume"] / defect.volume_ml()
        numbers += (Number("filled", part, "%", "volume of the implant, of the missing bone's"),)
    return replace(
        implant,
        name="fit map",
        point_data={**implant.point_data, "gap_mm": gap, "thickness_mm": thick},
        numbers=numbers,
        findings=_findings(overlap, edge),
    )


def facing_bone(
    implant: SurfaceMesh, bone: NearestOnSurface, progress: Progress = silent
) -> tuple[Floats, Mask]:
    """Return distances to bone (mm, negative in it) of an implant's points, and which face it.

    The latter are its edge: bone lies in front of them, within 3 mm.
    """
    found = bone(implant.points_mm, progress)
    gap = found.distance_mm * bone.side(implant.points_mm, found)
    normals = point_normals(implant.points_mm, implant.triangles)
    towards = (found.point_mm - implant.points_mm) * np.sign(gap)[:, None]
    facing = np.einsum("ij,ij->i", towards, normals) > FACING * np.abs(gap)
    return gap, facing & (np.abs(gap) < NEAR_MM)


def _thickness_mm(implant: SurfaceMesh, progress: Progress) -> Floats:
    """Return the thickness at each point: straight through, at edges the ball that fits in.

    Small balls fit into every unevenness of a side, so they serve only where straight through
    leads along the implant.
    """
    normals = point_normals(implant.points_mm, implant.triangles)
    through, _ = first_hits(
        triangle_tree(implant.points_mm, implant.triangles),
        implant.points_mm - SKIN_MM * normals,
        -normals,
        np.full(len(normals), -1),
        reach_mm=THICKEST_MM,
    )
    balls = thickness_map(implant, largest_mm=THICKEST_MM, progress=progress)
    usual = 2 * float(np.median(through[np.isfinite(through)]))
    across = balls.point_data["thickness_mm"]
    return np.asarray(np.where(through < usual, through + SKIN_MM, across))


def edge_steps_mm(implant: SurfaceMesh, bone: SurfaceMesh, middle_mm: Floats) -> Floats:
    """Return how far the outside of an implant stands out over that of the bone beside it.

    Bone's outside is compared with the nearest point of the implant's outside within 9 mm, along
    the mean of both normals, which leaves out an even bend. Outside is what looks away from
    ``middle_mm``, without the 2 mm next to an edge, which may be round. Positive where the implant
    stands out; empty where there is no bone beside it.
    """
    inner, inner_way = _outside(implant, middle_mm)
    outer, outer_way = _outside(bone, middle_mm)
    if not len(inner) or not len(outer):
        return np.zeros(0)
    apart, nearest = cKDTree(inner).query(outer, distance_upper_bound=BESIDE_MM)
    beside = np.isfinite(apart)
    arm = inner[nearest[beside]] - outer[beside]
    way = inner_way[nearest[beside]] + outer_way[beside]
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    return np.asarray(np.einsum("ij,ij->i", arm, way))


def _outside(mesh: SurfaceMesh, middle_mm: Floats) -> tuple[Floats, Floats]:
    """Return the points of a surface that look away from a middle, off edges, and their normals."""
    normals = point_normals(mesh.points_mm, mesh.triangles)
    ways = mesh.points_mm - middle_mm
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    out = np.einsum("ij,ij->i", ways, normals) > OUTWARD
    if out.any() and not out.all():
        out[out] = cKDTree(mesh.points_mm[~out]).query(mesh.points_mm[out])[0] > EDGE_MM
    return mesh.points_mm[out], normals[out]


def centre_mm(skull: LabelMap) -> Floats:
    """Return the middle of a skull's voxels, LPS mm."""
    index = np.argwhere(skull_mask(skull))[:: 1 + skull.array.size // 10_000_000]
    return np.asarray(skull.geometry.to_world(index[:, ::-1]).mean(axis=0))


def skull_mask(skull: LabelMap) -> Mask:
    """Return the voxels of the label "skull", or of all labels where none has that name."""
    names = [label.name for label in skull.labels.values()]
    return np.asarray(skull.mask("skull" if "skull" in names else None))


def bone_to_fit(implant: SurfaceMesh, skull: LabelMap) -> LabelMap:
    """Return the skull near an implant that can be compared with it.

    Raises:
        OpenSurface: if the implant is not closed.
        FrameMismatch: if implant and skull lie in different frames of reference.
        ValueError: if there is no bone near the implant.
    """
    require_watertight(implant)
    if implant.frame_uid != skull.geometry.frame_uid:
        raise FrameMismatch("the implant lies in another frame of reference than the skull")
    return bone_around(implant, skull)


def bone_around(implant: SurfaceMesh, skull: LabelMap) -> LabelMap:
    """Return the skull near an implant.

    Raises:
        ValueError: if there is none.
    """
    mask = skull_mask(skull)
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


def _numbers(gap: Floats, edge: Mask, areas: Floats, overlap: float) -> tuple[Number, ...]:
    numbers = [
        Number("overlap.volume", overlap, "mL", "bone voxels whose centres lie in the implant",
               plain=True),
        Number("gap.least", float(gap.min()), "mm", f"least distance of the implant from bone's "
               f"surface{BETWEEN}", plain=True),
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


def _thickness_numbers(thick: Floats, areas: Floats) -> tuple[Number, ...]:
    """Return numbers of an implant's thickness over its surface."""
    source = "straight through, at edges the largest ball inside"
    shares = (("thickness.median", 50, "median"), ("thickness.largest_95", 95, "95th percentile"))
    return tuple(
        Number(name, weighted_percentile(thick, areas, part), "mm", f"{source}; {said} by area",
               plain=True)
        for name, part, said in shares
    )  # fmt: skip


def _step_numbers(steps_mm: Floats) -> tuple[Number, ...]:
    """Return numbers of the step between the outsides of implant and bone."""
    if not len(steps_mm):
        return ()
    source = "outside of the implant over that of bone within 9 mm"
    away = np.abs(steps_mm)
    return (
        Number("edge.step", float(np.median(steps_mm)), "mm", f"{source}; median, + stands out",
               plain=True),
        Number("edge.step_95", float(np.percentile(away, 95)), "mm",
               f"{source}; 95th percentile of its size", plain=True),
    )  # fmt: skip


def _findings(overlap: float, edge: Mask) -> tuple[Finding, ...]:
    found = []
    if overlap > 0:
        text = f"the implant overlaps bone by {overlap:.2g} mL"
        remedy = "raise implant.clearance_mm"
        found.append(Finding(Severity.WARNING, "implant_overlaps", text, remedy=remedy))
    if not edge.any():
        text = "the implant faces bone nowhere, so it has no gap to measure"
        found.append(Finding(Severity.WARNING, "no_edge", text, remedy="check the implant"))
    return tuple(found)
