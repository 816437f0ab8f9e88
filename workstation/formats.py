"""How each type of value is kept on disk: its record, its data file, its digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from hemodynamics import flow_files, porous
from hemodynamics.flow_result import FlowResult
from hemodynamics.network import Courses
from hemodynamics.porous import PorousRegion
from meshing import aneurysm_neck, centerline_files
from meshing.aneurysm_neck import Neck
from meshing.centerline import Centerline
from meshing.surface import SurfaceMesh
from meshing.volume_mesh import VolumeMesh, from_arrays, to_arrays
from segmentation.contract import Measurements
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
from workstation.value_format import (
    Arrays,
    DamagedValue,
    Format,
    Record,
    notes,
    nothing,
    read_notes,
)

PART = "boundary:"
"""What the names of a surface's parts begin with in its data file."""


def _volume_record(value: Volume) -> Record:
    return {"geometry": value.geometry.to_json(), "quantity": value.quantity}


def _read_volume(record: Record, arrays: Arrays, **noted: Any) -> Volume:
    geometry = ImageGeometry.from_json(record["geometry"])
    return Volume(arrays["array"], geometry, record["quantity"], **noted)


def _labels_record(value: LabelMap) -> Record:
    labels = [
        {"value": v, "name": x.name, "colour": list(x.colour), "code": x.code}
        for v, x in value.labels.items()
    ]
    return {"geometry": value.geometry.to_json(), "labels": labels}


def _read_labels(record: Record, arrays: Arrays, **noted: Any) -> LabelMap:
    geometry = ImageGeometry.from_json(record["geometry"])
    labels = {x["value"]: Label(x["name"], tuple(x["colour"]), x["code"]) for x in record["labels"]}
    return LabelMap(arrays["array"], geometry, labels, **noted)


def _surface_record(value: SurfaceMesh) -> Record:
    return {
        "frame_uid": value.frame_uid,
        "name": value.name,
        "colour": list(value.colour),
        **({"boundaries": sorted(value.boundaries)} if value.boundaries else {}),
    }


def _surface_arrays(value: SurfaceMesh) -> Arrays:
    return {
        "points_mm": value.points_mm,
        "triangles": value.triangles,
        **{name: value.point_data[name] for name in sorted(value.point_data)},
        **{PART + name: value.boundaries[name] for name in sorted(value.boundaries)},
    }


def _read_surface(record: Record, arrays: Arrays, **noted: Any) -> SurfaceMesh:
    data = dict(arrays)
    parts = {name: data.pop(name) for name in arrays if name.startswith(PART)}
    return SurfaceMesh(
        data.pop("points_mm"),
        data.pop("triangles"),
        record["frame_uid"],
        record["name"],
        tuple(record["colour"]),
        data,
        **noted,
        boundaries={name.removeprefix(PART): part for name, part in parts.items()},
    )


def _own_surface(value: CutPlane | CutSurface | PorousRegion) -> Record:
    return {"surface": _surface_record(value.surface) | notes(value.surface)}


def _own_surface_arrays(value: CutPlane | PorousRegion) -> Arrays:
    return _surface_arrays(value.surface)


def _read_own_surface(record: Record, arrays: Arrays) -> SurfaceMesh:
    return _read_surface(record["surface"], arrays, **read_notes(record["surface"]))


def _volume_mesh_record(value: VolumeMesh) -> Record:
    return {
        "frame_uid": value.frame_uid,
        "name": value.name,
        "colour": list(value.colour),
        "arrays": list(to_arrays(value)),
    }


def _read_volume_mesh(record: Record, arrays: Arrays, **noted: Any) -> VolumeMesh:
    fields = {"name": record["name"], "colour": tuple(record["colour"]), **noted}
    ordered = {name: arrays[name] for name in record["arrays"]}
    return from_arrays(ordered, frame_uid=record["frame_uid"], **fields)


