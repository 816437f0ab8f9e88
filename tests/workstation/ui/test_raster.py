import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from meshing.surface import SurfaceMesh
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.raster import (
    Overlay,
    default_window,
    grey,
    outline_segments,
    regions,
    slice_labels,
    surface_segments,
)
from workstation.slices import slice_plane
from workstation.ui.raster import outlines, render, segments_path, surface_outlines, to_image

GRID = ImageGeometry((6, 5, 4), (1.0, 1.5, 2.0), (10.0, 20.0, 30.0), tuple(np.eye(3).ravel()), "1")
RED, BLUE = (200, 0, 0), (0, 0, 200)


def pixels(image):
    """Return [row, column, (red, green, blue)] of an image."""
    colours = (image.pixelColor(x, y) for y in range(image.height()) for x in range(image.width()))
    flat = [(c.red(), c.green(), c.blue()) for c in colours]
    return np.reshape(flat, (image.height(), image.width(), 3))


def labelled(geometry=GRID, **boxes):
    array = np.zeros(geometry.shape, np.uint8)
    for value, box in enumerate(boxes.values(), start=1):
        array[box] = value
    names = {n: Label(name, (RED, BLUE)[n - 1]) for n, name in enumerate(boxes, start=1)}
    return LabelMap(array, geometry, names)


LABELS = labelled(one=np.s_[1, 1:3, 1:4], two=np.s_[1, 3, 4])


@given(
    st.sampled_from(["int16", "uint16", "int8", "uint8", "int32", "float32"]),
    st.floats(1, 3000),
    st.floats(-1000, 1000),
)
def test_every_pixel_type_goes_through_the_same_window(dtype, width, level):
    limits = (-1024, 3000) if np.dtype(dtype).itemsize > 1 else (-128, 127)
    if dtype.startswith("u"):
        limits = (0, 200)
    values = np.linspace(*limits, 40).astype(dtype).reshape(5, 8)
    exact = np.clip((values.astype(float) - (level - width / 2)) * 255 / width, 0, 255)
    assert np.abs(grey(values, width, level) - exact).max() <= 0.51


def test_window_edges_are_black_and_white_and_its_level_the_middle():
    values = np.array([[-500, -160, 40, 240, 3000]], np.int16)
    assert grey(values, 400, 40).tolist() == [[0, 0, 128, 255, 255]]


def test_what_is_not_a_number_is_black():
    assert grey(np.array([[np.nan, 1.0]]), 1, 0.5).tolist() == [[0, 255]]


def test_the_window_suits_the_quantity():
    values = np.linspace(0, 1000, GRID.size[0] * 20).reshape(GRID.shape)
    assert default_window(Volume(values - 500, GRID)) == (400, 40)
    for quantity in ("MR intensity", "HU"):  # a file that does not say what it holds is "HU"
        width, level = default_window(Volume(values, GRID, quantity))
        assert (width, level) == (pytest.approx(980), pytest.approx(500))


def test_a_blank_background_does_not_take_the_window():
    values = np.zeros(GRID.shape)
    values[2] = np.linspace(100, 300, values[2].size).reshape(values[2].shape)
    width, level = default_window(Volume(values, GRID))
    assert (width, level) == (pytest.approx(196), pytest.approx(200))
    values[0, 0, 0] = np.nan
    assert default_window(Volume(values, GRID)) == (width, level)
    for same in (0.0, np.nan):
        assert default_window(Volume(np.full(GRID.shape, same), GRID)) == (400, 40)


def test_the_image_is_a_copy_in_the_right_order():
    picture = np.array([[0xFF010203, 0xFFFF0000], [0xFF00FF00, 0xFF0000FF]], np.uint32)
    image = to_image(picture)
    mirrored = to_image(picture[:, ::-1])
    picture[:] = 0
    assert pixels(image).tolist() == [[[1, 2, 3], [255, 0, 0]], [[0, 255, 0], [0, 0, 255]]]
    np.testing.assert_array_equal(pixels(mirrored), pixels(image)[:, ::-1])


def test_labels_are_mixed_into_their_own_pixels_only():
    volume = Volume(np.full(GRID.shape, 100, np.int16), GRID)
    plane = slice_plane(GRID, "axial", 1)
    overlay = Overlay("organs", LABELS, opacity=0.5, colour=None)
    shown = pixels(render(volume, plane, (255, 127.5), regions([overlay], plane)))
    expected = np.full((5, 6, 3), 100)
    expected[1:3, 1:4] = (150, 50, 50)
    expected[3, 4] = (50, 50, 150)
    np.testing.assert_array_equal(shown, expected)


def test_hidden_labels_and_overlays_are_left_out():
    plane = slice_plane(GRID, "axial", 1)
    assert [r.colour for r in regions([Overlay("o", LABELS)], plane)] == [RED, BLUE]
    hidden = Overlay("o", LABELS, hidden=frozenset({1}))
    assert [r.colour for r in regions([hidden], plane)] == [BLUE]
    assert regions([Overlay("o", LABELS, visible=False)], plane) == []
    assert regions([Overlay("o", LABELS)], plane.at(3)) == []


