from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from segmentation.volume import ImageGeometry
from workstation.slices import (
    Placement,
    direction_letters,
    nearest_axes,
    point_text,
    slice_plane,
)

RIGHT_AND_DOWN = {  # of the screen, in LPS
    "axial": ((1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
}
VIEWS = tuple(RIGHT_AND_DOWN)
SIGNED = [
    np.eye(3)[:, list(order)] * signs
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3))
]


def grid(axes=None, size=(7, 9, 5), spacing=(0.8, 1.1, 2.5)):
    axes = np.eye(3) if axes is None else axes
    return ImageGeometry(size, spacing, (-3.0, 12.0, 40.0), tuple(np.ravel(axes)), "1.2.3")


directions = st.builds(
    lambda axes, turn: Rotation.from_rotvec(turn).as_matrix() @ axes,
    st.sampled_from(SIGNED),
    st.tuples(*[st.floats(-0.3, 0.3)] * 3),
)
views = st.sampled_from(VIEWS)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("axes", SIGNED)
def test_every_acquisition_is_shown_as_radiologists_expect(view, axes):
    plane = slice_plane(grid(axes), view)
    right, down = RIGHT_AND_DOWN[view]
    np.testing.assert_allclose(np.cross(plane.matrix[:3, 0], right), 0, atol=1e-12)
    assert plane.matrix[:3, 0] @ right > 0
    np.testing.assert_allclose(np.cross(plane.matrix[:3, 1], down), 0, atol=1e-12)
    assert plane.matrix[:3, 1] @ down > 0


@given(directions, views, st.booleans(), st.booleans())
def test_a_pixel_shows_the_voxel_that_lies_where_it_says(axes, view, across, down):
    geometry = grid(axes)
    array = np.arange(np.prod(geometry.size)).reshape(geometry.shape)
    plane = slice_plane(geometry, view, 2, flip_across=across, flip_down=down)
    pixels = plane.extract(array)
    assert pixels.shape == (plane.rows, plane.columns)
    column, row = plane.columns - 2, 1
    i, j, k = np.rint(geometry.to_index(plane.to_world((column, row)))).astype(int)
    assert pixels[row, column] == array[k, j, i]
    back = plane.to_pixel(plane.to_world((column, row)))
    np.testing.assert_allclose(back, (column, row, 0), atol=1e-9)


@given(directions)
def test_the_three_views_look_along_three_different_axes(axes):
    assert sorted(nearest_axes(grid(axes))) == [0, 1, 2]


@given(directions, views)
def test_forward_is_superior_anterior_or_right(axes, view):
    plane = slice_plane(grid(axes), view, 2)
    step = plane.at(2 + plane.forward).to_world((0, 0)) - plane.to_world((0, 0))
    onward = {"axial": (0, 0, 1), "coronal": (0, -1, 0), "sagittal": (-1, 0, 0)}[view]
    assert step @ onward > 0


def test_letters_of_the_three_views():
    letters = {view: slice_plane(grid(), view).letters for view in VIEWS}
    assert letters == {
        "axial": ("R", "L", "A", "P"),
        "coronal": ("R", "L", "S", "I"),
        "sagittal": ("A", "P", "S", "I"),
    }


def test_a_mirrored_picture_has_its_letters_swapped():
    plane = slice_plane(grid(), "axial", flip_across=True)
    assert plane.letters == ("L", "R", "A", "P")
    plane = slice_plane(grid(), "axial", flip_down=True)
    assert plane.letters == ("R", "L", "P", "A")


def test_an_oblique_volume_has_composite_letters():
    axes = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    assert slice_plane(grid(axes), "axial").letters == ("RA", "LP", "AL", "PR")
    slight = Rotation.from_euler("z", 10, degrees=True).as_matrix()
    assert slice_plane(grid(slight), "axial").letters == ("R", "L", "A", "P")


@pytest.mark.parametrize(
    ("direction", "letters"),
    [((2, 0, 0), "L"), ((0, -1, 0), "A"), ((0, 0, -9), "I"), ((-3, 1, 2), "RSP")],
)
def test_letters_name_the_largest_part_first(direction, letters):
    assert direction_letters(direction) == letters


