"""DICOM files: list the volumes in folders, files and ZIPs, read one, keep its originals.

A volume comes out right or is refused by name: every slice corner of what `read` returns lies
within 0.05 mm of where the slice's own header puts it.
"""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from segmentation.contract import Finding, Progress, Severity, share, silent
from segmentation.volume import Array, Volume
from segmentation.wording import counted
from workstation.dicom.directory import expand_directories
from workstation.dicom.geometry import require
from workstation.dicom.glimpse import SlicePositions, slice_positions, thumbnail
from workstation.dicom.interpolation import onto_planes, slices_alone
from workstation.dicom.pixels import load
from workstation.dicom.repairs import REPAIRS, accept, not_repaired
from workstation.dicom.scanning import read_headers
from workstation.dicom.series import volumes_of_series, warn_of_strays
from workstation.dicom.slices import PatientIdentity, Slice
from workstation.dicom.sources import DicomError, Ignored, Source, find_sources, require_unchanged
from workstation.dicom.values import empty_value
from workstation.dicom.volumes import Repair, ScannedVolume, SeriesPart, planes_of

__all__ = [
    "REPAIRS",
    "DicomError",
    "Ignored",
    "PatientIdentity",
    "Repair",
    "Scan",
    "ScannedVolume",
    "SeriesPart",
    "SlicePositions",
    "Source",
    "accept",
    "copy_files",
    "copy_originals",
    "not_repaired",
    "read",
    "require_one_patient",
    "scan",
    "slice_positions",
    "thumbnail",
]

COPIES = 4
"""Files that are copied at once."""
PLAUSIBLE_HU = (-1100, 4000)


