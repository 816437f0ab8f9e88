import numpy as np
import pytest

from segmentation.volume import ImageGeometry, Volume
from workstation.fusion import TILE_MM, Layer, fused
from workstation.raster import Region
from workstation.slices import slice_plane

GRID = ImageGeometry((60, 50, 8), (1.0, 1.5, 2.0), (3, 4, 5), (1, 0, 0, 0, 1, 0, 0, 0, 1), "1")
WINDOW = (100.0, 50.0)  # 0 is black, 100 is white
PLANE = slice_plane(GRID, "axial", 3)


def filled(value: float, dtype: type = np.int16, grid: ImageGeometry = GRID) -> Volume:
    return Volume(np.full(grid.shape, value, dtype), grid)


def rgb(picture):
    return [(picture >> shift) & 0xFF for shift in (16, 8, 0)]


def colour(first: float, second: float, **options: object):
    layer = Layer(filled(second), window=WINDOW, **options)
    picture = fused(filled(first), PLANE, WINDOW, layer)
    assert len(np.unique(picture)) == 1
    return tuple(int(part[0, 0]) for part in rgb(picture))


def test_two_colours_add_up_to_white_where_both_are_bright():
    assert colour(100, 100) == (255, 255, 255)
    assert colour(100, 0) == (255, 153, 0)
    assert colour(0, 100) == (0, 102, 255)
    assert colour(0, 0) == (0, 0, 0)
    assert colour(100, 100, opacity=0.0) == (255, 153, 0)
    assert colour(100, 100, opacity=1.0) == (0, 102, 255)


@pytest.mark.parametrize(("opacity", "value"), [(0.0, 255), (0.2, 204), (1.0, 0)])
def test_an_overlay_hides_the_first_image_as_it_grows(opacity, value):
    assert colour(100, 0, look="overlay", opacity=opacity) == (value,) * 3


def test_a_checkerboard_shows_each_in_its_tiles():
    layer = Layer(filled(0), "checkerboard", WINDOW)
    red = rgb(fused(filled(100), PLANE, WINDOW, layer))[0]
    tile = int(TILE_MM)
    assert red[0, 0] == 255
    assert red[0, tile] == 0, "tiles are measured in mm"
    assert red[int(np.ceil(TILE_MM / 1.5)), 0] == 0
    assert 0.4 < (red == 0).mean() < 0.6


def test_doubt_is_drawn_where_repeats_disagree_and_nowhere_else():
    block = GRID.cropped((10, 20, 0), (20, 10, 8))
    agreement = np.ones(block.shape, np.float32)
    agreement[:, :, :10] = 0.5
    layer = Layer(Volume(agreement, block, "agreement"), "doubt", opacity=1.0)
    red, green, blue = rgb(fused(filled(50), PLANE, WINDOW, layer))
    grey = int(red[0, 0])
    drawn = (red != grey) | (green != grey) | (blue != grey)
    expected = np.zeros_like(drawn)
    expected[20:30, 10:20] = True
    assert np.array_equal(drawn, expected)
    assert (red[25, 15], green[25, 15], blue[25, 15]) == (240, 228, 66), "half of them: yellow"


def test_labels_lie_on_top():
    mask = np.ones((4, 4), bool)
    layer = Layer(filled(100), window=WINDOW)
    region = Region((8, 6), mask, (10, 20, 30), 1.0)
    red, green, blue = rgb(fused(filled(100), PLANE, WINDOW, layer, [region]))
    assert (red[9, 7], green[9, 7], blue[9, 7]) == (10, 20, 30)
    assert red[20, 20] == 255


def test_unsigned_images_end_in_black():
    block = GRID.cropped((0, 0, 0), (30, 50, 8))
    layer = Layer(filled(100, np.uint16, block), "overlay", (100.0, 20.0), opacity=1.0)
    red = rgb(fused(filled(0), PLANE, WINDOW, layer))[0]
    assert red[:, :30].min() == 255
    assert red[:, 30:].max() <= 77


def test_a_quantity_is_coloured_where_it_is_known():
    block = GRID.cropped((10, 20, 0), (20, 10, 8))
    speed = np.full(block.shape, np.nan, np.float32)
    speed[:, :, 5:] = 0.0
    speed[:, 5:, 5:] = 2.0
    layer = Layer(Volume(speed, block, "speed"), "map", (2.0, 1.0), opacity=1.0)
    picture = np.stack(rgb(fused(filled(50), PLANE, WINDOW, layer)), axis=-1)
    grey = picture[0, 0]
    assert (picture[22, 12] == grey).all(), "nothing is known there"
    assert picture[22, 20].tolist() == [68, 1, 84]
    assert picture[27, 20].tolist() == [253, 231, 37]
    pale = Layer(Volume(speed, block, "speed"), "map", (2.0, 1.0), opacity=0.5)
    half = np.stack(rgb(fused(filled(50), PLANE, WINDOW, pale)), axis=-1)[27, 20]
    assert np.abs(half - (grey + np.array([253, 231, 37])) / 2).max() <= 1
