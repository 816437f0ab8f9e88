"""Volume meshes in patient space: tetrahedra and prisms with named boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from meshing.surface import SurfaceMesh
from segmentation.contract import Finding, Number

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class VolumeMesh:
    """Linear cells in DICOM patient LPS millimetres, all of positive volume.

    Cells are numbered through: tetrahedra first, then prisms.

    Attributes:
        points_mm: float64 (n, 3), (x, y, z).
        tetrahedra: int64 (m, 4): the first three counter-clockwise seen from the fourth.
        prisms: int64 (p, 6): a triangle whose normal points to the second triangle, and that
            one, in the order of Gmsh, Abaqus and FEBio.
        boundaries: name to outer triangles, int64 (k, 3), counter-clockwise from outside.
        boundary_quads: name to outer quadrilaterals, int64 (k, 4): the sides of prisms.
        regions: name to int64 cell numbers.
        point_data, cell_data: named arrays of n and m + p rows, units in the name.
        frame_uid: the DICOM frame of reference.
        name, colour: what it is and its sRGB colour, 0 to 255.
    """

    points_mm: Floats
    tetrahedra: Integers
    frame_uid: str
    name: str = ""
    colour: tuple[int, int, int] = (255, 160, 60)
    prisms: Integers = field(default_factory=lambda: np.empty((0, 6), np.int64))
    boundaries: Mapping[str, Integers] = field(default_factory=dict)
    boundary_quads: Mapping[str, Integers] = field(default_factory=dict)
    regions: Mapping[str, Integers] = field(default_factory=dict)
    point_data: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    cell_data: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()

    def __post_init__(self) -> None:
        points = np.array(self.points_mm, np.float64).reshape(-1, 3)
        if not np.isfinite(points).all():
            raise ValueError("a volume mesh has a point that is not finite")
        points.setflags(write=False)
        object.__setattr__(self, "points_mm", points)
        cells = {"tetrahedra": (self.tetrahedra, 4), "prisms": (self.prisms, 6)}
        for what, (rows, corners) in cells.items():
            object.__setattr__(self, what, _numbers_below(rows, corners, len(points), what))
        faces = {"boundaries": 3, "boundary_quads": 4}
        for what, corners in faces.items():
            parts = {
                name: _numbers_below(rows, corners, len(points), name)
                for name, rows in getattr(self, what).items()
            }
            object.__setattr__(self, what, MappingProxyType(parts))
        regions = {
            name: _numbers_below(cells, 0, self.cell_count, name)
            for name, cells in self.regions.items()
        }
        object.__setattr__(self, "regions", MappingProxyType(regions))
        for what, count in (("point_data", len(points)), ("cell_data", self.cell_count)):
            arrays = dict(getattr(self, what))
            for name, values in arrays.items():
                if len(values) != count:
                    raise ValueError(f"{name!r} has {len(values)} rows, the mesh has {count}")
            object.__setattr__(self, what, MappingProxyType(arrays))

    @property
    def cell_count(self) -> int:
        """How many tetrahedra and prisms there are."""
        return len(self.tetrahedra) + len(self.prisms)

    @property
    def boundary_names(self) -> tuple[str, ...]:
        """The names of all boundaries, in order."""
        return tuple(dict.fromkeys([*self.boundaries, *self.boundary_quads]))

    @cached_property
    def outside(self) -> SurfaceMesh:
        """The outer surface, LPS mm, with its named parts; points inside are left out.

        It is made once, so that views know it again.
        """
        return _boundary_surface(self)

    def boundary_triangles(self, name: str) -> Integers:
        """Return the outer triangles of one boundary, int64 (k, 3).

        Quadrilaterals are cut from their lowest point number, as `as_tetrahedra` cuts prisms.
        """
        triangles = self.boundaries.get(name, np.empty((0, 3), np.int64))
        quads = self.boundary_quads.get(name, np.empty((0, 4), np.int64))
        turns = (np.argmin(quads, axis=1)[:, None] + np.arange(4)) % 4
        quads = np.take_along_axis(quads, turns, axis=1)
        return np.concatenate([triangles, quads[:, (0, 1, 2)], quads[:, (0, 2, 3)]])


def _numbers_below(rows: npt.ArrayLike, corners: int, count: int, what: str) -> Integers:
    """Return int64 rows of point (or, without corners, cell) numbers, read-only."""
    array = np.array(rows, np.int64)
    array = array.reshape(-1, corners) if corners else array.ravel()
    if array.size and (array.min() < 0 or array.max() >= count):
        raise ValueError(f"{what!r} of a volume mesh names a point or cell that does not exist")
    array.setflags(write=False)
    return array


_NAMED = ("boundaries", "boundary_quads", "regions", "point_data", "cell_data")


def to_arrays(mesh: VolumeMesh) -> dict[str, npt.NDArray[Any]]:
    """Return all arrays of a mesh by name, such as "tetrahedra" and "boundaries:wall"."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "points_mm": mesh.points_mm,
        "tetrahedra": mesh.tetrahedra,
        "prisms": mesh.prisms,
    }
    for what in _NAMED:
        arrays |= {f"{what}:{name}": values for name, values in getattr(mesh, what).items()}
    return arrays


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], **fields: Any) -> VolumeMesh:
    """Return the mesh whose arrays `to_arrays` gave; ``fields`` are its other fields."""
    named: dict[str, Any] = {what: {} for what in _NAMED}
    for key, values in arrays.items():
        what, _, name = key.partition(":")
        if what in named:
            named[what][name] = values
    return VolumeMesh(
        arrays["points_mm"],
        arrays["tetrahedra"],
        prisms=arrays["prisms"],
        **named,
        **fields,
    )


