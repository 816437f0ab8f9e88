"""Cuts through closed surfaces: watertight halves and cross-sections."""

from __future__ import annotations

from dataclasses import dataclass, replace

import manifold3d
import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonDataModel import vtkPlane, vtkPlaneCollection
from vtkmodules.vtkFiltersGeneral import vtkClipClosedSurface

from meshing.booleans import SLIVER, TOLERANCE, as_solid, from_solid, measured_solid
from meshing.plane_split import split_between_points
from meshing.surface import (
    OpenSurface,
    SurfaceMesh,
    enclosed_mm3,
    from_vtk,
    is_watertight,
    require_watertight,
    to_vtk,
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CrossSection:
    """Where a plane cuts a closed surface.

    Attributes:
        loops_mm: closed polygons, each (n, 3), LPS mm, the first point not repeated;
            counter-clockwise seen against the normal, holes clockwise.
        areas_mm2: the signed area of each loop in mm2; holes are negative.
    """

    loops_mm: tuple[Floats, ...]
    areas_mm2: tuple[float, ...]

    @property
    def area_mm2(self) -> float:
        """The area of the cut in mm2, holes subtracted."""
        return float(sum(self.areas_mm2))


def as_plane(point_mm: npt.ArrayLike, normal: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return point and unit normal of a plane as arrays.

    Raises:
        ValueError: if a value is not finite or the normal is zero.
    """
    point, direction = np.asarray(point_mm, float), np.asarray(normal, float)
    length = float(np.linalg.norm(direction))
    if not np.isfinite(point).all() or not np.isfinite(length) or length == 0.0:
        raise ValueError(f"a plane needs a finite point and a normal, not {point} and {direction}")
    return point, direction / length


def split_by_plane(
    mesh: SurfaceMesh, point_mm: npt.ArrayLike, normal: npt.ArrayLike
) -> tuple[SurfaceMesh, SurfaceMesh]:
    """Return two closed parts of a closed surface: that on the normal's side, and the other.

    Point (LPS mm) and normal (LPS) have shape (3,). Both parts keep name and colour; point
    data are dropped. Their volumes add up to the whole within 0.1 percent.

    Raises:
        OpenSurface: if the surface is not closed, or no method leaves closed parts that add up.
        ValueError: if the plane is not finite or does not cut the surface.
    """
    point, direction = as_plane(point_mm, normal)
    require_watertight(mesh)
    distance = (mesh.points_mm - point) @ direction
    if distance.min() >= 0 or distance.max() <= 0:
        raise ValueError(
            f"the plane passes {mesh.name or 'the surface'!r} at "
            f"{float(np.abs(distance).min()):.2f} mm; move it so that it cuts"
        )
    whole = enclosed_mm3(mesh)
    for method in (_split_quickly, _split_exactly, _clip_twice):
        parts = method(mesh, point, direction)
        if parts is None or not all(map(is_watertight, parts)):
            continue
        volumes = [enclosed_mm3(part) for part in parts]
        if abs(sum(volumes) - whole) <= TOLERANCE * abs(whole):
            if min(volumes) <= SLIVER * whole:
                raise ValueError(_grazes(mesh, distance))
            return measured_solid(parts[0], volumes[0]), measured_solid(parts[1], volumes[1])
    raise OpenSurface(
        f"{mesh.name or 'the surface'!r} does not split into closed parts at this plane; "
        "move the plane a little, or repair the surface where it folds"
    )


def _grazes(mesh: SurfaceMesh, distance: Floats) -> str:
    depth = min(float(distance.max()), float(-distance.min()))
    return (
        f"the plane only grazes {mesh.name or 'the surface'!r}, {depth:.2g} mm deep, so one "
        "part is empty; move the plane further in"
    )


def _split_quickly(
    mesh: SurfaceMesh, point: Floats, direction: Floats
) -> tuple[SurfaceMesh, SurfaceMesh] | None:
    """Return both parts by cutting edge by edge, or None where the plane meets a point."""
    parts = split_between_points(mesh, (mesh.points_mm - point) @ direction, direction)
    return parts and (replace(parts[0], findings=()), replace(parts[1], findings=()))


def _split_exactly(
    mesh: SurfaceMesh, point: Floats, direction: Floats
) -> tuple[SurfaceMesh, SurfaceMesh] | None:
    """Return both parts by an exact boolean, or None where it refuses."""
    solid = as_solid(mesh, point)
    if solid.status() != manifold3d.Error.NoError:
        return None
    front, back = solid.split_by_plane(direction.tolist(), 0.0)
    return from_solid(mesh, front, point), from_solid(mesh, back, point)


def _clip_twice(
    mesh: SurfaceMesh, point: Floats, direction: Floats
) -> tuple[SurfaceMesh, SurfaceMesh]:
    return _clip_closed(mesh, point, direction), _clip_closed(mesh, point, -direction)


def _clip_closed(mesh: SurfaceMesh, point: Floats, direction: Floats) -> SurfaceMesh:
    """Return the part on the direction's side, clipped and capped by VTK."""
    plane = vtkPlane()
    plane.SetOrigin(point.tolist())
    plane.SetNormal(direction.tolist())
    planes = vtkPlaneCollection()
    planes.AddItem(plane)
    clip = vtkClipClosedSurface()
    clip.SetInputData(to_vtk(replace(mesh, point_data={})))
    clip.SetClippingPlanes(planes)
    clip.Update()
    part = from_vtk(clip.GetOutput(), frame_uid=mesh.frame_uid, name=mesh.name, colour=mesh.colour)
    return replace(part, point_data={})


def cross_section(
    mesh: SurfaceMesh, point_mm: npt.ArrayLike, normal: npt.ArrayLike
) -> CrossSection:
    """Return the loops and areas where a plane (point in LPS mm, normal) cuts a closed surface.

    A plane that misses the surface gives no loop.

    Raises:
        OpenSurface: if the surface is not closed.
        ValueError: if the plane is not finite.
    """
    point, direction = as_plane(point_mm, normal)
    require_watertight(mesh)
    loops = level_loops(mesh, (mesh.points_mm - point) @ direction)
    areas = [_area(loop, direction) for loop in loops]
    order = np.argsort([-abs(area) for area in areas], kind="stable")
    return CrossSection(tuple(loops[n] for n in order), tuple(areas[n] for n in order))


def level_loops(mesh: SurfaceMesh, level: Floats) -> list[Floats]:
    """Return the closed lines (n, 3), LPS mm, where a value at the points of a mesh is zero.

    Counter-clockwise seen against the direction in which the value rises, holes clockwise; the
    mesh must be closed.
    """
    front = level >= 0
    start, end = mesh.triangles, np.roll(mesh.triangles, -1, axis=1)
    down, up = front[start] & ~front[end], ~front[start] & front[end]
    cut = down.any(axis=1)
    leave = _edges(start[cut][down[cut]], end[cut][down[cut]])
    enter = _edges(start[cut][up[cut]], end[cut][up[cut]])
    # A loop walks each triangle from its falling edge to its rising edge, which is the
    # falling edge of the next triangle.
    follow = dict(zip(map(tuple, leave.tolist()), map(tuple, enter.tolist())))
    loops = []
    while follow:
        edge, after = follow.popitem()
        ring = [edge]
        while after in follow:
            ring.append(after)
            after = follow.pop(after)
        a, b = np.asarray(ring).T
        share = (level[a] / (level[a] - level[b]))[:, None]
        loops.append(mesh.points_mm[a] + share * (mesh.points_mm[b] - mesh.points_mm[a]))
    return loops


def _edges(start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return rows (lower, higher point number): one name for an edge from both triangles."""
    return np.stack([np.minimum(start, end), np.maximum(start, end)], axis=1)


def _area(loop: Floats, direction: Floats) -> float:
    """Return the signed area of a flat polygon, positive counter-clockwise about direction."""
    arms = loop - loop[0]
    return float(np.cross(arms, np.roll(arms, -1, axis=0)).sum(axis=0) @ direction) / 2.0
