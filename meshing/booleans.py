"""Union, difference and intersection of closed surfaces, checked before and after.

Exact by manifold3d; where that way fails, by signed distances on voxels of a stated size, and
a finding says so. Nothing empty or open is returned without an error that says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import manifold3d
import numpy as np
import numpy.typing as npt
from annotated_types import Gt, Le
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from meshing.distance_fields import contour, grid_around, signed_distance
from meshing.surface import (
    OpenSurface,
    SurfaceMesh,
    area_mm2,
    enclosed_mm3,
    is_watertight,
    require_watertight,
)
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Number,
    Progress,
    Severity,
    share,
    silent,
)

Floats = npt.NDArray[np.float64]
Operation = Literal["union", "difference", "intersection"]

TOLERANCE = 1e-3
"""Share of the whole by which the parts' volumes may miss it."""

SLIVER = 1e-7
"""Pieces below this share of the whole's volume are leavings of a cut, not parts."""


class BooleanFailed(RuntimeError):
    """Neither the exact way nor voxels gave closed parts that add up."""


@dataclass(frozen=True, eq=False)
class Division:
    """A closed surface divided by another: what lies inside of it and what lies outside.

    Attributes:
        inside, outside: closed surfaces, LPS mm; one may have no triangle.
        union: both surfaces as one, where it was asked for.
        voxel_mm: 0 for an exact result, else the edge of the voxels.
    """

    inside: SurfaceMesh
    outside: SurfaceMesh
    union: SurfaceMesh | None = None
    voxel_mm: float = 0.0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a reader must know of how the result was made."""
        if not self.voxel_mm:
            return ()
        text = (
            f"The exact way failed here, so voxels of {self.voxel_mm:.2g} mm were used; edges "
            f"are rounded by up to {self.voxel_mm:.2g} mm"
        )
        return (Finding(Severity.WARNING, "voxel_boolean", text, remedy="Repair the surfaces."),)


def require_solid(mesh: SurfaceMesh) -> None:
    """Raise unless a surface bounds a solid.

    Raises:
        OpenSurface: if it has no triangle, is not closed, or its normals point inward.
    """
    name = repr(mesh.name or "without a name")
    if not len(mesh.triangles):
        raise OpenSurface(f"the surface {name} is empty; there is nothing to cut or to combine")
    require_watertight(mesh)
    if enclosed_mm3(mesh) <= 0:
        raise OpenSurface(f"the surface {name} is inside out, or encloses nothing; repair it first")


def as_solid(mesh: SurfaceMesh, shift_mm: Floats) -> manifold3d.Manifold:
    """Return the solid of a closed surface, moved by ``-shift_mm``; it may refuse (`status`)."""
    return manifold3d.Manifold(
        manifold3d.Mesh64(mesh.points_mm - shift_mm, mesh.triangles.astype(np.uint64))
    )


def from_solid(like: SurfaceMesh, solid: manifold3d.Manifold, shift_mm: Floats) -> SurfaceMesh:
    """Return the surface of a solid moved by ``shift_mm``, with the name and colour of another."""
    part = solid.to_mesh64()
    points = np.asarray(part.vert_properties, np.float64)[:, :3] + shift_mm
    triangles = np.asarray(part.tri_verts, np.int64).reshape(-1, 3)
    return replace(like.reshaped(points, triangles), findings=(), numbers=())


def pieces(mesh: SurfaceMesh) -> npt.NDArray[np.int64]:
    """Return for each triangle the number of the connected piece that it belongs to."""
    t, count = mesh.triangles, len(mesh.points_mm)
    links = coo_matrix(
        (np.ones(2 * len(t), bool), (t[:, (0, 0)].ravel(), t[:, (1, 2)].ravel())), (count, count)
    )
    return np.asarray(connected_components(links, directed=False)[1][t[:, 0]], np.int64)


def piece_volumes_mm3(mesh: SurfaceMesh, piece: npt.NDArray[np.int64]) -> Floats:
    """Return the volume in mm3 that each closed piece encloses, negative for a cavity."""
    if not len(piece):
        return np.empty(0)
    a, b, c = (mesh.points_mm[mesh.triangles[:, n]] - mesh.points_mm[0] for n in range(3))
    return np.bincount(piece, np.einsum("ij,ij->i", a, np.cross(b, c))) / 6.0


def _without_slivers(mesh: SurfaceMesh, least_mm3: float) -> SurfaceMesh:
    piece = pieces(mesh)
    small = np.abs(piece_volumes_mm3(mesh, piece)) < least_mm3
    if not small.any():
        return mesh
    triangles = mesh.triangles[~small[piece]]
    used, triangles = np.unique(triangles, return_inverse=True)
    return replace(mesh, points_mm=mesh.points_mm[used], triangles=triangles.reshape(-1, 3))


def divide(
    mesh: SurfaceMesh,
    tool: SurfaceMesh,
    *,
    union: bool = False,
    voxel_mm: float | None = None,
    progress: Progress = silent,
) -> Division:
    """Divide a closed surface by another into what lies inside and what lies outside of it.

    ``voxel_mm`` is the edge of the voxels where the exact way fails; None takes 1/250 of the
    surface's extent. With ``union``, both as one are made too.

    Raises:
        OpenSurface: if one is not closed or is inside out.
        FrameMismatch: if they live in different frames.
        BooleanFailed: if no way gives closed parts whose volumes add up within 0.1 percent.
    """
    if mesh.frame_uid != tool.frame_uid:
        raise FrameMismatch(
            f"{mesh.name or 'the surface'!r} lies in frame {mesh.frame_uid} and "
            f"{tool.name or 'the other'!r} in {tool.frame_uid}; register one to the other first"
        )
    require_solid(mesh)
    require_solid(tool)
    progress(0.1, "cutting exactly")
    exact = _checked(mesh, tool, _exactly(mesh, tool, union))
    if exact is not None:
        return exact
    if voxel_mm is None:
        voxel_mm = float(np.ptp(mesh.points_mm, axis=0).max()) / 250.0
    made = _by_voxels(mesh, tool, union, voxel_mm, share(progress, 1, 2))
    division = _checked(mesh, tool, made)
    if division is None:
        raise BooleanFailed(
            f"{mesh.name or 'the surface'!r} and {tool.name or 'the other'!r} cannot be divided: "
            "the volumes of the parts do not add up, so one of them runs through itself; repair "
            "it first, or take smaller voxels"
        )
    return division


def _checked(mesh: SurfaceMesh, tool: SurfaceMesh, division: Division | None) -> Division | None:
    """Return a division without slivers, or None unless all is closed and volumes add up."""
    if division is None:
        return None
    whole, other = enclosed_mm3(mesh), enclosed_mm3(tool)
    least = SLIVER * whole

    def cleaned(part: SurfaceMesh) -> SurfaceMesh | None:
        part = _without_slivers(part, least)
        fine = not len(part.triangles) or is_watertight(part)
        return part if fine and enclosed_mm3(part) >= 0 else None

    inside, outside = cleaned(division.inside), cleaned(division.outside)
    if inside is None or outside is None:
        return None
    common = enclosed_mm3(inside)
    if abs(common + enclosed_mm3(outside) - whole) > TOLERANCE * whole:
        return None
    if division.union is None:
        return replace(division, inside=inside, outside=outside)
    both = cleaned(division.union)
    if both is None or abs(enclosed_mm3(both) + common - whole - other) > TOLERANCE * whole:
        return None
    return replace(division, inside=inside, outside=outside, union=both)


def _exactly(mesh: SurfaceMesh, tool: SurfaceMesh, union: bool) -> Division | None:
    """Divide by exact booleans, or return None where a solid is refused."""
    shift = mesh.points_mm.mean(axis=0)
    first, second = as_solid(mesh, shift), as_solid(tool, shift)
    if any(solid.status() != manifold3d.Error.NoError for solid in (first, second)):
        return None
    inside, outside = first.split(second)
    return Division(
        from_solid(mesh, inside, shift),
        from_solid(mesh, outside, shift),
        from_solid(mesh, first + second, shift) if union else None,
    )


def _by_voxels(
    mesh: SurfaceMesh, tool: SurfaceMesh, union: bool, voxel_mm: float, progress: Progress
) -> Division:
    grid = grid_around([mesh.points_mm, *([tool.points_mm] if union else [])], voxel_mm)
    one, two = (
        signed_distance(m.points_mm, m.triangles, grid, share(progress, n, 3))
        for n, m in enumerate((mesh, tool))
    )
    progress(0.8, "drawing the parts")

    def made(field: npt.NDArray[np.float32]) -> SurfaceMesh:
        return replace(mesh.reshaped(*contour(field, grid)), findings=(), numbers=())

    inside, outside = made(np.maximum(one, two)), made(np.maximum(one, -two))
    return Division(inside, outside, made(np.minimum(one, two)) if union else None, voxel_mm)


def combine_surfaces(
    first: SurfaceMesh,
    second: SurfaceMesh,
    *,
    operation: Operation = "union",
    voxel_mm: Annotated[float, Gt(0), Le(20)] | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Join two closed surfaces, take one from the other, or keep what they share.

    The result is closed and keeps the name and colour of the first; what lay on the points is
    dropped. Its volume is checked against those of the parts, within 0.1 percent.

    Args:
        first: a closed surface, LPS mm.
        second: another in the same frame.
        operation: union joins both, difference removes the second from the first,
            intersection keeps what both share.
        voxel_mm: edge of the voxels, in mm, that are used only where the exact way fails; empty
            takes 1/250 of the first one's extent.
        progress: told how far the work is.

    Raises:
        OpenSurface: if one of them is not closed or is inside out.
        FrameMismatch: if they live in different frames.
        ValueError: if nothing would be left, saying why.
        BooleanFailed: if no way gives a closed result whose volume is right.
    """
    done = divide(first, second, union=operation == "union", voxel_mm=voxel_mm, progress=progress)
    chosen: Callable[[], SurfaceMesh | None] = {
        "union": lambda: done.union,
        "difference": lambda: done.outside,
        "intersection": lambda: done.inside,
    }[operation]
    result = chosen()
    assert result is not None
    apart = not len(done.inside.triangles)
    if not len(result.triangles):
        raise ValueError(_why_empty(first, second, operation))
    findings = done.findings
    if apart:
        findings = (*findings, _apart(first, second, operation))
    progress(0.95, "measuring the surface")
    return with_share(replace(result, findings=findings), first)


