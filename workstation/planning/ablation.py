"""Thermal ablation: zones along needles, what of the tumour and its margin they cover.

A zone is the ellipsoid that the applicator's maker or the user states for power and time; how
heat spreads at vessels is not computed. Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le
from scipy.ndimage import distance_transform_edt

from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, isosurface
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.marks import Points
from segmentation.volume import ImageGeometry, LabelMap
from segmentation.wording import counted
from workstation.planning.proposal import Floats, as_point, tight
from workstation.planning.resection import unit_normal

MARGIN_MM = 5.0
MARGIN_SOURCE = (
    "a minimal margin of more than 5 mm goes with the best local control of colorectal "
    "metastases (Wang et al. 2013, doi:10.1007/s00270-012-0377-1)"
)
STATED = "zone as stated for the applicator; perfusion and vessels are not taken into account"
COLOUR = (240, 96, 64)
ZONE = "ablation"
NEEDLE_MM = 0.9  # radius with which a needle is drawn
RINGS, AROUND, NEEDLE_SIDES = 32, 48, 8


@dataclass(frozen=True)
class Zone:
    """One ellipsoid about a needle: its centre, axis (LPS, mm) and half axes (mm)."""

    centre_mm: Floats
    axis: Floats
    along_mm: float
    across_mm: float

    def level(self, points_mm: npt.ArrayLike) -> Floats:
        """Return for points (..., 3) what is below 1 inside the zone, 1 on its skin."""
        away = np.asarray(points_mm, float) - self.centre_mm
        along = away @ self.axis
        beside = (away**2).sum(axis=-1) - along**2
        return np.asarray(np.sqrt((along / self.along_mm) ** 2 + beside / self.across_mm**2))


def ablation_zone(
    tumor: LabelMap,
    organ: LabelMap | None = None,
    critical: LabelMap | None = None,
    *,
    length_mm: Annotated[float, Gt(0), Le(120)] | None = None,
    width_mm: Annotated[float, Gt(0), Le(120)] | None = None,
    ahead_mm: Annotated[float, Ge(-60), Le(60)] = 0.0,
    entries_mm: Points = (),
    targets_mm: Points = (),
    margin_mm: Annotated[float, Ge(0), Le(20)] = MARGIN_MM,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Place ablation zones and tell how much of the tumour and its margin they cover.

    Without a size there is a finding that asks for it, and no zone. Several needles make
    overlapping zones.

    Args:
        tumor: what is ablated.
        organ: the organ, whose loss is told.
        critical: what heat and needle must not reach.
        length_mm: length (mm) of the zone along the needle, as stated for applicator and dose.
        width_mm: width (mm) of the zone across the needle, as stated.
        ahead_mm: how far (mm) the middle of the zone lies beyond the target, along the needle.
        entries_mm: for each needle the point (x, y, z) where it enters, LPS mm; none places one
            zone along the tumour's longest axis, without a needle.
        targets_mm: for each needle the point (x, y, z) its zone is meant for, LPS mm; none takes
            the tumour's middle.
        margin_mm: width (mm) of the margin around the tumour that is to be covered.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the labels live in different frames.
        ValueError: if the tumour is empty, or entries and targets do not go together.
    """
    for other in (organ, critical):
        if other is not None and other.geometry.frame_uid != tumor.geometry.frame_uid:
            raise FrameMismatch("the labels live in different frames; register one first")
    lesion = tight(tumor)
    if lesion is None:
        raise ValueError("there is no tumour to ablate; mark it first")
    if length_mm is None or width_mm is None:
        return _unknown(tumor.geometry.frame_uid)
    needles = _needles(lesion, entries_mm, targets_mm)
    zones = [
        Zone(target + ahead_mm * axis, axis, length_mm / 2, width_mm / 2)
        for _, target, axis in needles
    ]
    progress(0.2, "measuring what the zones cover")
    mesh = _drawn(zones, needles, tumor.geometry.frame_uid)
    skin = isosurface(lesion)
    numbers, findings = _covered(zones, lesion, skin, margin_mm)
    numbers += _volumes(zones, lesion.geometry, organ)
    numbers += _lengths(needles)
    if critical is not None:
        progress(0.7, "measuring distances")
        more, said = _spared(zones, needles, critical)
        numbers, findings = numbers + more, findings + said
    if not entries_mm:
        text = "No entry was given: the zone lies along the tumour's longest axis, and no needle"
        remedy = "give the point where the needle enters"
        findings.append(Finding(Severity.INFO, "no_needle", f"{text} is planned", remedy=remedy))
    findings += _beyond_image(tumor, needles)
    return SurfaceMesh(
        mesh.points_mm,
        mesh.triangles,
        mesh.frame_uid,
        ZONE,
        COLOUR,
        numbers=tuple(numbers),
        findings=tuple(findings),
    )