@dataclass(frozen=True, eq=False)
class Scan:
    """What a scan found: volumes, refused ones among them, and files that are in none."""

    volumes: tuple[ScannedVolume, ...]
    ignored: tuple[Ignored, ...]

    @property
    def patients(self) -> tuple[PatientIdentity, ...]:
        """The different patients of the volumes."""
        return tuple(dict.fromkeys(v.patient for v in self.volumes))

    def require_images(self) -> None:
        """Raise unless there is at least one volume, refused or not.

        Raises:
            DicomError: with the reason that the first file was ignored for.
        """
        if self.volumes:
            return
        if not self.ignored:
            raise DicomError("there are no files here", "Choose the folder that holds the images")
        first = self.ignored[0]
        count = len(self.ignored)
        told = "the only file is not" if count == 1 else f"none of {count} files is"
        raise DicomError(
            f"{told} a DICOM image; {first.path}: {first.reason}",
            "Choose the folder, file or ZIP that holds the images",
        )

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``hilum scan --json``."""
        return {
            "volumes": [_volume_json(v) for v in self.volumes],
            "ignored": [{"path": i.path, "reason": i.reason} for i in self.ignored],
        }


def _volume_json(volume: ScannedVolume) -> dict[str, Any]:
    grid = volume.geometry
    return {
        "series_uid": volume.series_uid,
        "description": volume.description,
        "modality": volume.modality,
        "files": len(volume.files),
        "status": volume.status,
        "size": None if grid is None else list(grid.size),
        "spacing_mm": None if grid is None else list(grid.spacing_mm),
        "origin_mm": None if grid is None else list(grid.origin_mm),
        "direction": None if grid is None else list(grid.direction),
        "findings": [f.to_json() for f in volume.findings],
        "repairs": [{"code": r.code, "sentence": f"{r.sentence} {r.cost}"} for r in volume.repairs],
        "part": None if volume.part is None else asdict(volume.part),
    }


def scan(paths: Sequence[Path], progress: Progress = silent) -> Scan:
    """List the volumes in folders, files, ZIPs and DICOMDIRs from their headers alone.

    No single bad file stops a scan: it is listed with its reason, and the series that it
    belongs to is refused or carries a finding.

    Raises:
        DicomError: when one of ``paths`` does not exist.
    """
    slices: list[Slice] = []
    with _quiet():
        folders, absent = expand_directories([Path(p) for p in paths])
        sources, ignored = find_sources(folders, progress)
        ignored += absent
        for found in read_headers(sources, lambda f, text="": progress(0.9 * f, text)):
            if isinstance(found, Ignored):
                ignored.append(found)
            else:
                slices += found
        volumes, unused = _assemble(slices, ignored, share(progress, 9, 10))
    return Scan(tuple(volumes), (*ignored, *unused))


def _assemble(
    slices: Sequence[Slice], ignored: Sequence[Ignored], progress: Progress
) -> tuple[list[ScannedVolume], list[Ignored]]:
    series: dict[str, list[Slice]] = defaultdict(list)
    lost: dict[str, list[Ignored]] = defaultdict(list)
    for s in slices:
        series[s.identity.series_uid or s.source.folder].append(s)
    # A damaged file may name no series, or a garbled one.
    nameless: dict[str, list[Ignored]] = defaultdict(list)
    for item in ignored:
        if item.damaged and item.series_uid not in series:
            nameless[str(PurePath(item.path).parent)].append(item)
    for item in ignored:
        if item.damaged and item.series_uid:
            lost[item.series_uid].append(item)
    volumes: list[ScannedVolume] = []
    unused: list[Ignored] = []
    for n, (uid, own) in enumerate(series.items()):
        progress(n / len(series), "building volumes")
        made, copies = volumes_of_series(own, lost[uid])
        volumes += [_beside_damage(v, nameless) for v in made]
        unused += copies
    return warn_of_strays(volumes), unused


def _beside_damage(
    volume: ScannedVolume, damaged: Mapping[str, Sequence[Ignored]]
) -> ScannedVolume:
    """Warn where a file in the same folder, of unknown series, cannot be read."""
    folders = dict.fromkeys(source.folder for source in volume.files) if damaged else ()
    near = [item for folder in folders for item in damaged.get(folder, ())]
    if not near:
        return volume
    text = (
        f"{counted(len(near), 'unreadable file')} in the same folder may be missing slices: "
        f"{near[0].path}"
    )
    finding = Finding(Severity.WARNING, "unreadable_neighbour", text)
    return replace(volume, findings=(*volume.findings, finding))


def read(volume: ScannedVolume, progress: Progress = silent) -> Volume:
    """Read the pixels of a scanned volume, rescaled slice by slice.

    Values are HU for a calibrated CT (int16 or int32 where every slice has slope 1 and a
    whole intercept, else float32). Padding outside the scanner's field keeps its value and
    is told in a finding. A tilted stack is interpolated linearly within each slice, and one
    with an accepted repair also between slices; a slice that lies on a plane stays as it is.

    Raises:
        DicomError: when the volume is refused, a file changed or cannot be decoded, or the
            check of every slice corner fails.
    """
    stack = volume.stack
    if stack is None:
        raise not_repaired(volume)
    parts = 2 if stack.interpolated else 1
    with _quiet():
        array, cleared = load(volume.slices, slices_alone(stack), share(progress, 0, parts))
    if stack.interpolated:
        form, fill = volume.slices[0].form, empty_value(volume.slices[0].quantity)
        array = onto_planes(array, stack, form.rows, form.columns, fill, share(progress, 1, 2))
    require(stack, planes_of(volume.slices))
    quantity = volume.slices[0].quantity
    findings = [*volume.findings, *_value_findings(array, volume.slices, quantity)]
    if cleared:
        text = (
            f"bits outside the stored ones were set in {counted(cleared, 'slice')} and were cleared"
        )
        findings.append(Finding(Severity.WARNING, "unused_bits", text))
    return Volume(array, stack.geometry, quantity, tuple(findings))


def _value_findings(array: Array, slices: Sequence[Slice], quantity: str) -> Iterator[Finding]:
    low, high = float(array.min()), float(array.max())
    if low == high:
        text = f"every voxel has the value {low:g}"
        yield Finding(Severity.WARNING, "constant", text)
    if quantity != "HU":
        return
    paddings = {
        s.slope * s.form.padding + s.intercept for s in slices if s.form.padding is not None
    }
    padded = sum(int(np.count_nonzero(array == value)) for value in paddings)
    if padded:
        listed = ", ".join(f"{value:g}" for value in sorted(paddings))
        keep = counted(
            padded,
            "voxel outside the scanner's field keeps its",
            "voxels outside the scanner's field keep their",
        )
        text = f"{keep} padding value ({listed} HU)"
        yield Finding(Severity.INFO, "padding", text)
    below = int(np.count_nonzero(array < PLAUSIBLE_HU[0])) - sum(
        int(np.count_nonzero(array == v)) for v in paddings if v < PLAUSIBLE_HU[0]
    )
    if below:
        text = counted(below, "voxel lies", "voxels lie")
        text += f" below {PLAUSIBLE_HU[0]} HU (down to {low:g} HU)"
        yield Finding(Severity.WARNING, "implausible_low", text)
    if high > PLAUSIBLE_HU[1]:
        count = int(np.count_nonzero(array > PLAUSIBLE_HU[1]))
        text = counted(count, "voxel lies", "voxels lie")
        text += f" above {PLAUSIBLE_HU[1]} HU (up to {high:g} HU): metal"
        yield Finding(Severity.INFO, "metal", text)
    if low >= 0 and low != high:
        text = f"there is no air: no value lies below {low:g} HU; the rescale may be missing"
        yield Finding(Severity.WARNING, "no_air", text)


def require_one_patient(volumes: Sequence[ScannedVolume]) -> None:
    """Raise unless all volumes are of one patient.

    Raises:
        DicomError: with how many patients there are.
    """
    patients = {(v.patient.name, v.patient.patient_id, v.patient.birth_date) for v in volumes}
    if len(patients) > 1:
        raise DicomError(
            f"these series belong to {len(patients)} different patients",
            "Import the series of one patient into one case",
        )


def copy_originals(volume: ScannedVolume, folder: Path, progress: Progress = silent) -> list[str]:
    """Copy the files of a volume, byte for byte, into ``folder`` and return their names there.

    Names are made from the volume's key and a number, so neither a hostile archive nor a
    patient's name shapes them. Each file appears whole or not at all.

    Raises:
        DicomError: when a file changed since the scan or is damaged.
        OSError: when the folder cannot be written.
    """
    return copy_files(volume.files, volume.key, folder, progress)


def copy_files(
    files: Sequence[Source], stem: str, folder: Path, progress: Progress = silent
) -> list[str]:
    """Copy ``files`` as `copy_originals` does, under names that begin with ``stem``."""
    require_unchanged(files)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{stem}-{n + 1:05d}.dcm" for n in range(len(files))]

    def copy(source: Source, name: str) -> None:
        _write_whole(folder / name, source.read_bytes())

    # A disk flushes several files at once in little more than the time of one.
    with ThreadPoolExecutor(COPIES) as pool:
        try:
            for n, _ in enumerate(pool.map(copy, files, names)):
                progress(n / len(files), f"copying file {n + 1} of {len(files)}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return names


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence pydicom's warnings about odd but readable values; ours travel as findings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
