"""How near each critical structure comes to a cut and to a tumour, and where.

Structures are vessels, ducts and eloquent areas as labels or surfaces, trees of vessels, and
fibre tracts. Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from meshing.centerline import Centerline
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, is_watertight, isosurface
from meshing.tracts import TOLERANCE_MM, is_tract, samples_mm
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    share,
    silent,
)
from segmentation.measured import Measured
from segmentation.resampling import conform
from segmentation.volume import LabelMap, Volume
from workstation.planning.margin_map import require_bands
from workstation.planning.proposal import Floats, as_point, tight
from workstation.planning.resection import Cut

STEP_MM = 0.5  # between the places of a fibre that are looked at
MOST = 60_000  # places of one structure that are looked at
TOUCHING_MM = 0.01
LIVE = 4_000  # places of a structure that are followed while a cut moves
NEAREST = "nearest_to_cut"
LISTED = 6  # structures named in a sentence at the most
TRACKING = "band: how finely fibres are drawn; the doubt of tracking itself is not in it"
VOXELS = "band: half a voxel's longest edge"


@dataclass(frozen=True, eq=False)
class Part:
    """One critical structure.

    Attributes:
        points_mm: places (n, 3) on it, LPS mm.
        radius_mm: how far it reaches around each place.
        skin: its closed surface, where it has one.
        fibre: of a tract, which fibre each place is on.
        half_mm: how far its places may be off.
    """

    name: str
    points_mm: Floats
    radius_mm: Floats
    skin: SurfaceMesh | None
    fibre: Floats | None
    half_mm: float
    source: str


@dataclass(frozen=True)
class _Gap:
    """The smallest distance (mm) and its ends on the structure and on the other, LPS mm."""

    distance_mm: float
    here_mm: Floats
    there_mm: Floats


def critical_labels(labels: LabelMap, volume: Volume, *, progress: Progress = silent) -> LabelMap:
    """Bring what is to be spared onto the grid of the image, each label for itself.

    Args:
        labels: the labels as they were read, in the frame of reference of the image.
        volume: the image whose voxel grid is wanted.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the frames of reference differ.
        ValueError: if no label lies inside the image.
    """
    array = np.zeros(volume.geometry.shape, labels.array.dtype)
    known, findings = {}, list(labels.findings)
    for n, (value, label) in enumerate(labels.labels.items()):
        progress(n / len(labels.labels), f"placing {label.name}")
        whole = tight(LabelMap(labels.array == value, labels.geometry, {1: label}))
        if whole is None:
            continue
        try:
            placed = conform(whole, volume)
        except FrameMismatch:
            raise
        except ValueError as outside:
            findings.append(Finding(Severity.WARNING, "outside_image", str(outside)))
            continue
        array[placed.mask()] = value
        known[value] = label
        findings += placed.findings
    if not known:
        raise ValueError("no critical structure lies inside the image; check the label file")
    return LabelMap(array, volume.geometry, known, tuple(findings))


def structure_distances(
    cut: Cut,
    structure: LabelMap | SurfaceMesh | Centerline,
    tumor: LabelMap | None = None,
    *,
    risk_mm: Annotated[float, Ge(0), Le(50)] = 2.0,
    safety_mm: Annotated[float, Ge(0), Le(100)] = 5.0,
    progress: Progress = silent,
) -> Measured:
    """Tell how near each critical structure comes to the cut and to the tumour.

    Each label counts for itself. A distance is zero where the cut or the tumour reaches the
    structure. The limits are for you to choose; no study stands behind the defaults.

    Args:
        cut: the cut; its part inside the organ counts.
        structure: what is to be spared: labels, a surface, a tree of vessels or a tract.
        tumor: what comes out, where there is one.
        risk_mm: what is nearer (mm) is at risk.
        safety_mm: what is nearer (mm), but not at risk, is in the safety band.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the values live in different frames.
        ValueError: if the structure is empty, or the bands overlap.
    """
    require_bands(risk_mm, safety_mm)
    place = structure.geometry if isinstance(structure, LabelMap) else structure
    tumor_frame = cut.frame_uid if tumor is None else tumor.geometry.frame_uid
    if not place.frame_uid == cut.frame_uid == tumor_frame:
        raise FrameMismatch("cut, structure and tumour live in different frames; register them")
    parts = list(_parts(structure))
    lesion = None if tumor is None else tight(tumor)
    skin = None if lesion is None else isosurface(lesion)
    numbers: list[Number] = []
    findings: list[Finding] = []
    gaps: list[_Gap] = []
    far: list[tuple[float, str]] = []
    for n, part in enumerate(parts):
        tell = share(progress, n, len(parts))
        tell(0.0, f"measuring distances to {part.name}")
        gap = _to_cut(part, cut)
        gaps.append(gap)
        through, shares = _crossed(part, cut, gap)
        numbers += [_number(part, "to_cut", gap.distance_mm), *shares]
        if through or gap.distance_mm < safety_mm:
            findings.append(_judged(part.name, gap, through, risk_mm, safety_mm))
        else:
            far.append((gap.distance_mm, part.name))
        if skin is not None:
            tell(0.5, f"measuring distances to {part.name}")
            gap = _to_tumor(part, skin)
            numbers.append(_number(part, "to_tumor", gap.distance_mm))
            if gap.distance_mm <= TOUCHING_MM:
                text = f"The tumour reaches {part.name}."
                where = as_point(gap.here_mm)
                findings.append(Finding(Severity.WARNING, "tumor_at_structure", text, where))
    least = min(range(len(parts)), key=lambda n: gaps[n].distance_mm)
    first = _number(parts[least], "to_cut", gaps[least].distance_mm)
    numbers.insert(0, replace(first, quantity=NEAREST, source=f"{first.source}; of all here"))
    shown = [gap for n, gap in enumerate(gaps) if n == least or gap.distance_mm < safety_mm]
    return Measured(
        cut.frame_uid,
        tuple(line for gap in shown for line in _line(gap)),
        np.empty((0, 3)),
        f"{parts[least].name} {gaps[least].distance_mm:.1f} mm",
        as_point(gaps[least].here_mm),
        findings=(*findings, *_beyond(far, safety_mm)),
        numbers=tuple(numbers),
    )


def places_mm(structure: object) -> Floats:
    """Return places (n, 3) on a critical structure, LPS mm; none where there is none."""
    if not isinstance(structure, LabelMap | SurfaceMesh | Centerline):
        return np.empty((0, 3))
    if isinstance(structure, LabelMap) and not structure.mask().any():
        return np.empty((0, 3))
    points = np.concatenate([part.points_mm for part in _parts(structure)])
    return np.asarray(points[:: -(-len(points) // LIVE)])


def _parts(structure: LabelMap | SurfaceMesh | Centerline) -> Iterator[Part]:
    """Yield the structures, one for each label that has a voxel.

    Raises:
        ValueError: if there is none.
    """
    if isinstance(structure, Centerline):
        if not len(structure.points_mm):
            raise ValueError("the critical structure is empty; make or load it first")
        name = structure.name or "vessels"
        yield Part(name, structure.points_mm, structure.radius_mm, None, None, 0.0, "radius as is")
        return
    if isinstance(structure, SurfaceMesh):
        yield _of_surface(structure)
        return
    found = False
    half = max(structure.geometry.spacing_mm) / 2
    for value, label in structure.labels.items():
        whole = tight(LabelMap(structure.array == value, structure.geometry, {1: label}))
        if whole is not None:
            found = True
            skin = isosurface(whole)
            none = np.zeros(len(skin.points_mm))
            yield Part(label.name.replace("_", " "), skin.points_mm, none, skin, None, half, VOXELS)
    if not found:
        raise ValueError("the critical structure has no voxel; segment it first")


def _of_surface(mesh: SurfaceMesh) -> Part:
    name = mesh.name.replace("_", " ") or "structure"
    if is_tract(mesh):
        points, fibre = samples_mm(mesh, STEP_MM)
        return Part(name, points, np.zeros(len(points)), None, fibre, TOLERANCE_MM, TRACKING)
    if not len(mesh.triangles):
        raise ValueError("the critical structure has no triangle; make or load it first")
    points = mesh.points_mm[np.unique(mesh.triangles)]
    skin = mesh if is_watertight(mesh) else None
    return Part(name, points, np.zeros(len(points)), skin, None, 0.0, "surface as it is")


def _to_cut(part: Part, cut: Cut) -> _Gap:
    """Return the gap between a structure and the part of a cut inside the organ."""
    gap = _nearest(part, cut.surface)
    if part.skin is None:
        return gap
    corners = cut.surface.points_mm  # a coarse surface of the structure has few corners
    near = NearestOnSurface(part.skin)
    found = near(corners)
    signed = found.distance_mm * near.side(corners, found)
    n = int(np.argmin(signed))
    if signed[n] <= 0:
        return _Gap(0.0, corners[n], corners[n])
    if signed[n] < gap.distance_mm:
        return _Gap(float(signed[n]), found.point_mm[n], corners[n])
    return gap


def _to_tumor(part: Part, skin: SurfaceMesh) -> _Gap:
    points, radius = _some(part)
    near = NearestOnSurface(skin)
    found = near(points)
    signed = np.maximum(found.distance_mm * near.side(points, found) - radius, 0.0)
    n = int(np.argmin(signed))
    here, there = points[n], found.point_mm[n]
    return _Gap(float(signed[n]), here, here if signed[n] == 0 else there)


def _nearest(part: Part, other: SurfaceMesh) -> _Gap:
    points, radius = _some(part)
    found = NearestOnSurface(other)(points)
    away = np.maximum(found.distance_mm - radius, 0.0)
    n = int(np.argmin(away))
    return _Gap(float(away[n]), points[n], found.point_mm[n])


def _some(part: Part) -> tuple[Floats, Floats]:
    """Return at most so many places of a structure, evenly, and their radii."""
    every = slice(None, None, -(-len(part.points_mm) // MOST))
    return part.points_mm[every], part.radius_mm[every]


def _crossed(part: Part, cut: Cut, gap: _Gap) -> tuple[bool, list[Number]]:
    """Return whether the cut goes through a structure, and what of a tract it severs."""
    if part.fibre is None:
        return gap.distance_mm <= TOUCHING_MM, []
    every = len(np.unique(part.fibre))
    if gap.distance_mm > STEP_MM:
        count = 0
    else:
        side = cut.side_mm(part.points_mm) >= 0
        change = np.flatnonzero((side[1:] != side[:-1]) & (part.fibre[1:] == part.fibre[:-1]))
        ends = part.points_mm[change], part.points_mm[change + 1]
        near = NearestOnSurface(cut.surface)((ends[0] + ends[1]) / 2).distance_mm
        count = len(np.unique(part.fibre[change[near <= STEP_MM]]))
    source = f"fibres that change sides within {STEP_MM:g} mm of the cut inside the organ"
    slug = slug_of(part.name)
    return count > 0, [
        Number(f"{slug}_fibres_cut", float(count), "", source),
        Number(f"{slug}_share_cut", 100.0 * count / every, "%", f"{source}, of {every}"),
    ]


def slug_of(name: str) -> str:
    """Return the name of a structure as it stands in the name of a number."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "structure"


