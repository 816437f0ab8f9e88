"""How each type of value is kept on disk: its record, its data file, its digest."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from hemodynamics import flow_files, porous
from hemodynamics.flow_result import FlowResult
from hemodynamics.network import Courses
from hemodynamics.porous import PorousRegion
from meshing import aneurysm_neck, centerline_files
from meshing.aneurysm_neck import Neck
from meshing.centerline import Centerline
from meshing.surface import SurfaceMesh
from meshing.volume_mesh import VolumeMesh, from_arrays, to_arrays
from segmentation.contract import Finding, Measurements, Number
from segmentation.measured import Measured
from segmentation.transform import Transform
from segmentation.volume import (
    EarlierEdits,
    EditLog,
    ImageGeometry,
    Label,
    LabelMap,
    LabelPatch,
    Volume,
)
from workstation.planning import cut_surface_files
from workstation.planning.aneurysm_patient import PatientFacts
from workstation.planning.aneurysm_risk import RiskRow, RiskSheet
from workstation.planning.cut_surface import CutSurface
from workstation.planning.resection import CutPlane
from workstation.planning.transplant_person import PersonRecord
from workstation.planning.transplant_rows import Sheet

Record = dict[str, Any]

PART = "boundary:"
"""What the names of a surface's parts begin with in its data file."""


class DamagedValue(ValueError):
    """A value's file cannot be read any more; the text says which and what to do."""


def _notes(value: Any) -> Record:
    return {
        "findings": [finding.to_json() for finding in value.findings],
        "numbers": [number.to_json() for number in value.numbers],
    }


def _read_notes(record: Record) -> Record:
    return {
        "findings": tuple(Finding.from_json(f) for f in record["findings"]),
        "numbers": tuple(Number.from_json(n) for n in record["numbers"]),
    }


