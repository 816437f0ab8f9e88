import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.camera import SIDES, Camera, unit

SIZE = (640, 400)
LETTERS = {
    "L": (1.0, 0, 0), "R": (-1.0, 0, 0), "P": (0, 1.0, 0),
    "A": (0, -1.0, 0), "S": (0, 0, 1.0), "I": (0, 0, -1.0),
}  # fmt: skip
number = st.floats(-80, 80)
point = st.tuples(number, number, number)
pixel = st.tuples(st.floats(5, SIZE[0] - 5), st.floats(5, SIZE[1] - 5))


@st.composite
def cameras(draw):
    camera = Camera((30.0, -600.0, 20.0), (30.0, 0.0, 20.0))
    camera = camera.look_from(draw(st.sampled_from(sorted(SIDES))))
    return camera.orbit(draw(st.floats(-300, 300)), draw(st.floats(-300, 300)), (0, 0, 0), SIZE)


@pytest.mark.parametrize(
    ("side", "right", "up"),
    [("A", "L", "S"), ("P", "R", "S"), ("L", "P", "S"), ("R", "A", "S"), ("S", "R", "A"),
     ("I", "L", "A")],
)  # fmt: skip
def test_standard_views_show_the_patient_as_clinicians_expect(side, right, up):
    axes = Camera().look_from(side).axes
    np.testing.assert_allclose(axes, [LETTERS[right], LETTERS[up], LETTERS[side]], atol=1e-12)


def test_the_focus_is_in_the_middle_and_pixels_count_from_the_top_left():
    camera = Camera((0, -500, 0), (0, 0, 0))
    middle, left, upper = camera.project([(0, 0, 0), (40, 0, 0), (0, 0, 40)], SIZE)
    np.testing.assert_allclose(middle, [320, 200, 500])
    assert left[0] > 320
    assert upper[1] < 200
    assert left[0] - 320 == pytest.approx(40 / camera.mm_per_pixel((0, 0, 0), SIZE))


def test_what_is_behind_the_eye_has_no_place_on_the_screen():
    assert np.isnan(Camera((0, -500, 0)).project([(0, -600, 0)], SIZE)).all()


@given(cameras(), pixel, st.floats(10, 900))
def test_projection_undoes_the_ray(camera, place, way):
    seen = np.asarray(camera.eye_mm) + way * camera.ray(*place, SIZE)
    np.testing.assert_allclose(camera.project([seen], SIZE)[0, :2], place, atol=1e-6)


@given(cameras(), point, st.floats(-200, 200), st.floats(-200, 200))
def test_an_orbit_keeps_the_pivot_and_the_distance(camera, pivot, right, down):
    turned = camera.orbit(right, down, pivot, SIZE)
    np.testing.assert_allclose(
        turned.project([pivot], SIZE), camera.project([pivot], SIZE), atol=1e-6
    )
    assert turned.distance_mm == pytest.approx(camera.distance_mm)
    np.testing.assert_allclose(turned.axes @ turned.axes.T, np.eye(3), atol=1e-9)


def test_a_drag_to_the_right_turns_the_front_to_the_right():
    camera = Camera((0, -500, 0))
    front = (0, -50, 0)
    assert camera.orbit(20, 0, (0, 0, 0), SIZE).project([front], SIZE)[0, 0] > 325
    assert camera.orbit(0, 20, (0, 0, 0), SIZE).project([front], SIZE)[0, 1] > 205


@given(cameras(), point, st.floats(-200, 200), st.floats(-200, 200))
def test_a_pan_carries_the_held_point_with_the_cursor(camera, held, right, down):
    before = camera.project([held], SIZE)[0]
    after = camera.pan(right, down, held, SIZE).project([held], SIZE)[0]
    np.testing.assert_allclose(after - before, [right, down, 0], atol=1e-6)


@given(cameras(), pixel, st.floats(0.5, 3))
def test_a_zoom_keeps_the_point_under_the_cursor(camera, place, factor):
    at = camera.at_depth_of(camera.focal_mm, *place, SIZE)
    near = camera.zoom(factor, at)
    np.testing.assert_allclose(near.project([at], SIZE)[0, :2], place, atol=1e-6)
    assert near.distance_mm == pytest.approx(camera.distance_mm / factor)


def test_a_zoom_ends_before_the_eye_loses_its_direction():
    at = (3.0, 2.0, 1.0)
    assert Camera().zoom(1e30, at).distance_mm == pytest.approx(2)
    assert Camera().zoom(1e-30, at).distance_mm == pytest.approx(20000)


@given(cameras(), st.lists(point, min_size=2, max_size=9), st.sampled_from([SIZE, (200, 500)]))
def test_a_framed_scene_fits_the_picture(camera, points, size):
    points = np.vstack([points, (50, 40, 30)])
    places = camera.frame(points, size).project(points, size)
    assert (places[:, :2] > 0).all()
    assert (places[:, :2] < size).all()


def test_a_direction_needs_a_length():
    with pytest.raises(ValueError, match="length"):
        unit((0, 0, 0))
