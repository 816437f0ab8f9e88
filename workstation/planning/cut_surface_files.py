"""How a cut of any shape is kept: its record and its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from meshing.surface import SurfaceMesh
from segmentation.volume import ImageGeometry
from workstation.planning.cut_surface import CutSurface
from workstation.planning.cut_surface_sheet import Sheet

Arrays = dict[str, npt.NDArray[Any]]


def to_record(cut: CutSurface) -> dict[str, Any]:
    """Return what a cut is besides its arrays and surface, as JSON data."""
    sheet = None if cut.sheet is None else asdict(cut.sheet)
    return {"kind": cut.kind, "geometry": cut.geometry.to_json(), "sheet": sheet}


def to_arrays(cut: CutSurface) -> Arrays:
    """Return the arrays of a cut by name."""
    surface = cut.surface
    return {"level": cut.level, "points_mm": surface.points_mm, "triangles": surface.triangles}


def from_record(
    record: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    *,
    colour: tuple[int, int, int],
    **notes: Any,
) -> CutSurface:
    """Return the cut that `to_record` and `to_arrays` were made of."""
    geometry = ImageGeometry.from_json(record["geometry"])
    level = arrays["level"].astype(np.float32, copy=False)
    surface = SurfaceMesh(
        arrays["points_mm"], arrays["triangles"], geometry.frame_uid, "cut", colour
    )
    return CutSurface(level, geometry, surface, record["kind"], _sheet(record["sheet"]), **notes)


def _sheet(record: Mapping[str, Any] | None) -> Sheet | None:
    if record is None:
        return None
    x, y = record["reach_mm"]
    point, normal, along = (tuple(record[name]) for name in ("point_mm", "normal", "along"))
    return Sheet(point, normal, along, (x, y), tuple(tuple(row) for row in record["heights_mm"]))
