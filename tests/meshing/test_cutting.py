"""Cuts by plane, box, tube and curved surface: right side, right volume, closed, or an error."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing import clipping, cutting
from meshing.cutting import cut_by_box, cut_by_curved_surface, cut_by_plane, cut_by_tube
from meshing.splines import FoldedSurface, SplineSurface, flat_control_points
from meshing.surface import OpenSurface, SurfaceMesh, enclosed_mm3, is_watertight
from tests.meshing.solids import CENTRE, FRAME, at, ball, box, pear


def both(cut: Callable[..., SurfaceMesh], *sides: str) -> list[SurfaceMesh]:
    parts = [cut(keep=side) for side in sides]
    assert all(map(is_watertight, parts))
    return parts


def test_plane_keeps_the_side_of_its_normal() -> None:
    mesh = box((10, 20, 30))
    point = tuple(at(2, 0, 0))
    front, back = both(
        lambda **k: cut_by_plane(mesh, point_mm=point, normal=(4, 0, 0), **k), "front", "back"
    )
    assert enclosed_mm3(front) == pytest.approx(1800)
    assert front.points_mm[:, 0].min() == pytest.approx(CENTRE[0] + 2)
    assert enclosed_mm3(back) == pytest.approx(4200)


def test_plane_without_a_place_crosses_the_long_axis() -> None:
    part = cut_by_plane(pear())
    share = {n.quantity: n.value for n in part.numbers}["share"]
    assert 40 < share < 60
    assert np.ptp(part.points_mm[:, 0]) < 40 < np.ptp(pear().points_mm[:, 0])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1279), st.sampled_from(["face", "point", "axis", "grazing"]))
def test_planes_through_faces_and_points(number: int, kind: str) -> None:
    mesh = pear()
    a, b, c = mesh.points_mm[mesh.triangles[number]]
    normal = np.cross(b - a, c - a) if kind == "face" else np.array([0.0, 0.0, 1.0])
    if kind == "point":
        normal = a - CENTRE
    if kind == "grazing":
        a = a + 1e-8 * normal
    try:
        parts = [
            cut_by_plane(mesh, point_mm=tuple(a), normal=tuple(normal), keep=keep)
            for keep in ("front", "back")
        ]
    except ValueError as error:
        if any(word in str(error) for word in ("passes", "grazes", "only touches")):
            return
        raise
    assert all(map(is_watertight, parts))
    assert sum(map(enclosed_mm3, parts)) == pytest.approx(enclosed_mm3(mesh), rel=1e-3)


def test_plane_by_voxels_where_nothing_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OpenSurface("no")

    monkeypatch.setattr(cutting, "split_by_plane", refuse)
    part = cut_by_plane(ball(), point_mm=tuple(at(5, 0, 0)), normal=(1, 0, 0))
    height = 15.0
    cap = np.pi * height**2 * (60 - height) / 3
    assert enclosed_mm3(part) == pytest.approx(cap, rel=0.02)


def test_quick_and_exact_ways_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, point, normal = pear(), at(1.1, 2.3, 0.7), (1.0, 0.3, -0.2)
    quick = clipping.split_by_plane(mesh, point, normal)
    monkeypatch.setattr(clipping, "_split_quickly", lambda *_: None)
    exact = clipping.split_by_plane(mesh, point, normal)
    for one, two in zip(quick, exact):
        assert enclosed_mm3(one) == pytest.approx(enclosed_mm3(two), rel=1e-9)
        assert len(one.triangles) == len(two.triangles)


def test_box_and_its_complement() -> None:
    mesh = box((10, 20, 30))
    inside, outside = both(
        lambda **k: cut_by_box(mesh, centre_mm=tuple(at(5, 0, 0)), size_mm=(4, 100, 6), **k),
        "inside",
        "outside",
    )
    assert enclosed_mm3(inside) == pytest.approx(2 * 20 * 6)
    assert inside.points_mm[:, 0].min() == pytest.approx(CENTRE[0] + 3)
    assert enclosed_mm3(outside) == pytest.approx(6000 - 240)


def test_a_turned_box_keeps_its_size() -> None:
    part = cut_by_box(ball(), size_mm=(6, 8, 10), first_axis=(1, 1, 0), second_axis=(0.5, 2, 0.1))
    assert enclosed_mm3(part) == pytest.approx(480)


def test_a_flush_box_is_cut_or_said_to_miss() -> None:
    mesh = box((10, 20, 30))
    with pytest.raises(ValueError, match="the box misses 'box', or only touches it"):
        cut_by_box(mesh, centre_mm=tuple(at(10, 0, 0)), size_mm=(10, 20, 30))
    with pytest.raises(ValueError, match="lies wholly on one side of the box"):
        cut_by_box(mesh, size_mm=(10, 20, 30))
    half = cut_by_box(mesh, centre_mm=tuple(at(5, 0, 0)), size_mm=(10, 20, 30))
    assert enclosed_mm3(half) == pytest.approx(3000)


def test_bad_boxes_are_named() -> None:
    with pytest.raises(ValueError, match="longer than 0 mm"):
        cut_by_box(ball(), size_mm=(1, -1, 1))
    with pytest.raises(ValueError, match="same way"):
        cut_by_box(ball(), first_axis=(1, 0, 0), second_axis=(2, 0, 0))


def test_a_drilled_canal() -> None:
    mesh = box((10, 20, 30))
    path = tuple(tuple(at(0, 0, z)) for z in (-40, 0, 40))
    outside, core = both(
        lambda **k: cut_by_tube(mesh, points_mm=path, radius_mm=3.0, **k), "outside", "inside"
    )
    assert enclosed_mm3(core) == pytest.approx(np.pi * 9 * 30, rel=3e-3)
    assert enclosed_mm3(outside) == pytest.approx(6000 - enclosed_mm3(core))
    ends = cut_by_tube(mesh, start_mm=path[0], end_mm=path[2], radius_mm=3.0, keep="inside")
    assert enclosed_mm3(ends) == pytest.approx(enclosed_mm3(core))
    with pytest.raises(ValueError, match="two or more finite points"):
        cut_by_tube(mesh, points_mm=((0, 0, 0), (0, 0, 0)))


def bowl(depth_mm: float) -> np.ndarray:
    control = flat_control_points(ball(), CENTRE, np.array([0.0, 0.0, 1.0]))
    control[1:3, 1:3, 2] -= depth_mm
    return control


def test_a_curved_surface_cuts_along_its_spline() -> None:
    control = bowl(8.0)
    surface = SplineSurface(control, FRAME)
    grid = tuple(map(tuple, control.reshape(-1, 3)))
    front, back = both(
        lambda **k: cut_by_curved_surface(ball(detail=4), control_points_mm=grid, **k),
        "front",
        "back",
    )
    assert enclosed_mm3(front) + enclosed_mm3(back) == pytest.approx(enclosed_mm3(ball(detail=4)))
    # The bicubic Bezier surface at its middle: weights 1/8, 3/8, 3/8, 1/8 each way.
    middle = surface.points_mm(0.5, 0.5)[0, 0]
    assert middle == pytest.approx(CENTRE - [0, 0, 8.0 * 0.75**2])
    assert front.points_mm[:, 2].min() == pytest.approx(middle[2], abs=0.1)
    assert enclosed_mm3(front) > enclosed_mm3(back)
    assert surface.normal() == pytest.approx([0, 0, 1])


def test_beyond_its_border_a_surface_goes_on_straight() -> None:
    surface = SplineSurface(bowl(8.0), FRAME)
    inner = surface.points_mm(1.0, 0.3)[0, 0]
    slope = (inner - surface.points_mm(1.0 - 1e-6, 0.3)[0, 0]) / 1e-6
    assert surface.points_mm(3.0, 0.3)[0, 0] == pytest.approx(inner + 2 * slope, abs=1e-3)


def test_bad_grids_are_named() -> None:
    flat = tuple(map(tuple, bowl(0.0).reshape(-1, 3)))
    with pytest.raises(ValueError, match="no grid with rows of 4"):
        cut_by_curved_surface(ball(), control_points_mm=flat[:7])
    with pytest.raises(ValueError, match="at least two rows"):
        cut_by_curved_surface(ball(), control_points_mm=flat[:4])
    control = bowl(0.0)
    control[1] -= 90 * (control[1] - control[2]) / 13.0
    control[2] += 90 * (control[1] - control[2]) / 13.0
    with pytest.raises(FoldedSurface, match="folds over itself near"):
        cut_by_curved_surface(ball(), control_points_mm=tuple(map(tuple, control.reshape(-1, 3))))
