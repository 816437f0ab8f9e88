"""Letters on a surface: the side, the patient's number or a name, raised or cut in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import manifold3d
import numpy as np
import numpy.typing as npt
from annotated_types import Gt, Le

from meshing.booleans import as_solid, pieces, require_solid
from meshing.cutting import Vector
from meshing.nearest import NearestOnSurface
from meshing.outlines import text_outlines
from meshing.rays import first_hits
from meshing.sound_solid import sound_solid
from meshing.surface import SurfaceMesh, enclosed_mm3, measured
from meshing.tree import TriangleTree, triangle_tree
from segmentation.contract import Number, Progress, silent

Floats = npt.NDArray[np.float64]

FINEST_MM = 0.25  # edges of the letters' triangles, which follow the surface
ROOT_MM = 0.4  # how far raised letters begin inside, and cut ones outside, of the surface
BEHIND_MM = 0.8  # of material that stays behind letters that are cut in
STEEPEST_DEGREES = 60.0
"""How far the surface may turn away from the reader anywhere under the text."""


class NoPlaceForText(ValueError):
    """The text does not fit where it was asked for."""


@dataclass(frozen=True)
class _Page:
    """Where a text stands: its middle, and its right, its up and towards its reader (rows)."""

    tree: TriangleTree
    normals: Floats
    middle: Floats
    axes: Floats


def letter(
    mesh: SurfaceMesh,
    *,
    text: str,
    click_mm: Vector,
    raised: bool = False,
    height_mm: Annotated[float, Gt(0), Le(100)] = 6.0,
    depth_mm: Annotated[float, Gt(0), Le(10)] = 0.6,
    behind_mm: Annotated[float, Gt(0), Le(10)] = BEHIND_MM,
    up: Vector | None = None,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Write a text on a closed surface, cut in or raised, to be read from outside.

    The letters run along the surface at the click and keep the same depth where it curves.

    Args:
        mesh: the surface, LPS mm.
        text: one line of Latin letters, digits and signs, such as R 4711.
        click_mm: the middle of the text (x, y, z), on or near the surface, LPS mm.
        raised: letters stand out instead of being cut in.
        height_mm: height of a capital letter; 5 mm is the least that filament shows well.
        depth_mm: how deep the letters are cut in, or how far they stand out.
        behind_mm: of material that stays behind letters that are cut in.
        up: direction (x, y, z) of the letters' upper edge, LPS; empty takes the patient's head,
            or the patient's front where the surface faces head or feet.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed.
        NoPlaceForText: if the surface is too small, too bent or too thin there.
        ValueError: if a letter cannot be written.
    """
    require_solid(mesh)
    outlines = text_outlines(text, height_mm)
    progress(0.1, "finding the place")
    page = _page(mesh, np.asarray(click_mm), outlines, up)
    low, high = (-ROOT_MM, depth_mm) if raised else (-depth_mm, ROOT_MM)
    progress(0.3, "laying the letters on the surface")
    filled = manifold3d.CrossSection(outlines, manifold3d.FillRule.NonZero)
    letters = _laid(page, filled, low, high)
    if not raised:
        _require_thick(page, filled, depth_mm + behind_mm)
    progress(0.6, "joining the letters")
    shift = page.middle
    body = as_solid(mesh, shift)
    result = sound_solid(mesh, body + letters if raised else body - letters, shift)
    progress(0.9, "measuring the surface")
    expected_mm3 = filled.area() * depth_mm * (1 if raised else -1)
    if result is None or not _is_written(mesh, result, expected_mm3):
        raise NoPlaceForText(
            f"{text!r} cannot be written cleanly there; move it, or take other letters"
        )
    numbers = (
        Number("text_height", height_mm, "mm", "of a capital letter"),
        Number("text_depth", depth_mm, "mm", "along the reader's line of sight"),
    )
    result = measured(result)
    return replace(result, numbers=(*result.numbers, *numbers))


