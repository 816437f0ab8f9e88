"""One result to one file, in the format that the file's ending names."""

from __future__ import annotations

import csv
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from hemodynamics import flow_files
from hemodynamics.flow_result import FlowResult
from hemodynamics.network import Courses
from hemodynamics.porous import PorousRegion
from meshing import aneurysm_neck, centerline_files
from meshing.aneurysm_neck import Neck
from meshing.centerline import Centerline
from meshing.files import WRITTEN, write_surface
from meshing.solver_files import VOLUME_ENDINGS, write_volume_mesh
from meshing.surface import SurfaceMesh
from meshing.volume_mesh import VolumeMesh
from segmentation.contract import Measurements, Progress, silent
from segmentation.images import write_labels, write_volume
from segmentation.measured import Measured
from segmentation.volume import LabelMap, Volume
from workstation.case import Case, CaseError
from workstation.dicom.segmentation_object import Form
from workstation.dicom_export import write_dicom_result
from workstation.flow_export import ENDINGS as FLOW_ENDINGS
from workstation.flow_export import flow_ending, write_flow
from workstation.model_export import draft_model
from workstation.planning.aneurysm_patient import PatientFacts
from workstation.planning.aneurysm_risk import RiskSheet
from workstation.planning.plan import Plan
from workstation.planning.resection import Cut, CutPlane
from workstation.planning.transplant_rows import Row, Sheet, as_shown
from workstation.store import write_atomically, write_json

IMAGES = (".nii", ".nii.gz", ".nrrd", ".mha")
SURFACES = WRITTEN
TABLES = (".json", ".csv")
DICOM = (".dcm",)
LINES = (".csv", ".vtp")
FLOWS = (".vtu", ".vtp")
LINE = ".line.csv"


def export(
    case: Case,
    name: str,
    path: Path,
    form: Form = "BINARY",
    *,
    despite: str = "",
    coloured_by: str = "",
    progress: Progress = silent,
) -> Path:
    """Write the source or result ``name`` of the current plan to ``path``; return ``path``.

    Images and labels go to .nii.gz, .nrrd or .mha; surfaces, cuts and labels (through their
    surface) to .stl, .ply, .obj, .vtp, .3mf (in LPS mm), .glb or USD; every result's numbers and
    findings to .json, its numbers to .csv. To .dcm go labels as a segmentation, surfaces and
    cuts as an encapsulated STL, and measurements as a report. ``form`` is that of the
    segmentation; see `workstation.model_export.draft_model` for ``despite`` and ``coloured_by``.

    The courses of a circulation go to .csv, the samples along the line of a measurement to
    .line.csv, the points of a centerline and of a neck to .csv and .vtp; volume meshes to .vtu,
    Gmsh's .msh, Abaqus' .inp and FEBio's .feb; the cells of a flow to .vtu and the wall with its
    shear to .vtp; for its tables, times and pictures see `workstation.flow_export.write_flow`.

    Raises:
        CaseError: if there is no such result, it has no such format, or a surface is faulty.
    """
    plan = case.plan()
    value = case.value(name, plan)
    ending = _ending(path)
    if not path.parent.is_dir():
        raise CaseError(f"the folder {path.parent} is not there; make it first")
    if isinstance(value, Centerline) and ending in LINES:
        write = centerline_files.write_csv if ending == ".csv" else centerline_files.write_vtp
        write_atomically(path, lambda part: write(value, part))
    elif isinstance(value, Neck) and ending in LINES:
        draw = aneurysm_neck.write_csv if ending == ".csv" else aneurysm_neck.write_vtp
        write_atomically(path, lambda part: draw(value, part))
    elif isinstance(value, FlowResult) and flow_ending(path):
        write_flow(case, name, value, path, progress)
    elif isinstance(value, FlowResult) and ending in FLOWS:
        save = flow_files.write_vtu if ending == ".vtu" else flow_files.write_vtp
        write_atomically(path, lambda part: save(value, part))
    elif isinstance(value, Measured) and path.name.lower().endswith(LINE):
        write_atomically(path, partial(write_line, value))
    elif isinstance(value, Courses) and ending == ".csv":
        write_atomically(path, value.write_csv)
    elif ending in TABLES:
        _write_table(case, plan, name, value, path)
    elif ending in VOLUME_ENDINGS and isinstance(value, VolumeMesh):
        write_volume_mesh(value, path)
    elif ending in IMAGES and isinstance(value, Volume):
        write_volume(value, path)
    elif ending in IMAGES and isinstance(value, LabelMap):
        write_labels(value, path)
    elif ending == ".dcm" and ending in endings(value):
        write_dicom_result(case, name, path, form)
    elif ending in SURFACES and isinstance(value, PorousRegion):
        write_surface(value.surface, path)
    elif ending in SURFACES and isinstance(value, LabelMap | SurfaceMesh | Cut):
        draft = draft_model(
            case, [name], path, despite=despite, coloured_by=coloured_by, progress=progress
        )
        draft.keep(case)
    else:
        raise CaseError(
            f"{name!r} cannot be written as {ending or path.name!r}; it goes to: "
            f"{', '.join(endings(value))}"
        )
    return path


