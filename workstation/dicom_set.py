"""A whole plan as DICOM: its labels, numbers, surfaces, report and views as one set of objects.

Every object is a series of its own in the study of the images. The measurement report refers
to the segments; surfaces, document and pictures refer to the segmentation. The folder appears
when all of it has been read back and every reference has been found.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from meshing.surface import SurfaceMesh
from segmentation.contract import Progress, share, silent
from segmentation.volume import Label, LabelMap
from workstation.case import Case, CaseError
from workstation.dicom.datasets import open_dataset
from workstation.dicom.encapsulated import write_capture, write_pdf
from workstation.dicom.objects import Origin, UnfaithfulObject, lenient, origin_of
from workstation.dicom.segmentation_object import Drawn, Form, write_segmentation
from workstation.dicom.sources import source_of
from workstation.dicom.structured_report import write_report as write_numbers
from workstation.dicom.values import text
from workstation.dicom_export import (
    comment_of,
    group_of,
    provenance,
    source_series,
    write_surface_object,
)
from workstation.figures import fresh_values
from workstation.planning.plan import Plan
from workstation.planning.resection import Cut
from workstation.report import write_report
from workstation.store import write_atomically
from workstation.views import VIEWS, view_picture

SET = "dicom"
"""The name under which the whole set is exported."""


def write_dicom_set(
    case: Case, folder: Path, form: Form = "BINARY", progress: Progress = silent
) -> tuple[Path, ...]:
    """Write the current plan as a set of DICOM objects into a new ``folder``; return its files.

    There is one Segmentation with every label (with ``form`` "LABELMAP" one per result), one
    measurement report with every number and finding, an Encapsulated STL of each surface, the
    report as Encapsulated PDF, and Secondary Captures of the views.

    Raises:
        CaseError: if nothing is computed, the images did not come from DICOM, or the folder
            holds something.
        LabelOutsideSource, FrameMismatch: if a label or surface cannot be put onto the images.
        UnfaithfulObject: if what was written is not what was to be written.
    """
    plan = case.plan()
    values = fresh_values(case, plan)
    if not values:
        raise CaseError("nothing is computed yet; run the plan first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CaseError(f"{folder} is not empty; choose a new or empty folder")
    if not folder.parent.is_dir():
        raise CaseError(f"the folder {folder.parent} is not there; make it first")
    origin = origin_of(source_series(case, plan, plan.frame_uid))
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as place:
        part = Path(place) / folder.name
        part.mkdir()
        files = _write_all(case, plan, values, origin, part, form, progress)
        progress(0.97, "checking the references")
        require_consistent(files, origin)
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    progress(1.0, "done")
    return tuple(folder / file.name for file in files)


def _write_all(
    case: Case,
    plan: Plan,
    values: Mapping[str, object],
    origin: Origin,
    folder: Path,
    form: Form,
    progress: Progress,
) -> list[Path]:
    labels, left_out = distinct_labels(values, origin.frame_uid)
    maps = _write_labels(case, plan, labels, origin, folder, form, share(progress, 0, 3))
    files = list(maps)
    groups = [group_of(name, labels.get(name, value)) for name, value in values.items()]
    comments = [comment_of(f) for f in case.summary()["findings"]] + left_out
    if any(group.numbers for group in groups):
        progress(0.35, "writing the numbers")
        path = folder / "measurements.dcm"
        files.append(write_numbers(groups, origin, path, segmentations=maps, comments=comments))
    for name, value in values.items():
        surface = value.surface if isinstance(value, Cut) else value
        if isinstance(surface, SurfaceMesh) and len(surface.triangles):
            progress(0.4, f"writing {name}")
            files.append(
                write_surface_object(surface, origin, name, folder / f"stl-{name}.dcm", maps)
            )
    done = share(progress, 2, 3)
    files.append(_write_document(case, origin, folder / "report.dcm", tuple(files), done))
    for view in VIEWS:
        files.append(_write_view(case, view, origin, folder / f"view-{view}.dcm", maps))
    return files


def _write_labels(
    case: Case,
    plan: Plan,
    labels: Mapping[str, LabelMap],
    origin: Origin,
    folder: Path,
    form: Form,
    progress: Progress,
) -> list[Path]:
    drawn = {name: Drawn(value, *provenance(case, plan, name)) for name, value in labels.items()}
    series = origin.scanned
    if not drawn:
        return []
    if form == "BINARY":
        path = folder / "segmentation.dcm"
        return [write_segmentation(list(drawn.values()), series, path, progress=progress)]
    return [
        write_segmentation(
            one, series, folder / f"segmentation-{name}.dcm", form=form, title=name,
            progress=share(progress, n, len(drawn)),
        )
        for n, (name, one) in enumerate(drawn.items())
    ]  # fmt: skip


def distinct_labels(
    values: Mapping[str, object], frame_uid: str
) -> tuple[dict[str, LabelMap], list[str]]:
    """Return the label maps of a plan with every label once and under a name of its own.

    A label that repeats another of the same name, voxel for voxel, is left out; one that only
    shares the name gets its result's name in front. Also returns a sentence for each result
    that lies in another frame of reference and is left out.
    """
    kept: dict[str, LabelMap] = {}
    seen: dict[str, LabelMap] = {}
    left_out = []
    for name, value in values.items():
        if not isinstance(value, LabelMap) or not value.array.any():
            continue
        if value.geometry.frame_uid != frame_uid:
            left_out.append(f"{name} lies in another frame of reference and is not in this set.")
            continue
        own = _own_labels(name, value, seen)
        if own.array.any():
            kept[name] = own
            seen |= {label.name: own for label in own.labels.values()}
    return kept, left_out


def _own_labels(name: str, value: LabelMap, seen: Mapping[str, LabelMap]) -> LabelMap:
    """Return a label map without what ``seen`` holds, and with names that are not in it."""
    array, labels = value.array, {}
    for number, label in (value.labels or {1: Label(name)}).items():
        earlier = seen.get(label.name)
        if earlier is None:
            labels[number] = label
        elif earlier.geometry.same_grid(value.geometry) and np.array_equal(
            earlier.mask(label.name), value.mask(number)
        ):
            array = np.where(array == number, np.zeros_like(array), array)
        else:
            labels[number] = replace(label, name=f"{name} {label.name}")
    return replace(value, array=array, labels=labels)


# The report and the views ------------------------------------------------------------------


def write_report_file(case: Case, path: Path, progress: Progress = silent) -> Path:
    """Write the report as PDF, or to a file that ends in .dcm as Encapsulated PDF.

    Raises:
        CaseError: for another ending, without a plan, or, to .dcm, without DICOM images.
    """
    if path.suffix.lower() != ".dcm":
        write_report(case, path, progress)
        return path
    plan = case.plan()
    origin = origin_of(source_series(case, plan, plan.frame_uid))
    return _write_document(case, origin, path, (), progress)


def _write_document(
    case: Case, origin: Origin, path: Path, related: Sequence[Path], progress: Progress
) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "report.pdf"
        write_report(case, document, progress)
        content = document.read_bytes()
    title = f"Report of plan {case.plan_number}"
    return write_pdf(content, origin, path, title=title, related=related)


def write_view(case: Case, view: str, path: Path, progress: Progress = silent) -> Path:
    """Write a view of the plan as PNG, or to .dcm as Secondary Capture; return ``path``.

    Raises:
        CaseError: if there is nothing to show, or the ending is another.
    """
    if path.suffix.lower() == ".dcm":
        plan = case.plan()
        origin = origin_of(source_series(case, plan, plan.frame_uid))
        return _write_view(case, view, origin, path, ())
    if path.suffix.lower() != ".png":
        raise CaseError(f"a view is a picture; give a file that ends in .png or .dcm: {path.name}")
    picture = view_picture(case, view, progress)
    write_atomically(path, lambda part: Image.fromarray(picture).save(part, "PNG"))
    return path


def _write_view(case: Case, view: str, origin: Origin, path: Path, related: Sequence[Path]) -> Path:
    title = "3D view" if view not in VIEWS[1:] else f"{view} view"
    picture = view_picture(case, view)
    return write_capture(picture, origin, path, title=title, related=related)


# The check of the set --------------------------------------------------------------------


@lenient()
def require_consistent(files: Sequence[Path], origin: Origin) -> None:
    """Raise unless all objects belong to the study and every reference leads somewhere.

    Raises:
        UnfaithfulObject: naming the first file that does not fit.
    """
    found = {path: open_dataset(source_of(path), pixels=False) for path in files}
    for word in ("SOPInstanceUID", "SeriesInstanceUID"):
        uid, count = Counter(text(data, word) for data in found.values()).most_common(1)[0]
        if count > 1:
            raise UnfaithfulObject(f"{count} objects share the {word} {uid}")
    known = {text(header, "SOPInstanceUID") for header in origin.headers.values()}
    known |= {text(data, "SOPInstanceUID") for data in found.values()}
    for path, data in found.items():
        for word in ("PatientID", "PatientName", "StudyInstanceUID"):
            if text(data, word) != text(origin.first, word):
                raise UnfaithfulObject(f"{path.name} has another {word} than the images")
        lost = _references(data) - known
        if lost:
            raise UnfaithfulObject(f"{path.name} refers to {lost.pop()}, which is not there")


def _references(data: Dataset) -> set[str]:
    """Return every SOP instance that a data set refers to, at any depth."""
    word = "ReferencedSOPInstanceUID"
    return {str(element.value) for element in data.iterall() if element.keyword == word}