def _page(mesh: SurfaceMesh, click: Floats, outlines: list[Floats], up: Vector | None) -> _Page:
    """Return where the text stands: it faces the way that the surface under it does."""
    nearest = NearestOnSurface(mesh)(click[None])
    middle, cell = nearest.point_mm[0], int(nearest.triangle[0])
    a, b, c = (mesh.points_mm[mesh.triangles[:, n]] for n in range(3))
    twice = np.cross(b - a, c - a)
    area = np.linalg.norm(twice, axis=1)
    normals = twice / np.where(area > 0, area, 1.0)[:, None]
    extent = np.ptp(np.concatenate(outlines), axis=0)
    near = np.linalg.norm((a + b + c) / 3 - middle, axis=1) <= float(extent.max()) / 2
    alike = near & (normals @ normals[cell] > 0.5)
    alike[cell] = True
    reader = twice[alike].sum(axis=0)
    reader /= np.linalg.norm(reader)
    if up is None:
        up = (0.0, 0.0, 1.0) if abs(reader[2]) < 0.9 else (0.0, -1.0, 0.0)
    wanted = np.asarray(up, np.float64)
    above = wanted - (wanted @ reader) * reader
    if np.linalg.norm(above) <= 1e-3 * np.linalg.norm(wanted):
        raise NoPlaceForText("the letters' upper edge points to their reader; give another `up`")
    above /= np.linalg.norm(above)
    axes = np.stack([np.cross(above, reader), above, reader])
    return _Page(triangle_tree(mesh.points_mm, mesh.triangles), normals, middle, axes)


def _laid(
    page: _Page, filled: manifold3d.CrossSection, low: float, high: float
) -> manifold3d.Manifold:
    """Return the letters between two depths (mm along the reader's sight) of the surface."""
    flat = filled.extrude(high - low).refine_to_length(FINEST_MM).translate((0.0, 0.0, low))

    def onto_surface(points: Floats) -> Floats:
        places = page.middle + points[:, :2] @ page.axes[:2]
        seen, _ = _seen(page, points[:, :2])
        deep = seen + points[:, 2]
        return np.asarray(places + deep[:, None] * page.axes[2] - page.middle)

    warp: Callable[[Floats], Floats] = onto_surface
    return flat.warp_batch(warp)


def _seen(page: _Page, places: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return how far towards the reader the surface lies at places (n, 2), and its triangles.

    Raises:
        NoPlaceForText: where the text runs off the surface, or the surface turns away.
    """
    reach = float(np.linalg.norm(places, axis=1).max())
    from_mm = page.middle + places @ page.axes[:2] + reach * page.axes[2]
    sight = np.tile(-page.axes[2], (len(places), 1))
    away, cell = first_hits(page.tree, from_mm, sight, np.full(len(places), -1), reach_mm=2 * reach)
    if (cell < 0).any():
        raise NoPlaceForText("the text runs off the surface; take smaller letters, or move it")
    turned = page.normals[cell] @ page.axes[2]
    if turned.min() < np.cos(np.radians(STEEPEST_DEGREES)):
        raise NoPlaceForText(
            f"the surface turns away by more than {STEEPEST_DEGREES:g} degrees under the text, so "
            "it could not be read; take smaller letters, or move it"
        )
    return reach - away, cell


def _require_thick(page: _Page, filled: manifold3d.CrossSection, least_mm: float) -> None:
    """Raise unless enough material lies behind the text.

    Raises:
        NoPlaceForText: where it would be cut through.
    """
    places = np.concatenate([np.asarray(p, np.float64) for p in filled.to_polygons()])
    seen, cell = _seen(page, places)
    starts = page.middle + places @ page.axes[:2] + seen[:, None] * page.axes[2]
    sight = np.tile(-page.axes[2], (len(places), 1))
    deep, _ = first_hits(page.tree, starts, sight, cell, reach_mm=least_mm)
    if np.isfinite(deep).any():
        raise NoPlaceForText(
            f"the material behind the text is only {deep.min():.1f} mm, where {least_mm:.1f} mm "
            "are needed; raise the letters, make them shallower, or move them"
        )


def _is_written(mesh: SurfaceMesh, result: SurfaceMesh, expected_mm3: float) -> bool:
    """Tell whether the letters, and nothing else, changed the surface: its volume and pieces."""
    change = enclosed_mm3(result) - enclosed_mm3(mesh)
    alike = pieces(result).max() == pieces(mesh).max()
    return bool(alike and 0.8 < change / expected_mm3 < 1.25)
