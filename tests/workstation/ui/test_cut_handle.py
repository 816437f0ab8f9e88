import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.camera import Camera, unit
from workstation.ui.cut_handle import Cut, grab, part_at

SIZE = (600, 400)
FRONT = Camera((0.0, -500.0, 0.0), (0.0, 0.0, 0.0))
OBLIQUE = FRONT.orbit(60, 35, (0, 0, 0), SIZE)
CUT = Cut((10.0, 5.0, -5.0), (1.0, 0.0, 0.0), 60.0)
shift = st.floats(-120, 120)


def place(camera, point):
    return camera.project([point], SIZE)[0, :2]


def test_the_rim_is_a_circle_in_the_plane_around_the_normal():
    rim = CUT.rim_mm - CUT.point_mm
    np.testing.assert_allclose(np.linalg.norm(rim, axis=1), 60)
    np.testing.assert_allclose(rim @ CUT.normal, 0, atol=1e-9)
    disc = CUT.disc()
    a, b, c = (disc.points_mm[disc.triangles[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    np.testing.assert_allclose(
        normals / np.linalg.norm(normals, axis=1)[:, None], [CUT.normal] * len(normals), atol=1e-9
    )


@pytest.mark.parametrize(
    ("point", "part"),
    [(CUT.point_mm, "centre"), (CUT.tip_mm, "tip"), (CUT.rim_mm[7], "rim"),
     ((10.0, 30.0, 15.0), None)],
)  # fmt: skip
def test_each_part_is_found_where_it_is_drawn(point, part):
    assert part_at(CUT, OBLIQUE, *place(OBLIQUE, point), SIZE) == part


def test_the_whole_rim_can_be_held_also_between_its_points():
    close = FRONT.look_from("L").zoom(4, (0, 0, 0))
    rim = CUT.rim_mm
    for point in (rim + np.roll(rim, -1, axis=0)) / 2:
        assert part_at(CUT, close, *place(close, point), SIZE) == "rim"


@given(shift)
def test_the_ball_moves_the_plane_along_its_normal_by_the_millimetres_of_the_cursor(way):
    start = place(OBLIQUE, CUT.point_mm)
    goal = place(OBLIQUE, np.add(CUT.point_mm, (way, 0, 0)))
    moved = grab(CUT, OBLIQUE, *start, SIZE).to(*goal)
    np.testing.assert_allclose(moved.point_mm, np.add(CUT.point_mm, (way, 0, 0)), atol=1e-6)
    assert (moved.normal, moved.radius_mm) == (CUT.normal, CUT.radius_mm)


def test_a_plane_that_faces_the_viewer_moves_with_up_and_down():
    cut = Cut((0.0, 0.0, 0.0), (0.0, -1.0, 0.0), 60.0)
    drag = grab(cut, FRONT, 300, 200, SIZE)
    assert drag.part == "centre"
    per_pixel = FRONT.mm_per_pixel(cut.point_mm, SIZE)
    np.testing.assert_allclose(drag.to(300, 180).point_mm, (0, -20 * per_pixel, 0), atol=1e-9)


def test_a_press_alone_changes_nothing():
    for point in (CUT.point_mm, CUT.tip_mm, CUT.rim_mm[20]):
        x, y = np.add(place(OBLIQUE, point), (3, -2))
        same = grab(CUT, OBLIQUE, x, y, SIZE).to(x, y)
        np.testing.assert_allclose(same.point_mm, CUT.point_mm, atol=1e-9)
        np.testing.assert_allclose(same.normal, CUT.normal, atol=1e-9)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_the_tip_follows_the_cursor(a, b):
    cut = Cut((0.0, 0.0, 0.0), tuple(unit((0.3, -0.8, 0.2))), 60.0)
    goal = unit((a, -1.5, b))
    drag = grab(cut, FRONT, *place(FRONT, cut.tip_mm), SIZE)
    assert drag.part == "tip"
    tilted = drag.to(*place(FRONT, cut.arrow_mm * goal))
    np.testing.assert_allclose(tilted.normal, goal, atol=1e-6)
    assert tilted.point_mm == cut.point_mm


@given(shift, shift)
def test_the_held_point_of_the_rim_stays_on_the_rim(right, down):
    place_ = place(OBLIQUE, CUT.rim_mm[30])
    drag = grab(CUT, OBLIQUE, *place_, SIZE)
    assert drag.part == "rim"
    tilted = drag.to(*np.add(place_, (right, down)))
    assert np.linalg.norm(tilted.normal) == pytest.approx(1)
    goal = drag._on_sphere(*np.add(place_, (right, down)))
    start = drag._on_sphere(*place_)
    turned_back = float(np.dot(goal, tilted.normal)) - float(np.dot(start, CUT.normal))
    assert turned_back == pytest.approx(0, abs=1e-9)


def test_an_arrow_that_points_away_can_be_tilted_too():
    away = Cut((0.0, 0.0, 0.0), tuple(unit((0.5, 0.8, 0.1))), 60.0)
    x, y = place(FRONT, away.tip_mm)
    tilted = grab(away, FRONT, x, y, SIZE).to(x + 10, y)
    assert tilted.normal[0] > away.normal[0]
    assert tilted.normal[1] > 0