def test_a_point_is_told_without_signs():
    assert point_text((-12.0, -3.5, 80.06)) == "R 12.0  A 3.5  S 80.1 mm"


def test_the_slice_position_names_its_side():
    assert slice_plane(grid(), "axial", 0).position == "S 40.0 mm"
    assert slice_plane(grid(), "sagittal", 0).position == "R 3.0 mm"
    assert slice_plane(grid(), "coronal", 1).position == "P 13.1 mm"


def test_slices_stay_inside_the_volume():
    plane = slice_plane(grid(), "axial")
    assert (plane.index, plane.count) == (2, 5)
    assert plane.at(-4).index == 0
    assert plane.at(99).index == 4
    assert plane.through((0, 0, 40 + 2.5 * 3.4)).index == 3


placements = st.builds(
    lambda axes, view, zoom, pan: Placement(slice_plane(grid(axes), view), 400, 300, zoom, pan),
    directions,
    views,
    st.floats(0.5, 20),
    st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
)


@given(placements, st.floats(0, 400), st.floats(0, 300))
def test_widget_and_patient_positions_convert_both_ways(placement, x, y):
    point = placement.to_world(x, y)
    np.testing.assert_allclose(placement.to_widget(point), (x, y, 0), atol=1e-6)


def test_a_fresh_picture_fits_and_is_centred_and_square_in_mm():
    plane = slice_plane(grid(), "coronal")  # 7 x 0.8 mm wide, 5 x 2.5 mm high
    placement = Placement(plane, 400, 300)
    assert placement.scale == pytest.approx(300 / 12.5)
    np.testing.assert_allclose(placement.corner, (200 - 5.6 * 24 / 2, 0))
    np.testing.assert_allclose(placement.pixel_size, (0.8 * 24, 2.5 * 24))


@given(placements, st.floats(0.3, 3), st.floats(0, 400), st.floats(0, 300))
def test_zoom_keeps_what_is_under_the_cursor(placement, factor, x, y):
    zoomed = placement.zoomed(factor, x, y)
    np.testing.assert_allclose(zoomed.to_world(x, y), placement.to_world(x, y), atol=1e-6)
    assert zoomed.zoom == pytest.approx(np.clip(placement.zoom * factor, 0.25, 64))


@given(placements)
def test_pan_moves_by_pixels(placement):
    moved = placement.panned(30, -20)
    np.testing.assert_allclose(moved.corner - placement.corner, (30, -20), atol=1e-6)


@given(placements, st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda n: np.linalg.norm(n) > 0.1))
def test_a_cut_line_lies_on_the_plane_and_in_the_slice(placement, normal):
    point = placement.to_world(180, 170)
    ends = placement.line(point, normal)
    gradient = [np.dot(normal, placement.plane.matrix[:3, n]) for n in (0, 1)]
    if np.hypot(*gradient) < 1e-3:
        return
    for x, y in ends:
        off_mm = np.dot(normal, np.subtract(placement.to_world(x, y), point))
        assert abs(off_mm) < 1e-6 * (1 + np.hypot(x, y))


def test_a_plane_parallel_to_the_slice_or_far_away_gives_no_line():
    placement = Placement(slice_plane(grid(), "axial"), 400, 300)
    assert placement.line(placement.to_world(200, 150), (0, 0, 1)) is None
    assert placement.line((500, 12, 40), (1, 0, 0)) is None


def test_the_edge_of_the_picture_is_the_edge_of_its_outer_voxels():
    placement = Placement(slice_plane(grid(), "axial"), 400, 300)
    x, y = placement.corner
    assert placement.contains(x + 0.01, y + 0.01)
    assert not placement.contains(x - 0.01, y + 0.01)
    assert placement.clamped(x - 50, y + 3) == pytest.approx((x, y + 3))
    assert placement.clamped(200, 310) == pytest.approx((200, 300))