def _cut_record(value: CutPlane) -> Record:
    return {
        "point_mm": list(value.point_mm),
        "normal": list(value.normal),
        "frame_uid": value.frame_uid,
    } | _own_surface(value)


def _read_cut(record: Record, arrays: Arrays, **noted: Any) -> CutPlane:
    return CutPlane(
        tuple(record["point_mm"]),
        tuple(record["normal"]),
        record["frame_uid"],
        _read_own_surface(record, arrays),
        **noted,
    )


def _cut_surface_record(value: CutSurface) -> Record:
    return cut_surface_files.to_record(value) | _own_surface(value)


def _read_cut_surface(record: Record, arrays: Arrays, **noted: Any) -> CutSurface:
    colour = tuple(record["surface"]["colour"])
    return cut_surface_files.from_record(record, arrays, colour=colour, **noted)


def _porous_record(value: PorousRegion) -> Record:
    return porous.to_record(value) | _own_surface(value)


def _read_porous(record: Record, arrays: Arrays, **noted: Any) -> PorousRegion:
    return porous.from_record(record, _read_own_surface(record, arrays), **noted)


def _edits_record(value: EditLog) -> Record:
    return {
        "geometry": value.geometry.to_json(),
        "corners": [list(patch.corner) for patch in value.patches],
        **({"earlier": value.earlier.digest} if value.earlier is not None else {}),
    }


def _edits_arrays(value: EditLog) -> Arrays:
    return {
        f"{when}{number}": getattr(patch, when)
        for number, patch in enumerate(value.patches)
        for when in ("before", "after")
    }


def _read_edits(record: Record, arrays: Arrays, **_: Any) -> EditLog:
    patches = tuple(
        LabelPatch((corner[0], corner[1], corner[2]), arrays[f"before{n}"], arrays[f"after{n}"])
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
    }


def _transform_arrays(value: Transform) -> Arrays:
    field = value.displacement_mm
    return {} if field is None else {"displacement_mm": field}


def _read_transform(record: Record, arrays: Arrays, **noted: Any) -> Transform:
    return Transform(
        record["fixed_uid"],
        record["moving_uid"],
        tuple(record["matrix"]),
        ImageGeometry.from_json(record["geometry"]),
        next(iter(arrays.values()), None),
        **noted,
    )


def _measured_record(value: Measured) -> Record:
    return {
        "frame_uid": value.frame_uid,
        "lines": len(value.lines_mm),
        "text": value.text,
        "text_mm": list(value.text_mm),
        "places": {name: list(place) for name, place in value.places.items()},
        "samples": sorted(value.samples),
    }


def _measured_arrays(value: Measured) -> Arrays:
    return {
        "picked_mm": value.picked_mm,
        **{f"line:{number}": line for number, line in enumerate(value.lines_mm)},
        **{f"sample:{name}": value.samples[name] for name in sorted(value.samples)},
    }


def _read_measured(record: Record, arrays: Arrays, **noted: Any) -> Measured:
    picked, *others = arrays.values()
    lines = record["lines"]
    return Measured(
        record["frame_uid"],
        tuple(others[:lines]),
        picked,
        record["text"],
        tuple(record["text_mm"]),
        {name: tuple(place) for name, place in record["places"].items()},
        dict(zip(record["samples"], others[lines:])),
        **noted,
    )


def _courses_record(value: Courses) -> Record:
    return {"columns": list(value.columns)}


def _courses_arrays(value: Courses) -> Arrays:
    return {f"column:{number}": column for number, column in enumerate(value.columns.values())}


def _read_courses(record: Record, arrays: Arrays, **noted: Any) -> Courses:
    return Courses(columns=dict(zip(record["columns"], arrays.values())), **noted)


def _facts_record(value: PatientFacts) -> Record:
    return {"facts": dict(value.facts), "origins": dict(value.origins)}


def _read_facts(record: Record, _: Arrays, **noted: Any) -> PatientFacts:
    return PatientFacts(facts=record["facts"], origins=record["origins"], **noted)