ENTERED = "check that the point of entry is in LPS mm and of this image"

Needle = tuple[Floats | None, Floats, Floats]
"""Where it enters, its target, and its direction (LPS)."""


def _beyond_image(tumor: LabelMap, needles: list[Needle]) -> list[Finding]:
    """Return a finding for each needle that enters farther than a voxel beyond the image."""
    found, last = [], np.asarray(tumor.geometry.size) - 1
    for number, (entry, _, _) in enumerate(needles, 1):
        if entry is None:
            continue
        index = tumor.geometry.to_index(entry[None])[0]
        beyond = np.abs(index - np.clip(index, 0, last)) * tumor.geometry.spacing_mm
        if np.any(beyond > tumor.geometry.spacing_mm):
            away = float(np.linalg.norm(beyond))
            text = f"needle {number} enters {away:.0f} mm beyond the image; its way is not all seen"
            found.append(Finding(Severity.WARNING, "beyond_image", text, as_point(entry), ENTERED))
    return found


def _unknown(frame_uid: str) -> SurfaceMesh:
    note = Finding(
        Severity.WARNING,
        "zone_size",
        "no zone is placed: its size depends on applicator, power and time, and was not given",
        remedy="enter length and width that its maker states",
    )
    nothing = np.empty((0, 3)), np.empty((0, 3), np.int64)
    return SurfaceMesh(*nothing, frame_uid, ZONE, COLOUR, findings=(note,))


def _needles(lesion: LabelMap, entries: Points, targets: Points) -> list[Needle]:
    index = np.argwhere(lesion.mask())[:, ::-1]
    points = lesion.geometry.to_world(index)
    middle = points.mean(axis=0)
    if not entries:
        if len(targets) > 1:
            raise ValueError("several targets need an entry each; give as many entries")
        centre = np.asarray(targets[0], float) if targets else middle
        spread = np.cov((points - middle).T) if len(points) > 1 else np.eye(3)
        return [(None, centre, np.linalg.eigh(spread)[1][:, -1])]
    if targets and len(targets) != len(entries):
        raise ValueError(
            f"{counted(len(entries), 'entry', 'entries')} and {counted(len(targets), 'target')} do "
            "not make needles; give one target for each entry"
        )
    if not targets and len(entries) > 1:
        raise ValueError("several needles need a target each; give as many targets as entries")
    aims = targets or (as_point(middle),)
    needles: list[Needle] = []
    for entry, target in zip(np.asarray(entries, float), np.asarray(aims, float)):
        if np.linalg.norm(target - entry) < 1.0:
            raise ValueError("a needle's entry and target lie at one place; move one of them")
        needles.append((entry, target, np.asarray(unit_normal(target - entry))))
    return needles


def _level(zones: list[Zone], points: Floats) -> Floats:
    return np.asarray(np.min([zone.level(points) for zone in zones], axis=0))


def _depth_mm(zones: list[Zone], points: Floats) -> Floats:
    """Return how deep (mm) points (n, 3) lie in the zones; negative outside.

    Of several zones that which holds a point deepest counts: where they overlap the true depth
    is not less.
    """
    depths = []
    for zone in zones:
        skin = _ellipsoid(zone)
        depths.append(-NearestOnSurface(skin).signed_mm(points))
    return np.asarray(np.max(depths, axis=0))


