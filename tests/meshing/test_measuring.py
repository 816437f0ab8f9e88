"""Lengths, angles, areas, volumes and ways on surfaces against known answers."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.geodesics import geodesic
from meshing.measuring import (
    angle,
    area,
    clearance,
    distance,
    distance_to_surface,
    surface_area,
    volume,
)
from meshing.surface import SurfaceMesh
from segmentation.contract import FrameMismatch
from segmentation.volume import ImageGeometry, LabelMap, Volume

GRID = ImageGeometry((40, 36, 30), (0.8, 1.0, 2.0), (-11.0, 7.0, 30.0),
                     (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1), "1")  # fmt: skip
IMAGE = Volume(np.zeros(GRID.shape, np.int16), GRID)


def ball(radius: float = 50.0, subdivisions: int = 5, centre=(7.0, -4.0, 12.0)) -> SurfaceMesh:
    made = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return SurfaceMesh(made.vertices + np.asarray(centre), made.faces, "1", "ball")


def test_a_distance_has_the_band_of_half_a_voxel_along_it() -> None:
    start = np.array([3.0, 5.0, 40.0])
    along_k = distance(IMAGE, points_mm=(tuple(start), tuple(start + np.array([0, 0, 20.0]))))
    number = along_k.numbers[0]
    assert number.value == pytest.approx(20.0)
    assert number.high - number.value == pytest.approx(np.sqrt(2) * 1.0, rel=1e-4)
    along_i = distance(IMAGE, points_mm=(tuple(start), tuple(start + 20 * GRID.axes[:, 0])))
    assert along_i.numbers[0].high - 20 == pytest.approx(np.sqrt(2) * 0.4, rel=1e-4)
    assert along_i.frame_uid == "1"
    assert along_i.text == "20.0 mm"


def test_the_band_of_a_distance_holds_the_truth_when_points_move_half_a_voxel() -> None:
    random = np.random.default_rng(0)
    first, second = np.array([1.0, 2.0, 33.0]), np.array([12.0, 9.0, 47.0])
    number = distance(IMAGE, points_mm=(tuple(first), tuple(second))).numbers[0]
    shift = random.uniform(-0.5, 0.5, (2000, 2, 3)) * GRID.spacing_mm @ GRID.axes.T
    moved = np.linalg.norm(first + shift[:, 0] - second - shift[:, 1], axis=1)
    assert np.mean((moved >= number.low) & (moved <= number.high)) > 0.95


def test_a_line_through_several_points_adds_up_and_tells_its_ends() -> None:
    corners = ((0.0, 0, 0), (3.0, 0, 0), (3.0, 4.0, 0))
    found = {n.quantity: n for n in distance(IMAGE, points_mm=corners, uncertainty_mm=0).numbers}
    assert found["length"].value == found["length"].low == pytest.approx(7.0)
    assert found["end_to_end"].value == pytest.approx(5.0)


@settings(max_examples=40, deadline=None)
@given(st.floats(1.0, 179.0), st.floats(5.0, 40.0), st.floats(5.0, 40.0), st.integers(0, 1000))
def test_angles_survive_any_turn(degrees: float, a: float, b: float, seed: int) -> None:
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    flat = np.radians(degrees)
    arms = np.array([[a, 0, 0], [0, 0, 0], [b * np.cos(flat), b * np.sin(flat), 0]]) @ turn.T
    three = angle(IMAGE, points_mm=tuple(map(tuple, arms)))
    assert three.numbers[0].value == pytest.approx(degrees, abs=1e-6)
    assert three.numbers[0].low < degrees < three.numbers[0].high
    lines = np.array([arms[1], arms[0], arms[1] + (9, 9, 9), arms[2] + (9, 9, 9)])
    four = angle(IMAGE, points_mm=tuple(map(tuple, lines)))
    assert four.numbers[0].value == pytest.approx(degrees, abs=1e-6)


def test_the_area_of_a_tilted_curve_is_that_of_its_plane() -> None:
    turn = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    flat = np.stack([30 * np.cos(turn), 12 * np.sin(turn), np.zeros_like(turn)], axis=1)
    tilted = flat @ np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0].T
    found = {n.quantity: n for n in area(IMAGE, points_mm=tuple(map(tuple, tilted))).numbers}
    assert found["area"].value == pytest.approx(np.pi * 30 * 12 / 100, rel=1e-4)
    assert found["flatness"].value == pytest.approx(0, abs=1e-9)
    assert found["area"].low < found["area"].value < found["area"].high


def test_ways_on_a_sphere_are_great_circles() -> None:
    mesh, centre = ball(), np.array([7.0, -4.0, 12.0])
    random = np.random.default_rng(1)
    for start, end in random.normal(size=(5, 2, 3)):
        a, b = (50 * v / np.linalg.norm(v) for v in (start, end))
        made = geodesic(mesh, points_mm=(tuple(a + centre), tuple(b + centre)))
        truth = 50 * np.arccos(a @ b / 2500)
        assert made.numbers[0].value == pytest.approx(truth, rel=5e-4)
        assert np.linalg.norm(made.lines_mm[0] - centre, axis=1) == pytest.approx(50, abs=0.06)
        assert made.lines_mm[0][0] == pytest.approx(a + centre, abs=0.06)
        assert made.numbers[0].low < truth < made.numbers[0].high


def test_a_closed_way_goes_once_around() -> None:
    mesh, centre = ball(), np.array([7.0, -4.0, 12.0])
    turn = np.radians([0, 110, 230])
    tilt = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    stops = 50 * np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1) @ tilt.T + centre
    made = geodesic(mesh, points_mm=tuple(map(tuple, stops)), closed=True)
    assert made.numbers[0].value == pytest.approx(2 * np.pi * 50, rel=1e-3)
    assert made.lines_mm[0][0] == pytest.approx(made.lines_mm[0][-1])


def test_two_points_in_one_triangle_and_at_corners_have_a_way() -> None:
    box = trimesh.creation.box((20, 20, 20))
    mesh = SurfaceMesh(box.vertices, box.faces, "1")
    flat = geodesic(mesh, points_mm=((-8.0, -3.0, 10.0), (8.0, 5.0, 10.0)))
    assert flat.numbers[0].value == pytest.approx(np.hypot(16, 8), rel=2e-3)
    corner = geodesic(mesh, points_mm=((10.0, 10.0, 10.0), (-10.0, 10.0, -10.0)))
    assert corner.numbers[0].value == pytest.approx(20 * np.sqrt(2), rel=1e-6)


def test_a_way_between_two_bodies_is_refused_in_words() -> None:
    one, two = ball(subdivisions=2), ball(subdivisions=2, centre=(200, 0, 0))
    both = SurfaceMesh(
        np.vstack([one.points_mm, two.points_mm]),
        np.vstack([one.triangles, two.triangles + len(one.points_mm)]),
        "1",
    )
    with pytest.raises(ValueError, match="do not hang together"):
        geodesic(both, points_mm=((7.0, -4.0, 62.0), (200.0, 0.0, 50.0)))


def test_what_does_no_harm_is_left_out_and_what_does_is_refused() -> None:
    corners = np.array([[9, 9, 9], [0, 0, 0], [20, 0, 0], [0, 20, 0], [20, 20, 0]], float)
    cells = np.array([[1, 2, 3], [2, 4, 3], [3, 1, 2], [2, 2, 4]])
    ends = ((1.0, 1.0, 0.0), (19.0, 18.0, 0.0))
    flat = geodesic(SurfaceMesh(corners, cells, "1"), points_mm=ends)
    assert flat.numbers[0].value == pytest.approx(np.hypot(18, 17), rel=2e-3)
    fin = SurfaceMesh(corners, np.array([[1, 2, 3], [2, 4, 3], [2, 3, 0]]), "1")
    with pytest.raises(ValueError, match="repair it first"):
        geodesic(fin, points_mm=ends)


def test_points_off_the_surface_are_told() -> None:
    made = geodesic(ball(), points_mm=((7.0, -4.0, 82.0), (57.0, -4.0, 12.0)))
    assert [f.code for f in made.findings] == ["off_surface"]


def test_volume_and_its_band_of_a_ball_and_of_its_label() -> None:
    mesh = ball(12.0)
    truth = 4 / 3 * np.pi * 12**3 / 1000
    number = volume(mesh).numbers[0]
    assert number.value == pytest.approx(truth, rel=2e-3)
    assert number.low < truth < number.high
    grid = replace(GRID, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1), origin_mm=(0, 0, 0))
    k, j, i = np.mgrid[:30, :36, :40]
    away = np.linalg.norm(grid.to_world(np.stack([i, j, k], -1)) - (16, 18, 30), axis=-1)
    label = LabelMap((away < 12).astype(np.uint8), grid)
    number = volume(label).numbers[0]
    assert number.value == label.volume_ml()
    half = np.cbrt(1.6) / 2
    assert number.high - number.value == pytest.approx(4 * np.pi * 144 * half / 1000, rel=0.05)


def test_a_part_of_a_surface_has_its_area_and_rim() -> None:
    box = trimesh.creation.box((4, 6, 10))
    top = np.flatnonzero(box.face_normals[:, 2] > 0.5)
    mesh = SurfaceMesh(box.vertices, box.faces, "1", boundaries={"inlet": top})
    made = surface_area(mesh, part="inlet")
    assert made.numbers[0].value == pytest.approx(0.24)
    assert np.abs(np.diff(made.lines_mm[0], axis=0)).sum() == pytest.approx(20.0)
    with pytest.raises(ValueError, match="inlet"):
        surface_area(mesh, part="outlet")


def test_the_distance_to_a_surface_has_a_side() -> None:
    mesh = ball()
    outside = distance_to_surface(mesh, click_mm=(7.0, -4.0, 72.0))
    inside = distance_to_surface(mesh, click_mm=(7.0, -4.0, 52.0))
    assert outside.numbers[0].value == pytest.approx(10.0, abs=0.05)
    assert inside.numbers[0].value == pytest.approx(-10.0, abs=0.05)
    assert outside.lines_mm[0][1] == pytest.approx((7.0, -4.0, 62.0), abs=0.1)


def test_clearance_is_measured_between_the_nearest_places() -> None:
    one, two = ball(20.0), ball(9.0, centre=(7.0, 36.0, 42.0))
    truth = 50.0 - 29.0
    number = clearance(one, two).numbers[0]
    assert number.low <= truth <= number.high + 0.02
    touching = clearance(one, ball(9.0, centre=(7.0, 20.0, 12.0)))
    assert touching.numbers[0].value == 0.0
    assert touching.findings[0].code == "overlap"
    assert "5." in touching.findings[0].sentence or "4.9" in touching.findings[0].sentence
    with pytest.raises(FrameMismatch):
        clearance(one, replace(two, frame_uid="2"))


def test_too_few_or_doubled_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 points"):
        distance(IMAGE, points_mm=((0.0, 0.0, 0.0),))
    with pytest.raises(ValueError, match="two points at one place"):
        distance(IMAGE, points_mm=((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    with pytest.raises(ValueError, match="an angle"):
        angle(IMAGE, points_mm=((0.0, 0, 0), (1.0, 0, 0)))