def _risk_record(value: RiskSheet) -> Record:
    return {"rows": [row.to_json() for row in value.rows]}


def _read_risk(record: Record, _: Arrays, **noted: Any) -> RiskSheet:
    return RiskSheet(rows=tuple(RiskRow.from_json(row) for row in record["rows"]), **noted)


def _image(value: Volume | LabelMap) -> Arrays:
    return {"array": value.array}


def _as_record(cls: type[PersonRecord] | type[Sheet]) -> Format:
    """Return the format of what says all in its record."""
    return Format(cls, cls.to_json, lambda record, _, **notes: cls.read(record), ending="")


FORMATS = {
    "volume": Format(Volume, _volume_record, _read_volume, _image, ".nrrd"),
    "labels": Format(LabelMap, _labels_record, _read_labels, _image, ".nrrd", packed=True),
    "surface": Format(SurfaceMesh, _surface_record, _read_surface, _surface_arrays),
    "volume mesh": Format(VolumeMesh, _volume_mesh_record, _read_volume_mesh, to_arrays),
    "centerline": Format(
        Centerline,
        centerline_files.to_record,
        centerline_files.from_record,
        centerline_files.to_arrays,
    ),
    "neck": Format(
        Neck, aneurysm_neck.to_record, aneurysm_neck.from_record, aneurysm_neck.to_arrays
    ),
    "flow": Format(FlowResult, flow_files.to_record, flow_files.from_record, flow_files.to_arrays),
    "porous region": Format(PorousRegion, _porous_record, _read_porous, _own_surface_arrays),
    "cut": Format(CutPlane, _cut_record, _read_cut, _own_surface_arrays),
    "cut surface": Format(
        CutSurface, _cut_surface_record, _read_cut_surface, cut_surface_files.to_arrays
    ),
    "edits": Format(EditLog, _edits_record, _read_edits, _edits_arrays, packed=True),
    "transform": Format(
        Transform, _transform_record, _read_transform, _transform_arrays, packed=True
    ),
    "measured": Format(Measured, _measured_record, _read_measured, _measured_arrays, packed=True),
    "facts": Format(PatientFacts, _facts_record, _read_facts, ending=""),
    "risk": Format(RiskSheet, _risk_record, _read_risk, ending=""),
    "record": _as_record(PersonRecord),
    "sheet": _as_record(Sheet),
    "courses": Format(Courses, _courses_record, _read_courses, _courses_arrays),
    "measurements": Format(
        Measurements, nothing, lambda _, __, **notes: Measurements(**notes), ending=""
    ),
}


def kind_of(value: Any) -> str:
    """Return the name in `FORMATS` of the type of a value.

    Raises:
        TypeError: if such a value cannot be _
    """
    for kind, form in FORMATS.items():
        if isinstance(value, form.type):
            return kind
    raise TypeError(f"a {type(value).__name__} cannot be kept in a case")


def _arrays_of(value: Any) -> list[npt.NDArray[Any]]:
    return list(FORMATS[kind_of(value)].arrays(value).values())


def digest_value(value: Any) -> str:
    """Return the sha256 of a value's whole content: arrays, geometry, names, numbers."""
    kind = kind_of(value)
    return _digest(hashlib.sha256(kind.encode()), FORMATS[kind].record(value), value)


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
        return _digest(hashlib.sha256(), [value.frame_uid, value.name], value)
    return _digest(hashlib.sha256(), value.geometry.to_json(), value)


def _digest(digest: Any, record: Any, value: Any) -> str:
    digest.update(json.dumps(record, sort_keys=True).encode())
    for array in _arrays_of(value):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    text: str = digest.hexdigest()
    return text


def size_of(value: Any) -> int:
    """Return the bytes of a value's arrays.

    Raises:
        TypeError: if such a value cannot be _
    """
    return sum(array.nbytes for array in _arrays_of(value))