def endings(value: Any) -> tuple[str, ...]:
    """Return the file endings that a value can be written to."""
    if isinstance(value, Volume):
        return IMAGES + TABLES
    if isinstance(value, VolumeMesh):
        return VOLUME_ENDINGS + TABLES
    if isinstance(value, LabelMap):
        return IMAGES + SURFACES + TABLES + DICOM
    if isinstance(value, Centerline | Neck):
        return (*TABLES, ".vtp")
    if isinstance(value, FlowResult):
        return FLOWS + TABLES + FLOW_ENDINGS
    if isinstance(value, PorousRegion):
        return SURFACES + TABLES
    if isinstance(value, SurfaceMesh | Cut):
        return SURFACES + TABLES + DICOM
    if isinstance(value, Measured) and value.samples:
        return (*TABLES, *DICOM, LINE)
    return TABLES + DICOM if isinstance(value, Measurements | Measured) else TABLES


def write_line(value: Measured, path: Path) -> None:
    """Write the samples of a measurement as CSV, one row for each place.

    Raises:
        CaseError: if it has none.
    """
    if not value.samples:
        raise CaseError("this measurement has no samples along a line; its numbers go to .csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(value.samples)
        table.writerows([f"{v:.6g}" for v in row] for row in zip(*value.samples.values()))


def _ending(path: Path) -> str:
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def _write_table(case: Case, plan: Plan, name: str, value: Any, path: Path) -> None:
    summary = case.summary()
    numbers = [n for n in summary["numbers"] if n["step"] == name]
    if path.suffix.lower() == ".json":
        record: dict[str, Any] = {
            "name": name,
            "frame_uid": plan.frame_uid,
            "space": "LPS mm",
            "numbers": numbers,
            "findings": [f for f in summary["findings"] if f.get("step") == name],
        }
        if isinstance(value, CutPlane):
            record |= {"point_mm": list(value.point_mm), "normal": list(value.normal)}
        if isinstance(value, Measured):
            record |= {
                "lines_mm": [line.tolist() for line in value.lines_mm],
                "picked_mm": value.picked_mm.tolist(),
                "places": {place: list(vector) for place, vector in value.places.items()},
                "samples": {column: array.tolist() for column, array in value.samples.items()},
            }
        if isinstance(value, Courses):
            record |= {"courses": {name: c.tolist() for name, c in value.columns.items()}}
        if isinstance(value, RiskSheet):
            record |= {"rows": [row.to_json() for row in value.rows]}
        if isinstance(value, Sheet):
            shown = as_shown(value, summary.get("rows", ())).to_json()
            record |= {key: shown[key] for key in ("organ", "review_date", "rows")}
        if isinstance(value, PatientFacts):
            record |= {"facts": dict(value.facts), "origins": dict(value.origins)}
        if isinstance(value, Centerline):
            record |= centerline_files.to_json(value)
        if isinstance(value, Neck):
            record |= aneurysm_neck.to_json(value)
        if isinstance(value, FlowResult):
            record |= flow_files.to_json(value)
        write_json(path, record)
        return

    columns = ["name", "value", "unit", "low", "high", "source", "step"]
    if isinstance(value, Sheet):
        numbers = [row.to_json() for row in value.rows]
        columns = [field.name for field in fields(Row)]

    def write(part: Path) -> None:
        with part.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns)
            table.writeheader()
            table.writerows(numbers)

    write_atomically(path, write)
