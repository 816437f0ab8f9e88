"""Centerlines as records and arrays, as tables (CSV) and as polylines (VTP).

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonCore import vtkPoints, vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

from meshing.centerline import Branch, Centerline, Node, Sac
from meshing.curves import arc_length_mm
from meshing.vessel_geometry import bifurcations, branch_shapes

Arrays = dict[str, npt.NDArray[Any]]


def to_record(value: Centerline) -> dict[str, Any]:
    """Return what of a centerline is no array, as JSON; `from_record` reverses it."""
    return {
        "frame_uid": value.frame_uid,
        "name": value.name,
        "branches": [[b.start, b.stop, b.from_node, b.to_node] for b in value.branches],
        "nodes": [
            {"point_mm": list(n.point_mm), "radius_mm": n.radius_mm, "kind": n.kind}
            for n in value.nodes
        ],
        "ends": dict(value.ends),
        "sacs": [
            {
                "centre_mm": list(s.centre_mm),
                "radius_mm": s.radius_mm,
                "tip_mm": list(s.tip_mm),
                "length_mm": s.length_mm,
            }
            for s in value.sacs
        ],
    }


def to_arrays(value: Centerline) -> Arrays:
    """Return the arrays of a centerline by name; point data keep theirs."""
    arrays: Arrays = {"points_mm": value.points_mm, "radius_mm": value.radius_mm}
    return arrays | {name: value.point_data[name] for name in sorted(value.point_data)}


def from_record(record: Mapping[str, Any], arrays: Mapping[str, Any], **notes: Any) -> Centerline:
    """Return the centerline of a record and its arrays; ``notes`` are findings and numbers."""
    data = dict(arrays)
    return Centerline(
        data.pop("points_mm"),
        data.pop("radius_mm"),
        tuple(Branch(*numbers) for numbers in record["branches"]),
        tuple(Node(tuple(n["point_mm"]), n["radius_mm"], n["kind"]) for n in record["nodes"]),
        {name: int(node) for name, node in record["ends"].items()},
        record["frame_uid"],
        record["name"],
        tuple(
            Sac(tuple(s["centre_mm"]), s["radius_mm"], tuple(s["tip_mm"]), s["length_mm"])
            for s in record["sacs"]
        ),
        data,
        **notes,
    )


def to_json(value: Centerline) -> dict[str, Any]:
    """Return the whole geometry for other programs: branches, bifurcations, ends, points."""
    shapes = branch_shapes(value)
    branches = [
        {
            "number": n + 1,
            "from_node": branch.from_node,
            "to_node": branch.to_node,
            **shape.to_json(),
            "points_mm": value.points_mm[branch.points].tolist(),
            "radius_mm": value.radius_mm[branch.points].tolist(),
        }
        for n, (branch, shape) in enumerate(zip(value.branches, shapes))
    ]
    record = to_record(value)
    return {
        "nodes": record["nodes"],
        "ends": record["ends"],
        "sacs": record["sacs"],
        "branches": branches,
        "bifurcations": [fork.to_json() for fork in bifurcations(value)],
    }


def write_csv(value: Centerline, path: Path) -> None:
    """Write one row for each point: its branch, distance along it, place and all measures."""
    names = sorted(value.point_data)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["branch", "position_mm", "x_mm", "y_mm", "z_mm", "radius_mm", *names])
        for number, branch in enumerate(value.branches, 1):
            points = value.points_mm[branch.points]
            columns = [value.point_data[name][branch.points] for name in names]
            along = arc_length_mm(points)
            for n, (x, y, z) in enumerate(points):
                radius = value.radius_mm[branch.start + n]
                row = [along[n], x, y, z, radius, *(c[n] for c in columns)]
                table.writerow([number, *("" if v != v else f"{v:.6g}" for v in row)])


def write_vtp(value: Centerline, path: Path) -> None:
    """Write one polyline for each branch, with all point data; LPS mm.

    Raises:
        OSError: if the file cannot be written.
    """
    poly = to_vtk(value)
    for key, text in {"space": "LPS", "unit": "mm", "frame_uid": value.frame_uid}.items():
        array = vtkStringArray()
        array.SetName(key)
        array.InsertNextValue(text)
        poly.GetFieldData().AddArray(array)
    writer = vtkXMLPolyDataWriter()
    writer.SetInputData(poly)
    writer.SetFileName(str(path))
    if not writer.Write():
        raise OSError(f"{path.name} could not be written; is the disk full?")


def to_vtk(value: Centerline) -> vtkPolyData:
    """Return the branches as polylines with their number, radius and point data; LPS mm."""
    points = vtkPoints()
    points.SetData(numpy_to_vtk(value.points_mm, deep=True))
    offsets = np.array([0, *(b.stop for b in value.branches)], np.int64)
    lines = vtkCellArray()
    lines.SetData(
        numpy_to_vtkIdTypeArray(offsets, deep=True),
        numpy_to_vtkIdTypeArray(np.arange(len(value.points_mm), dtype=np.int64), deep=True),
    )
    poly = vtkPolyData()
    poly.SetPoints(points)
    poly.SetLines(lines)
    numbers = np.repeat(np.arange(1, len(value.branches) + 1), np.diff(offsets))
    for name, values in {
        "radius_mm": value.radius_mm,
        "branch": numbers.astype(np.int32),
        **value.point_data,
    }.items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        poly.GetPointData().AddArray(array)
    return poly
