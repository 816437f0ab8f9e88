"""A cross-section of a vessel anywhere along its centerline.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from meshing.centerline import Branch, Centerline
from meshing.curves import arc_length_mm, local_fit, unit
from meshing.lumen import Piece, split_pieces
from meshing.sections import FIELDS, Section, Slicer, measures
from meshing.surface import SurfaceMesh, isosurface
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.volume import LabelMap

Floats = npt.NDArray[np.float64]

_UNITS = {"mm2": "mm2", "mm": "mm"}


class NoSection(ValueError):
    """A plane across a centerline does not cut the vessel there; the text says why."""


def vessel_section(
    lumen: SurfaceMesh | LabelMap,
    centerline: Centerline,
    *,
    branch: Annotated[int, Ge(1)] = 1,
    position_mm: Annotated[float, Ge(0)] = 0.0,
    label: str = "",
    progress: Progress = silent,
) -> SurfaceMesh:
    """Cut the vessel across its centerline: area, diameters and shape of the section.

    Only the loop around the centerline counts; a vessel beside it is never picked up.

    Args:
        lumen: the inside of the vessel, as for the centerline.
        centerline: its branches.
        branch: number of the branch.
        position_mm: distance in mm along the branch from where it begins, upstream.
        label: name of the label, where the lumen is a label map; empty takes all together.
        progress: told how far the work is.

    Raises:
        NoSection: if the plane finds no closed wall around the point.
        ValueError: if there is no such branch, or it is shorter.
        FrameMismatch: if lumen and centerline live in different frames.
    """
    progress(0.1, "preparing the lumen")
    mesh = isosurface(lumen, label=label) if isinstance(lumen, LabelMap) else lumen
    require_frame(mesh, centerline)
    chosen = centerline.branch(branch)
    point, tangent, radius = place_on(centerline, chosen, position_mm)
    pieces = split_pieces(mesh)
    progress(0.6, "cutting the vessel")
    section = section_at(pieces, point, tangent, radius)
    if section is None:
        raise NoSection(
            f"there is no closed wall around branch {branch} at {position_mm:.1f} mm; move the "
            "section away from the end of the vessel"
        )
    at = chosen.start + int(np.argmin(np.abs(_along(centerline, chosen) - position_mm)))
    return _drawn(mesh, section, bool(centerline.point_data["in_junction"][at]))


def require_frame(mesh: SurfaceMesh, centerline: Centerline) -> None:
    """Raise unless a surface and a centerline live in one frame.

    Raises:
        FrameMismatch: naming both frames.
    """
    if mesh.frame_uid != centerline.frame_uid:
        raise FrameMismatch(
            f"the lumen lies in frame {mesh.frame_uid!r} and the centerline in "
            f"{centerline.frame_uid!r}; make the centerline from this lumen"
        )


def place_on(
    centerline: Centerline, branch: Branch, position_mm: float
) -> tuple[Floats, Floats, float]:
    """Return the point, the unit direction downstream and the radius somewhere on a branch.

    Raises:
        ValueError: if the branch is shorter than ``position_mm``.
    """
    along = _along(centerline, branch)
    if position_mm > along[-1] + 1e-6:
        raise ValueError(
            f"the branch is {along[-1]:.1f} mm long, so it has no place at {position_mm:.1f} mm"
        )
    points, radius = centerline.points_mm[branch.points], centerline.radius_mm[branch.points]
    fit = local_fit(points, 1.5 * radius)
    point = np.array([np.interp(position_mm, along, points[:, n]) for n in range(3)])
    tangent = np.array([np.interp(position_mm, along, fit.tangents[:, n]) for n in range(3)])
    return point, unit(tangent), float(np.interp(position_mm, along, radius))


def _along(centerline: Centerline, branch: Branch) -> Floats:
    return arc_length_mm(centerline.points_mm[branch.points])


def section_at(
    pieces: list[Piece], point: Floats, tangent: Floats, radius: float
) -> Section | None:
    """Return the smallest loop of any piece around a point, or None."""
    found = [s for p in pieces if (s := Slicer(p).around(point, tangent, radius)) is not None]
    return min(found, key=lambda section: section.area_mm2) if found else None


def section_numbers(section: Section) -> tuple[Number, ...]:
    """Return the measures of a section as numbers."""
    source = "section across the centerline"
    numbers = []
    for name, value in zip(FIELDS, measures(section)):
        quantity, _, ending = name.rpartition("_")
        unit_text = _UNITS.get(ending, "")
        numbers.append(Number(quantity if unit_text else name, float(value), unit_text, source))
    return tuple(numbers)


def _drawn(mesh: SurfaceMesh, section: Section, in_junction: bool) -> SurfaceMesh:
    """Return the section as a sheet, its normal downstream."""
    loop = section.loop_mm
    if (
        np.cross(loop - section.centroid_mm, np.roll(loop, -1, axis=0) - section.centroid_mm).sum(
            axis=0
        )
        @ section.normal
        < 0
    ):
        loop = loop[::-1]
    n = np.arange(len(loop))
    triangles = np.stack([n, np.roll(n, -1), np.full(len(loop), len(loop))], axis=1)
    findings = []
    if in_junction:
        text = "The section lies where branches part, so it is not that of one branch alone."
        findings.append(Finding(Severity.WARNING, "section_in_junction", text))
    if not section.whole:
        text = "The section runs over the cap of an end, so it is not whole."
        findings.append(Finding(Severity.WARNING, "section_at_end", text))
    return SurfaceMesh(
        np.concatenate([loop, section.centroid_mm[None]]),
        triangles,
        mesh.frame_uid,
        f"section of {mesh.name}" if mesh.name else "section",
        findings=tuple(findings),
        numbers=section_numbers(section),
    )
