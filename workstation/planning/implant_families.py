"""Parametric families of implants that ship: generic shapes with sizes, not any product.

A part lies in its own frame, in mm, with named axes; `Part.seat` are the triangles that are to
meet bone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import manifold3d
import numpy as np

from meshing.booleans import from_solid
from meshing.mesh import Triangles
from meshing.surface import SurfaceMesh, measured, require_watertight
from segmentation.volume import Floats, Vector
from workstation.planning import implant_families_bones as bones
from workstation.planning import implant_families_joints as joints
from workstation.planning.implant_families_joints import Dimensions, Mask

COLOUR = (0xA9, 0xC0, 0xD0)

EDGE_MM = 2.5
"""Longest edge of a part's triangles, so that a map on it shows where it touches."""

GENERIC = "generic"
"""The library that ships."""

NOTE = "Generic shape for planning studies; not a product, and not cleared for use in patients."


class UnknownPart(ValueError):
    """A library has no such family, size or dimension."""


@dataclass(frozen=True)
class Dimension:
    """One measure of a family: its default and limits; the unit is in the name."""

    default: float
    low: float
    high: float
    description: str


@dataclass(frozen=True, eq=False)
class Part:
    """One size of an implant in its own frame, mm.

    Attributes:
        seat: numbers of the triangles that are to meet bone.
        turns: whether the part looks the same however it is turned about its z axis.
        places: named points of the frame, such as the centre of a head.
        dimensions: all measures of a generic part, by name.
        solid: the STEP file of a part of an added library, where it has one.
    """

    library: str
    family: str
    size: str
    mesh: SurfaceMesh
    turns: bool = False
    places: Mapping[str, Vector] = field(default_factory=dict)
    note: str = NOTE
    dimensions: Dimensions = field(default_factory=dict)
    solid: Path | None = None

    @property
    def seat(self) -> Triangles:
        """The triangles that are to meet bone."""
        return self.mesh.boundaries["seat"]


def _nowhere(_: Dimensions) -> Mapping[str, Vector]:
    return {}


