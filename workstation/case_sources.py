"""The originals of a case's DICOM sources: kept byte-identical, found and read again."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from meshing.surface import SurfaceMesh
from segmentation.contract import Progress, silent
from segmentation.images import read_labels, read_volume
from segmentation.volume import ImageGeometry, LabelMap, Volume
from workstation.case_record import CaseError, CaseRecord, now
from workstation.clinical_match import match, patient_of_images
from workstation.dicom import files as dicom
from workstation.dicom.label_source import is_dicom, read_label_source
from workstation.planning.plan import Plan
from workstation.planning.proposal import tight
from workstation.planning.transplant_person import PersonRecord
from workstation.store import sync_folder
from workstation.surface_source import READING, read_surface_source
from workstation.transplant_record import read_person

NEVER_EMPTY = ("liver", "portal_vein", "hepatic_vein")
"""Labels without which a plan cannot go on; that of a tumour may be empty."""

IMAGES = ("dicom", "volume")
"""Kinds of sources that are images."""

SOURCE_NAME = re.compile(r"\w[\w-]{0,39}")


def check_name(name: str) -> None:
    """Raise unless a source may have this name.

    Raises:
        CaseError: if not.
    """
    if not SOURCE_NAME.fullmatch(name):
        raise CaseError(f"{name!r} cannot name a source; use up to 40 letters, digits, - and _")


def family_name(volumes: Sequence[dicom.ScannedVolume]) -> str:
    """Return a folder name for the originals of volumes that belong together, "" for none."""
    keys = "".join(v.key for v in volumes)
    return f"series-{hashlib.sha256(keys.encode()).hexdigest()[:12]}" if volumes else ""


def keep_originals(
    case_folder: Path,
    place: str,
    volumes: Sequence[dicom.ScannedVolume],
    progress: Progress = silent,
) -> None:
    """Copy the files of ``volumes`` to ``place`` in the case, all or none, unless it is there."""
    if (case_folder / place).is_dir():
        return
    (case_folder / "dicom").mkdir(exist_ok=True)
    part = case_folder / "dicom" / f".part-{Path(place).name}"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        files = list(dict.fromkeys(source for volume in volumes for source in volume.files))
        dicom.copy_files(files, volumes[0].key, part, progress)
        sync_folder(part)
        part.rename(case_folder / place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(case_folder / "dicom")


def check_patient(
    record: CaseRecord, scanned: dicom.ScannedVolume, person: str = ""
) -> dict[str, Any]:
    """Raise unless images belong to the case; return what its source says of their ``person``.

    A case of a donor and a recipient holds images of two people; else there is one patient.

    Raises:
        CaseError: if the images are another patient's, or donor and recipient are one patient.
    """
    there = asdict(scanned.patient)
    if person:
        for about in record.sources.values():
            other = about.get("patient", {})
            alike = there["patient_id"] and other.get("patient_id") == there["patient_id"]
            if alike and about["person"] != person:
                raise CaseError(
                    f"the images of the {person} and of the {about['person']} are of one patient; "
                    "choose the right images for each"
                )
        return {"person": person, "patient": there}
    here = record.patient
    for file in () if here else record.clinical:
        match(file.record.patient, patient_of_images(there))
    if here and any(here.get(tag, "") != there.get(tag, "") for tag in ("patient_id", "name")):
        raise CaseError(
            "the images belong to another patient than this case; make a new case for them"
        )
    return {}


def source_record(scanned: dicom.ScannedVolume, place: str) -> dict[str, Any]:
    """Return what ``case.json`` says about a volume whose originals lie in ``place``."""
    record: dict[str, Any] = {
        "kind": "dicom",
        "folder": place,
        "volume": scanned.key,
        "series_uid": scanned.series_uid,
        "modality": scanned.modality,
        "description": scanned.description,
        "date": scanned.identity.study_date,
    }
    if scanned.part is not None:
        record["part"] = asdict(scanned.part)
    if scanned.accepted:
        said = {f.code: f.sentence for f in scanned.findings}
        record["accepted"] = [
            {"code": code, "sentence": said.get(code, ""), "time": now()}
            for code in scanned.accepted
        ]
    return record


def with_sources_named(
    plan: Plan, sources: Mapping[str, Mapping[str, Any]], names: Iterable[Any]
) -> Plan:
    """Return ``plan`` with those ``sources`` of its case that ``names`` say and it lacks."""
    made = {step.output for step in plan.steps}
    for name in names:
        if isinstance(name, str) and name in sources and name not in {*plan.sources, *made}:
            plan = plan.with_sources(**{name: sources[name]["sha256"]})
            codes = accepted_codes(sources[name])
            if codes:
                plan = replace(plan, accepted={**plan.accepted, name: codes})
    return plan


def accepted_codes(about: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the repairs that were accepted for a source, by its record."""
    return tuple(str(entry["code"]) for entry in about.get("accepted", ()))


