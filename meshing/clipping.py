"""Cuts through closed surfaces: watertight halves and cross-sections."""

from __future__ import annotations

from dataclasses import dataclass, replace

import manifold3d
import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonDataModel import vtkPlane, vtkPlaneCollection
from vtkmodules.vtkFiltersGeneral import vtkClipClosedSurface

from meshing.surface import (
    OpenSurface,
    SurfaceMesh,
    from_vtk,
    is_watertight,
    measured,
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


def _plane(point_mm: npt.ArrayLike, normal: npt.ArrayLike) -> tuple[Floats, Floats]:
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
    data are dropped.

    Raises:
        OpenSurface: if the surface is not closed, or no method leaves closed parts.
        ValueError: if the plane is not finite or does not cut the surface.
    """
    point, direction = _plane(point_mm, normal)
    require_watertight(mesh)
    distance = (mesh.points_mm - point) @ direction
    if distance.min() >= 0 or distance.max() <= 0:
        raise ValueError(
            f"the plane passes {mesh.name or 'the surface'!r} at "
            f"{float(np.abs(distance).min()):.2f} mm; move it so that it cuts"
        )
    parts = _split_exactly(mesh, point, direction)
    if parts is None:
        parts = (_clip_closed(mesh, point, direction), _clip_closed(mesh, point, -direction))
    for part in parts:
        if not is_watertight(part):
            raise OpenSurface(
                f"{mesh.name or 'the surface'!r} does not split into closed parts at this plane; "
                "move the plane a little, or repair the surface where it folds"
            )
    return measured(parts[0]), measured(parts[1])


def _split_exactly(
    mesh: SurfaceMesh, point: Floats, direction: Floats
) -> tuple[SurfaceMesh, SurfaceMesh] | None:
    """Return both parts by an exact boolean, or None where it refuses or leaves a part empty."""
    solid = manifold3d.Manifold(
        manifold3d.Mesh64(mesh.points_mm - point, mesh.triangles.astype(np.uint64))
    )
    if solid.status() != manifold3d.Error.NoError:
        return None
    front, back = (
        _from_manifold(mesh, part, point) for part in solid.split_by_plane(direction.tolist(), 0.0)
    )
    return (front, back) if is_watertight(front) and is_watertight(back) else None


def _from_manifold(mesh: SurfaceMesh, solid: manifold3d.Manifold, shift: Floats) -> SurfaceMesh:
    part = solid.to_mesh64()
    points = np.asarray(part.vert_properties, np.float64)[:, :3] + shift
    triangles = np.asarray(part.tri_verts, np.int64).reshape(-1, 3)
    return replace(mesh.reshaped(points, triangles), findings=())


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
    point, direction = _plane(point_mm, normal)
    require_watertight(mesh)
    distance = (mesh.points_mm - point) @ direction
    front = distance >= 0
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
        share = (distance[a] / (distance[a] - distance[b]))[:, None]
        loops.append(mesh.points_mm[a] + share * (mesh.points_mm[b] - mesh.points_mm[a]))
    areas = [_area(loop, direction) for loop in loops]
    order = np.argsort([-abs(area) for area in areas], kind="stable")
    return CrossSection(tuple(loops[n] for n in order), tuple(areas[n] for n in order))


def _edges(start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return rows (lower, higher point number): one name for an edge from both triangles."""
    return np.stack([np.minimum(start, end), np.maximum(start, end)], axis=1)


def _area(loop: Floats, direction: Floats) -> float:
    """Return the signed area of a flat polygon, positive counter-clockwise about direction."""
    arms = loop - loop[0]
    return float(np.cross(arms, np.roll(arms, -1, axis=0)).sum(axis=0) @ direction) / 2.0
