"""Cuts along a curve drawn on a surface."""

import numpy as np
import pytest
import trimesh

from meshing.curve_cut import CurveDoesNotCut, cut_along_curve
from meshing.surface import SurfaceMesh, area_mm2, enclosed_mm3, is_watertight
from tests.meshing.solids import CENTRE, FRAME, at, ball, pear

Picks = tuple[tuple[float, float, float], ...]


def circle(mesh: SurfaceMesh, height_mm: float, count: int) -> Picks:
    """Points of a ball's surface at a height over its middle."""
    radius = np.sqrt(400 - height_mm**2)
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    ring = [radius * np.cos(angle), radius * np.sin(angle), np.full(count, height_mm)]
    return tuple(map(tuple, np.stack(ring, axis=1) + CENTRE))


@pytest.mark.parametrize("turned", [1, -1])
def test_a_circle_cuts_off_a_cap(turned: int) -> None:
    mesh = ball(detail=3)
    picks = circle(mesh, 14.0, 24)[::turned]
    inside = cut_along_curve(mesh, points_mm=picks)
    outside = cut_along_curve(mesh, points_mm=picks, keep="outside")
    assert is_watertight(inside)
    assert is_watertight(outside)
    assert enclosed_mm3(inside) + enclosed_mm3(outside) == pytest.approx(enclosed_mm3(mesh))
    assert enclosed_mm3(inside) == pytest.approx(np.pi * 36 * 54 / 3, rel=0.03)
    assert inside.points_mm[:, 2].max() == pytest.approx(CENTRE[2] + 20, abs=0.2)
    assert inside.points_mm[:, 2].min() > CENTRE[2] + 13


def test_both_parts_named() -> None:
    mesh = ball(detail=4)
    marked = cut_along_curve(mesh, points_mm=circle(mesh, 14.0, 24), keep="both, named")
    assert is_watertight(marked)
    assert enclosed_mm3(marked) == pytest.approx(enclosed_mm3(mesh))
    inside = marked.triangles[marked.boundaries["inside"]]
    cap = area_mm2(marked.reshaped(marked.points_mm, inside))
    assert cap == pytest.approx(2 * np.pi * 20 * 6, rel=0.03)
    assert len(inside) + len(marked.boundaries["outside"]) == len(marked.triangles)


def test_the_cut_stays_inside_a_waist() -> None:
    """Where the flat film would leave the solid, it is dented."""
    mesh = pear(4)
    picks = tuple(tuple(at(9 * np.cos(a), 9 * np.sin(a), 16)) for a in np.linspace(0, 6, 9))
    part = cut_along_curve(mesh, points_mm=picks)
    assert is_watertight(part)
    assert "cut_leaves_solid" not in {f.code for f in part.findings}


def test_curves_that_do_not_cut_are_named() -> None:
    mesh = ball()
    with pytest.raises(CurveDoesNotCut, match="three or more"):
        cut_along_curve(mesh, points_mm=circle(mesh, 10.0, 2))
    eight = [circle(mesh, 12.0, 4)[n] for n in (0, 2, 1, 3)]
    with pytest.raises(CurveDoesNotCut, match="crosses itself"):
        cut_along_curve(mesh, points_mm=tuple(eight))
    ring = trimesh.creation.torus(20, 6, major_sections=40, minor_sections=20)
    torus = SurfaceMesh(ring.vertices, ring.faces, FRAME, "ring")
    around = tuple((20 + 6 * np.cos(a), 0.3, 6 * np.sin(a)) for a in np.linspace(0, 5.5, 8))
    with pytest.raises(CurveDoesNotCut, match="does not separate"):
        cut_along_curve(torus, points_mm=around)
