"""Where a cut of another kind begins, and a sheet turned round."""

import numpy as np
import pytest

from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.cut_start import facing_planes, territories_with, turned
from workstation.planning.cut_surface_sheet import Sheet

AXES = (1, 0, 0, 0, 1, 0, 0, 0, 1)
GRID = ImageGeometry((20, 16, 12), (2.0, 2.0, 3.0), (0.0, 0.0, 0.0), AXES, "1.2")


def block(low, high):
    array = np.zeros(GRID.shape, np.uint8)
    array[low:high, 4:8, 6:10] = 1
    return LabelMap(array, GRID, {1: Label("tumor")})


def test_a_second_plane_faces_the_first_beyond_the_tumour():
    points, normals = facing_planes((0.0, 0.0, 3.0), (0.0, 0.0, 1.0), block(3, 6))
    assert points[1] == pytest.approx((0.0, 0.0, 3.0 + 12.0 + 10.0))  # farthest centre at z 15
    assert normals[1] == (0.0, 0.0, -1.0)
    assert facing_planes((0, 0, 3), (0, 0, 1), None)[0][1] == (0.0, 0.0, 43.0)


def test_the_territories_that_hold_the_tumour_are_taken():
    array = np.ones(GRID.shape, np.uint8)
    array[4:] = 2
    array[:, :, :6] = 3
    names = {1: Label("V"), 2: Label("VIII"), 3: Label("IV")}
    territories = LabelMap(array, GRID, names)
    assert territories_with(block(3, 6), territories) == ("V", "VIII")
    assert territories_with(block(5, 6), territories) == ("VIII",)
    assert territories_with(None, territories) == ("V",)


def test_a_turned_sheet_is_the_same_surface_with_the_sides_swapped():
    heights = ((1.0, 2.0, 0.0), (0.0, -3.0, 4.0), (5.0, 0.0, 0.5), (0.0, 0.0, 2.0))
    sheet = Sheet((1.0, 2.0, 3.0), (0.0, 0.6, 0.8), (1.0, 0.0, 0.0), (30.0, 20.0), heights)
    points = np.random.default_rng(1).uniform(-25, 25, (50, 3))
    np.testing.assert_allclose(turned(sheet).side_mm(points), -sheet.side_mm(points), atol=1e-9)


def test_a_pulled_sheet_moves_as_far_as_asked_there_and_less_elsewhere():
    heights = tuple((0.0,) * 4 for _ in range(4))
    sheet = Sheet((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (30.0, 20.0), heights)
    pulled = sheet.pulled((10.0, -5.0, 0.0), 7.0)
    assert pulled.side_mm([(10.0, -5.0, 7.0)]) == pytest.approx(0.0, abs=1e-9)
    rims = [(-30.0, 20.0, 0.0), (-30.0, -20.0, 0.0), (30.0, 20.0, 0.0)]
    assert np.abs(pulled.side_mm(rims)).max() < 2.0
