"""How near a cut comes, place by place: maps of the margin and of critical structures.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from meshing.comparison import point_areas_mm2
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, is_watertight, isosurface
from meshing.tracts import is_tract, samples_mm
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.volume import ImageGeometry, LabelMap
from workstation.planning.cut_surface import CutSurface
from workstation.planning.proposal import Floats, as_point, separate_parts, skin_of, tight
from workstation.planning.resection import (
    R0_MM,
    CutPlane,
    counted_points,
    distances_mm,
    lesions_left,
    outside_text,
)

MARGIN = "margin_mm"
FIBRE_STEP_MM = 0.25
BY_CORNERS = "nearest of the cut's corners, the structure as it is drawn; it may be nearer between"
TOLD_MM = 0.05  # half of the last digit that is told: 9.96 mm are not nearer than 10
NEARNESS = "distance_to_structure_mm"
SHARES = (("risk", "closer than {risk:g} mm"), ("safety", "from {risk:g} to {safety:g} mm"))


def margin_map(
    tumor: LabelMap,
    cut: CutPlane | CutSurface,
    *,
    risk_mm: Annotated[float, Ge(0), Le(50)] = R0_MM,
    safety_mm: Annotated[float, Ge(0), Le(100)] = 10.0,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Map the distance of the tumour's surface to the cut, in bands of risk and safety.

    Distances are signed: negative where the tumour lies outside the specimen. All lesions are
    shown; in the numbers those that lie wholly outside the specimen are counted apart, as in the
    margin.

    Args:
        tumor: what must come out.
        cut: the cut; its part inside the organ counts.
        risk_mm: what is nearer (mm) is in the risk band; 1 mm is the limit of R0 (Sadot et al.,
            Ann Surg 2015;262:476).
        safety_mm: what is nearer (mm), but not at risk, is in the safety band.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if tumour and cut live in different frames.
        ValueError: if the bands overlap.
    """
    require_bands(risk_mm, safety_mm)
    if tumor.geometry.frame_uid != cut.frame_uid:
        raise FrameMismatch("tumour and cut live in different frames; register one first")
    lesions = skin_of(tumor)
    if lesions is None:
        note = Finding(Severity.WARNING, "no_tumor", "The tumour label is empty: no margin.")
        nothing = np.empty((0, 3)), np.empty((0, 3), np.int64)
        return SurfaceMesh(*nothing, cut.frame_uid, "margin", findings=(note,))
    skin = replace(lesions, name="margin", findings=())
    progress(0.3, "measuring the margin")
    signed = distances_mm(cut, lesions)
    if isinstance(cut, CutPlane):  # of its part in the organ: along the plane, and off it
        feet = skin.points_mm - signed[:, None] * np.asarray(cut.normal)
        aside = NearestOnSurface(cut.surface)(feet, progress).distance_mm
        signed = np.where(signed >= 0, 1, -1) * np.hypot(signed, aside)
    half = max(tumor.geometry.spacing_mm) / 2
    parts = separate_parts(lesions)
    points = counted_points(signed, parts)
    bands = (risk_mm, safety_mm)
    made = _mapped(skin, MARGIN, signed, bands, half, "the tumour's surface", points)
    left = lesions_left(signed, parts)
    if not left:
        return made
    text = f"{outside_text(int(left[0].value), len(parts))[:-1]}; the margin leaves that out."
    note = Finding(Severity.WARNING, "lesions_left", text, remedy="Move or turn the cut.")
    return replace(made, numbers=(*made.numbers, *left), findings=(*made.findings, note))


