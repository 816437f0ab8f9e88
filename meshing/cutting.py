"""Cuts of closed surfaces by a plane, a box, a tube and a curved surface.

Each stage returns one closed part, checked before and after: the parts' volumes add up to the
whole within 0.1 percent. Space is LPS mm.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Literal

import manifold3d
import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from meshing.booleans import Division, divide, from_solid, require_solid, with_share
from meshing.clipping import as_plane, split_by_plane
from meshing.splines import SplineSurface, flat_control_points
from meshing.surface import OpenSurface, SurfaceMesh
from segmentation.contract import Progress, share, silent

Floats = npt.NDArray[np.float64]
Vector = tuple[float, float, float]
Points = tuple[Vector, ...]
Side = Literal["front", "back"]
Part = Literal["inside", "outside"]
VoxelMm = Annotated[float, Gt(0), Le(20)] | None

TUBE_SIDES = 64
"""Sides of a tube; its faces lie within 0.13 percent of the radius."""


def cut_by_plane(
    mesh: SurfaceMesh,
    *,
    point_mm: Vector | None = None,
    normal: Vector | None = None,
    keep: Side = "front",
    voxel_mm: VoxelMm = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Cut a closed surface by a plane and keep one closed part.

    Args:
        mesh: the surface, LPS mm.
        point_mm: a point (x, y, z) of the plane, LPS mm; empty takes the middle of the surface.
        normal: direction (x, y, z) to the front, LPS; empty takes the surface's long axis.
        keep: front keeps what the normal points to, back the rest.
        voxel_mm: edge of the voxels, in mm, that are used only where the exact way fails; empty
            takes 1/250 of the surface's extent.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        ValueError: if the plane does not cut the surface, or has no direction.
        BooleanFailed: if no way gives closed parts that add up.
    """
    require_solid(mesh)
    point, direction = middle_plane(mesh, point_mm, normal)
    progress(0.1, "cutting exactly")
    try:
        parts = split_by_plane(mesh, point, direction)
    except OpenSurface:
        tool = _half_space(mesh, point, direction)
        division = divide(mesh, tool, voxel_mm=voxel_mm, progress=share(progress, 1, 2))
        return _kept(mesh, division, "inside" if keep == "front" else "outside", "the plane")
    return with_share(parts[0 if keep == "front" else 1], mesh)


def middle_plane(
    mesh: SurfaceMesh, point_mm: Vector | None, normal: Vector | None
) -> tuple[Floats, Floats]:
    """Return point and unit normal; what is not given is across the middle of the long axis."""
    middle = mesh.points_mm.mean(axis=0)
    if normal is None:
        axis = np.linalg.eigh(np.cov((mesh.points_mm - middle).T))[1][:, -1]
        axis *= np.sign(axis[np.argmax(np.abs(axis))])  # the same way on every machine
    else:
        axis = np.asarray(normal, float)
    return as_plane(middle if point_mm is None else point_mm, axis)


def _half_space(mesh: SurfaceMesh, point: Floats, direction: Floats) -> SurfaceMesh:
    """Return a closed box that holds everything of the surface in front of a plane."""
    control = flat_control_points(mesh, point, direction, 2, 2)
    return SplineSurface(control, mesh.frame_uid).front(mesh)


