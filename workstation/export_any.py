"""Anything of a case to files: one result, a view, the report, or the whole plan as DICOM."""

from __future__ import annotations

from pathlib import Path

from segmentation.contract import Progress, silent
from workstation.case import Case
from workstation.dicom.segmentation_object import Form
from workstation.dicom_set import SET, write_dicom_set, write_report_file, write_view
from workstation.export import export
from workstation.fhir_export import PLAN, is_fhir_file, write_plan_bundle
from workstation.implant_release import (
    DRAWING,
    RELEASE,
    require_declared_side,
    write_release,
    write_sheet,
)
from workstation.model_export import MODEL, draft_model
from workstation.planning.step_files import is_step
from workstation.step_export import STEP, export_step
from workstation.views import VIEWS

REPORT = "report"


def export_any(
    case: Case,
    name: str,
    path: Path,
    form: Form = "BINARY",
    progress: Progress = silent,
    *,
    despite: str = "",
    coloured_by: str = "",
) -> tuple[Path, ...]:
    """Write what ``name`` says to ``path``; return the files.

    A source or result of the plan is written in the format of the file's ending. Otherwise
    "dicom" is the whole plan as a folder of DICOM objects, "plan" its numbers as a FHIR bundle
    (.fhir.json), "report" the report (.pdf, .dcm), and "picture", "axial", "coronal" and
    "sagittal" are views (.png, .dcm). "model" is all surfaces of the plan, and names with
    commas between them are these surfaces, in one file (.3mf, .glb, .obj or USD). "release" is a
    folder of all that the maker of an implant, guide or plate gets, and "drawing" its sheet (.pdf);
    "release:NAME" and "drawing:NAME" choose one of several. "step" is the
    part of a library that the plan places, as a solid (.step). ``form`` is
    that of DICOM segmentations; for ``despite`` and ``coloured_by`` see
    `workstation.model_export.draft_model`.

    Raises:
        CaseError: if there is no such thing, or it has no such format.
    """
    known = name in case.plan().keys()  # noqa: SIM118  (a plan is no mapping)
    if known or name in (SET, MODEL) or "," in name:
        every = not known and name in (SET, MODEL)
        require_declared_side(case, None if every else [n.strip() for n in name.split(",")])
    if is_fhir_file(path) or (not known and name == PLAN):
        return (write_plan_bundle(case, name, path),)
    if not known and name == SET:
        return write_dicom_set(case, path, form, progress)
    if not known and name == REPORT:
        return (write_report_file(case, path, progress),)
    if not known and name in VIEWS:
        return (write_view(case, name, path, progress),)
    if is_step(path.name) or (not known and name == STEP):
        return (export_step(case, name, path, progress),)
    kind, _, part = name.partition(":")
    if not known and kind == RELEASE:
        return write_release(case, path, name=part, despite=despite, progress=progress)
    if not known and kind == DRAWING:
        return (write_sheet(case, path, name=part, despite=despite, progress=progress),)
    if not known and (name == MODEL or "," in name):
        names = [] if name == MODEL else [part.strip() for part in name.split(",")]
        draft = draft_model(
            case, names, path, despite=despite, coloured_by=coloured_by, progress=progress
        )
        return draft.keep(case)
    given = {"despite": despite, "coloured_by": coloured_by}
    return (export(case, name, path, form, **given, progress=progress),)
