"""Results of a case as DICOM objects of the study that its images came from."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meshing.files import write_surface
from meshing.surface import SurfaceMesh
from segmentation.contract import Measurements
from segmentation.measured import Measured
from segmentation.volume import LabelMap
from workstation.case import Case, CaseError
from workstation.case_sources import find_series
from workstation.dicom.encapsulated import write_stl
from workstation.dicom.files import ScannedVolume
from workstation.dicom.objects import Origin, origin_of
from workstation.dicom.segmentation_object import AlgorithmType, Drawn, Form, write_segmentation
from workstation.dicom.structured_report import MeasuredGroup, write_report
from workstation.planning.plan import Plan
from workstation.planning.resection import Cut


def write_dicom_result(case: Case, name: str, path: Path, form: Form = "BINARY") -> Path:
    """Write a source or result of the current plan as a DICOM object; return ``path``.

    Labels become a Segmentation of the given form on the frames of the images, surfaces and
    cuts an Encapsulated STL, numbers a measurement report.

    Raises:
        CaseError: if there is no such result, it has no DICOM form, or the images of the case
            did not come from DICOM.
        LabelOutsideSource, FrameMismatch, DicomError: if it cannot be put onto the images.
    """
    plan = case.plan()
    value = case.value(name, plan)
    if isinstance(value, LabelMap):
        series = source_series(case, plan, value.geometry.frame_uid)
        drawn = Drawn(value, *provenance(case, plan, name))
        return write_segmentation(drawn, series, path, form=form, title=name)
    if isinstance(value, SurfaceMesh | Cut):
        origin = origin_of(source_series(case, plan, value.frame_uid))
        return write_surface_object(value, origin, name, path)
    if isinstance(value, Measurements | Measured):
        return write_measurements(case, [name], path)
    raise CaseError(f"{name!r} has no DICOM form; its originals are in the case's folder dicom")


def write_measurements(
    case: Case, names: Sequence[str], path: Path, *, segmentations: Sequence[Path] = ()
) -> Path:
    """Write the numbers of results as a measurement report; return ``path``.

    Numbers of a label refer to its segment, if one of ``segmentations`` (written before)
    holds it.

    Raises:
        CaseError: if there is no such result or it has no number; as `write_dicom_result`.
    """
    plan = case.plan()
    groups = [group_of(name, case.value(name, plan)) for name in names]
    if not any(group.numbers for group in groups):
        raise CaseError(f"there is no number to report in: {', '.join(names)}")
    origin = origin_of(source_series(case, plan, plan.frame_uid))
    findings = [f for f in case.summary()["findings"] if f["step"] in names]
    title = "Measurements" if len(names) > 1 else names[0]
    comments = [comment_of(finding) for finding in findings]
    return write_report(
        groups, origin, path, segmentations=segmentations, comments=comments, title=title
    )


def group_of(name: str, value: Any) -> MeasuredGroup:
    """Return the numbers of the result ``name``, under the name of its only label if it has one.

    A map of parts that happens to have one part keeps its name: its numbers name the part.
    """
    code, numbers = "", tuple(getattr(value, "numbers", ()))
    if isinstance(value, LabelMap) and len(value.labels) == 1:
        (label,) = value.labels.values()
        if not any(number.quantity.startswith(f"{label.name}.") for number in numbers):
            name, code = label.name or name, label.code
    return MeasuredGroup(name, numbers, code)


def comment_of(finding: Mapping[str, Any]) -> str:
    """Return a finding of a case's summary as one comment."""
    words = (finding["sentence"], finding.get("remedy", ""))
    return f"{finding['severity']}, {finding['step']}: {' '.join(w for w in words if w)}"


def write_surface_object(
    value: SurfaceMesh | Cut,
    origin: Origin,
    name: str,
    path: Path,
    related: Sequence[Path] = (),
) -> Path:
    """Write a surface, or that of a cut, as Encapsulated STL; return ``path``.

    Raises:
        FrameMismatch: if it lies in another frame of reference than the images.
    """
    surface = value.surface if isinstance(value, Cut) else value
    with tempfile.TemporaryDirectory() as folder:
        stl = write_surface(surface, Path(folder) / "surface.stl").read_bytes()
    return write_stl(
        stl,
        origin,
        path,
        frame_uid=surface.frame_uid,
        title=name,
        colour=surface.colour,
        related=related,
    )


def source_series(case: Case, plan: Plan, frame_uid: str) -> ScannedVolume:
    """Return the scan of the kept DICOM originals that lie in a frame of reference.

    Raises:
        CaseError: if the plan has no such images, or their originals are gone.
    """
    for name, key in plan.sources.items():
        about = case.record.sources.get(name, {}).get("versions", {}).get(key, {})
        if about.get("kind") != "dicom" or case.record.sources[name]["frame_uid"] != frame_uid:
            continue
        return find_series(case.folder, name, about)
    raise CaseError(
        "DICOM objects refer to DICOM images, and this plan has none in that frame of reference; "
        "import the images as DICOM, or choose another format"
    )


def provenance(case: Case, plan: Plan, name: str) -> tuple[AlgorithmType, str]:
    """Return how a label was made, for its Segmentation: kind and name of the algorithm.

    A proposal from the images and other proposals alone is automatic; what a hand, a label
    file or a cut had a part in is semi-automatic.
    """
    steps = {step.output: step for step in plan.steps}
    if name not in steps:
        return "SEMIAUTOMATIC", "label file"
    waiting, alone = [name], True
    while waiting:
        step = steps.get(output := waiting.pop())
        if step is None:
            alone &= case.record.sources.get(output, {}).get("kind") in ("dicom", "volume")
        else:
            alone &= step.stage.startswith("segmentation.propose_")
            waiting += step.inputs.values()
    return ("AUTOMATIC" if alone else "SEMIAUTOMATIC"), steps[name].stage
