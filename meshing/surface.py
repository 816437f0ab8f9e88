"""Triangle surfaces in patient space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.contract import Finding, Number

Floats = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """Triangles in DICOM patient LPS millimetres, normals outward.

    Attributes:
        points_mm: float64 (n, 3), (x, y, z).
        triangles: int64 (m, 3) rows of point numbers, counter-clockwise seen from outside.
        frame_uid: the DICOM frame of reference.
        name, colour: what it is and its sRGB colour, 0 to 255.
        point_data: named arrays of n rows, units in the name.
    """

    points_mm: Floats
    triangles: Triangles
    frame_uid: str
    name: str = ""
    colour: tuple[int, int, int] = (255, 160, 60)
    point_data: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()

    def __post_init__(self) -> None:
        points = np.array(self.points_mm, np.float64).reshape(-1, 3)
        triangles = np.array(self.triangles, np.int64).reshape(-1, 3)
        if not np.isfinite(points).all():
            raise ValueError("a surface has a point that is not finite")
        if triangles.size and (triangles.min() < 0 or triangles.max() >= len(points)):
            raise ValueError("a surface triangle names a point that does not exist")
        for array in (points, triangles):
            array.setflags(write=False)
        object.__setattr__(self, "points_mm", points)
        object.__setattr__(self, "triangles", triangles)
        object.__setattr__(self, "point_data", MappingProxyType(dict(self.point_data)))
