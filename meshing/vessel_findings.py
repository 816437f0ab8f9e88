"""Narrow and wide places of a vessel, and where a device can land. Lengths in mm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from meshing.centerline import Centerline, own_sections
from meshing.curves import arc_length_mm, local_fit
from segmentation.contract import (
    Finding,
    Measurements,
    Number,
    Progress,
    Severity,
    silent,
)

Floats = npt.NDArray[np.float64]

HALF = 0.5  # of a stenosis: its length is measured where half of the narrowing is left
STRAIGHT = 1e-4  # 1/mm; less curvature is called this
STRETCH = 1.0  # diameters over which a reference diameter is averaged
REFERENCE_SHARE = 0.75  # of the sections that are narrower than a normal reference (quantile)


@dataclass(frozen=True, eq=False)
class _Profile:
    """Diameters (of a disc of the section's area) along one branch, where they are its own."""

    branch: int
    along_mm: Floats
    diameter_mm: Floats
    minimum_mm: Floats
    maximum_mm: Floats
    points_mm: Floats
    curvature_per_mm: Floats
    tangents: Floats

    def at(self, n: int) -> tuple[float, float, float]:
        x, y, z = self.points_mm[n]
        return float(x), float(y), float(z)


def _profile(value: Centerline, number: int) -> _Profile:
    branch = value.branch(number)
    area = value.point_data["area_mm2"][branch.points]
    own = np.isfinite(area) & own_sections(value)[branch.points]
    if own.sum() < 5:
        raise ValueError(
            f"branch {number} is too short to be measured: it has no sections of its own between "
            "its ends; choose a longer branch"
        )
    points = value.points_mm[branch.points]
    fit = local_fit(points, 1.5 * value.radius_mm[branch.points])
    return _Profile(
        number,
        arc_length_mm(points)[own],
        2 * np.sqrt(area[own] / np.pi),
        value.point_data["minimum_diameter_mm"][branch.points][own],
        value.point_data["maximum_diameter_mm"][branch.points][own],
        points[own],
        value.point_data["curvature_per_mm"][branch.points][own],
        fit.tangents[own],
    )


def _chosen(value: Centerline, number: int) -> list[_Profile]:
    """Return the profile of one branch, or of all that are long enough for 0."""
    if number:
        return [_profile(value, number)]
    found = []
    for n in range(1, len(value.branches) + 1):
        try:
            found.append(_profile(value, n))
        except ValueError:
            continue
    if not found:
        raise ValueError("no branch is long enough to be measured; give a longer vessel")
    return found


# ---------------------------------------------------------------- narrow


def stenosis(
    centerline: Centerline,
    *,
    branch: Annotated[int, Ge(0)] = 0,
    reference: Literal["distal", "proximal", "both", "best_fit"] = "distal",
    reference_diameter_mm: Annotated[float, Gt(0)] | None = None,
    progress: Progress = silent,
) -> Measurements:
    """Measure the narrowest place of a vessel against its reference diameter.

    As in NASCET (N Engl J Med 325 (1991) 445) the least diameter is compared with that of the
    normal vessel beyond the narrowing: percent = (1 - least / reference) x 100. Diameters are
    those of discs of the section's area.

    Args:
        centerline: the branches of the vessel.
        branch: number of the branch; 0 looks at all and takes the worst.
        reference: where the normal vessel is measured: beyond (distal) or before (proximal) the
            narrowing, the mean of both, or the line that fits the wide sections of the branch.
        reference_diameter_mm: a reference diameter (mm) that replaces the measured one.
        progress: told how far the work is.

    Raises:
        ValueError: if the branch is not there or too short.
    """
    progress(0.1, "looking for the narrowest place")
    found = [_narrowing(p, reference, reference_diameter_mm) for p in _chosen(centerline, branch)]
    worst = max(found, key=lambda narrow: narrow.percent)
    profile, n = worst.profile, worst.place
    source = f"branch {profile.branch} at {profile.along_mm[n]:.1f} mm; reference: {worst.source}"
    numbers = (
        Number("minimum_diameter", float(profile.diameter_mm[n]), "mm", source),
        Number("minimum_area", float(np.pi * profile.diameter_mm[n] ** 2 / 4), "mm2", source),
        Number("reference_diameter", worst.reference_mm, "mm", source),
        Number("diameter_stenosis", worst.percent, "%", "1 - minimum / reference (NASCET)"),
        Number("area_stenosis", worst.area_percent, "%", "1 - minimum area / reference area"),
        Number("length", worst.length_mm, "mm", "where half of the narrowing is left"),
        Number("branch", float(profile.branch), "", source),
        Number("position", float(profile.along_mm[n]), "mm", "from where the branch begins"),
    )
    text = (
        f"The narrowest place is {profile.diameter_mm[n]:.2f} mm wide on branch {profile.branch} "
        f"at {profile.along_mm[n]:.1f} mm: {worst.percent:.0f} % less than "
        f"{worst.reference_mm:.2f} mm"
    )
    note = Finding(Severity.INFO, "narrowest_place", text, profile.at(n))
    return Measurements(numbers, (note,))


@dataclass(frozen=True, eq=False)
class _Narrowing:
    profile: _Profile
    place: int
    reference_mm: float
    source: str
    length_mm: float

    @property
    def percent(self) -> float:
        least = float(self.profile.diameter_mm[self.place])
        return max(0.0, 100 * (1 - least / self.reference_mm))

    @property
    def area_percent(self) -> float:
        least = float(self.profile.diameter_mm[self.place])
        return max(0.0, 100 * (1 - (least / self.reference_mm) ** 2))


def _narrowing(profile: _Profile, reference: str, given: float | None) -> _Narrowing:
    fitted = _fitted_reference(profile)
    # The narrowest place for its position: a vessel that only tapers has none.
    place = int(np.argmin(profile.diameter_mm / fitted))
    width, along = profile.diameter_mm, profile.along_mm
    half = fitted - HALF * (fitted[place] - width[place])
    first, last = _stretch(along, half - width, place)
    source, size = "given", given
    if size is None:
        size, source = _reference(profile, reference, fitted, place, first, last)
    return _Narrowing(profile, place, float(size), source, last - first)


def _stretch(along: Floats, excess: Floats, place: int) -> tuple[float, float]:
    """Return from where to where, about a place, ``excess`` is positive; between the points too."""
    ends = []
    for step, stop in ((-1, -1), (1, len(along))):
        n = place
        while n + step != stop and excess[n + step] > 0:
            n += step
        edge = along[n]
        if n + step != stop and excess[n] > 0:
            share = excess[n] / (excess[n] - excess[n + step])
            edge += share * (along[n + step] - along[n])
        ends.append(float(edge))
    return ends[0], ends[1]


def _reference(
    profile: _Profile, reference: str, fitted: Floats, place: int, first: float, last: float
) -> tuple[float, str]:
    """Return the diameter of the normal vessel and where it was measured."""
    width, along = profile.diameter_mm, profile.along_mm
    gap = max(last - first, STRETCH * fitted[place]) / 2
    before = width[(along < first - gap) & (along >= first - gap - 4 * fitted[place])]
    beyond = width[(along > last + gap) & (along <= last + gap + 4 * fitted[place])]
    sides = {"proximal": before, "distal": beyond}
    wanted = [name for name in sides if reference in (name, "both") and len(sides[name]) >= 2]
    if not wanted:
        return float(fitted[place]), "line through the wide sections of the branch"
    return float(np.mean([sides[name].mean() for name in wanted])), " and ".join(wanted)


def _fitted_reference(profile: _Profile) -> Floats:
    """Return the diameter of the vessel without its narrowings: a line through wide sections.

    Quantile regression by reweighting (Koenker and Bassett, Econometrica 46 (1978) 33), and no
    wider than the widest section.
    """
    along, width = profile.along_mm, profile.diameter_mm
    design = np.stack([np.ones_like(along), along - along.mean()], axis=1)
    weight = np.ones_like(width)
    fitted = np.full_like(width, np.quantile(width, REFERENCE_SHARE))
    for _ in range(30):
        root = np.sqrt(weight)[:, None]
        line = np.linalg.lstsq(design * root, width * root[:, 0], rcond=None)[0]
        fitted = design @ line
        side = np.where(width > fitted, REFERENCE_SHARE, 1 - REFERENCE_SHARE)
        weight = side / np.maximum(np.abs(width - fitted), 1e-3 * width.mean())
    return np.asarray(np.clip(fitted, width.min(), width.max()))


# ---------------------------------------------------------------- wide


def dilatation(
    centerline: Centerline,
    *,
    branch: Annotated[int, Ge(0)] = 0,
    reference_diameter_mm: Annotated[float, Gt(0)] | None = None,
    ectasia_ratio: Annotated[float, Gt(1), Le(5)] = 1.5,
    progress: Progress = silent,
) -> Measurements:
    """Measure the widest place of a vessel, orthogonal to its centerline.

    The maximum diameter is that of the section there. An aneurysm is usually called what is at
    least 1.5 times as wide as the normal vessel (Johnston et al., J Vasc Surg 13 (1991) 452).

    Args:
        centerline: the branches of the vessel.
        branch: number of the branch; 0 looks at all and takes the widest for its vessel.
        reference_diameter_mm: the normal diameter (mm); empty takes the median of the branch's
            narrower half.
        ectasia_ratio: how many times the normal diameter counts as dilated.
        progress: told how far the work is.

    Raises:
        ValueError: if the branch is not there or too short.
    """
    progress(0.1, "looking for the widest place")
    found = []
    for profile in _chosen(centerline, branch):
        width = profile.diameter_mm
        normal = reference_diameter_mm or float(np.median(width[width <= np.median(width)]))
        found.append((float(width.max()) / normal, normal, profile))
    ratio, normal, profile = max(found, key=lambda entry: entry[0])
    n = int(np.argmax(profile.diameter_mm))
    first, last = _stretch(profile.along_mm, profile.diameter_mm - ectasia_ratio * normal, n)
    dilated = ratio >= ectasia_ratio
    length = last - first if dilated else 0.0
    source = f"branch {profile.branch} at {profile.along_mm[n]:.1f} mm"
    numbers = (
        Number("maximum_diameter", float(profile.maximum_mm[n]), "mm", f"widest chord, {source}"),
        Number("equivalent_diameter", float(profile.diameter_mm[n]), "mm", f"by area, {source}"),
        Number("reference_diameter", normal, "mm", "given" if reference_diameter_mm else source),
        Number("ectasia_ratio", ratio, "", "equivalent / reference diameter"),
        Number("length", length, "mm", f"at least {ectasia_ratio:g} times the reference"),
        Number("branch", float(profile.branch), "", source),
        Number("position", float(profile.along_mm[n]), "mm", "from where the branch begins"),
    )
    text = (
        f"The widest place is {profile.maximum_mm[n]:.1f} mm wide, on branch {profile.branch} at "
        f"{profile.along_mm[n]:.1f} mm: {ratio:.2f} times {normal:.1f} mm"
    )
    severity = Severity.WARNING if dilated else Severity.INFO
    return Measurements(numbers, (Finding(severity, "widest_place", text, profile.at(n)),))


# ---------------------------------------------------------------- landing zones


def landing_zones(
    centerline: Centerline,
    *,
    minimum_diameter_mm: Annotated[float, Ge(0)],
    maximum_diameter_mm: Annotated[float, Gt(0)],
    minimum_length_mm: Annotated[float, Gt(0)] = 10.0,
    bending_radius_mm: Annotated[float, Gt(0)] = 10.0,
    branch: Annotated[int, Ge(0)] = 0,
    progress: Progress = silent,
) -> Measurements:
    """Find where a stent or stent graft can land: long enough, of fitting width, straight enough.

    A zone is a stretch of one branch in which every section's least and largest diameter lie in
    the range and the centerline bends no more than the limit. Its angle is by how much the
    direction changes from its first to its last point.

    Args:
        centerline: the branches of the vessel.
        minimum_diameter_mm: least diameter (mm) that the device fits.
        maximum_diameter_mm: largest diameter (mm) that it seals.
        minimum_length_mm: least length (mm) of a zone.
        bending_radius_mm: least bending radius (mm) of the centerline; less is too curved.
        branch: number of the branch; 0 looks at all.
        progress: told how far the work is.

    Raises:
        ValueError: if the range is empty, or the branch is not there or too short.
    """
    if not minimum_diameter_mm < maximum_diameter_mm:
        raise ValueError(
            f"no diameter lies between {minimum_diameter_mm:g} and {maximum_diameter_mm:g} mm; "
            "give a least diameter below the largest"
        )
    progress(0.1, "looking for landing zones")
    zones = []
    for profile in _chosen(centerline, branch):
        fits = profile.minimum_mm >= minimum_diameter_mm
        fits &= profile.maximum_mm <= maximum_diameter_mm
        fits &= profile.curvature_per_mm <= 1 / bending_radius_mm
        zones += [(profile, *run) for run in _runs(profile, fits, minimum_length_mm)]
    zones.sort(key=lambda zone: -(zone[0].along_mm[zone[2]] - zone[0].along_mm[zone[1]]))
    numbers = [Number("zones", float(len(zones)), "", "stretches that meet every limit")]
    findings = []
    for n, (profile, low, high) in enumerate(zones, 1):
        numbers += _zone_numbers(n, profile, low, high)
        text = (
            f"Zone {n} runs on branch {profile.branch} from {profile.along_mm[low]:.1f} to "
            f"{profile.along_mm[high]:.1f} mm"
        )
        findings.append(Finding(Severity.INFO, "landing_zone", text, profile.at(low)))
    if not zones:
        text = "No stretch meets every limit; widen the range, or accept a shorter zone."
        findings.append(Finding(Severity.WARNING, "no_landing_zone", text))
    return Measurements(tuple(numbers), tuple(findings))


def _runs(
    profile: _Profile, fits: npt.NDArray[np.bool_], minimum_mm: float
) -> list[tuple[int, int]]:
    """Return first and last place of each unbroken stretch that is long enough."""
    gap = np.diff(profile.along_mm) > 3 * np.median(np.diff(profile.along_mm))
    runs, start = [], -1
    for n, fit in enumerate(fits):
        broken = n > 0 and gap[n - 1]
        if start >= 0 and (not fit or broken):
            runs.append((start, n - 1))
            start = -1
        if fit and start < 0:
            start = n
    if start >= 0:
        runs.append((start, len(fits) - 1))
    return [(a, b) for a, b in runs if profile.along_mm[b] - profile.along_mm[a] >= minimum_mm]


def _zone_numbers(n: int, profile: _Profile, low: int, high: int) -> list[Number]:
    source = f"branch {profile.branch}, {profile.along_mm[low]:.1f} mm on"
    inside = slice(low, high + 1)
    cosine = float(np.clip(profile.tangents[low] @ profile.tangents[high], -1, 1))
    length = float(profile.along_mm[high] - profile.along_mm[low])
    diameters = profile.diameter_mm[inside]
    bend = float(profile.curvature_per_mm[inside].max())
    return [
        Number(f"zone_{n}.length", length, "mm", source),
        Number(f"zone_{n}.mean_diameter", float(diameters.mean()), "mm", source),
        Number(f"zone_{n}.minimum_diameter", float(diameters.min()), "mm", source),
        Number(f"zone_{n}.maximum_diameter", float(profile.maximum_mm[inside].max()), "mm", source),
        Number(f"zone_{n}.angle", float(np.degrees(np.arccos(cosine))), "degrees", source),
        Number(f"zone_{n}.bending_radius", 1 / max(bend, STRAIGHT), "mm", f"least, {source}"),
    ]
