"""Parts for printing that fit together: a plane cut with pins, keys or dowels in its face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, Literal

import manifold3d
import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le
from scipy.ndimage import distance_transform_edt

from meshing.booleans import as_solid, require_solid, with_share
from meshing.clipping import CrossSection, cross_section, split_by_plane
from meshing.cutting import Side, Vector, middle_plane
from meshing.sound_solid import sound_solid
from meshing.surface import SurfaceMesh, enclosed_mm3
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.wording import counted

Floats = npt.NDArray[np.float64]
Kind = Literal["pin", "key", "dowel"]

ROUND, SQUARE = 48, 4  # sides of a pin or dowel, and of a key
GRID = 512  # samples along the longer side of the cut's face
THINNEST_MM, THICKEST_MM = 2.0, 10.0  # of pins that are chosen by the size of the cut
TIP = 0.15  # of the diameter: how much a pin's end is bevelled, so that it finds its hole
SECTIONS = 9  # across the length of a pin, in which it must keep its wall
SCALES = (1.0, 0.75, 0.55, 0.4, 0.3)  # of the thickness that the cut suggests
TRIES = 8  # places looked at closely for each pin


class NoRoom(ValueError):
    """The cut's face, or the material behind it, has no place for a pin of that size."""


@dataclass(frozen=True)
class _Face:
    """The face of a cut: its plane, and how deep inside of its outline each sample lies."""

    point: Floats
    axes: Floats  # rows: two directions in the plane, and its normal
    inside_mm: Floats  # [v, u]
    places: Floats  # (v, u, 2) coordinates along the first two axes, mm

    def world(self, place: Floats) -> Floats:
        """Return the LPS point of a place (u, v) in mm."""
        return np.asarray(self.point + place @ self.axes[:2])


@dataclass(frozen=True)
class _Pin:
    """The measures of one kind of pin, mm."""

    kind: Kind
    diameter_mm: float
    length_mm: float
    clearance_mm: float
    wall_mm: float