@dataclass(frozen=True)
class Family:
    """A parametric shape: how it is built of its dimensions, and its series of sizes."""

    name: str
    title: str
    axes: str
    dimensions: Mapping[str, Dimension]
    sizes: Mapping[str, Dimensions]
    build: Callable[[Dimensions], manifold3d.Manifold]
    seat: Callable[[Floats, Floats, Dimensions], Mask]
    turns: bool = False
    places: Callable[[Dimensions], Mapping[str, Vector]] = _nowhere

    def dimensions_of(self, size: str, changes: Dimensions = MappingProxyType({})) -> Dimensions:
        """Return all dimensions of a size, some of them changed.

        Raises:
            UnknownPart: for an unknown size or dimension, or one beyond its limits.
        """
        if size not in self.sizes:
            known = ", ".join(self.sizes)
            raise UnknownPart(f"{self.name} has no size {size!r}; its sizes are: {known}")
        for name, value in changes.items():
            if name not in self.dimensions:
                known = ", ".join(self.dimensions)
                raise UnknownPart(f"{self.name} has no dimension {name!r}; it has: {known}")
            limit = self.dimensions[name]
            if not limit.low <= value <= limit.high:
                raise UnknownPart(
                    f"{name} of {self.name} is {value:g}; it goes from {limit.low:g} to "
                    f"{limit.high:g}"
                )
        defaults = {name: d.default for name, d in self.dimensions.items()}
        return {**defaults, **self.sizes[size], **changes}

    def part(self, size: str, changes: Dimensions = MappingProxyType({})) -> Part:
        """Return one size as a closed surface in the family's frame, mm.

        Raises:
            UnknownPart: for an unknown size or dimension, or one beyond its limits.
            ValueError: if the dimensions do not go together.
        """
        given = self.dimensions_of(size, changes)
        solid = self.build(given).refine_to_length(EDGE_MM)
        name = f"{self.title} {size}"
        blank = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), int), "", name, COLOUR)
        mesh = from_solid(blank, solid, np.zeros(3))
        require_watertight(mesh)
        middles, normals = _faces(mesh)
        seat = np.flatnonzero(self.seat(middles, normals, given))
        mesh = measured(mesh)
        mesh = SurfaceMesh(mesh.points_mm, mesh.triangles, "", name, COLOUR,
                           numbers=mesh.numbers, boundaries={"seat": seat})  # fmt: skip
        return Part(GENERIC, self.name, size, mesh, self.turns, self.places(given),
                    dimensions=given)  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the record that `hilum implants list --json` prints."""
        return {
            "name": self.name,
            "title": self.title,
            "frame": self.axes,
            "dimensions": {n: vars(d) for n, d in self.dimensions.items()},
            "sizes": {n: dict(self.dimensions_of(n)) for n in self.sizes},
        }


def _faces(mesh: SurfaceMesh) -> tuple[Floats, Floats]:
    """Return the middles and unit normals (m, 3) of a surface's triangles."""
    a, b, c = (mesh.points_mm[mesh.triangles[:, n]] for n in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    return (a + b + c) / 3, normals


def _sizes(count: int, **series: tuple[float, float]) -> dict[str, dict[str, float]]:
    """Return sizes "1", "2", ...: each dimension is given as its first value and its step."""
    return {
        str(n + 1): {name: first + n * step for name, (first, step) in series.items()}
        for n in range(count)
    }


def _screw(name: str, title: str, thread: float, core: float, pitch: float, head: float,
           lengths: range) -> Family:  # fmt: skip
    return Family(
        name,
        title,
        "origin under the head; z from the tip to the head",
        {
            "thread_mm": Dimension(thread, 1.5, 10, "outer diameter of the thread"),
            "core_mm": Dimension(core, 1, 9, "diameter of the core"),
            "pitch_mm": Dimension(pitch, 0.5, 5, "advance in one turn"),
            "length_mm": Dimension(float(lengths[0]), 6, 130, "from under the head to the tip"),
            "head_mm": Dimension(head, 3, 16, "diameter of the head"),
            "head_height_mm": Dimension(0.4 * head, 1, 12, "height of the head"),
            "drive_mm": Dimension(0.4 * head, 1, 6, "of the hexagon, corner to corner"),
        },
        {str(length): {"length_mm": float(length)} for length in lengths},
        bones.screw,
        bones.screw_seat,
        turns=True,
    )


_ALL = (
    Family(
        "hip_stem",
        "Hip stem, tapered",
        "origin where the stem's axis meets the neck cut; z up along the stem, x to the head "
        "(medial), y along the depth",
        {
            "length_mm": Dimension(110, 60, 220, "below the cut"),
            "width_mm": Dimension(24, 14, 50, "inner side to axis and tip, at the cut"),
            "depth_mm": Dimension(15, 8, 30, "at the cut"),
            "tip_mm": Dimension(9, 5, 18, "width at the tip"),
            "neck_angle_degrees": Dimension(132, 115, 150, "between the axis down and the neck"),
            "offset_mm": Dimension(40, 20, 65, "from the axis to the head's centre"),
            "neck_mm": Dimension(12, 8, 18, "diameter of the neck"),
        },
        _sizes(8, length_mm=(100, 5), width_mm=(20, 1.6), depth_mm=(12, 0.8), tip_mm=(7.5, 0.6),
               offset_mm=(36, 1.5)),
        joints.hip_stem,
        joints.stem_seat,
        places=lambda d: {"head": joints.stem_head_mm(d)},
    ),
    Family(
        "acetabular_cup",
        "Acetabular cup",
        "origin in the centre of the sphere; z out of the opening",
        {
            "outer_mm": Dimension(52, 36, 76, "outer diameter"),
            "wall_mm": Dimension(4, 1, 12, "thickness of the shell"),
        },
        {str(size): {"outer_mm": float(size)} for size in range(44, 66, 2)},
        joints.cup,
        joints.cup_seat,
        turns=True,
    ),
    Family(
        "knee_femur",
        "Knee, femoral part",
        "origin in the middle of the distal cut; z up the femur, y forward, x across",
        {
            "width_mm": Dimension(66, 45, 90, "across"),
            "depth_mm": Dimension(44, 28, 65, "front cut to back cut"),
            "thickness_mm": Dimension(9, 5, 14, "of the shell"),
            "chamfer_mm": Dimension(9, 3, 14, "of the oblique cuts, along y and z"),
            "anterior_mm": Dimension(40, 20, 65, "height of the front flange"),
            "posterior_mm": Dimension(24, 12, 40, "height of the back"),
            "peg_mm": Dimension(6, 3, 10, "diameter of the pegs"),
            "peg_length_mm": Dimension(12, 4, 20, "of the pegs"),
        },
        _sizes(8, width_mm=(54, 3), depth_mm=(36, 2), anterior_mm=(34, 1.5),
               posterior_mm=(19, 1)),
        joints.knee_femur,
        joints.femur_seat,
    ),
    Family(
        "knee_tibia",
        "Knee, tibial tray",
        "origin in the middle of the tray's lower face; z up, y forward, x across",
        {
            "width_mm": Dimension(70, 50, 95, "across"),
            "depth_mm": Dimension(47, 32, 65, "front to back"),
            "plate_mm": Dimension(4, 2, 8, "thickness of the plate"),
            "keel_mm": Dimension(38, 10, 70, "length of the keel"),
            "stem_mm": Dimension(14, 8, 22, "diameter of the keel's stem at the plate"),
            "fin_mm": Dimension(3, 1.5, 6, "thickness of the fins"),
            "fin_angle_degrees": Dimension(25, 0, 50, "of the fins to the back"),
        },
        _sizes(8, width_mm=(58, 3), depth_mm=(39, 2), keel_mm=(32, 1.5), stem_mm=(12, 0.5)),
        joints.knee_tibia,
        joints.tibia_seat,
    ),
    _screw("cortical_screw_3_5", "Cortical screw 3.5", 3.5, 2.4, 1.25, 6.0, range(10, 72, 2)),
    _screw("cortical_screw_4_5", "Cortical screw 4.5", 4.5, 3.0, 1.75, 8.0, range(14, 92, 2)),
    _screw("cancellous_screw", "Cancellous screw", 6.5, 3.0, 2.75, 8.0, range(30, 105, 5)),
    _screw("pedicle_screw", "Pedicle screw", 6.0, 4.2, 2.5, 12.0, range(30, 65, 5)),
    Family(
        "straight_plate",
        "Straight plate",
        "origin in the middle of the face on bone; x along the plate, z away from bone",
        {
            "holes": Dimension(6, 2, 20, "number of holes"),
            "spacing_mm": Dimension(16, 5, 30, "between the middles of holes"),
            "width_mm": Dimension(12, 5, 25, "across"),
            "thickness_mm": Dimension(3.5, 1, 8, "of the plate"),
            "hole_mm": Dimension(5, 1.5, 10, "diameter of the holes"),
        },
        {f"{n} holes": {"holes": float(n)} for n in range(3, 15)},
        bones.plate,
        bones.plate_seat,
    ),
    Family(
        "spinal_cage",
        "Spinal cage",
        "origin in its middle; z up the spine, y forward, x across",
        {
            "width_mm": Dimension(28, 10, 60, "across"),
            "depth_mm": Dimension(24, 8, 40, "front to back"),
            "height_mm": Dimension(10, 5, 20, "in the middle"),
            "lordosis_degrees": Dimension(6, 0, 24, "between the upper and the lower face"),
            "rim_mm": Dimension(4, 1.5, 8, "width of the ring around the window"),
        },
        {str(h): {"height_mm": float(h)} for h in range(7, 18)},
        bones.cage,
        bones.cage_seat,
    ),
)  # fmt: skip

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _ALL})


def find_family(name: str) -> Family:
    """Return the generic family called ``name``.

    Raises:
        UnknownPart: if there is none.
    """
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise UnknownPart(f"there is no generic implant {name!r}; there are: {known}")
    return FAMILIES[name]
