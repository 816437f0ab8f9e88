"""A plate bent along a path on bone: its course with angles and holes, and its body.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from manifold3d import Error, Manifold

from meshing.booleans import as_solid, from_solid, measured_solid
from meshing.surface import SurfaceMesh, enclosed_mm3
from segmentation.contract import (
    PLANNED,
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    silent,
)
from segmentation.marks import Points
from segmentation.measured import Measured, middle_mm, picked
from segmentation.volume import Floats, LabelMap
from workstation.planning.bone_landmarks_record import bone_surface
from workstation.planning.plate_course import Course, bends, frames_of, lay
from workstation.planning.proposal import as_point
from workstation.planning.screws import upright

RIM_MM = 1.0
"""Less than this beside a hole does not hold."""

TIP = 0.3
"""A rounded end is this share of the plate's width wide at its very end."""

SIZES = ("width", "thickness", "hole_diameter")
NORMALS = ("out_x", "out_y", "out_z")
SIDES = 48
COLOUR = (0xB4, 0xBE, 0xCC)


def plate_course(
    bone: SurfaceMesh | LabelMap,
    path: Measured | None = None,
    *,
    label: str = "",
    path_mm: Points = (),
    width_mm: Annotated[float, Gt(0), Le(40)] = 8.0,
    thickness_mm: Annotated[float, Gt(0), Le(10)] = 2.0,
    stand_off_mm: Annotated[float, Ge(0), Le(5)] = 0.3,
    hole_mm: Annotated[float, Gt(0), Le(20)] = 3.6,
    spacing_mm: Annotated[float, Gt(0), Le(60)] = 10.0,
    smooth_mm: Annotated[float, Ge(0.5), Le(30)] = 5.0,
    progress: Progress = silent,
) -> Measured:
    """Lay a plate along a path on bone and tell how it is to be bent from hole to hole.

    The path is the shortest way over the bone through the points, smoothed. The plate is flat
    across and lies as near to the bone as the stand-off and the smoothing let it. Sizes are
    round figures, not a maker's: enter those of your plate.

    Args:
        bone: the closed surface or the label of a bone.
        path: a line on the bone whose points are taken where none are picked.
        label: name of one of several labels.
        path_mm: two or more points on the bone from one end of the plate to the other, LPS mm.
        width_mm: of the plate.
        thickness_mm: of the plate.
        stand_off_mm: least distance between plate and bone.
        hole_mm: diameter of the holes.
        spacing_mm: between the middles of neighbouring holes, along the plate.
        smooth_mm: over which length of the path bends are evened out.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if bone and path lie in different frames.
        OpenSurface: if the bone is not closed.
        ValueError: if there are fewer than two points, holes do not fit the plate, or the plate
            cannot be laid along the path.
    """
    _require_room(width_mm, hole_mm, spacing_mm)
    mesh = bone_surface(bone, label)
    if path is not None and path.frame_uid != mesh.frame_uid:
        raise FrameMismatch("the path lies in another frame of reference than the bone")
    given = path.picked_mm if path is not None and not len(path_mm) else path_mm
    points = picked(given, 2, "the path of a plate")
    course = lay(mesh, points, width_mm, stand_off_mm, smooth_mm, progress)
    _require_straight_enough(course, width_mm, thickness_mm)
    along = course.along_mm()
    holes = _holes(float(along[-1]), width_mm, spacing_mm)
    base, frames = course.at(holes)
    out = frames[:, :, 2]
    places = {f"seat_{n}": as_point(p) for n, p in enumerate(base + thickness_mm * out, 1)}
    places |= {f"into_{n}": as_point(-way) for n, way in enumerate(out, 1)}
    sizes = zip(SIZES, (width_mm, thickness_mm, hole_mm))
    numbers = [
        *(Number(name, value, "mm", "as entered") for name, value in sizes),
        Number("length", float(along[-1]), "mm", f"of the plate, along its underside, {PLANNED}"),
        Number("holes", float(len(holes)), "", f"every {spacing_mm:g} mm along the underside"),
        *_gaps(course),
        *_bends(frames),
    ]
    return Measured(
        mesh.frame_uid, (course.base_mm,), points, f"plate {along[-1]:.0f} mm",
        middle_mm(course.base_mm), places=places,
        samples={"along_mm": along, **dict(zip(NORMALS, course.normals.T))},
        findings=_off_path(course, stand_off_mm), numbers=tuple(numbers),
    )  # fmt: skip


def bent_plate(course: Measured, *, progress: Progress = silent) -> SurfaceMesh:
    """Make the body of a plate along its course, bent, with rounded ends and round holes.

    Args:
        course: as the plate was laid on the bone.
        progress: told how far the work is.

    Raises:
        ValueError: if that is no course of a plate, or the body would run through itself.
    """
    values = {number.quantity: number.value for number in course.numbers}
    if not (set(SIZES) <= values.keys() and set(NORMALS) <= course.samples.keys()):
        raise ValueError("the measurement is no course of a plate; lay the plate first")
    width, thickness, hole = (values[name] for name in SIZES)
    base = np.asarray(course.lines_mm[0])
    normals = np.stack([course.samples[name] for name in NORMALS], axis=1)
    progress(0.2, "bending the plate")
    solid = _swept(base, normals, width, thickness, course.frame_uid)
    n = 1
    while f"seat_{n}" in course.places:
        into = np.asarray(course.places[f"into_{n}"])
        start = np.asarray(course.places[f"seat_{n}"]) - into
        bore = Manifold.cylinder(thickness + 2, hole / 2, -1.0, SIDES)
        solid -= bore.transform(upright(start, into))
        n += 1
    if solid.status() != Error.NoError or len(solid.decompose()) != 1:
        raise ValueError("the plate falls apart; lessen its holes, or smooth its path more")
    like = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), course.frame_uid, "plate",
                       COLOUR)  # fmt: skip
    made = from_solid(like, solid, np.zeros(3))
    return replace(measured_solid(made, enclosed_mm3(made)), findings=course.findings)