def split_with_pins(
    mesh: SurfaceMesh,
    *,
    point_mm: Vector | None = None,
    normal: Vector | None = None,
    keep: Side = "front",
    connector: Kind = "pin",
    count: Annotated[int, Ge(1), Le(8)] = 2,
    diameter_mm: Annotated[float, Gt(0), Le(50)] | None = None,
    length_mm: Annotated[float, Gt(0), Le(100)] | None = None,
    clearance_mm: Annotated[float, Ge(0), Le(2)] = 0.2,
    wall_mm: Annotated[float, Gt(0), Le(20)] = 1.5,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Cut a closed surface by a plane into two parts that pins hold together.

    Pins stand on the back part and fit holes in the front part; keys are square, so that they do
    not turn; for dowels both parts have holes. They are placed as far apart as the face of the
    cut allows. Both parts are made and checked, and one is returned; its face is the named part
    "cut" of the surface. Use the step twice, with front and with back, for both.

    Args:
        mesh: the surface, LPS mm.
        point_mm: a point (x, y, z) of the plane, LPS mm; empty takes the middle of the surface.
        normal: direction (x, y, z) to the front, LPS; empty takes the surface's long axis.
        keep: front is the part with the holes, back the one with the pins.
        connector: round pins, square keys, or holes for dowels in both parts.
        count: how many; fewer, with a finding, where there is no room.
        diameter_mm: thickness; empty takes a third of the widest circle in the cut, 2 to 10 mm,
            or less where that has no room.
        length_mm: depth in each part; empty takes 1.2 times the diameter.
        clearance_mm: play between pin and hole on each side; 0.1 for resin, 0.2 to 0.3 for
            filament.
        wall_mm: least material between a hole and the outside.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        NoRoom: if not one pin fits, saying which would.
        ValueError: if the plane does not cut the surface.
    """
    require_solid(mesh)
    point, direction = middle_plane(mesh, point_mm, normal)
    progress(0.05, "cutting")
    front, back = split_by_plane(mesh, point, direction)
    progress(0.3, "looking for room")
    face = _face_of(cross_section(mesh, point, direction), point, direction)
    pins = _measures(face, connector, diameter_mm, length_mm, clearance_mm, wall_mm)
    pin, places = _most(mesh, face, pins, count, progress)
    progress(0.7, "joining the pins")
    fronts, backs = _solids(face, pin, places)
    shift = mesh.points_mm.mean(axis=0)
    made = _changed(front, fronts, shift, add=False)
    other = _changed(back, backs, shift, add=connector != "dowel")
    progress(0.95, "measuring the parts")
    return _told(made if keep == "front" else other, mesh, face, pin, len(places), count)


def _face_of(section: CrossSection, point: Floats, direction: Floats) -> _Face:
    """Return the face that a plane cuts, sampled about `GRID` times along its longer side."""
    side = np.cross(direction, np.eye(3)[int(np.argmin(np.abs(direction)))])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(direction, side), direction])
    loops = [(loop - point) @ axes[:2].T for loop in section.loops_mm]
    low = np.min([loop.min(axis=0) for loop in loops], axis=0)
    high = np.max([loop.max(axis=0) for loop in loops], axis=0)
    step = float((high - low).max()) / GRID
    u, v = (np.arange(a - step, b + 2 * step, step) for a, b in zip(low, high))
    places = np.stack(np.meshgrid(u, v), axis=-1)
    face = _Face(point, axes, np.empty(0), places)
    return replace(face, inside_mm=_depth(face, section))


def _depth(face: _Face, section: CrossSection) -> Floats:
    """Return how far inside of the loops each sample of the face lies, mm; at most 0 outside."""
    u, v = face.places[0, :, 0], face.places[:, 0, 1]
    inside = np.zeros((len(v), len(u)), bool)
    for loop in section.loops_mm:
        inside ^= _within((loop - face.point) @ face.axes[:2].T, u, v)
    step = float(u[1] - u[0])
    return np.asarray(distance_transform_edt(inside) * step - step)  # at least that far


def _along_pin(mesh: SurfaceMesh, face: _Face, pin: _Pin, progress: Progress) -> _Face:
    """Return the face with the least depth inside of all sections that a pin runs through."""
    reach = pin.length_mm + pin.clearance_mm + pin.wall_mm
    inside = face.inside_mm
    for height in np.linspace(-reach, reach, SECTIONS):
        progress(0.35, "looking for room")
        place = face.point + height * face.axes[2]
        inside = np.minimum(inside, _depth(face, cross_section(mesh, place, face.axes[2])))
    return replace(face, inside_mm=inside)


def _within(loop: Floats, u: Floats, v: Floats) -> npt.NDArray[np.bool_]:
    """Return which samples [v, u] a closed polygon holds, by crossings along u."""
    flips = np.zeros((len(v), len(u) + 1), np.int64)
    after = np.roll(loop, -1, axis=0)
    for a, b in zip(loop, after):
        rows = np.flatnonzero((a[1] <= v) != (b[1] <= v))
        at = a[0] + (v[rows] - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) if len(rows) else v[rows]
        np.add.at(flips, (rows, np.searchsorted(u, at)), 1)
    return np.asarray(flips.cumsum(axis=1)[:, :-1] % 2 == 1)


def _measures(
    face: _Face,
    kind: Kind,
    diameter_mm: float | None,
    length_mm: float | None,
    clearance_mm: float,
    wall_mm: float,
) -> list[_Pin]:
    """Return the measures to try, largest first; what is not given follows from the cut.

    Raises:
        NoRoom: if the given diameter is too thick for the cut.
    """
    widest = float(face.inside_mm.max())
    largest = 2 * (widest - wall_mm - clearance_mm)
    chosen = min(max(2 * widest / 3, THINNEST_MM), THICKEST_MM)
    wanted = [diameter_mm] if diameter_mm else [max(chosen * s, THINNEST_MM) for s in SCALES]
    if wanted[-1] > largest:
        room = f"at most {largest:.1f} mm does" if largest > 0 else "none does with this wall"
        raise NoRoom(
            f"the widest circle in the cut has {2 * widest:.1f} mm, so pins of "
            f"{wanted[-1]:.1f} mm with a wall of {wall_mm:g} mm do not fit ({room}); "
            "take a thinner pin or wall, or move the plane"
        )
    return [
        _Pin(kind, d, length_mm or 1.2 * d, clearance_mm, wall_mm) for d in wanted if d <= largest
    ]


def _most(
    mesh: SurfaceMesh, face: _Face, pins: list[_Pin], count: int, progress: Progress
) -> tuple[_Pin, list[Floats]]:
    """Return the thickest pin that finds ``count`` places, or else most, and the places.

    Raises:
        NoRoom: if none finds one.
    """
    shift = mesh.points_mm.mean(axis=0)
    whole = as_solid(mesh, shift)
    best: tuple[_Pin, list[Floats]] = pins[0], []
    for pin in pins:
        deep = _along_pin(mesh, face, pin, progress)
        places = _place(whole, deep, pin, count, shift)
        if len(places) > len(best[1]):
            best = pin, places
        if len(places) == count:
            break
    if not best[1]:
        raise NoRoom(
            f"holes of {pins[-1].diameter_mm:.1f} x {pins[-1].length_mm:.1f} mm come nearer than "
            f"{pins[-1].wall_mm:g} mm to the outside everywhere; take a shorter or thinner pin, "
            "or turn the plane"
        )
    return best


def _place(
    whole: manifold3d.Manifold, face: _Face, pin: _Pin, count: int, shift: Floats
) -> list[Floats]:
    """Return places (u, v) in mm whose holes keep the wall on both sides, far apart."""
    taken: list[Floats] = []
    for _ in range(count):
        tries = islice(_candidates(face, pin, taken), TRIES)
        place = next((p for p in tries if _keeps_wall(whole, face, pin, p, shift)), None)
        if place is None:
            break
        taken.append(place)
    return taken


def _candidates(face: _Face, pin: _Pin, taken: list[Floats]) -> Iterator[Floats]:
    """Yield places with room in the face, best first; the neighbours of a refused one go."""
    radius = pin.diameter_mm / 2 + pin.clearance_mm
    free = face.inside_mm >= radius + pin.wall_mm
    away = np.full(free.shape, np.inf)
    for place in taken:
        away = np.minimum(away, np.linalg.norm(face.places - place, axis=-1))
    free &= away >= 2 * radius + pin.wall_mm
    if not taken and free.any():  # the first lies at an end, so that the next has room
        away = np.linalg.norm(face.places - face.places[free].mean(axis=0), axis=-1)
    # Of places that are nearly as far apart, the deeper inside is taken.
    score = np.round(away / radius) * radius + 0.01 * face.inside_mm
    while free.any():
        best = np.unravel_index(int(np.argmax(np.where(free, score, -np.inf))), free.shape)
        place = face.places[best]
        yield place
        free &= np.linalg.norm(face.places - place, axis=-1) > radius / 2


def _keeps_wall(
    whole: manifold3d.Manifold, face: _Face, pin: _Pin, place: Floats, shift: Floats
) -> bool:
    """Tell whether the hole, grown by the wall, lies in the material of both parts."""
    radius = pin.diameter_mm / 2 + pin.clearance_mm + pin.wall_mm
    reach = pin.length_mm + pin.clearance_mm + pin.wall_mm
    grown = _post(face, place, radius, -reach, reach, ROUND, shift)
    return bool((grown - whole).volume() <= 1e-6 * grown.volume())


def _post(
    face: _Face, place: Floats, radius: float, low: float, high: float, sides: int, shift: Floats
) -> manifold3d.Manifold:
    """Return a prism along the normal, from ``low`` to ``high`` of the plane, mm."""
    prism = manifold3d.Manifold.cylinder(high - low, radius, radius, sides)
    return _stand(face, place, prism.translate((0.0, 0.0, low)), shift)


def _stand(
    face: _Face, place: Floats, solid: manifold3d.Manifold, shift: Floats
) -> manifold3d.Manifold:
    foot = face.world(place) - shift
    return solid.transform(np.c_[face.axes.T, foot])


def _solids(
    face: _Face, pin: _Pin, places: list[Floats]
) -> tuple[list[tuple[manifold3d.Manifold, float]], list[tuple[manifold3d.Manifold, float]]]:
    """Return what changes the front and the back part, each with the volume it changes, mm3."""
    sides = SQUARE if pin.kind == "key" else ROUND
    radius, deep = pin.diameter_mm / 2, pin.length_mm
    # The flats of the hole, not its corners, keep the clearance from those of the pin.
    wide = radius + pin.clearance_mm / np.cos(np.pi / sides)
    area = sides / 2 * np.sin(2 * np.pi / sides)
    hole_depth = deep + (0.0 if pin.kind == "dowel" else pin.clearance_mm)
    fronts, backs = [], []
    nowhere = np.zeros(3)
    for place in places:
        hole = _post(face, place, wide, -1.0, hole_depth, sides, nowhere)
        fronts.append((hole, area * wide**2 * hole_depth))
        if pin.kind == "dowel":
            hole = _post(face, place, wide, -hole_depth, 1.0, sides, nowhere)
            backs.append((hole, area * wide**2 * hole_depth))
            continue
        tip, thin = TIP * pin.diameter_mm, radius * (1 - 2 * TIP)
        shaft = manifold3d.Manifold.cylinder(2 * deep - tip, radius, radius, sides)
        cone = manifold3d.Manifold.cylinder(tip, radius, thin, sides)
        post = shaft.translate((0, 0, -deep)) + cone.translate((0, 0, deep - tip))
        stands = area * (radius**2 * (deep - tip) + tip / 3 * (radius**2 + radius * thin + thin**2))
        backs.append((_stand(face, place, post, nowhere), stands))
    return fronts, backs


def _changed(
    part: SurfaceMesh,
    solids: list[tuple[manifold3d.Manifold, float]],
    shift: Floats,
    add: bool,
) -> SurfaceMesh:
    """Return a part with solids added or taken away, checked by its volume.

    Raises:
        ValueError: if the result is not sound or has another volume.
    """
    body = as_solid(part, shift)
    for solid, _ in solids:
        moved = solid.translate((-shift).tolist())
        body = body + moved if add else body - moved
    result = sound_solid(part, body, shift)
    volume = enclosed_mm3(part) + (1 if add else -1) * sum(change for _, change in solids)
    if result is None or not np.isclose(enclosed_mm3(result), volume, rtol=1e-3):
        raise ValueError(
            f"the pins do not join {part.name or 'the surface'!r} cleanly; move the plane a "
            "little, or repair the surface first"
        )
    return result


def _told(
    part: SurfaceMesh, mesh: SurfaceMesh, face: _Face, pin: _Pin, made: int, count: int
) -> SurfaceMesh:
    """Return a part with its named face, numbers, and a finding where pins are missing."""
    part = with_share(part, mesh)
    height = (part.points_mm - face.point) @ face.axes[2]
    flat = (np.abs(height[part.triangles]) < 1e-6 * np.ptp(height)).all(axis=1)
    findings = part.findings
    if made < count:
        text = f"only {made} of {counted(count, 'pin has', 'pins have')} room in the cut"
        remedy = "Take thinner pins or a thinner wall"
        findings = (*findings, Finding(Severity.WARNING, "fewer_pins", text, remedy=remedy))
    source = "as made"
    numbers = (
        Number("pins", float(made), "", source),
        Number("pin_diameter", pin.diameter_mm, "mm", source),
        Number("pin_length", pin.length_mm, "mm", source),
        Number("pin_clearance", pin.clearance_mm, "mm", source),
    )
    return replace(
        part,
        boundaries={"cut": np.flatnonzero(flat)},
        findings=findings,
        numbers=(*part.numbers, *numbers),
    )