def test_one_colour_paints_all_labels_and_nameless_masks():
    plane = slice_plane(GRID, "axial", 1)
    assert [r.colour for r in regions([Overlay("o", LABELS, (1, 2, 3))], plane)] == [(1, 2, 3)] * 2
    mask = LabelMap(LABELS.array == 1, GRID)
    assert [r.colour for r in regions([Overlay("o", mask, (1, 2, 3))], plane)] == [(1, 2, 3)]


@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
def test_labels_on_a_cropped_grid_are_shown_in_their_place(view):
    cropped = LabelMap(LABELS.array[1:3, 1:4, 1:5], GRID.cropped((1, 1, 1), (4, 3, 2)))
    whole = np.zeros(GRID.shape, np.uint8)
    whole[1:3, 1:4, 1:5] = cropped.array
    for index in range(4):
        plane = slice_plane(GRID, view, index)
        np.testing.assert_array_equal(slice_labels(cropped, plane), plane.extract(whole))


def test_labels_on_a_turned_grid_are_shown_by_the_nearest_voxel():
    axes = Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix()
    turned = ImageGeometry((9, 9, 9), (0.7, 0.8, 0.9), (9.0, 18.0, 31.0), tuple(axes.ravel()), "1")
    values = np.random.default_rng(3).integers(0, 9, turned.shape, np.uint8)
    plane = slice_plane(GRID, "coronal", 2)
    found = slice_labels(LabelMap(values, turned), plane)
    for row in range(plane.rows):
        for column in range(plane.columns):
            index = np.rint(turned.to_index(plane.to_world((column, row)))).astype(int)
            inside = np.all((index >= 0) & (index < turned.size))
            expected = values[tuple(index[::-1])] if inside else 0
            assert found[row, column] == expected
    assert np.count_nonzero(found) > 5


masks = arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7)))


@given(masks)
def test_an_outline_is_closed(mask):
    ends, counts = np.unique(outline_segments(mask).reshape(-1, 2), axis=0, return_counts=True)
    assert not len(ends) or set(counts % 2) == {0}


@given(masks)
def test_an_outline_surrounds_exactly_its_pixels(mask):
    segments = outline_segments(mask)
    for (row, column), inside in np.ndenumerate(mask):
        y = row + 0.5 + 1e-3  # off the corners of the outline
        (x0, y0), (x1, y1) = np.moveaxis(segments, 0, 2)
        crosses = (y0 < y) != (y1 < y)
        at = x0[crosses] + (y - y0[crosses]) / (y1 - y0)[crosses] * (x1 - x0)[crosses]
        assert (np.count_nonzero(at < column + 0.5) % 2 == 1) == inside


def test_outlines_lie_around_their_regions_in_the_picture():
    plane = slice_plane(GRID, "axial", 1)
    (red, first), (blue, second) = (
        (path.boundingRect(), colour)
        for path, colour in outlines(regions([Overlay("o", LABELS)], plane))
    )
    assert (first, second) == (RED, BLUE)
    assert red.getRect() == (1.0, 1.0, 3.0, 2.0)
    assert blue.getRect() == (4.0, 3.0, 1.0, 1.0)


def test_a_surface_is_outlined_where_it_meets_the_slice():
    box = trimesh.creation.box((3.0, 4.0, 5.0))
    centre = np.array((12.2, 23.1, 33.3))
    surface = SurfaceMesh(box.vertices + centre, box.faces, "1", "box", BLUE)
    plane = slice_plane(GRID, "axial", 1)
    ((path, colour),) = surface_outlines([surface], plane)
    assert colour == BLUE
    low, high = (
        plane.to_pixel(centre + np.array(s) * (1.5, 2.0, 0)) for s in ((-1, -1, 0), (1, 1, 0))
    )
    x, y, width, height = path.boundingRect().getRect()
    assert (x, y) == pytest.approx(tuple(low[:2] + 0.5))
    assert (x + width, y + height) == pytest.approx(tuple(high[:2] + 0.5))
    assert surface_outlines([surface], plane.at(3)) == []


@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
def test_the_outline_of_a_ball_is_a_circle(view):
    ball = trimesh.creation.icosphere(4, 2.0)
    centre = np.array((12.4, 23.2, 33.1))
    surface = SurfaceMesh(ball.vertices + centre, ball.faces, "1")
    plane = slice_plane(GRID, view).through(centre)
    corners = plane.to_world(surface_segments(surface, plane).reshape(-1, 2) - 0.5)
    assert len(corners) > 50
    assert np.linalg.norm(corners - centre, axis=1) == pytest.approx(2.0, abs=0.01)
    _, counts = np.unique(corners.round(9), axis=0, return_counts=True)
    assert set(counts % 2) == {0}


def test_a_path_holds_every_segment():
    segments = np.array([[[1, 2], [3, 4]], [[5, 6], [7.5, 8]]])
    path = segments_path(segments)
    found = [(path.elementAt(n).x, path.elementAt(n).y) for n in range(path.elementCount())]
    assert found == [(1, 2), (3, 4), (5, 6), (7.5, 8)]
    assert [path.elementAt(n).isMoveTo() for n in range(4)] == [True, False, True, False]
