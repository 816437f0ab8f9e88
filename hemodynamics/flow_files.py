"""Flow results as records and arrays, and as VTU (lumen) and VTP (wall) files, LPS mm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkUnstructuredGrid
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridWriter

from hemodynamics.flow_result import FlowResult
from hemodynamics.flow_result import from_arrays as flow_from_arrays
from hemodynamics.flow_result import to_arrays as flow_to_arrays
from hemodynamics.indices import told_osi
from meshing.mesh import SurfaceMesh
from meshing.writers import write_vtp as write_surface

Arrays = Mapping[str, npt.NDArray[Any]]

_WALL, _COARSER = "wall:", "coarser:"
_SHARED = ("points_mm", "triangles")
_HEXAHEDRON = 12
_CORNERS = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))


def to_record(flow: FlowResult) -> dict[str, Any]:
    """Return what of a flow is neither array, number nor finding, as plain JSON."""
    coarser = {} if flow.coarser is None else {"coarser": to_record(flow.coarser)}
    return coarser | {
        "frame_uid": flow.frame_uid,
        "name": flow.name,
        "wall": {"name": flow.wall.name, "colour": list(flow.wall.colour)},
        "spacing_mm": flow.spacing_mm,
        "conditions": dict(flow.conditions),
    }


def to_json(flow: FlowResult) -> dict[str, Any]:
    """Return what drove a flow, and flow and pressure at its openings over time."""
    return {
        "conditions": dict(flow.conditions),
        "spacing_mm": flow.spacing_mm,
        "times_s": flow.times_s.tolist(),
        "flows_ml_s": {name: flows.tolist() for name, flows in flow.flows_ml_s.items()},
        "opening_pressures_pa": {
            name: pressures.tolist() for name, pressures in flow.opening_pressures_pa.items()
        },
        "residuals": flow.residuals.tolist(),
    }


def to_arrays(flow: FlowResult) -> dict[str, npt.NDArray[Any]]:
    """Return all arrays of a flow and its wall by name, then those on coarser cells."""
    wall, coarser = flow.wall, {} if flow.coarser is None else to_arrays(flow.coarser)
    arrays = {**flow_to_arrays(flow), "points_mm": wall.points_mm, "triangles": wall.triangles}
    arrays |= {_COARSER + k: array for k, array in coarser.items() if k not in _SHARED}
    return arrays | {_WALL + name: wall.point_data[name] for name in sorted(wall.point_data)}


def from_record(record: Mapping[str, Any], arrays: Arrays, **notes: Any) -> FlowResult:
    """Return the flow whose record and arrays those were; ``notes`` are findings and numbers."""
    data = {k.removeprefix(_WALL): array for k, array in arrays.items() if k.startswith(_WALL)}
    wall = SurfaceMesh(
        arrays["points_mm"],
        arrays["triangles"],
        record["frame_uid"],
        record["wall"]["name"],
        tuple(record["wall"]["colour"]),
        data,
    )
    named = {key: record[key] for key in ("spacing_mm", "conditions", "frame_uid", "name")}
    coarser = None
    if "coarser" in record:
        own = {k.removeprefix(_COARSER): a for k, a in arrays.items() if k.startswith(_COARSER)}
        coarser = from_record(record["coarser"], own | {k: arrays[k] for k in _SHARED})
    return flow_from_arrays(arrays, wall=wall, coarser=coarser, **named, **notes)


def write_vtp(flow: FlowResult, path: Path) -> None:
    """Write the wall with the point data wss_pa (vectors), tawss_pa, osi and rrt_1_pa.

    Raises:
        OSError: if the file cannot be written.
    """
    data = flow.wall.point_data
    told = {name: told_osi(data[name]) if name == "osi" else data[name] for name in data}
    write_surface([replace(flow.wall, point_data=told)], path.parent, path.name, "")


def write_vtu(flow: FlowResult, path: Path) -> None:
    """Write the lumen's cells with velocity_m_s (vectors, LPS) and pressure_pa.

    These are means over the times kept; where there are several, velocity_m_s_1, pressure_pa_1
    and so on hold each, and the field array times_s says when. The field arrays space, unit and
    frame_uid are the codes of their characters: meshio refuses files that hold strings.

    Raises:
        ValueError: if no flow was computed.
        OSError: if the file cannot be written.
    """
    if not len(flow.times_s):
        raise ValueError(f"the flow {flow.name!r} was not computed; there is nothing to write")
    grid = _cubes(flow)
    arrays: dict[str, npt.NDArray[Any]] = {
        "velocity_m_s": flow.velocity_m_s.mean(axis=0),
        "pressure_pa": flow.pressure_pa.mean(axis=0),
    }
    if len(flow.times_s) > 1:
        for n, (velocity, pressure) in enumerate(zip(flow.velocity_m_s, flow.pressure_pa), 1):
            arrays |= {f"velocity_m_s_{n}": velocity, f"pressure_pa_{n}": pressure}
    for name, values in arrays.items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        grid.GetCellData().AddArray(array)
    times = numpy_to_vtk(np.ascontiguousarray(flow.times_s), deep=True)
    times.SetName("times_s")
    grid.GetFieldData().AddArray(times)
    for key, text in {"space": "LPS", "unit": "mm", "frame_uid": flow.frame_uid}.items():
        if text:
            words = numpy_to_vtk(np.frombuffer(text.encode(), np.uint8).copy(), deep=True)
            words.SetName(key)
            grid.GetFieldData().AddArray(words)
    writer = vtkXMLUnstructuredGridWriter()
    writer.SetInputData(grid)
    writer.SetFileName(str(path))
    if not writer.Write():
        raise OSError(f"{path.name} could not be written; is the disk full?")


def _cubes(flow: FlowResult) -> vtkUnstructuredGrid:
    """Return the cells as cubes that share their corners."""
    low = flow.cells_mm.min(axis=0)
    place = np.rint((flow.cells_mm - low) / flow.spacing_mm).astype(np.int64)
    corners = (place[:, None] + np.array(_CORNERS)).reshape(-1, 3)
    shape = corners.max(axis=0) + 1
    numbers = np.ravel_multi_index(tuple(corners.T), tuple(int(n) for n in shape))
    used, numbered = np.unique(numbers, return_inverse=True)
    spots = np.stack(np.unravel_index(used, tuple(int(n) for n in shape)), axis=1)
    points = vtkPoints()
    points.SetData(numpy_to_vtk(low + flow.spacing_mm * (spots - 0.5), deep=True))
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(np.arange(0, 8 * len(place) + 1, 8, dtype=np.int64), deep=True),
        numpy_to_vtkIdTypeArray(numbered.ravel().astype(np.int64), deep=True),
    )
    grid = vtkUnstructuredGrid()
    grid.SetPoints(points)
    grid.SetCells(_HEXAHEDRON, cells)
    return grid