def _require_room(width_mm: float, hole_mm: float, spacing_mm: float) -> None:
    if hole_mm + 2 * RIM_MM > min(width_mm, spacing_mm):
        raise ValueError(
            f"holes of {hole_mm:g} mm leave less than {RIM_MM:g} mm beside them; make the plate "
            "wider, the spacing larger or the holes smaller"
        )


def _require_straight_enough(course: Course, width_mm: float, thickness_mm: float) -> None:
    """Raise where an edge of the plate would run backwards.

    Raises:
        ValueError: saying so.
    """
    for aside in (-width_mm / 2, width_mm / 2):
        for up in (0.0, thickness_mm):
            frames = course.frames()
            edge = course.base_mm + aside * frames[:, :, 1] + up * frames[:, :, 2]
            if (np.einsum("ij,ij->i", np.diff(edge, axis=0), frames[:-1, :, 0]) <= 0).any():
                raise ValueError(
                    "the plate is too wide or too thick for the bends of its path; smooth it "
                    "more, or take points further apart"
                )


def _holes(length_mm: float, width_mm: float, spacing_mm: float) -> Floats:
    """Return where holes lie along a plate (mm), as many as fit, the same rest at both ends."""
    room = length_mm - width_mm
    if room < 0:
        raise ValueError(
            f"the path is only {length_mm:.1f} mm long, shorter than the plate is wide; put its "
            "points further apart"
        )
    count = int(room / spacing_mm + 1e-9) + 1
    return np.asarray(length_mm / 2 + spacing_mm * (np.arange(count) - (count - 1) / 2))


def _gaps(course: Course) -> list[Number]:
    source = "between the underside, flat across, and the surface of the bone"
    values = {"least": course.gap_mm.min(), "mean": course.gap_mm.mean(),
              "most": course.gap_mm.max()}  # fmt: skip
    return [Number(f"gap_{name}", float(value), "mm", source) for name, value in values.items()]


def _bends(frames: Floats) -> list[Number]:
    source = "rotation from one hole to the next, in the plate's axes at the first"
    meant = {"twist": "about its length", "bend": "across its flat, positive around a bulge",
             "edge_bend": "on edge"}  # fmt: skip
    return [
        Number(f"{name}_{n}", float(angle), "degrees", f"{source}, {PLANNED}; {meant[name]}")
        for n, row in enumerate(bends(frames), 1)
        for name, angle in zip(meant, row)
    ]


def _off_path(course: Course, stand_off_mm: float) -> tuple[Finding, ...]:
    middle = course.gap_mm[:, course.gap_mm.shape[1] // 2]
    worst = int(np.argmax(middle))
    if middle[worst] < stand_off_mm + 2.0:
        return ()
    text = f"the plate stands {middle[worst]:.1f} mm off the bone here"
    remedy = "smooth it less, take a narrower plate, or put the path on a flatter part"
    place = as_point(course.base_mm[worst])
    return (Finding(Severity.WARNING, "plate_stands_off", text, place, remedy),)


def _swept(
    base: Floats, normals: Floats, width: float, thickness: float, frame_uid: str
) -> Manifold:
    """Return a plate without holes: rectangles along the course, narrower at rounded ends."""
    frames = frames_of(base, normals)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(base, axis=0), axis=1))])
    radius = width / 2
    end = np.minimum(np.minimum(along, along[-1] - along), radius)
    half = np.maximum(np.sqrt(radius**2 - (radius - end) ** 2), TIP * radius)
    aside, up = half[:, None] * frames[:, :, 1], thickness * frames[:, :, 2]
    rings = np.stack([base - aside, base + aside, base + aside + up, base - aside + up], axis=1)
    count = len(base)
    number = np.arange(4 * count).reshape(count, 4)
    a, b = number[:-1], number[1:]
    right, ahead = np.roll(a, -1, axis=1), np.roll(b, -1, axis=1)
    sides = [np.stack(t, -1).reshape(-1, 3) for t in ((a, right, ahead), (a, ahead, b))]
    first, last = number[0], number[-1]
    caps = np.array([first[[0, 2, 1]], first[[0, 3, 2]], last[[0, 1, 2]], last[[0, 2, 3]]])
    shell = SurfaceMesh(rings.reshape(-1, 3), np.concatenate([*sides, caps]), frame_uid, "plate")
    if enclosed_mm3(shell) < 0:
        shell = replace(shell, triangles=shell.triangles[:, ::-1])
    return as_solid(shell, np.zeros(3))