def _covered(
    zones: list[Zone], lesion: LabelMap, skin: SurfaceMesh, margin_mm: float
) -> tuple[list[Number], list[Finding]]:
    """Return what of tumour and margin lies in the zones, and the smallest margin."""
    geometry, mask = _padded(lesion, margin_mm)
    away = distance_transform_edt(~mask, geometry.spacing_kji_mm)
    half = max(geometry.spacing_mm) / 2
    shell = ~mask & (away <= margin_mm)
    shares = {}
    for name, part in (("tumor", mask), ("margin", shell)):
        points = geometry.to_world(np.argwhere(part)[:, ::-1])
        shares[name] = 100.0 * float((_level(zones, points) <= 1).mean()) if len(points) else 100.0
    depth = _depth_mm(zones, skin.points_mm)
    worst = int(np.argmin(depth))
    least, place = float(depth[worst]), as_point(skin.points_mm[worst])
    numbers = [
        Number("tumor_covered", shares["tumor"], "%", f"tumour's voxels in the zones; {STATED}"),
        Number(
            "margin_covered", shares["margin"], "%",
            f"voxels within {margin_mm:g} mm around the tumour in the zones; {STATED}",
        ),
        Number(
            "minimal_margin", least, "mm",
            f"smallest depth of the tumour's surface in a zone; band: half a voxel; {STATED}",
            least - half, least + half,
        ),
    ]  # fmt: skip
    if least < 0:
        text = f"{100 - shares['tumor']:.1f} % of the tumour is not ablated, most here"
        remedy = "move the needle, add another, or take a larger zone"
        return numbers, [Finding(Severity.PROBLEM, "tumor_not_covered", text, place, remedy)]
    if least < margin_mm:
        text = f"The margin is {least:.1f} mm here, less than {margin_mm:g} mm; {MARGIN_SOURCE}"
        return numbers, [Finding(Severity.WARNING, "narrow_margin", text, place)]
    text = f"The zones cover the tumour with a margin of {least:.1f} mm"
    return numbers, [Finding(Severity.INFO, "covered", text, place)]


def _padded(lesion: LabelMap, reach_mm: float) -> tuple[ImageGeometry, npt.NDArray[np.bool_]]:
    geometry = lesion.geometry
    pad = [int(np.ceil(reach_mm / h)) + 1 for h in geometry.spacing_mm]
    size = [n + 2 * p for n, p in zip(geometry.size, pad)]
    wide = geometry.cropped([-p for p in pad], size)
    return wide, np.pad(lesion.mask(), [(p, p) for p in reversed(pad)])