def _write_image(array: np.ndarray[Any, Any], path: Path, compress: bool) -> None:
    try:
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path), compress, 1)
    except RuntimeError as error:  # the library does not say why in a person's words
        full = shutil.disk_usage(path.parent).free < array.nbytes
        code = errno.ENOSPC if full else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def _read_image(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


def _volume_record(value: Volume) -> Record:
    return {"geometry": value.geometry.to_json(), "quantity": value.quantity} | _notes(value)


def _read_volume(record: Record, path: Path) -> Volume:
    geometry = ImageGeometry.from_json(record["geometry"])
    return Volume(_read_image(path), geometry, record["quantity"], **_read_notes(record))


def _labels_record(value: LabelMap) -> Record:
    labels = [
        {"value": v, "name": x.name, "colour": list(x.colour), "code": x.code}
        for v, x in value.labels.items()
    ]
    return {"geometry": value.geometry.to_json(), "labels": labels} | _notes(value)


def _read_labels(record: Record, path: Path) -> LabelMap:
    geometry = ImageGeometry.from_json(record["geometry"])
    labels = {x["value"]: Label(x["name"], tuple(x["colour"]), x["code"]) for x in record["labels"]}
    return LabelMap(_read_image(path), geometry, labels, **_read_notes(record))


def _surface_record(value: SurfaceMesh) -> Record:
    return {
        "frame_uid": value.frame_uid,
        "name": value.name,
        "colour": list(value.colour),
        **({"boundaries": sorted(value.boundaries)} if value.boundaries else {}),
    } | _notes(value)


def _write_surface(value: SurfaceMesh, path: Path) -> None:
    parts = {PART + name: part for name, part in value.boundaries.items()}
    arrays: dict[str, Any] = {**value.point_data, **parts}
    with path.open("wb") as file:
        np.savez(file, points_mm=value.points_mm, triangles=value.triangles, **arrays)


def _read_surface(record: Record, path: Path) -> SurfaceMesh:
    with np.load(path, allow_pickle=False) as data:
        arrays = dict(data)
    parts = {name: arrays.pop(name) for name in list(arrays) if name.startswith(PART)}
    return SurfaceMesh(
        arrays.pop("points_mm"),
        arrays.pop("triangles"),
        record["frame_uid"],
        record["name"],
        tuple(record["colour"]),
        arrays,
        **_read_notes(record),
        boundaries={name.removeprefix(PART): part for name, part in parts.items()},
    )


def _volume_mesh_record(value: VolumeMesh) -> Record:
    return {
        "frame_uid": value.frame_uid,
        "name": value.name,
        "colour": list(value.colour),
        "arrays": list(to_arrays(value)),
    } | _notes(value)


def _write_volume_mesh(value: VolumeMesh, path: Path) -> None:
    arrays: dict[str, Any] = {**to_arrays(value)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _read_volume_mesh(record: Record, path: Path) -> VolumeMesh:
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in record["arrays"]}
    fields = {"name": record["name"], "colour": tuple(record["colour"]), **_read_notes(record)}
    return from_arrays(arrays, frame_uid=record["frame_uid"], **fields)


def _centerline_record(value: Centerline) -> Record:
    return centerline_files.to_record(value) | _notes(value)


def _write_centerline(value: Centerline, path: Path) -> None:
    arrays: dict[str, Any] = {**centerline_files.to_arrays(value)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _read_centerline(record: Record, path: Path) -> Centerline:
    with np.load(path, allow_pickle=False) as data:
        return centerline_files.from_record(record, dict(data), **_read_notes(record))


def _neck_record(value: Neck) -> Record:
    return aneurysm_neck.to_record(value) | _notes(value)


def _write_neck(value: Neck, path: Path) -> None:
    arrays: dict[str, Any] = {**aneurysm_neck.to_arrays(value)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _read_neck(record: Record, path: Path) -> Neck:
    with np.load(path, allow_pickle=False) as data:
        return aneurysm_neck.from_record(record, dict(data), **_read_notes(record))


def _flow_record(value: FlowResult) -> Record:
    return flow_files.to_record(value) | _notes(value)


def _write_flow(value: FlowResult, path: Path) -> None:
    arrays: dict[str, Any] = {**flow_files.to_arrays(value)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _read_flow(record: Record, path: Path) -> FlowResult:
    with np.load(path, allow_pickle=False) as data:
        return flow_files.from_record(record, dict(data), **_read_notes(record))


def _cut_record(value: CutPlane) -> Record:
    return {
        "point_mm": list(value.point_mm),
        "normal": list(value.normal),
        "frame_uid": value.frame_uid,
        "surface": _surface_record(value.surface),
    } | _notes(value)


def _read_cut(record: Record, path: Path) -> CutPlane:
    return CutPlane(
        tuple(record["point_mm"]),
        tuple(record["normal"]),
        record["frame_uid"],
        _read_surface(record["surface"], path),
        **_read_notes(record),
    )


def _cut_surface_record(value: CutSurface) -> Record:
    surface = {"surface": _surface_record(value.surface)}
    return cut_surface_files.to_record(value) | surface | _notes(value)


def _write_cut_surface(value: CutSurface, path: Path) -> None:
    arrays: dict[str, Any] = {**cut_surface_files.to_arrays(value)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _read_cut_surface(record: Record, path: Path) -> CutSurface:
    with np.load(path, allow_pickle=False) as data:
        fields = {"colour": tuple(record["surface"]["colour"]), **_read_notes(record)}
        return cut_surface_files.from_record(record, dict(data), **fields)


def _porous_record(value: PorousRegion) -> Record:
    return porous.to_record(value) | {"surface": _surface_record(value.surface)} | _notes(value)


def _read_porous(record: Record, path: Path) -> PorousRegion:
    surface = _read_surface(record["surface"], path)
    return porous.from_record(record, surface, **_read_notes(record))


def _edits_record(value: EditLog) -> Record:
    return {
        "geometry": value.geometry.to_json(),
        "corners": [list(patch.corner) for patch in value.patches],
        **({"earlier": value.earlier.digest} if value.earlier is not None else {}),
        "findings": [],
        "numbers": [],
    }


def _write_edits(value: EditLog, path: Path) -> None:
    blocks: dict[str, Any] = {}
    for number, patch in enumerate(value.patches):
        blocks[f"before{number}"], blocks[f"after{number}"] = patch.before, patch.after
    with path.open("wb") as file:
        np.savez_compressed(file, **blocks)


def _read_edits(record: Record, path: Path) -> EditLog:
    with np.load(path, allow_pickle=False) as data:
        patches = tuple(
            LabelPatch((corner[0], corner[1], corner[2]), data[f"before{n}"], data[f"after{n}"])
            for n, corner in enumerate(record["corners"])
        )
    return EditLog(ImageGeometry.from_json(record["geometry"]), patches, _earlier(record))


def _earlier(record: Record) -> EarlierEdits | None:
    """Return the link to the earlier log, which only the store that keeps it can load."""

    def load() -> EditLog:
        raise DamagedValue("hand edits can be read from their case only")

    return EarlierEdits(record["earlier"], load) if "earlier" in record else None


def _transform_record(value: Transform) -> Record:
    return {
        "fixed_uid": value.fixed_uid,
        "moving_uid": value.moving_uid,
        "matrix": list(value.matrix),
        "geometry": value.geometry.to_json(),
    } | _notes(value)


def _write_transform(value: Transform, path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, *_arrays_of(value))


def _read_transform(record: Record, path: Path) -> Transform:
    with np.load(path, allow_pickle=False) as data:
        field = next(iter(data.values()), None)
    return Transform(
        record["fixed_uid"],
        record["moving_uid"],
        tuple(record["matrix"]),
        ImageGeometry.from_json(record["geometry"]),
        field,
        **_read_notes(record),
    )


def _measured_record(value: Measured) -> Record:
    return {
        "frame_uid": value.frame_uid,
        "lines": len(value.lines_mm),
        "text": value.text,
        "text_mm": list(value.text_mm),
        "places": {name: list(place) for name, place in value.places.items()},
        "samples": sorted(value.samples),
    } | _notes(value)


def _write_measured(value: Measured, path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, *_arrays_of(value))


def _read_measured(record: Record, path: Path) -> Measured:
    with np.load(path, allow_pickle=False) as data:
        picked, *arrays = data.values()
    lines = record["lines"]
    return Measured(
        record["frame_uid"],
        tuple(arrays[:lines]),
        picked,
        record["text"],
        tuple(record["text_mm"]),
        {name: tuple(place) for name, place in record["places"].items()},
        dict(zip(record["samples"], arrays[lines:])),
        **_read_notes(record),
    )


def _facts_record(value: PatientFacts) -> Record:
    return {"facts": dict(value.facts), "origins": dict(value.origins)} | _notes(value)


def _read_facts(record: Record, path: Path) -> PatientFacts:
    return PatientFacts(facts=record["facts"], origins=record["origins"], **_read_notes(record))


def _risk_record(value: RiskSheet) -> Record:
    return {"rows": [row.to_json() for row in value.rows]} | _notes(value)


def _read_risk(record: Record, path: Path) -> RiskSheet:
    rows = tuple(RiskRow.from_json(row) for row in record["rows"])
    return RiskSheet(rows=rows, **_read_notes(record))


def _courses_record(value: Courses) -> Record:
    return {"columns": list(value.columns)} | _notes(value)


def _write_courses(value: Courses, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, *value.columns.values())


def _read_courses(record: Record, path: Path) -> Courses:
    with np.load(path, allow_pickle=False) as data:
        columns = dict(zip(record["columns"], data.values()))
    return Courses(columns=columns, **_read_notes(record))


@dataclass(frozen=True)
class Format:
    """How one type of value is kept: its record, its data file, and the way back."""

    type: type
    ending: str
    record: Callable[[Any], Record]
    write: Callable[[Any, Path], None] | None
    read: Callable[[Record, Path], Any]


FORMATS = {
    "volume": Format(
        Volume,
        ".nrrd",
        _volume_record,
        lambda value, path: _write_image(value.array, path, compress=False),
        _read_volume,
    ),
    "labels": Format(
        LabelMap,
        ".nrrd",
        _labels_record,
        lambda value, path: _write_image(value.array, path, compress=True),
        _read_labels,
    ),
    "surface": Format(SurfaceMesh, ".npz", _surface_record, _write_surface, _read_surface),
    "volume mesh": Format(
        VolumeMesh, ".npz", _volume_mesh_record, _write_volume_mesh, _read_volume_mesh
    ),
    "centerline": Format(
        Centerline, ".npz", _centerline_record, _write_centerline, _read_centerline
    ),
    "neck": Format(Neck, ".npz", _neck_record, _write_neck, _read_neck),
    "flow": Format(FlowResult, ".npz", _flow_record, _write_flow, _read_flow),
    "porous region": Format(
        PorousRegion,
        ".npz",
        _porous_record,
        lambda value, path: _write_surface(value.surface, path),
        _read_porous,
    ),
    "cut": Format(
        CutPlane,
        ".npz",
        _cut_record,
        lambda value, path: _write_surface(value.surface, path),
        _read_cut,
    ),
    "cut surface": Format(
        CutSurface, ".npz", _cut_surface_record, _write_cut_surface, _read_cut_surface
    ),
    "edits": Format(EditLog, ".npz", _edits_record, _write_edits, _read_edits),
    "transform": Format(Transform, ".npz", _transform_record, _write_transform, _read_transform),
    "measured": Format(Measured, ".npz", _measured_record, _write_measured, _read_measured),
    "facts": Format(PatientFacts, "", _facts_record, None, _read_facts),
    "risk": Format(RiskSheet, "", _risk_record, None, _read_risk),
    "record": Format(PersonRecord, "", PersonRecord.to_json, None, PersonRecord.read),
    "sheet": Format(Sheet, "", Sheet.to_json, None, Sheet.read),
    "courses": Format(Courses, ".npz", _courses_record, _write_courses, _read_courses),
    "measurements": Format(
        Measurements, "", _notes, None, lambda record, _: Measurements(**_read_notes(record))
    ),
}


def kind_of(value: Any) -> str:
    """Return the name in `FORMATS` of the type of a value.

    Raises:
        TypeError: if such a value cannot be kept.
    """
    for kind, form in FORMATS.items():
        if isinstance(value, form.type):
            return kind
    raise TypeError(f"a {type(value).__name__} cannot be kept in a case")


def _arrays_of(value: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(value, Volume | LabelMap):
        return [value.array]
    if isinstance(value, SurfaceMesh):
        extra = [value.point_data[name] for name in sorted(value.point_data)]
        parts = [value.boundaries[name] for name in sorted(value.boundaries)]
        return [value.points_mm, value.triangles, *extra, *parts]
    if isinstance(value, VolumeMesh):
        return list(to_arrays(value).values())
    if isinstance(value, Centerline):
        return list(centerline_files.to_arrays(value).values())
    if isinstance(value, Neck):
        return list(aneurysm_neck.to_arrays(value).values())
    if isinstance(value, FlowResult):
        return list(flow_files.to_arrays(value).values())
    if isinstance(value, CutPlane | PorousRegion):
        return _arrays_of(value.surface)
    if isinstance(value, CutSurface):
        return list(cut_surface_files.to_arrays(value).values())
    if isinstance(value, Transform):
        return [] if value.displacement_mm is None else [value.displacement_mm]
    if isinstance(value, Measured):
        columns = [value.samples[name] for name in sorted(value.samples)]
        return [value.picked_mm, *value.lines_mm, *columns]
    if isinstance(value, Courses):
        return list(value.columns.values())
    if isinstance(value, EditLog):
        return [block for patch in value.patches for block in (patch.before, patch.after)]
    return []


def digest_value(value: Any) -> str:
    """Return the sha256 of a value's whole content: arrays, geometry, names, numbers."""
    kind = kind_of(value)
    digest = hashlib.sha256(kind.encode())
    digest.update(json.dumps(FORMATS[kind].record(value), sort_keys=True).encode())
    for array in _arrays_of(value):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def digest_source(value: Volume | LabelMap | SurfaceMesh | EditLog | PersonRecord) -> str:
    """Return the sha256 of what identifies a source: its arrays and where they lie.

    Findings, names and colours are left out: better wording must not make a plan stale. The
    name of a surface counts, since its results carry it.
    """
    if isinstance(value, EditLog):
        return value.digest
    if isinstance(value, PersonRecord):
        return value.sha256
    if isinstance(value, SurfaceMesh):
        place: Any = [value.frame_uid, value.name]
    else:
        place = value.geometry.to_json()
    digest = hashlib.sha256(json.dumps(place, sort_keys=True).encode())
    for array in _arrays_of(value):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def size_of(value: Any) -> int:
    """Return the bytes of a value's arrays."""
    return sum(array.nbytes for array in _arrays_of(value))