def _number(part: Part, quantity: str, value: float) -> Number:
    source = f"nearest places of the surfaces; {part.source}"
    band = (max(value - part.half_mm, 0.0), value + part.half_mm) if part.half_mm else (None, None)
    return Number(f"{slug_of(part.name)}_{quantity}", value, "mm", source, *band)


def _line(gap: _Gap) -> list[Floats]:
    """Return the way across a gap, to be drawn, unless it is too short."""
    way = np.stack([gap.here_mm, gap.there_mm])
    return [way] if np.linalg.norm(way[1] - way[0]) > TOUCHING_MM else []


def _judged(name: str, gap: _Gap, through: bool, risk: float, safety: float) -> Finding:
    least, place = gap.distance_mm, as_point(gap.here_mm)
    said = f"{name} comes within {least:.1f} mm of the cut here"
    if through:
        text = f"The cut goes through {name}."
        return Finding(Severity.WARNING, "structure_cut", text, place, "Move the cut.")
    if least < risk:
        text = f"{said}, inside the risk band of {risk:g} mm."
        return Finding(Severity.WARNING, "inside_risk_band", text, place, "Move the cut.")
    text = f"{said}, inside the safety band of {safety:g} mm."
    return Finding(Severity.INFO, "inside_safety_band", text, place)


def _beyond(far: list[tuple[float, str]], safety: float) -> list[Finding]:
    """Return one finding about all that stays beyond the safety band, the nearest first."""
    if not far:
        return []
    listed = ", ".join(f"{name} {away:.0f} mm" for away, name in sorted(far)[:LISTED])
    more = f" and {len(far) - LISTED} more" if len(far) > LISTED else ""
    text = f"Beyond the safety band of {safety:g} mm from the cut: {listed}{more}."
    return [Finding(Severity.INFO, "beyond_safety_band", text)]