def _volumes(zones: list[Zone], grid: ImageGeometry, organ: LabelMap | None) -> list[Number]:
    """Return the volume of all zones together, and that of the organ in them."""
    centres = np.array([zone.centre_mm for zone in zones])
    reach = max(max(zone.along_mm, zone.across_mm) for zone in zones)
    low, high = centres.min(axis=0) - reach, centres.max(axis=0) + reach
    step = max(float((high - low).max()) / 100, 0.25)
    axes = [np.arange(a + step / 2, b, step) for a, b in zip(low, high)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = points[_level(zones, points) <= 1]
    voxel_ml = step**3 / 1000.0
    source = f"volume of all zones together, on a grid of {step:.2g} mm; {STATED}"
    numbers = [Number("zone_volume", len(inside) * voxel_ml, "mL", source)]
    if organ is not None and len(inside):
        index = np.rint(organ.geometry.to_index(inside)).astype(int)
        held = ((index >= 0) & (index < np.asarray(organ.geometry.size))).all(axis=1)
        i, j, k = index[held].T
        ml = np.count_nonzero(organ.array[k, j, i]) * voxel_ml
        whole = organ.volume_ml()
        numbers.append(Number("organ_ablated", ml, "mL", f"organ in the zones; {STATED}"))
        if whole:
            said = "share of the organ's label"
            numbers.append(Number("organ_share", 100.0 * ml / whole, "%", said))
    return numbers


def _lengths(needles: list[Needle]) -> list[Number]:
    lengths = [float(np.linalg.norm(aim - entry)) for entry, aim, _ in needles if entry is not None]
    return [
        Number(f"needle_{n}_length", length, "mm", "from entry to target")
        for n, length in enumerate(lengths, 1)
    ]


def _spared(
    zones: list[Zone], needles: list[Needle], critical: LabelMap
) -> tuple[list[Number], list[Finding]]:
    """Return how near zones and needles come to each critical structure."""
    numbers: list[Number] = []
    findings: list[Finding] = []
    half = max(critical.geometry.spacing_mm) / 2
    for value, label in critical.labels.items():
        whole = tight(LabelMap(critical.array == value, critical.geometry, {1: label}))
        if whole is None:
            continue
        skin, name = isosurface(whole), label.name.replace("_", " ")
        depth = _depth_mm(zones, skin.points_mm)
        n = int(np.argmax(depth))
        away = max(-float(depth[n]), 0.0)
        slug = name.lower().replace(" ", "_")
        source = "nearest places of the surfaces; band: half a voxel"
        band = max(away - half, 0.0), away + half
        numbers.append(Number(f"{slug}_to_zone", away, "mm", source, *band))
        if away == 0:
            text = f"The ablation zone reaches {name}"
            where = as_point(skin.points_mm[n])
            findings.append(Finding(Severity.WARNING, "zone_at_structure", text, where))
        near = NearestOnSurface(skin)
        for m, (entry, target, _) in enumerate(needles, 1):
            if entry is None:
                continue
            way = entry + np.linspace(0, 1, 400)[:, None] * (target - entry)
            signed = near.signed_mm(way)
            n = int(np.argmin(signed))
            gap = max(float(signed[n]), 0.0)
            band = max(gap - half, 0.0), gap + half
            numbers.append(Number(f"{slug}_to_needle_{m}", gap, "mm", source, *band))
            if gap == 0:
                text = f"Needle {m} goes through {name}"
                remedy = "choose another entry"
                where = as_point(way[n])
                findings.append(Finding(Severity.PROBLEM, "needle_through", text, where, remedy))
    return numbers, findings


def _frame(axis: Floats) -> tuple[Floats, Floats]:
    u = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    u /= np.linalg.norm(u)
    return u, np.cross(axis, u)


def _ellipsoid(zone: Zone) -> SurfaceMesh:
    """Return a zone as a closed surface whose volume is that of the ellipsoid within 1 %."""
    polar = np.linspace(0, np.pi, RINGS + 1)[1:-1]
    return _turned(
        zone.centre_mm, zone.axis, zone.along_mm * np.cos(polar), zone.across_mm * np.sin(polar),
        zone.along_mm, AROUND,
    )  # fmt: skip


def _turned(
    centre: Floats, axis: Floats, along: Floats, radius: Floats, tip: float, sides: int
) -> SurfaceMesh:
    """Return a closed surface of rings about an axis, from the front tip to the back one."""
    u, v = _frame(axis)
    turn = np.arange(sides) * 2 * np.pi / sides
    ring = np.cos(turn)[:, None] * u + np.sin(turn)[:, None] * v
    rings = centre + along[:, None, None] * axis + radius[:, None, None] * ring
    tips = np.stack([centre + tip * axis, centre - tip * axis])
    points = np.concatenate([rings.reshape(-1, 3), tips])
    n = np.arange(sides)
    start = np.arange(len(along) - 1)[:, None] * sides
    a, b = start + n, start + (n + 1) % sides
    walls = [np.stack([a, a + sides, b], -1), np.stack([b, a + sides, b + sides], -1)]
    last = (len(along) - 1) * sides
    front, back = len(points) - 2, len(points) - 1
    caps = [
        np.stack([np.full(sides, front), n, (n + 1) % sides], -1),
        np.stack([np.full(sides, back), last + (n + 1) % sides, last + n], -1),
    ]
    cells = np.concatenate([*(wall.reshape(-1, 3) for wall in walls), *caps])
    return SurfaceMesh(points, cells.astype(np.int64), "")


def _drawn(zones: list[Zone], needles: list[Needle], frame_uid: str) -> SurfaceMesh:
    """Return all zones and needles as one mesh of closed pieces."""
    pieces = [_ellipsoid(zone) for zone in zones]
    for entry, target, axis in needles:
        if entry is not None:
            half = float(np.linalg.norm(target - entry)) / 2
            rim = half - NEEDLE_MM
            along, radius = np.array([rim, -rim]), np.full(2, NEEDLE_MM)
            pieces.append(_turned((entry + target) / 2, axis, along, radius, half, NEEDLE_SIDES))
    counts = np.cumsum([0, *(len(p.points_mm) for p in pieces)])
    points = np.concatenate([p.points_mm for p in pieces])
    cells = np.concatenate([p.triangles + n for p, n in zip(pieces, counts)])
    return SurfaceMesh(points, cells, frame_uid, ZONE, COLOUR)