def critical_distance(
    cut: CutPlane | CutSurface,
    structure: LabelMap | SurfaceMesh | Centerline,
    *,
    risk_mm: Annotated[float, Ge(0), Le(50)] = 2.0,
    safety_mm: Annotated[float, Ge(0), Le(100)] = 5.0,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Map the distance of the cut to a critical structure, in bands of risk and safety.

    The structure is a vessel, a duct, an eloquent area, a tract or a tumour. The distance is zero
    where the cut goes through it. The limits are for you to choose; no study stands behind the
    defaults.

    Args:
        cut: the cut; its part inside the organ counts.
        structure: what is to be spared.
        risk_mm: where the cut is nearer (mm), it is in the risk band.
        safety_mm: where the cut is nearer (mm), but not at risk, it is in the safety band.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if cut and structure live in different frames.
        ValueError: if the structure is empty, or the bands overlap.
    """
    require_bands(risk_mm, safety_mm)
    place = structure.geometry if isinstance(structure, LabelMap) else structure
    if place.frame_uid != cut.frame_uid:
        raise FrameMismatch("cut and structure live in different frames; register one first")
    progress(0.2, "measuring distances")
    points = cut.surface.points_mm
    away = _away_mm(structure, points, progress)
    half = max(place.spacing_mm) / 2 if isinstance(place, ImageGeometry) else 0.0
    sheet = replace(cut.surface, name="critical distance")
    return _mapped(sheet, NEARNESS, away, (risk_mm, safety_mm), half, "the cut")


def _away_mm(
    structure: LabelMap | SurfaceMesh | Centerline, points: Floats, progress: Progress
) -> Floats:
    """Return the distances (n,) of points to a structure, zero inside a closed one."""
    if isinstance(structure, Centerline):
        if not len(structure.points_mm):
            raise ValueError("the critical structure is empty; make or load it first")
        distance, nearest = cKDTree(structure.points_mm).query(points)
        return np.asarray(np.maximum(distance - structure.radius_mm[nearest], 0.0))
    if isinstance(structure, SurfaceMesh) and is_tract(structure):
        return np.asarray(cKDTree(samples_mm(structure, FIBRE_STEP_MM)[0]).query(points)[0])
    if isinstance(structure, SurfaceMesh):
        near = NearestOnSurface(structure)
        if not is_watertight(structure):
            return near(points, progress).distance_mm
        return np.asarray(np.maximum(near.signed_mm(points, progress), 0.0))
    whole = tight(structure)
    if whole is None:
        raise ValueError("the critical structure has no voxel; segment it first")
    signed = NearestOnSurface(isosurface(whole)).signed_mm(points, progress)
    return np.asarray(np.maximum(signed, 0.0))


def require_bands(risk_mm: float, safety_mm: float) -> None:
    """Raise a ValueError unless the risk band ends where the safety band begins, or before."""
    if risk_mm > safety_mm:
        raise ValueError(
            f"the risk band of {risk_mm:g} mm reaches past the safety band of {safety_mm:g} mm; "
            "give a smaller risk or a larger safety distance"
        )


def _mapped(
    surface: SurfaceMesh,
    quantity: str,
    distance: Floats,
    bands_mm: tuple[float, float],
    half_mm: float,
    of: str,
    points: npt.NDArray[np.int64] | None = None,
) -> SurfaceMesh:
    """Return a surface with its distances, their smallest, and the shares of the bands.

    In both only ``points`` count, or all.
    """
    risk, safety = bands_mm
    counts = np.arange(len(distance)) if points is None else points
    weights = np.zeros(len(distance))
    weights[counts] = point_areas_mm2(surface)[counts]
    nearest = int(counts[np.argmin(distance[counts])])
    least, place = float(distance[nearest]), as_point(surface.points_mm[nearest])
    source = "nearest places of the surfaces; band: half a voxel's longest edge"
    low = least - half_mm if quantity == MARGIN else max(least - half_mm, 0.0)
    numbers = [Number("minimum", least, "mm", source, low, least + half_mm)]
    if not half_mm:  # it has no voxels
        numbers = [Number("minimum", least, "mm", BY_CORNERS)]
    inside: dict[str, npt.NDArray[np.bool_]] = {
        "risk": distance < risk,
        "safety": (distance >= risk) & (distance < safety - TOLD_MM),
    }
    for name, words in SHARES:
        share = 100.0 * float(weights[inside[name]].sum() / weights.sum())
        said = f"share of {of}, by area, {words.format(risk=risk, safety=safety)}"
        numbers.append(Number(f"{name}_share", share, "%", said))
    return replace(
        surface,
        point_data={quantity: np.asarray(distance, np.float64)},
        numbers=tuple(numbers),
        findings=(_judged(least, place, risk, safety),),
    )


def _judged(least: float, place: tuple[float, float, float], risk: float, safety: float) -> Finding:
    if least < 0:
        text = f"The tumour reaches {-least:.1f} mm past the cut here, into what stays."
        remedy = "Move the cut, or treat what stays in another way."
        return Finding(Severity.WARNING, "past_the_cut", text, place, remedy)
    if least < risk:
        text = f"It comes as near as {least:.1f} mm here, inside the risk band of {risk:g} mm."
        return Finding(Severity.WARNING, "inside_risk_band", text, place, "Move the cut.")
    if least < safety - TOLD_MM:
        text = f"It comes as near as {least:.1f} mm here, inside the safety band of {safety:g} mm."
        return Finding(Severity.INFO, "inside_safety_band", text, place)
    text = f"It stays {least:.1f} mm away, beyond the safety band of {safety:g} mm."
    return Finding(Severity.INFO, "beyond_safety_band", text, place)