def _boundary_surface(mesh: VolumeMesh) -> SurfaceMesh:
    parts = {name: mesh.boundary_triangles(name) for name in mesh.boundary_names}
    triangles = np.concatenate([np.empty((0, 3), np.int64), *parts.values()])
    used, renumbered = np.unique(triangles, return_inverse=True)
    ends = np.cumsum([0, *(len(part) for part in parts.values())])
    return SurfaceMesh(
        mesh.points_mm[used],
        renumbered.reshape(-1, 3),
        mesh.frame_uid,
        mesh.name,
        mesh.colour,
        {name: values[used] for name, values in mesh.point_data.items()},
        mesh.findings,
        mesh.numbers,
        {name: np.arange(ends[n], ends[n + 1]) for n, name in enumerate(parts)},
    )


def as_tetrahedra(prisms: Integers) -> Integers:
    """Return three tetrahedra for each prism, int64 (3 p, 4).

    Each side is cut from its lowest point number, so neighbours agree (Dompierre, Labbé, Vallet,
    Camarero, How to subdivide pyramids, prisms and hexahedra into tetrahedra, 1999).
    """
    turned = _lowest_first(prisms)
    low = np.minimum(turned[:, 1], turned[:, 5]) < np.minimum(turned[:, 2], turned[:, 4])
    one = turned[:, ((0, 1, 2, 5), (0, 1, 5, 4), (0, 4, 5, 3))]
    other = turned[:, ((0, 1, 2, 4), (0, 4, 2, 5), (0, 4, 5, 3))]
    return np.asarray(np.where(low[:, None, None], one, other), np.int64).reshape(-1, 4)


_TURNS = np.array(
    [
        (0, 1, 2, 3, 4, 5),
        (1, 2, 0, 4, 5, 3),
        (2, 0, 1, 5, 3, 4),
        (3, 5, 4, 0, 2, 1),
        (4, 3, 5, 1, 0, 2),
        (5, 4, 3, 2, 1, 0),
    ]
)


def _lowest_first(prisms: Integers) -> Integers:
    """Return each prism turned so that its lowest point number stands first."""
    turns = _TURNS[np.argmin(prisms, axis=1)].reshape(-1, 6)
    return np.take_along_axis(prisms, turns, axis=1)


def cell_volumes_mm3(mesh: VolumeMesh) -> Floats:
    """Return the volume of each cell in mm3, tetrahedra first; float64 (m + p,)."""
    whole = tetrahedron_volumes_mm3(mesh.points_mm, mesh.tetrahedra)
    thirds = tetrahedron_volumes_mm3(mesh.points_mm, as_tetrahedra(mesh.prisms))
    return np.concatenate([whole, thirds.reshape(-1, 3).sum(axis=1)])


def tetrahedron_volumes_mm3(points_mm: Floats, tetrahedra: Integers) -> Floats:
    """Return the signed volume of each tetrahedron in mm3; float64 (m,)."""
    a, b, c, d = (points_mm[tetrahedra[:, n]] for n in range(4))
    return np.asarray(np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) / 6.0)