def cut_by_box(
    mesh: SurfaceMesh,
    *,
    centre_mm: Vector | None = None,
    size_mm: Vector = (50.0, 50.0, 50.0),
    first_axis: Vector = (1.0, 0.0, 0.0),
    second_axis: Vector = (0.0, 1.0, 0.0),
    keep: Part = "inside",
    voxel_mm: VoxelMm = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Cut a closed surface by a box and keep what lies inside or outside of it.

    Args:
        mesh: the surface, LPS mm.
        centre_mm: middle of the box (x, y, z), LPS mm; empty takes the middle of the surface.
        size_mm: length of the box along its three axes, in mm.
        first_axis: direction of the first axis, LPS.
        second_axis: direction of the second axis, LPS; made perpendicular to the first.
        keep: which part stays.
        voxel_mm: edge of the voxels, in mm, that are used only where the exact way fails; empty
            takes 1/250 of the surface's extent.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        ValueError: if the box has no size or direction, misses the surface or holds all of it.
        BooleanFailed: if no way gives closed parts that add up.
    """
    require_solid(mesh)
    if not np.all(np.asarray(size_mm) > 0):
        raise ValueError(f"every side of a box must be longer than 0 mm, not {size_mm}")
    centre = mesh.points_mm.mean(axis=0) if centre_mm is None else np.asarray(centre_mm)
    _, first = as_plane(centre, first_axis)
    along = np.asarray(second_axis, float) - np.dot(second_axis, first) * first
    if np.linalg.norm(along) < 1e-6 * np.linalg.norm(second_axis):
        raise ValueError("both axes of the box point the same way; turn one of them")
    _, second = as_plane(centre, along)
    axes = np.stack([first, second, np.cross(first, second)], axis=1) * np.asarray(size_mm)
    box = manifold3d.Manifold.cube((1.0, 1.0, 1.0), True).transform(np.c_[axes, np.zeros(3)])
    return _cut(mesh, _tool(mesh, box, centre, "the box"), keep, voxel_mm, progress)


def cut_by_tube(
    mesh: SurfaceMesh,
    *,
    start_mm: Vector | None = None,
    end_mm: Vector | None = None,
    radius_mm: Annotated[float, Gt(0), Le(200)] = 5.0,
    keep: Part = "outside",
    points_mm: Points = (),
    voxel_mm: VoxelMm = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Cut a closed surface by a tube along a path, such as a drill or a trocar.

    The tube's ends and bends are rounded by its radius.

    Args:
        mesh: the surface, LPS mm.
        start_mm: where the tube's axis begins (x, y, z), LPS mm.
        end_mm: where it ends, LPS mm.
        radius_mm: radius of the tube in mm.
        keep: outside keeps the surface with the canal, inside the core that comes out.
        points_mm: points of the axis between start and end in order, LPS mm; picked points may
            also make up the whole axis.
        voxel_mm: edge of the voxels, in mm, that are used only where the exact way fails; empty
            takes 1/250 of the surface's extent.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        ValueError: if the path has fewer than two places, the tube misses the surface or holds
            all of it.
        BooleanFailed: if no way gives closed parts that add up.
    """
    require_solid(mesh)
    ends = [start_mm] if start_mm else [], [end_mm] if end_mm else []
    path = np.asarray([*ends[0], *points_mm, *ends[1]], float).reshape(-1, 3)
    moved = np.linalg.norm(np.diff(path, axis=0), axis=1) > 1e-6
    path = path[np.r_[True, moved]] if len(path) else path
    if len(path) < 2 or not np.isfinite(path).all():
        raise ValueError("a tube needs two or more finite points along its path; pick them")
    centre = mesh.points_mm.mean(axis=0)
    ball = manifold3d.Manifold.sphere(radius_mm, TUBE_SIDES)
    balls = [ball.translate(p.tolist()) for p in path - centre]
    links = [manifold3d.Manifold.batch_hull(list(pair)) for pair in pairwise(balls)]
    tube = manifold3d.Manifold.batch_boolean(links, manifold3d.OpType.Add)
    return _cut(mesh, _tool(mesh, tube, centre, "the tube"), keep, voxel_mm, progress)


def cut_by_curved_surface(
    mesh: SurfaceMesh,
    *,
    control_points_mm: Points = (),
    columns: Annotated[int, Ge(2), Le(20)] = 4,
    keep: Side = "front",
    voxel_mm: VoxelMm = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Cut a closed surface by a smooth curved surface through a grid of control points.

    The surface is a B-spline (with 4 x 4 points a bicubic Bezier surface) that goes on straight
    beyond its border. The front is where rows x columns of the grid points to.

    Args:
        mesh: the surface, LPS mm.
        control_points_mm: the grid, row by row, LPS mm; empty takes a flat 4 x 4 grid across
            the middle of the surface's long axis.
        columns: control points in one row.
        keep: front keeps what the cutting surface's normal points to, back the rest.
        voxel_mm: edge of the voxels, in mm, that are used only where the exact way fails; empty
            takes 1/250 of the surface's extent.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        ValueError: if the points form no grid, the cutting surface folds over itself, or it
            does not cut the surface.
        BooleanFailed: if no way gives closed parts that add up.
    """
    require_solid(mesh)
    if not control_points_mm:
        control = flat_control_points(mesh, *middle_plane(mesh, None, None))
    elif len(control_points_mm) % columns:
        raise ValueError(
            f"{len(control_points_mm)} control points are no grid with rows of {columns}; add or "
            "remove some, or change the number of columns"
        )
    else:
        control = np.asarray(control_points_mm, float).reshape(-1, columns, 3)
    tool = SplineSurface(control, mesh.frame_uid).front(mesh)
    return _cut(mesh, tool, "inside" if keep == "front" else "outside", voxel_mm, progress)


def _tool(mesh: SurfaceMesh, solid: manifold3d.Manifold, at: Floats, name: str) -> SurfaceMesh:
    return replace(from_solid(mesh, solid, at), name=name)


def _cut(
    mesh: SurfaceMesh, tool: SurfaceMesh, keep: Part, voxel_mm: float | None, progress: Progress
) -> SurfaceMesh:
    return _kept(mesh, divide(mesh, tool, voxel_mm=voxel_mm, progress=progress), keep, tool.name)


def _kept(mesh: SurfaceMesh, division: Division, keep: Part, tool: str) -> SurfaceMesh:
    """Return one part, if the tool cuts the surface at all."""
    name = repr(mesh.name or "the surface")
    if not len(division.inside.triangles):
        raise ValueError(f"{tool} misses {name}, or only touches it; move it so that it cuts")
    if not len(division.outside.triangles):
        raise ValueError(f"{name} lies wholly on one side of {tool}; move it so that it cuts")
    part = division.inside if keep == "inside" else division.outside
    return with_share(replace(part, findings=division.findings), mesh)