def find_series(case_folder: Path, name: str, about: Mapping[str, Any]) -> dicom.ScannedVolume:
    """Scan the kept originals of a source and return its volume, with what was accepted.

    Raises:
        CaseError: if they are no longer there.
    """
    folder = case_folder / str(about["folder"])
    found = dicom.scan([folder]).volumes if folder.is_dir() else ()
    volume = next((v for v in found if v.key == about["volume"]), None)
    if volume is None:
        raise CaseError(f"the originals of {name!r} are no longer in {about['folder']}")
    return dicom.accept(volume, accepted_codes(about))


def reread_series(
    case_folder: Path, name: str, about: Mapping[str, Any], progress: Progress = silent
) -> Volume:
    """Read a DICOM source anew from its kept originals."""
    return dicom.read(find_series(case_folder, name, about), progress)


def check_labels(
    path: Path, name: str, value: object, grids_of: Callable[[], Iterable[ImageGeometry]]
) -> None:
    """Raise where a label file cannot serve: nothing is marked in it, or nothing of the image.

    ``grids_of`` tells the voxel grids of the images that it may belong to, if there are some.

    Raises:
        CaseError: if no voxel is marked that a plan cannot do without, or what is marked lies
            outside of every image; it tells the grids of file and image.
    """
    wanted = name.removesuffix("_file")
    if not isinstance(value, LabelMap):
        return
    marked = tight(value)
    if marked is not None:
        _require_inside(path, wanted, marked, list(grids_of()))
        return
    if wanted not in NEVER_EMPTY:
        return
    grid, image = value.geometry, next(iter(grids_of()), None)
    against = "" if image is None else f"; the image has {_grid_text(image)}"
    same = image is None or grid.same_grid(image)
    raise CaseError(
        f"{path.name}, given as {wanted}, marks no voxel. It has {_grid_text(grid)}{against}. "
        + ("" if same else "The file was made on another grid than this image. ")
        + f"Choose a file in which the {wanted.replace('_', ' ')} is marked, or leave the file out"
    )


def _require_inside(
    path: Path, wanted: str, marked: LabelMap, images: Sequence[ImageGeometry]
) -> None:
    """Raise where the box of what is marked touches no image."""
    if not images or any(_touches(marked.geometry, image) for image in images):
        return
    raise CaseError(
        f"{path.name}, given as {wanted}, lies outside the image: what is marked spans "
        f"{_place_text(marked.geometry)}, and the image {_place_text(images[0])}. It was drawn on "
        "another image, or lost its place when it was saved. Choose the file that belongs to this "
        "image, or save it again with the origin, spacing and direction of this image"
    )


def _touches(grid: ImageGeometry, image: ImageGeometry) -> bool:
    """Tell whether the box of a grid may reach into an image, judged along the image's axes."""
    at = image.to_index(grid.corners_mm())
    last = np.asarray(image.size) - 0.5
    return bool(np.all((at.max(axis=0) >= -0.5) & (at.min(axis=0) <= last)))


def _grid_text(grid: ImageGeometry) -> str:
    """Return size, spacing and place of a voxel grid in words."""
    size = " x ".join(map(str, grid.size))
    spacing = " x ".join(f"{step:.3g}" for step in grid.spacing_mm)
    return f"{size} voxels of {spacing} mm at {_place_text(grid)}"


def _place_text(grid: ImageGeometry) -> str:
    """Return where a voxel grid lies in words."""
    corners = grid.corners_mm()
    place = ", ".join(
        f"{low:.0f} to {high:.0f}" for low, high in zip(corners.min(axis=0), corners.max(axis=0))
    )
    return f"{place} mm (x, y, z in LPS)"


def image_frame(record: CaseRecord) -> str:
    """Return the frame of reference of the case's images, "" unless there is just one."""
    frames = {about["frame_uid"] for about in record.sources.values() if about["kind"] in IMAGES}
    return str(frames.pop()) if len(frames) == 1 else ""


def read_file_source(
    path: Path,
    name: str,
    about: Mapping[str, Any],
    record: CaseRecord,
    frame_uid: str | None,
    grid_of: Callable[[], ImageGeometry | None],
    progress: Progress = silent,
) -> Volume | LabelMap | SurfaceMesh | PersonRecord:
    """Read a file that is a source, as ``about`` says: its "kind" and how to read it.

    A surface that names no frame of reference lies in ``frame_uid``, or for None in that of the
    case's images. ``grid_of`` tells the voxel grid of the image that DICOM labels lie on.
    """
    kind = about["kind"]
    if kind == "record":
        return read_person(path)
    if kind == "surface":
        reading = {word: about[word] for word in READING if word in about}
        frame = image_frame(record) if frame_uid is None else frame_uid
        called = name.removesuffix("_file")
        return read_surface_source(path, called, reading, frame, progress)
    if kind == "labels" and is_dicom(path):
        wanted, patient = name.removesuffix("_file"), record.patient.get("patient_id", "")
        structure = about.get("structure", "")
        return read_label_source(path, wanted, structure, frame_uid, patient, grid_of)
    return read_labels(path, frame_uid) if kind == "labels" else read_volume(path, frame_uid)