def measured_solid(part: SurfaceMesh, volume_mm3: float) -> SurfaceMesh:
    """Return a surface that is known to be closed with its numbers, as `measured` gives them."""
    volume = Number(
        "volume", volume_mm3 / 1000.0, "mL", "volume enclosed by the surface (divergence theorem)"
    )
    area = Number("area", area_mm2(part) / 100.0, "cm2", "sum of the triangle areas")
    return replace(part, numbers=(volume, area))


def with_share(part: SurfaceMesh, whole: SurfaceMesh) -> SurfaceMesh:
    """Return a closed part measured, with its share of the whole's volume in percent."""
    volume_mm3 = enclosed_mm3(part)
    part = measured_solid(part, volume_mm3)
    fraction = 100.0 * volume_mm3 / enclosed_mm3(whole)
    source = f"volume of the result over that of {whole.name or 'the surface before'}"
    return replace(part, numbers=(*part.numbers, Number("share", fraction, "%", source)))


def _names(first: SurfaceMesh, second: SurfaceMesh) -> tuple[str, str]:
    return repr(first.name or "the first"), repr(second.name or "the second")


def _why_empty(first: SurfaceMesh, second: SurfaceMesh, operation: Operation) -> str:
    one, two = _names(first, second)
    if operation == "difference":
        return f"{one} lies wholly inside {two}, so nothing of it is left"
    return f"{one} and {two} do not touch, or touch only in a face: their intersection is empty"


def _apart(first: SurfaceMesh, second: SurfaceMesh, operation: Operation) -> Finding:
    one, two = _names(first, second)
    did = "nothing was taken away" if operation == "difference" else "the result has loose parts"
    text = f"{one} and {two} do not overlap; {did}"
    return Finding(Severity.WARNING, "no_overlap", text, remedy="Check that both lie as meant.")
