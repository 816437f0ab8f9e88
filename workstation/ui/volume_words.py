"""How a scanned volume reads to a person: name, size, spacing, orientation, status."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from segmentation.wording import counted
from workstation.dicom.files import PatientIdentity, ScannedVolume
from workstation.ui.words import date_text

STATUS = {"ok": "✓ ok", "repaired": "! repaired", "refused": "▲ refused"}
ROLES = {"ok": "done", "repaired": "warning", "refused": "problem"}
PLANES = ("sagittal", "coronal", "axial")  # what the LPS axes x, y and z are normal to
STRAIGHT = float(np.cos(np.radians(5.0)))  # a plane this near to an axis has no other name


def series_of(volume: ScannedVolume) -> tuple[object, ...]:
    """Return what all volumes of one series have in common: a UID may be used twice."""
    return volume.patient, volume.identity.study_uid, volume.series_uid or volume.key


def title_text(volume: ScannedVolume) -> str:
    """Return modality and description of the volume's series."""
    name = volume.identity.description or "no description"
    return f"{volume.modality or 'no modality'}   {name}"


def patient_text(patient: PatientIdentity) -> str:
    """Return who the images say the patient is."""
    born = f"born {date_text(patient.birth_date)}" if patient.birth_date else ""
    parts = (patient.name or "no name", f"ID {patient.patient_id or 'none'}", patient.sex, born)
    return "  ".join(part for part in parts if part)


def part_text(volume: ScannedVolume) -> str:
    """Return which part of a split series a volume is, such as "time 3 of 20   400 ms"."""
    part = volume.part
    if part is None:
        return label_text(volume) or "the whole series"
    value = "" if part.value is None else f"   {part.value:g} {part.unit}".rstrip()
    return f"{part.kind} {part.number} of {part.count}{value}"


def label_text(volume: ScannedVolume) -> str:
    """Return what the reader says about a part of a series, "" for a whole one."""
    return volume.description.removeprefix(volume.identity.description).strip(" []")


def orientation_text(volume: ScannedVolume) -> str:
    """Return how the slices lie: axial, coronal or sagittal, oblique, "" where not known."""
    normal = _normal(volume)
    if normal is None:
        return ""
    along = np.abs(normal)
    nearest = PLANES[int(along.argmax())]
    return nearest if along.max() >= STRAIGHT else f"oblique, near {nearest}"


def _normal(volume: ScannedVolume) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    if volume.geometry is not None:
        return np.asarray(volume.geometry.direction, float).reshape(3, 3)[:, 2]
    cosines = volume.slices[0].orientation if volume.slices else None
    if cosines is None:
        return None
    normal = np.cross(cosines[:3], cosines[3:])
    length = float(np.linalg.norm(normal))
    return normal / length if length > 0 else None


def nearest_slice(volume: ScannedVolume, place_mm: tuple[float, float, float]) -> int | None:
    """Return the number (from 0, along the slices' normal) of the slice nearest to a place.

    ``place_mm`` is an LPS point in mm. Slices without a position are left out.
    """
    placed = [s for s in volume.slices if s.position_mm is not None and s.orientation is not None]
    if not placed:
        return None
    normal = np.cross(*np.asarray(placed[0].orientation, float).reshape(2, 3))
    depth = np.sort(np.array([s.position_mm for s in placed]) @ normal)
    return int(np.abs(depth - np.dot(place_mm, normal)).argmin())


def size_text(volume: ScannedVolume) -> str:
    """Return voxels along x, y and z; of a refused volume those of its images."""
    if volume.geometry is not None:
        return " × ".join(map(str, volume.geometry.size))
    if not volume.slices:
        return "–"
    form = volume.slices[0].form
    return f"{form.columns} × {form.rows} × {len(volume.slices)}"


def spacing_text(volume: ScannedVolume) -> str:
    """Return the distance between voxel centres along x, y and z in mm, as far as known."""
    if volume.geometry is not None:
        return " × ".join(f"{s:.3g}" for s in volume.geometry.spacing_mm)
    within = volume.slices[0].pixel_spacing_mm if volume.slices else None
    return "–" if within is None else f"{within[1]:.3g} × {within[0]:.3g} × ?"


def extent_text(volume: ScannedVolume) -> str:
    """Return what the volume covers along x, y and z in mm, "" if refused."""
    grid = volume.geometry
    if grid is None:
        return ""
    return " × ".join(f"{n * s:.0f}" for n, s in zip(grid.size, grid.spacing_mm, strict=True))


def voxels_text(volume: ScannedVolume) -> str:
    """Return how many voxels there are, and below how far apart."""
    return f"{size_text(volume)}\n{spacing_text(volume)} mm"


def findings_text(volume: ScannedVolume) -> str:
    """Return how many findings there are that a person should look at."""
    serious = sum(f.severity != "info" for f in volume.findings)
    return f"! {counted(serious, 'finding')}" if serious else "no findings"


def status_text(volumes: Sequence[ScannedVolume]) -> str:
    """Return the status of a volume, or the counts of several."""
    if len(volumes) == 1:
        return STATUS[volumes[0].status]
    counts = {s: sum(v.status == s for v in volumes) for s in STATUS}
    if len(volumes) in counts.values():
        return STATUS[volumes[0].status]
    return ", ".join(f"{n} {STATUS[s].split()[1]}" for s, n in counts.items() if n)


def place_text(path: str, folder: str) -> str:
    """Return ``path`` as seen from ``folder``, for a list in which all start alike."""
    try:
        return str(PurePath(path).relative_to(folder))
    except ValueError:
        return path
